//! How often anybody may try: by address, so that one machine cannot guess at many names, and by name, so that many machines
//! cannot guess at one.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use bus::{Commons, Pace};
use proto::Refusal;

use crate::{People, refusals};

/// Who is at the door, as far as that can be seen.
#[derive(Clone, Debug)]
pub struct Caller {
    /// What the program calls itself.
    pub agent: Option<String>,
    /// The client's address, not a balancer's.
    pub address: IpAddr,
}

/// How often may be tried what lets somebody in.
#[derive(Clone, Copy, Debug)]
pub struct Paces {
    /// Signing in, from one address.
    pub sign_in_address: Pace,
    /// Signing in, with one name.
    pub sign_in_name: Pace,
    /// Making accounts, from one address.
    pub sign_up_address: Pace,
}

impl Default for Paces {
    fn default() -> Self {
        let pace = |burst, seconds| Pace { burst, every: Duration::from_secs(seconds) };
        Self { sign_in_address: pace(60, 1), sign_in_name: pace(20, 5), sign_up_address: pace(30, 20) }
    }
}

/// Who counts.
pub(crate) struct Limits {
    commons: Arc<dyn Commons>,
    paces: Paces,
}

impl Limits {
    pub(crate) fn new(commons: Arc<dyn Commons>, paces: Paces) -> Self {
        Self { commons, paces }
    }

    /// Somebody tries a password for a name.
    pub(crate) async fn try_password(&self, key: &str, address: IpAddr) -> Result<(), Refusal> {
        self.take(format!("in:{}", network(address)), self.paces.sign_in_address).await?;
        // A name may hold anything, and be long; its hash does as well.
        self.take(format!("name:{}", digest(key)), self.paces.sign_in_name).await
    }

    /// Somebody tries to make an account.
    pub(crate) async fn try_sign_up(&self, address: IpAddr) -> Result<(), Refusal> {
        self.take(format!("up:{}", network(address)), self.paces.sign_up_address).await
    }

    pub(crate) async fn take(&self, key: String, pace: Pace) -> Result<(), Refusal> {
        self.commons.take(&key, pace).await.map_err(refusals::too_often)
    }
}

impl People {
    /// Somebody asks for one more thing, at a pace that all nodes keep together; without Redis, each for itself.
    ///
    /// # Errors
    /// `rate_limited`.
    pub async fn pace(&self, who: &str, pace: Pace) -> Result<(), Refusal> {
        self.inner.limits.take(format!("ask:{who}"), pace).await
    }
}

fn digest(text: &str) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(text).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// The address; of version 6 the part that a household has to itself.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_household_is_one_address() {
        let network = |text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(network("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(network("192.0.2.7"), "192.0.2.7");
    }
}

//! Copies of what the store knows of a grant, for all nodes: a thousand who come back at once should not all ask it.
//!
//! A copy is believed for half a minute after the *store* was read, by the store's own clock, and only while this node hears
//! from the store what was revoked. It is signed: whoever can write to Redis is nobody by that.

use std::sync::Arc;
use std::time::Duration;

use bus::Commons;
use hmac::{Hmac, Mac};
use proto::{Timestamp, User};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use store::{GrantHash, GrantKind, Granted};
use uuid::Uuid;

const LIFE: Duration = Duration::from_secs(30);
/// How long a revoked grant's copy cannot be put back by somebody who is slow.
const SHUT: Duration = Duration::from_secs(60);
const SIGNATURE: usize = 32;

/// What is known of a grant that held when it was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Known {
    pub(crate) grant: Uuid,
    pub(crate) is_key: bool,
    pub(crate) user: User,
    pub(crate) admin: bool,
    pub(crate) used_at: Timestamp,
    pub(crate) expires_at: Option<Timestamp>,
    /// The store's clock then.
    pub(crate) read_at: Timestamp,
}

impl From<Granted> for Known {
    fn from(Granted { grant, account, read_at }: Granted) -> Self {
        Self {
            grant: grant.id,
            is_key: grant.kind == GrantKind::Key,
            user: User { id: account.id, name: account.name },
            admin: account.admin,
            used_at: grant.used_at,
            expires_at: grant.expires_at,
            read_at,
        }
    }
}

impl Known {
    /// Whether it can be believed at this moment of the store's clock.
    fn is_good(&self, now: Timestamp) -> bool {
        let age = now.0.saturating_sub(self.read_at.0);
        age <= LIFE.as_millis() as i64 && self.expires_at.is_none_or(|at| now < at)
    }
}

/// Where copies are kept.
pub(crate) struct Copies {
    commons: Arc<dyn Commons>,
    key: Hmac<Sha256>,
}

impl Copies {
    pub(crate) fn new(commons: Arc<dyn Commons>, key: Hmac<Sha256>) -> Self {
        Self { commons, key }
    }

    /// What is known of the grant with this token, if that is good at this moment of the store's clock.
    pub(crate) async fn get(&self, hash: &GrantHash, now: Timestamp) -> Option<Known> {
        let copy = self.commons.copy(&name(hash)).await?;
        let (signature, body) = copy.split_at_checked(SIGNATURE)?;
        self.signed(hash, body).verify_slice(signature).ok()?;
        serde_json::from_slice::<Known>(body).ok().filter(|known| known.is_good(now))
    }

    pub(crate) async fn put(&self, hash: &GrantHash, known: &Known) {
        let Ok(body) = serde_json::to_vec(known) else { return };
        let mut copy = self.signed(hash, &body).finalize().into_bytes().to_vec();
        copy.extend_from_slice(&body);
        self.commons.put_copy(&name(hash), copy.into(), LIFE).await;
    }

    pub(crate) async fn remove(&self, hash: &GrantHash) {
        self.commons.remove_copy(&name(hash), SHUT).await;
    }

    fn signed(&self, hash: &GrantHash, body: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.key.clone();
        // Nothing else that is signed with this key begins so.
        mac.update(b"copy\0");
        mac.update(hash);
        mac.update(body);
        mac
    }
}

fn name(hash: &GrantHash) -> String {
    let digits: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("grant:{digits}")
}

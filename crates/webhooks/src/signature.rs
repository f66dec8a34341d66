//! How a receiver knows that a delivery is ours, and not an old one.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// `t=<seconds since 1970>,v1=<HMAC-SHA-256 in hexadecimal>`.
pub const SIGNATURE: &str = "tertulia-signature";
/// The delivery's id: the same over all its attempts, so that a receiver knows one that it has seen.
pub const DELIVERY: &str = "tertulia-delivery";
/// What happened: `message`, `edit` or `delete`.
pub const EVENT: &str = "tertulia-event";

/// The value of [`SIGNATURE`]: signed is the moment, a dot, and the body, so that neither can be had without the other.
pub fn signature(secret: &str, seconds: u64, body: &[u8]) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes());
    // HMAC takes keys of any length; the fallback only spares us a panic that cannot happen.
    let mut mac = mac.unwrap_or_else(|_| Hmac::new(&Default::default()));
    mac.update(format!("{seconds}.").as_bytes());
    mac.update(body);
    let digest = mac.finalize().into_bytes();
    format!("t={seconds},v1={}", crate::secret::hexadecimal(&digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_what_other_programs_compute() {
        // printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac secret
        let wanted = "t=1700000000,v1=49f24e537407743fa4a0242bb63b94b9a47ee99cbbe071ccd8a22550ae411686";
        assert_eq!(signature("secret", 1_700_000_000, br#"{"a":1}"#), wanted);
    }
}

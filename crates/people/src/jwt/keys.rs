//! Keys that tokens are checked with, as configuration and key sets give them.
//!
//! A key has one algorithm, from the first moment on. What a token says of its algorithm can only agree with it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

use super::JwtError;
use super::spki::{self, Public};

/// Fewest bytes of a secret: as many as what it signs with makes.
pub(super) const SECRET_BYTES_MIN: usize = 32;
/// Most keys at once, because a token that names none is tried with each.
pub(super) const KEYS_MAX: usize = 32;
/// How long an RSA modulus is, in bytes.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;
const ED25519_BYTES: usize = 32;
const P256_BYTES: usize = 32;

/// One key.
#[derive(Clone, Debug)]
pub(super) struct Key {
    /// Its name in a set, by which tokens call it.
    pub(super) kid: Option<String>,
    pub(super) algorithm: Algorithm,
    pub(super) key: DecodingKey,
}

impl Key {
    /// What both sides know.
    pub(super) fn secret(secret: &str) -> Result<Self, JwtError> {
        if secret.len() < SECRET_BYTES_MIN {
            return Err(JwtError::ShortSecret);
        }
        let key = DecodingKey::from_secret(secret.as_bytes());
        Ok(Self { kid: None, algorithm: Algorithm::HS256, key })
    }

    fn public(public: &Public<'_>) -> Result<Self, JwtError> {
        let (algorithm, key) = match public {
            Public::Rsa { der, modulus_bytes } => {
                if !RSA_BYTES.contains(modulus_bytes) {
                    return Err(JwtError::RsaLength);
                }
                (Algorithm::RS256, DecodingKey::from_rsa_der(der))
            }
            Public::P256(point) => (Algorithm::ES256, DecodingKey::from_ec_der(point)),
            Public::Ed25519(point) => (Algorithm::EdDSA, DecodingKey::from_ed_der(point)),
        };
        Ok(Self { kid: None, algorithm, key })
    }

    /// A key of a set; `None` for one that does not sign, or not in a way that we know.
    fn of_set(jwk: &Jwk) -> Option<Self> {
        let common = &jwk.common;
        if common.public_key_use.as_ref().is_some_and(|purpose| *purpose != PublicKeyUse::Signature) {
            return None;
        }
        let length = |text: &str| URL_SAFE_NO_PAD.decode(text).map_or(0, |bytes| bytes.len());
        let algorithm = match &jwk.algorithm {
            AlgorithmParameters::RSA(rsa) if RSA_BYTES.contains(&length(&rsa.n)) => Algorithm::RS256,
            AlgorithmParameters::EllipticCurve(ec)
                if ec.curve == EllipticCurve::P256 && length(&ec.x) == P256_BYTES && length(&ec.y) == P256_BYTES =>
            {
                Algorithm::ES256
            }
            AlgorithmParameters::OctetKeyPair(ed)
                if ed.curve == EllipticCurve::Ed25519 && length(&ed.x) == ED25519_BYTES =>
            {
                Algorithm::EdDSA
            }
            // A secret in a set is no secret.
            _ => return None,
        };
        if common.key_algorithm.is_some_and(|named| named != KeyAlgorithm::from(algorithm)) {
            return None;
        }
        Some(Self { kid: common.key_id.clone(), algorithm, key: DecodingKey::from_jwk(jwk).ok()? })
    }
}

/// The keys of a file: PEM, or a set in JSON.
pub(super) fn of_file(content: &[u8]) -> Result<Vec<Key>, JwtError> {
    let keys = match content.trim_ascii_start().first() {
        Some(b'{') => of_set(content)?,
        _ => {
            spki::of_pem(content)?.iter().map(|der| Key::public(&spki::public(der)?)).collect::<Result<Vec<_>, _>>()?
        }
    };
    if keys.is_empty() { Err(JwtError::NoKeys) } else { Ok(keys) }
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

/// The keys of a set (RFC 7517) that can be used here. Others may be in it, of kinds that are not even known.
pub(super) fn of_set(content: &[u8]) -> Result<Vec<Key>, JwtError> {
    let set: Set = serde_json::from_slice(content).map_err(|_| JwtError::NotASet)?;
    let keys = set.keys.into_iter().filter_map(|key| Key::of_set(&serde_json::from_value(key).ok()?));
    Ok(keys.take(KEYS_MAX).collect())
}

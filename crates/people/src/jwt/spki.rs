//! Public keys in PEM: `-----BEGIN PUBLIC KEY-----` around a SubjectPublicKeyInfo (RFC 5280).

use rustls_pki_types::pem::{PemObject, SectionKind};

use super::JwtError;
use super::keys::KEYS_MAX;

/// A public key of a kind that we know.
#[derive(Debug, PartialEq)]
pub(super) enum Public<'a> {
    /// An `RSAPublicKey`.
    Rsa {
        der: &'a [u8],
        modulus_bytes: usize,
    },
    P256(&'a [u8]),
    Ed25519(&'a [u8]),
}

const SEQUENCE: u8 = 0x30;
const BIT_STRING: u8 = 0x03;
const INTEGER: u8 = 0x02;

/// The algorithms as they are written, with their parameters: RFC 3279, 5480 and 8410.
const RSA: &[u8] = &[0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 0x05, 0];
const P256: &[u8] = &[0x06, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
const ED25519: &[u8] = &[0x06, 3, 0x2b, 0x65, 0x70];

/// The public keys of a file. A private key in it is an error: it must not be on this machine.
pub(super) fn of_pem(content: &[u8]) -> Result<Vec<Vec<u8>>, JwtError> {
    let mut keys = Vec::new();
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(content) {
        match section.map_err(|_| JwtError::NotPem)? {
            (SectionKind::PublicKey, der) => keys.push(der),
            _ => return Err(JwtError::NotPublic),
        }
    }
    if keys.len() > KEYS_MAX { Err(JwtError::ManyKeys) } else { Ok(keys) }
}

/// What a SubjectPublicKeyInfo holds.
pub(super) fn public(spki: &[u8]) -> Result<Public<'_>, JwtError> {
    read(spki).ok_or(JwtError::UnknownKey)
}

fn read(spki: &[u8]) -> Option<Public<'_>> {
    let (info, rest) = value(SEQUENCE, spki)?;
    let (algorithm, key) = value(SEQUENCE, info)?;
    let (key, after) = value(BIT_STRING, key)?;
    let ([0], key) = key.split_at_checked(1)? else { return None }; // whole bytes
    if !rest.is_empty() || !after.is_empty() {
        return None;
    }
    match algorithm {
        RSA => {
            let (modulus, _) = value(INTEGER, value(SEQUENCE, key)?.0)?;
            let modulus = modulus.strip_prefix(&[0]).unwrap_or(modulus); // it is positive
            Some(Public::Rsa { der: key, modulus_bytes: modulus.len() })
        }
        P256 => (key.len() == 65 && key[0] == 4).then_some(Public::P256(key)),
        ED25519 => (key.len() == 32).then_some(Public::Ed25519(key)),
        _ => None,
    }
}

/// The value with this tag at the start of some DER, and what comes behind it.
fn value(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&[first, length], rest) = der.split_first_chunk::<2>()?;
    if first != tag {
        return None;
    }
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        0x81 => rest.split_first().map(|(length, rest)| (usize::from(*length), rest))?,
        0x82 => rest.split_first_chunk::<2>().map(|(length, rest)| (usize::from(u16::from_be_bytes(*length)), rest))?,
        _ => return None,
    };
    rest.split_at_checked(length)
}

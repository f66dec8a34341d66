//! Tokens of an embedding application: JSON Web Tokens (RFC 7519), signed with HS256, RS256, ES256 or EdDSA.
//!
//! Which keys there are, and what each signs with, is said by configuration and key sets, never by a token. Nobody is kept: whoever
//! shows a good token is let in until it expires.

mod jwks;
mod keys;
mod provider;
mod spki;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Validation, decode, decode_header};
use outgoing::{Client, OutgoingError};
use proto::{Code, PersonName, Refusal, User, UserId};
use serde::Deserialize;

use self::jwks::{Found, KeySet};
use self::keys::Key;
use crate::{Identity, Standing, Voucher, derived};

pub use self::jwks::KeySetPace;

/// Most bytes of a token.
const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// Most bytes of a subject.
const SUBJECT_BYTES_MAX: usize = 255;
/// How far clocks may be apart.
pub const LEEWAY: Duration = Duration::from_secs(30);

/// Whose tokens are good.
#[derive(Clone, Default)]
pub struct JwtConfig {
    /// What HS256 signs with, which the embedding application knows too.
    pub secret: Option<String>,
    /// The content of a file of public keys: PEM or a key set.
    pub keys: Option<Vec<u8>>,
    /// Where a key set is fetched.
    pub jwks_url: Option<String>,
    /// Who must have issued a token; empty: anybody with a key.
    pub issuers: Vec<String>,
    /// For whom a token must be; empty: one that is for somebody in particular is refused.
    pub audiences: Vec<String>,
    /// When the key set is fetched.
    pub pace: KeySetPace,
}

/// Why there can be no such keys.
#[derive(Debug, thiserror::Error)]
pub enum JwtError {
    /// Guessable.
    #[error("the secret must have at least {} bytes", keys::SECRET_BYTES_MIN)]
    ShortSecret,
    /// Neither kind of file.
    #[error("the keys are neither PEM nor a key set in JSON")]
    NotPem,
    /// A private key, a certificate, or something else.
    #[error("only public keys belong there (-----BEGIN PUBLIC KEY-----)")]
    NotPublic,
    /// Another algorithm.
    #[error("a key is neither RSA nor P-256 nor Ed25519")]
    UnknownKey,
    /// Too weak, or too slow.
    #[error("an RSA key must have 2048 to 8192 bits")]
    RsaLength,
    /// Not RFC 7517.
    #[error("not a key set: an object with a list `keys`")]
    NotASet,
    /// Nothing that can be used.
    #[error("no key there can be used: RSA for RS256, P-256 for ES256, or Ed25519 for EdDSA, meant for signatures")]
    NoKeys,
    /// A token that names no key would be tried with each of them.
    #[error("more than {} keys", keys::KEYS_MAX)]
    ManyKeys,
    /// Not to be called.
    #[error("the URL of the key set cannot be used: {0}")]
    Url(OutgoingError),
}

/// Those who vouch for people, by signing tokens for them. Cheap to clone; the last one ends the fetching of keys.
#[derive(Clone)]
pub struct Vouchers {
    inner: Arc<Inner>,
}

struct Inner {
    keys: Vec<Key>,
    set: Option<KeySet>,
    issuers: Vec<String>,
    audiences: Vec<String>,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    exp: f64,
    iss: Option<String>,
    name: Option<String>,
    preferred_username: Option<String>,
}

impl Vouchers {
    /// Reads the keys, and begins to fetch them where there is a URL, from within a runtime. Without any of these there is nobody who
    /// could vouch: `None`.
    ///
    /// # Errors
    /// When a key is unfit.
    pub fn new(config: JwtConfig, client: &Client) -> Result<Option<Self>, JwtError> {
        let mut keys = Vec::new();
        if let Some(secret) = &config.secret {
            keys.push(Key::secret(secret)?);
        }
        if let Some(content) = &config.keys {
            keys.extend(keys::of_file(content)?);
        }
        let set = config.jwks_url.map(|url| KeySet::start(&url, client.clone(), config.pace)).transpose()?;
        if keys.is_empty() && set.is_none() {
            return Ok(None);
        }
        provider::install();
        let inner = Inner { keys, set, issuers: config.issuers, audiences: config.audiences };
        Ok(Some(Self { inner: Arc::new(inner) }))
    }
}

#[async_trait]
impl Voucher for Vouchers {
    /// `unauthorized`, or `unavailable` while the key that the token names cannot be fetched.
    async fn recognize(&self, token: &str) -> Result<Identity, Refusal> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(refused("the token is too long"));
        }
        let header = decode_header(token).map_err(|_| not_ours())?;
        // We understand no extension that must be understood, and no token that is packed or encrypted.
        if header.crit.is_some() || header.zip.is_some() || header.enc.is_some() {
            return Err(not_ours());
        }
        let kid = header.kid.as_deref();
        let first = self.inner.verify(token, &self.inner.keys, kid);
        let (Err(_), Some(set)) = (&first, &self.inner.set) else {
            return first.map_err(Failure::into_refusal);
        };
        if let Err(Failure::Claims(refusal)) = first {
            return Err(refusal); // the key was found
        }
        match set.named(kid).await {
            Found::Keys(keys) => self.inner.verify(token, &keys, kid).map_err(Failure::into_refusal),
            Found::None => Err(not_ours()),
            Found::Unknown(pause) => {
                let retry_after_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
                Err(Refusal::for_now(Code::Unavailable, "the keys to check the token with are away", retry_after_ms))
            }
        }
    }
}

impl Key {
    /// Whether a token that says so, or says nothing, may mean this key.
    fn may_be_called(&self, kid: Option<&str>) -> bool {
        match (self.kid.as_deref(), kid) {
            (Some(mine), Some(wanted)) => mine == wanted,
            _ => true,
        }
    }
}

/// Why a token is not good.
enum Failure {
    /// No key that it may mean has made it.
    Signature,
    /// It was made with one of our keys, but does not hold.
    Claims(Refusal),
}

impl Failure {
    fn into_refusal(self) -> Refusal {
        match self {
            Self::Signature => not_ours(),
            Self::Claims(refusal) => refusal,
        }
    }
}

impl Inner {
    /// Tries the keys that a token may mean, each with the algorithm that is its own.
    fn verify(&self, token: &str, keys: &[Key], kid: Option<&str>) -> Result<Identity, Failure> {
        for key in keys.iter().filter(|key| key.may_be_called(kid)) {
            let claims = match decode::<Claims>(token, &key.key, &self.validation(key)) {
                Ok(decoded) => decoded.claims,
                Err(error) => match error.kind() {
                    ErrorKind::InvalidSignature | ErrorKind::InvalidAlgorithm => continue,
                    kind => return Err(Failure::Claims(refused(why(kind)))),
                },
            };
            return identity(claims).map_err(Failure::Claims);
        }
        Err(Failure::Signature)
    }

    fn validation(&self, key: &Key) -> Validation {
        let mut validation = Validation::new(key.algorithm);
        let mut required = vec!["exp", "sub"];
        validation.leeway = LEEWAY.as_secs();
        validation.validate_nbf = true;
        if !self.issuers.is_empty() {
            validation.set_issuer(&self.issuers);
            required.push("iss");
        }
        if !self.audiences.is_empty() {
            validation.set_audience(&self.audiences);
            required.push("aud");
        }
        validation.set_required_spec_claims(&required);
        validation
    }
}

fn identity(claims: Claims) -> Result<Identity, Refusal> {
    if claims.sub.is_empty() || claims.sub.len() > SUBJECT_BYTES_MAX {
        return Err(refused("the token's subject is empty or too long"));
    }
    let id = UserId(derived(&["jwt", claims.iss.as_deref().unwrap_or_default(), &claims.sub]));
    let names = [claims.name.as_deref(), claims.preferred_username.as_deref(), Some(claims.sub.as_str())];
    let name = names.into_iter().flatten().find_map(|name| PersonName::parse(name).ok());
    let name = name.ok_or_else(|| refused("neither the token's name nor its subject can be shown as a name"))?;
    let expires = Duration::try_from_secs_f64(claims.exp).ok().and_then(|exp| SystemTime::UNIX_EPOCH.checked_add(exp));
    let check_at =
        expires.and_then(|at| at.checked_add(LEEWAY)).ok_or_else(|| refused("the token's `exp` is no time"))?;
    Ok(Identity { user: User { id, name }, standing: Standing::Vouched, check_at: Some(check_at) })
}

/// For whoever makes the tokens: only those who have a key are told.
fn why(kind: &ErrorKind) -> &'static str {
    match kind {
        ErrorKind::ExpiredSignature => "the token has expired",
        ErrorKind::ImmatureSignature => "the token is not valid yet",
        ErrorKind::InvalidAudience => "the token is for somebody else",
        ErrorKind::InvalidIssuer => "the token is from somebody else",
        ErrorKind::MissingRequiredClaim(claim) if claim == "aud" => "the token does not say whom it is for",
        ErrorKind::MissingRequiredClaim(claim) if claim == "iss" => "the token does not say whom it is from",
        ErrorKind::MissingRequiredClaim(claim) if claim == "exp" => "the token does not say when it expires",
        _ => "the token's claims cannot be read: it needs `sub` and `exp`",
    }
}

fn not_ours() -> Refusal {
    refused("the token is not one of ours")
}

fn refused(why: &str) -> Refusal {
    Refusal::new(Code::Unauthorized, why)
}

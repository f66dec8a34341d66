//! An embedding application: it has keys, and signs tokens with them.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use ring::{hmac, signature};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::errand;

/// What signs. Its keys are made by OpenSSL, as an application's would be.
pub(crate) enum Signer {
    Hs256(String),
    Rs256(RsaKeyPair),
    Es256(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
}

/// A signer, and the public half of its key in PEM.
pub(crate) struct Application {
    pub(crate) signer: Signer,
    pub(crate) pem: String,
}

/// How keys are made: `openssl genpkey` with these.
const RSA: &[&str] = &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
const P256: &[&str] = &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
const ED25519: &[&str] = &["-algorithm", "ED25519"];

impl Application {
    pub(crate) fn with_secret(secret: &str) -> Self {
        Self { signer: Signer::Hs256(secret.to_owned()), pem: String::new() }
    }

    pub(crate) fn rs256() -> Self {
        let (key, pem) = made(RSA);
        Self { signer: Signer::Rs256(RsaKeyPair::from_pkcs8(&key).unwrap()), pem }
    }

    pub(crate) fn es256() -> Self {
        let (key, pem) = made(P256);
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key, &SystemRandom::new());
        Self { signer: Signer::Es256(key.unwrap()), pem }
    }

    pub(crate) fn eddsa() -> Self {
        let (key, pem) = made(ED25519);
        Self { signer: Signer::EdDsa(Ed25519KeyPair::from_pkcs8_maybe_unchecked(&key).unwrap()), pem }
    }

    pub(crate) fn algorithm(&self) -> &'static str {
        match self.signer {
            Signer::Hs256(_) => "HS256",
            Signer::Rs256(_) => "RS256",
            Signer::Es256(_) => "ES256",
            Signer::EdDsa(_) => "EdDSA",
        }
    }

    /// The public half as a key of a set.
    pub(crate) fn jwk(&self, kid: &str) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match &self.signer {
            Signer::Hs256(secret) => json!({"kty": "oct", "kid": kid, "k": text(secret.as_bytes())}),
            Signer::Rs256(key) => {
                let public = PublicKeyComponents::<Vec<u8>>::from(key.public());
                json!({"kty": "RSA", "kid": kid, "use": "sig", "n": text(&public.n), "e": text(&public.e)})
            }
            Signer::Es256(key) => {
                let (x, y) = key.public_key().as_ref()[1..].split_at(32);
                json!({"kty": "EC", "crv": "P-256", "kid": kid, "alg": "ES256", "x": text(x), "y": text(y)})
            }
            Signer::EdDsa(key) => {
                json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": text(key.public_key().as_ref())})
            }
        }
    }

    /// A token for these claims.
    pub(crate) fn token(&self, claims: &Value) -> String {
        self.token_with(&json!({"typ": "JWT", "alg": self.algorithm()}), claims)
    }

    /// A token that says of itself what it wants.
    pub(crate) fn token_with(&self, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", part(header), part(claims));
        let signature = self.sign(message.as_bytes());
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &self.signer {
            Signer::Hs256(secret) => {
                hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), message).as_ref().to_vec()
            }
            Signer::Rs256(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).unwrap();
                signature
            }
            Signer::Es256(key) => signature_of(key.sign(&SystemRandom::new(), message).unwrap()),
            Signer::EdDsa(key) => signature_of(key.sign(message)),
        }
    }
}

fn signature_of(signature: signature::Signature) -> Vec<u8> {
    signature.as_ref().to_vec()
}

/// A part of a token.
pub(crate) fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// Claims of Ana, good for an hour.
pub(crate) fn ana() -> Value {
    json!({"sub": "ana-17", "name": "Ana", "exp": seconds(3600)})
}

/// So many seconds from now, as tokens say it.
pub(crate) fn seconds(from_now: i64) -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(now.as_secs()).unwrap() + from_now
}

/// A private key in PKCS #8, and its public half in PEM.
pub(crate) fn made(how: &[&str]) -> (Vec<u8>, String) {
    let folder: TempDir = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let (key, pem) = (file("key.pem"), file("public.pem"));
    errand::run("openssl", &[&["genpkey", "-out", &key], how].concat(), &[]).well();
    errand::run("openssl", &["pkey", "-in", &key, "-pubout", "-out", &pem], &[]).well();
    let key = PrivatePkcs8KeyDer::from_pem_file(key).unwrap();
    (key.secret_pkcs8_der().to_vec(), std::fs::read_to_string(pem).unwrap())
}

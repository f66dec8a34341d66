//! Flags about whom an embedding application vouches for, and about calls to addresses that strangers chose.

use clap::Args;
use gateway::Networks;

/// Both kinds.
#[derive(Args, Clone, Debug)]
pub(crate) struct VoucherFlags {
    /// Secret of at least 32 bytes that an embedding application signs JWTs with, by HS256.
    #[arg(long, env = "TERTULIA_JWT_SECRET", hide_env_values = true)]
    pub(crate) jwt_secret: Option<String>,

    /// File of public keys that JWTs are signed with (RS256, ES256, EdDSA): PEM, or a key set in JSON.
    #[arg(long, env = "TERTULIA_JWT_KEYS", value_name = "FILE")]
    pub(crate) jwt_keys: Option<String>,

    /// Where such a key set is fetched: https://…, or http://… in a network of --outgoing-networks.
    #[arg(long, env = "TERTULIA_JWT_JWKS_URL", hide_env_values = true)]
    pub(crate) jwt_jwks_url: Option<String>,

    /// Who must have issued a JWT (iss), one of these separated by commas. Default: anybody with a key.
    #[arg(long, env = "TERTULIA_JWT_ISSUER", value_delimiter = ',', hide_default_value = true)]
    pub(crate) jwt_issuer: Vec<String>,

    /// For whom a JWT must be (aud), one of these separated by commas. Default: one that is for somebody in particular is refused.
    #[arg(long, env = "TERTULIA_JWT_AUDIENCE", value_delimiter = ',', hide_default_value = true)]
    pub(crate) jwt_audience: Vec<String>,

    /// Networks that webhooks and key sets may be in though they are not public (10.0.0.0/8), separated by commas.
    #[arg(long, env = "TERTULIA_OUTGOING_NETWORKS", default_value = "", hide_default_value = true)]
    pub(crate) outgoing_networks: Networks,

    /// File of certificates, in PEM, of authorities that are trusted for webhooks and key sets besides those that browsers trust.
    #[arg(long, env = "TERTULIA_OUTGOING_CA", value_name = "FILE")]
    pub(crate) outgoing_ca: Option<String>,
}

impl VoucherFlags {
    pub(super) fn forget_empty(&mut self) {
        for text in [&mut self.jwt_secret, &mut self.jwt_keys, &mut self.jwt_jwks_url, &mut self.outgoing_ca] {
            text.take_if(|text| text.is_empty());
        }
        self.jwt_issuer.retain(|issuer| !issuer.is_empty());
        self.jwt_audience.retain(|audience| !audience.is_empty());
    }
}

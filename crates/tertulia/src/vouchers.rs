//! Those who vouch for people, and the client that calls addresses of strangers, as the configuration wants them.

use std::fs;
use std::sync::Arc;

use outgoing::{Client, OutgoingConfig};
use people::{JwtConfig, Voucher, Vouchers};

use crate::config::VoucherFlags;
use crate::node::StartError;

/// The client for all calls of this node.
pub(crate) fn client(flags: &VoucherFlags) -> Result<Client, StartError> {
    let unfit = |why: String| StartError::Outgoing(why);
    let roots = match &flags.outgoing_ca {
        Some(file) => outgoing::certificates(&read(file)?).map_err(|error| unfit(error.to_string()))?,
        None => Vec::new(),
    };
    let allowed = flags.outgoing_networks.clone();
    Client::new(OutgoingConfig { allowed, roots, ..OutgoingConfig::default() })
        .map_err(|error| unfit(error.to_string()))
}

/// Who vouches, if anybody does.
pub(crate) fn vouchers(flags: &VoucherFlags, client: &Client) -> Result<Option<Arc<dyn Voucher>>, StartError> {
    let config = JwtConfig {
        secret: flags.jwt_secret.clone(),
        keys: flags.jwt_keys.as_deref().map(read).transpose()?,
        jwks_url: flags.jwt_jwks_url.clone(),
        issuers: flags.jwt_issuer.clone(),
        audiences: flags.jwt_audience.clone(),
        ..JwtConfig::default()
    };
    let vouchers = Vouchers::new(config, client)?;
    Ok(vouchers.map(|vouchers| Arc::new(vouchers) as Arc<dyn Voucher>))
}

fn read(file: &str) -> Result<Vec<u8>, StartError> {
    fs::read(file).map_err(|error| StartError::Read { name: file.into(), error })
}

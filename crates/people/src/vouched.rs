//! Whoever else may say who somebody is.

use async_trait::async_trait;
use proto::Refusal;

use crate::Identity;

/// Vouches for people by tokens that were made elsewhere: three parts with dots between, as a JWT has them.
#[async_trait]
pub trait Voucher: Send + Sync + 'static {
    /// Whom a token stands for, with [`Standing::Vouched`](crate::Standing::Vouched) and the moment when it ends.
    async fn recognize(&self, token: &str) -> Result<Identity, Refusal>;
}

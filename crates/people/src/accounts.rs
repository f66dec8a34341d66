//! Other people's accounts, for admins. Whether somebody is one is for the caller to ask: [`Identity::is_admin`](crate::Identity::is_admin).

use proto::{PersonName, Refusal, UserId};
use store::{Account, Alteration, By};

use crate::{People, names, refusals};

impl People {
    /// Accounts by their names, those after the given one.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn accounts(&self, after: Option<&PersonName>, limit: usize) -> Result<Vec<Account>, Refusal> {
        let after = after.map(names::key).unwrap_or_default();
        self.inner.accounts.accounts(&after, limit).await.map_err(|error| refusals::away(&error))
    }

    /// One account.
    ///
    /// # Errors
    /// `not_found`, `unavailable`.
    pub async fn account(&self, id: UserId) -> Result<Account, Refusal> {
        self.find(By::Id(id)).await
    }

    /// The account of this name, however it is written.
    ///
    /// # Errors
    /// `not_found`, `unavailable`.
    pub async fn account_named(&self, name: &PersonName) -> Result<Account, Refusal> {
        self.find(By::Key(&names::key(name))).await
    }

    async fn find(&self, by: By<'_>) -> Result<Account, Refusal> {
        let found = self.inner.accounts.account(by).await.map_err(|error| refusals::away(&error))?;
        Ok(found.ok_or_else(refusals::no_such_account)?.account)
    }

    /// Nobody may be this account until it is enabled; all its sessions and keys end.
    ///
    /// # Errors
    /// `not_found`, `unavailable`.
    pub async fn disable(&self, account: UserId) -> Result<(), Refusal> {
        self.alter(account, &Alteration::Disabled(true)).await
    }

    /// Somebody may be this account again.
    ///
    /// # Errors
    /// As [`disable`](Self::disable).
    pub async fn enable(&self, account: UserId) -> Result<(), Refusal> {
        self.alter(account, &Alteration::Disabled(false)).await
    }

    /// Whether an account may look after the chat. Who no longer may is signed out everywhere.
    ///
    /// # Errors
    /// As [`disable`](Self::disable).
    pub async fn set_admin(&self, account: UserId, admin: bool) -> Result<(), Refusal> {
        self.alter(account, &Alteration::Admin(admin)).await
    }

    /// Gives an account a password; all its sessions and keys end.
    ///
    /// # Errors
    /// `invalid_field`, and as [`disable`](Self::disable).
    pub async fn set_password(&self, account: UserId, password: &str) -> Result<(), Refusal> {
        self.put_password(account, password, None).await
    }

    pub(crate) async fn alter(&self, account: UserId, alteration: &Alteration<'_>) -> Result<(), Refusal> {
        let ended = self.inner.accounts.alter_account(account, alteration).await;
        let ended = ended.map_err(|error| refusals::away(&error))?.ok_or_else(refusals::no_such_account)?;
        self.have_ended(&ended).await;
        Ok(())
    }
}

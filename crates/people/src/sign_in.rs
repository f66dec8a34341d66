//! Coming in by a password: making an account, signing in, another password.

use proto::{Code, PersonName, Refusal, UserId};
use store::{Account, AccountKind, Alteration, By, Credentials, NewAccount};
use uuid::Uuid;

use crate::{Caller, Identity, People, names, passwords, refusals};

impl People {
    /// Whether people make accounts for themselves here.
    pub fn may_sign_up(&self) -> bool {
        self.inner.config.sign_up
    }

    /// Makes an account for whoever asks, and begins its first session: who they are now, and its token.
    ///
    /// # Errors
    /// `forbidden` where accounts are made by admins only; `invalid_name`, `invalid_field`, `name_taken`, `rate_limited`,
    /// `unavailable`.
    pub async fn sign_up(
        &self,
        name: &PersonName,
        password: &str,
        caller: &Caller,
    ) -> Result<(Identity, String), Refusal> {
        let made = self.try_sign_up(name, password, caller).await;
        self.inner.metrics.sign_up(&made);
        made
    }

    async fn try_sign_up(
        &self,
        name: &PersonName,
        password: &str,
        caller: &Caller,
    ) -> Result<(Identity, String), Refusal> {
        if !self.may_sign_up() {
            return Err(Refusal::new(Code::Forbidden, "accounts are made by an admin here"));
        }
        passwords::must_be_good(password)?;
        names::key_of_account(name)?;
        self.inner.limits.try_sign_up(caller.address).await?;
        let account = self.create_account(name, Some(password), AccountKind::Person, false).await?;
        let begun = self.begin_session(&account, None, caller).await?;
        begun.ok_or_else(refusals::no_such_account)
    }

    /// Begins a session: who somebody is now, and its token.
    ///
    /// # Errors
    /// `unauthorized`, in the same words and after the same work whether there is no such name, it has no password, another
    /// password, or is disabled; `rate_limited`, `unavailable`.
    pub async fn sign_in(
        &self,
        name: &PersonName,
        password: &str,
        caller: &Caller,
    ) -> Result<(Identity, String), Refusal> {
        let signed_in = self.try_sign_in(name, password, caller).await;
        self.inner.metrics.sign_in(&signed_in);
        signed_in
    }

    async fn try_sign_in(
        &self,
        name: &PersonName,
        password: &str,
        caller: &Caller,
    ) -> Result<(Identity, String), Refusal> {
        let Credentials { account, password_hash } = self.prove(By::Key(&names::key(name)), password, caller).await?;
        // Made only if the account is still as it was: it may have been disabled meanwhile, or have another password.
        let begun = self.begin_session(&account, password_hash.as_deref(), caller).await?;
        begun.ok_or_else(refusals::no_such_pair)
    }

    /// The account that this password is the one of.
    async fn prove(&self, by: By<'_>, password: &str, caller: &Caller) -> Result<Credentials, Refusal> {
        let inner = &*self.inner;
        let limited = match by {
            By::Key(key) => key.to_owned(),
            By::Id(id) => id.to_string(),
        };
        inner.limits.try_password(&limited, caller.address).await?;
        let found = inner.accounts.account(by).await.map_err(|error| refusals::away(&error))?;
        let hash =
            found.as_ref().filter(|found| !found.account.disabled).and_then(|found| found.password_hash.as_deref());
        // Also what cannot be a password takes as long: how long it is must not tell whether there is a name.
        let given = if passwords::must_be_good(password).is_ok() { password } else { "" };
        let is_right = inner.passwords.is_right(given, hash).await? && hash.is_some();
        found.filter(|_| is_right).ok_or_else(refusals::no_such_pair)
    }

    /// Ends the session or key that somebody came by.
    ///
    /// # Errors
    /// `forbidden` for whoever came without; `unavailable`.
    pub async fn sign_out(&self, identity: &Identity) -> Result<(), Refusal> {
        let grant = identity.grant().ok_or_else(no_account)?;
        self.revoke(identity.user.id, grant).await
    }

    /// Gives an account another password, for whoever knows the one before. All its sessions and keys end, but the one that
    /// this is asked by.
    ///
    /// # Errors
    /// `unauthorized` if the one before is another; `forbidden` for whoever has no account; `invalid_field`, `rate_limited`,
    /// `unavailable`.
    pub async fn change_password(
        &self,
        identity: &Identity,
        before: &str,
        after: &str,
        caller: &Caller,
    ) -> Result<(), Refusal> {
        let grant = identity.grant().ok_or_else(no_account)?;
        passwords::must_be_good(after)?;
        self.prove(By::Id(identity.user.id), before, caller).await?;
        self.put_password(identity.user.id, after, Some(grant.0)).await
    }

    pub(crate) async fn put_password(&self, account: UserId, password: &str, but: Option<Uuid>) -> Result<(), Refusal> {
        passwords::must_be_good(password)?;
        let hash = self.inner.passwords.hash(password).await?;
        self.alter(account, &Alteration::Password(&hash, but)).await
    }

    /// Makes an account, for an admin. A bot has no password, and gets in by API keys.
    ///
    /// # Errors
    /// `invalid_name`, `invalid_field`, `name_taken`, `unavailable`.
    pub async fn create_account(
        &self,
        name: &PersonName,
        password: Option<&str>,
        kind: AccountKind,
        admin: bool,
    ) -> Result<Account, Refusal> {
        let key = names::key_of_account(name)?;
        if (kind == AccountKind::Bot) != password.is_none() {
            return Err(Refusal::field("password", "there for a person, and absent for a bot"));
        }
        password.map_or(Ok(()), passwords::must_be_good)?;
        // Before the hashing, which costs more than the look.
        self.must_be_free(name).await?;
        let hash = match password {
            Some(password) => Some(self.inner.passwords.hash(password).await?),
            None => None,
        };
        let id = UserId(Uuid::new_v4());
        let new = NewAccount { id, name, key: &key, password_hash: hash.as_deref(), kind, admin };
        let made = self.inner.accounts.create_account(&new).await.map_err(|error| refusals::away(&error))?;
        made.ok_or_else(refusals::name_taken)
    }
}

fn no_account() -> Refusal {
    Refusal::new(Code::Forbidden, "only for whoever has an account")
}

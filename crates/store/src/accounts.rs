//! Accounts, and what lets somebody be one: sessions and API keys, in one word *grants*.
//!
//! The store is the truth of both, and its clock decides when a grant was made, has expired or was revoked: nodes' clocks may
//! differ, and a revocation must not be missed for that. Names compare by their keys, which the caller folds.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use proto::{PersonName, Timestamp, UserId};
use sqlx::FromRow;
use uuid::Uuid;

use crate::StoreError;
use crate::moment::Moment;

// Statements that both databases understand.

macro_rules! account {
    ($rest:literal) => {
        concat!(
            "SELECT a.id AS account, a.name, a.kind AS account_kind, a.admin, a.disabled,
                a.created_at AS account_created_at, a.password_hash FROM accounts a ",
            $rest
        )
    };
}
pub(crate) const ACCOUNT_BY_ID: &str = account!("WHERE a.id = $1");
pub(crate) const ACCOUNT_BY_KEY: &str = account!("WHERE a.name_key = $1");
pub(crate) const ACCOUNTS: &str = account!("WHERE a.name_key > $1 ORDER BY a.name_key LIMIT $2");

pub(crate) const SET_PASSWORD: &str = "UPDATE accounts SET password_hash = $2 WHERE id = $1 RETURNING id";
pub(crate) const SET_DISABLED: &str = "UPDATE accounts SET disabled = $2 WHERE id = $1 RETURNING id";
pub(crate) const SET_ADMIN: &str = "UPDATE accounts SET admin = $2 WHERE id = $1 RETURNING id";

/// What an account is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountKind {
    /// Somebody.
    Person,
    /// A program, which has no password.
    Bot,
}

impl AccountKind {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Bot => "bot",
        }
    }
}

/// A name that is somebody's for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Never changes.
    pub id: UserId,
    /// As its owner writes it.
    pub name: PersonName,
    /// Person or bot.
    pub kind: AccountKind,
    /// Whether it may look after the chat.
    pub admin: bool,
    /// Whether nobody may be it for now.
    pub disabled: bool,
    /// Since when.
    pub created_at: Timestamp,
}

/// An account, and what proves that somebody is its owner.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The account.
    pub account: Account,
    /// None: nobody signs in by a password.
    pub password_hash: Option<String>,
}

/// Leaves out the hash.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("account", &self.account).finish_non_exhaustive()
    }
}

/// How to find an account.
#[derive(Clone, Copy, Debug)]
pub enum By<'a> {
    /// By its id.
    Id(UserId),
    /// By its name, folded.
    Key(&'a str),
}

/// An account to be made.
pub struct NewAccount<'a> {
    /// Made by the caller, so that making it again after a silence is harmless.
    pub id: UserId,
    /// As others see it.
    pub name: &'a PersonName,
    /// The name, folded: nobody else may have it.
    pub key: &'a str,
    /// As argon2 writes it.
    pub password_hash: Option<&'a str>,
    /// Person or bot.
    pub kind: AccountKind,
    /// Whether it may look after the chat.
    pub admin: bool,
}

/// A change to an account.
pub enum Alteration<'a> {
    /// Another password; ends all grants but the one named.
    Password(&'a str, Option<Uuid>),
    /// Nobody may be it from now on, which ends all its grants; or somebody may again.
    Disabled(bool),
    /// Whether it may look after the chat. Who no longer may loses all grants, which say otherwise.
    Admin(bool),
}

impl Alteration<'_> {
    /// Which grants end with it.
    pub(crate) fn ends(&self) -> Option<Revoke> {
        match self {
            Self::Password(_, but) => Some(Revoke::AllBut(*but)),
            Self::Disabled(true) | Self::Admin(false) => Some(Revoke::AllBut(None)),
            Self::Disabled(false) | Self::Admin(true) => None,
        }
    }
}

/// What lets its bearer be an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantKind {
    /// Somebody signed in; ends when it is not used for a while.
    Session,
    /// An API key; ends when it is revoked.
    Key,
}

impl GrantKind {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Key => "key",
        }
    }
}

/// The SHA-256 of a token.
pub type GrantHash = [u8; 32];

/// A session or an API key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// What it is called. Not its token.
    pub id: Uuid,
    /// Whom its bearer may be.
    pub account: UserId,
    /// Session or key.
    pub kind: GrantKind,
    /// What its owner calls it.
    pub label: Option<String>,
    /// With what program it was made.
    pub agent: Option<String>,
    /// From where it was made.
    pub address: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last used, roughly.
    pub used_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
}

/// A grant to be made.
pub struct NewGrant<'a> {
    /// Made by the caller.
    pub id: Uuid,
    /// Whom its bearer may be.
    pub account: UserId,
    /// Session or key.
    pub kind: GrantKind,
    /// Of its token.
    pub hash: GrantHash,
    /// What its owner calls it.
    pub label: Option<&'a str>,
    /// With what program it is made.
    pub agent: Option<&'a str>,
    /// From where.
    pub address: Option<&'a str>,
    /// For how long it is good without being used.
    pub life: Option<Duration>,
    /// The hash of the password that was right: if it is another by now, there is no grant.
    pub by_password: Option<&'a str>,
}

/// A grant that holds, whose it is, and when that was so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// The grant.
    pub grant: Grant,
    /// Whose it is.
    pub account: Account,
    /// The store's clock at the reading.
    pub read_at: Timestamp,
}

/// Some of an account's grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revoke {
    /// This one.
    One(Uuid),
    /// All that hold, but perhaps one.
    AllBut(Option<Uuid>),
}

/// A grant that holds no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// What it is called.
    pub id: Uuid,
    /// Of its token.
    pub hash: GrantHash,
}

/// What was revoked lately.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocations {
    /// The store's clock at the reading.
    pub read_at: Timestamp,
    /// The grants, those revoked first in front, and when.
    pub grants: Vec<(Uuid, Timestamp)>,
    /// Whether there are more than were asked for.
    pub more: bool,
}

/// Who has a name for good, and what lets somebody be them. As with [`Store`](crate::Store), what fails with
/// [`StoreError::Away`] may have taken effect.
#[async_trait]
pub trait Accounts: Send + Sync + 'static {
    /// Makes an account. `None` if another has the name. Made again under the same id, it is there already, and that is well.
    async fn create_account(&self, account: &NewAccount<'_>) -> Result<Option<Account>, StoreError>;

    /// An account, disabled or not.
    async fn account(&self, by: By<'_>) -> Result<Option<Credentials>, StoreError>;

    /// Which of these folded names are accounts', disabled or not.
    async fn taken(&self, keys: &[String]) -> Result<Vec<String>, StoreError>;

    /// Accounts by their folded names, above the given one.
    async fn accounts(&self, after: &str, limit: usize) -> Result<Vec<Account>, StoreError>;

    /// Changes an account, and ends the grants that end with it, in one transaction. `None` if there is no such account.
    async fn alter_account(&self, id: UserId, alteration: &Alteration<'_>) -> Result<Option<Vec<Ended>>, StoreError>;

    /// Makes a grant. `None` if the account is not there or disabled, or its password has changed meanwhile.
    async fn create_grant(&self, grant: &NewGrant<'_>) -> Result<Option<Grant>, StoreError>;

    /// Those of these grants that hold, named by their tokens' hashes or by what they are called: neither expired nor revoked, and
    /// their accounts not disabled. In no order.
    async fn grants(&self, hashes: &[GrantHash], ids: &[Uuid]) -> Result<Vec<(GrantHash, Granted)>, StoreError>;

    /// These are used now, and good for so long from now on, if they still hold.
    async fn touch_grants(&self, ids: &[Uuid], life: Option<Duration>) -> Result<(), StoreError>;

    /// An account's grants of a kind that hold, the newest first.
    async fn grants_of(&self, account: UserId, kind: GrantKind, limit: usize) -> Result<Vec<Grant>, StoreError>;

    /// Ends some of an account's grants, and says which. One that had ended is told again.
    async fn revoke(&self, account: UserId, which: Revoke) -> Result<Vec<Ended>, StoreError>;

    /// The grants revoked after a moment of the store's clock.
    async fn revoked_after(&self, moment: Timestamp, limit: usize) -> Result<Revocations, StoreError>;

    /// Which of these hold.
    async fn holding(&self, grants: &[Uuid]) -> Result<Vec<Uuid>, StoreError>;

    /// Deletes some of the grants that ended so long ago, and says how many.
    async fn forget_grants(&self, ended_for: Duration, limit: usize) -> Result<u64, StoreError>;
}

/// An account as a row.
#[derive(FromRow)]
pub(crate) struct AccountRow {
    account: Uuid,
    name: String,
    account_kind: String,
    admin: bool,
    disabled: bool,
    account_created_at: Moment,
}

impl AccountRow {
    pub(crate) fn read(self) -> Result<Account, StoreError> {
        let name = PersonName::parse(&self.name).map_err(|_| foreign("name", &self.name))?;
        let kind = [AccountKind::Person, AccountKind::Bot].into_iter().find(|kind| kind.as_str() == self.account_kind);
        Ok(Account {
            id: UserId(self.account),
            name,
            kind: kind.ok_or_else(|| foreign("kind", &self.account_kind))?,
            admin: self.admin,
            disabled: self.disabled,
            created_at: self.account_created_at.0,
        })
    }
}

/// An account and its password, as a row.
#[derive(FromRow)]
pub(crate) struct CredentialsRow {
    #[sqlx(flatten)]
    account: AccountRow,
    password_hash: Option<String>,
}

impl CredentialsRow {
    pub(crate) fn read(self) -> Result<Credentials, StoreError> {
        Ok(Credentials { account: self.account.read()?, password_hash: self.password_hash })
    }
}

/// A grant as a row.
#[derive(FromRow)]
pub(crate) struct GrantRow {
    id: Uuid,
    account: Uuid,
    kind: String,
    label: Option<String>,
    agent: Option<String>,
    address: Option<String>,
    created_at: Moment,
    used_at: Moment,
    expires_at: Option<Moment>,
}

impl GrantRow {
    pub(crate) fn read(self) -> Result<Grant, StoreError> {
        let kind = [GrantKind::Session, GrantKind::Key].into_iter().find(|kind| kind.as_str() == self.kind);
        Ok(Grant {
            id: self.id,
            account: UserId(self.account),
            kind: kind.ok_or_else(|| foreign("kind", &self.kind))?,
            label: self.label,
            agent: self.agent,
            address: self.address,
            created_at: self.created_at.0,
            used_at: self.used_at.0,
            expires_at: self.expires_at.map(|moment| moment.0),
        })
    }
}

/// A grant, whose it is, and when that was read.
#[derive(FromRow)]
pub(crate) struct GrantedRow {
    #[sqlx(flatten)]
    grant: GrantRow,
    #[sqlx(flatten)]
    account: AccountRow,
    hash: Vec<u8>,
    read_at: Moment,
}

impl GrantedRow {
    pub(crate) fn read(self) -> Result<(GrantHash, Granted), StoreError> {
        let hash = hash_of(self.grant.id, self.hash)?;
        Ok((hash, Granted { grant: self.grant.read()?, account: self.account.read()?, read_at: self.read_at.0 }))
    }
}

fn hash_of(grant: Uuid, column: Vec<u8>) -> Result<GrantHash, StoreError> {
    column.try_into().map_err(|_| foreign("grant", &grant.to_string()))
}

/// A grant that has ended, as a row.
#[derive(FromRow)]
pub(crate) struct EndedRow {
    id: Uuid,
    hash: Vec<u8>,
}

impl EndedRow {
    pub(crate) fn read(self) -> Result<Ended, StoreError> {
        Ok(Ended { id: self.id, hash: hash_of(self.id, self.hash)? })
    }
}

/// A recent revocation, or none, with the clock.
#[derive(FromRow)]
pub(crate) struct RevocationRow {
    read_at: Moment,
    id: Option<Uuid>,
    revoked_at: Option<Moment>,
}

pub(crate) fn revocations(rows: Vec<RevocationRow>, limit: usize) -> Result<Revocations, StoreError> {
    let read_at = rows.first().map(|row| row.read_at.0);
    let read_at = read_at.ok_or_else(|| StoreError::Refused("it does not tell its clock".into()))?;
    let more = rows.len() > limit;
    let grants = rows.into_iter().take(limit).filter_map(|row| Some((row.id?, row.revoked_at?.0)));
    Ok(Revocations { read_at, grants: grants.collect(), more })
}

/// A length of time for a column.
pub(crate) fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

fn foreign(what: &str, value: &str) -> StoreError {
    StoreError::Refused(format!("its {what} {value:?} of an account was not written by us"))
}

//! Grants: what lets their bearers be an account. Their tokens, whom they stand for, and how they end.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proto::{Code, Refusal, Timestamp, UserId};
use sha2::{Digest, Sha256};
use store::{Account, Ended, Grant, GrantHash, GrantKind, Granted, NewGrant, Revoke};
use uuid::Uuid;

use crate::copies::Known;
use crate::{Caller, GrantId, Identity, People, Standing, refusals};

const SESSION: &str = "ts_";
const KEY: &str = "tk_";
/// How often a key that is in use is looked at again, and at the most a session.
const LOOK_EACH: Duration = Duration::from_secs(3_600);
/// A session is written to the store at most so many times in its life.
const TOUCHES: u32 = 20;
/// How soon a grant is looked at again when the store was away.
const AGAIN: Duration = Duration::from_secs(5);
/// Grants that are listed.
const LISTED_MAX: usize = 500;
const LABEL_CHARS: usize = 64;
const AGENT_CHARS: usize = 200;

/// Whether a token is of the kind that is made here.
pub(crate) fn is_grant(token: &str) -> bool {
    token.starts_with(SESSION) || token.starts_with(KEY)
}

/// A token and what is kept of it.
struct Token {
    shown: String,
    hash: GrantHash,
}

impl Token {
    fn fresh(kind: GrantKind) -> Self {
        let secret: [u8; 32] = rand::random();
        let prefix = match kind {
            GrantKind::Session => SESSION,
            GrantKind::Key => KEY,
        };
        let shown = format!("{prefix}{}", URL_SAFE_NO_PAD.encode(secret));
        Self { hash: hash_of(&shown), shown }
    }
}

fn hash_of(token: &str) -> GrantHash {
    Sha256::digest(token).into()
}

impl People {
    /// Whom a session or a key stands for.
    pub(crate) async fn by_grant(&self, token: &str) -> Result<Identity, Refusal> {
        let (inner, hash) = (&*self.inner, hash_of(token));
        if let Some(now) = inner.watch.now()
            && let Some(known) = inner.copies.get(&hash, now).await
            && !self.is_due(&known, now)
        {
            if inner.watch.registry.is_revoked(known.grant) {
                return Err(refusals::unknown_token());
            }
            inner.metrics.by_copy.inc();
            return Ok(self.identity(known, now));
        }
        let known = self.used(inner.by_hash.ask(hash).await?)?;
        inner.metrics.by_store.inc();
        inner.copies.put(&hash, &known).await;
        let now = known.read_at;
        Ok(self.identity(known, now))
    }

    /// What the store had of a grant, which is being used.
    fn used(&self, granted: Option<Granted>) -> Result<Known, Refusal> {
        let mut known = Known::from(granted.ok_or_else(refusals::unknown_token)?);
        if self.is_due(&known, known.read_at) {
            self.inner.touches.add(known.grant, known.is_key);
            known.used_at = known.read_at;
            known.expires_at = self.life(known.is_key).map(|life| later(known.read_at, life));
        }
        Ok(known)
    }

    /// Whether its use should be noted in the store.
    fn is_due(&self, known: &Known, now: Timestamp) -> bool {
        let each = if known.is_key { LOOK_EACH } else { self.inner.config.session / TOUCHES };
        now >= later(known.used_at, each)
    }

    /// For how long a grant is good without being used.
    fn life(&self, is_key: bool) -> Option<Duration> {
        (!is_key).then_some(self.inner.config.session)
    }

    fn identity(&self, known: Known, now: Timestamp) -> Identity {
        let check_at = Some(self.check_at(&known, now));
        let standing = Standing::Account { grant: GrantId(known.grant), admin: known.admin };
        Identity { user: known.user, standing, check_at }
    }

    /// When to look again: before it would expire, so that being connected counts as using it; and not when all others do.
    fn check_at(&self, known: &Known, now: Timestamp) -> SystemTime {
        let each = if known.is_key { LOOK_EACH } else { (self.inner.config.session / TOUCHES).min(LOOK_EACH) };
        let left = known.expires_at.map(|at| left(at, now));
        self.inner.watch.registry.holds_until(known.grant, left.map(|left| SystemTime::now() + left));
        let each = each.mul_f64(rand::random_range(0.5..1.0));
        SystemTime::now() + left.map_or(each, |left| left.min(each))
    }

    /// Whether a grant that somebody is connected by still holds.
    pub(crate) async fn check_grant(&self, GrantId(grant): GrantId) -> Result<SystemTime, Refusal> {
        if self.inner.watch.registry.is_revoked(grant) {
            return Err(refusals::unknown_token());
        }
        match self.inner.by_id.ask(grant).await.and_then(|granted| self.used(granted)) {
            Ok(known) => Ok(self.check_at(&known, known.read_at)),
            // Nobody is sent away because the store is, as long as what they came by cannot have expired.
            Err(refusal) if refusal.code == Code::Unavailable => {
                match self.inner.watch.registry.may_have_expired(grant, self.inner.config.session) {
                    true => Err(refusal),
                    false => Ok(SystemTime::now() + AGAIN),
                }
            }
            Err(refusal) => Err(refusal),
        }
    }

    /// Begins a session of an account. `by_password`: the hash that the password was found right by.
    pub(crate) async fn begin_session(
        &self,
        account: &Account,
        by_password: Option<&str>,
        caller: &Caller,
    ) -> Result<Option<(Identity, String)>, Refusal> {
        let token = Token::fresh(GrantKind::Session);
        let agent = caller.agent.as_deref().map(|agent| visible(agent, AGENT_CHARS));
        let new = NewGrant {
            id: Uuid::new_v4(),
            account: account.id,
            kind: GrantKind::Session,
            hash: token.hash,
            label: None,
            agent: agent.as_deref().filter(|agent| !agent.is_empty()),
            address: Some(&caller.address.to_canonical().to_string()),
            life: self.life(false),
            by_password,
        };
        let made = self.inner.accounts.create_grant(&new).await.map_err(|error| refusals::away(&error))?;
        Ok(made.map(|grant| {
            let now = grant.created_at;
            let known = Known::from(Granted { grant, account: account.clone(), read_at: now });
            (self.identity(known, now), token.shown)
        }))
    }

    /// Makes an API key. Its token is told here and never again.
    ///
    /// # Errors
    /// `invalid_field` for the label; `not_found` if there is no such account, or it is disabled; `unavailable`.
    pub async fn create_key(&self, account: UserId, label: &str) -> Result<(Grant, String), Refusal> {
        let label = label.trim();
        if label.is_empty() || label.chars().nth(LABEL_CHARS).is_some() || label.chars().any(char::is_control) {
            return Err(Refusal::field("label", "1 to 64 characters on one line"));
        }
        let token = Token::fresh(GrantKind::Key);
        let new = NewGrant {
            id: Uuid::new_v4(),
            account,
            kind: GrantKind::Key,
            hash: token.hash,
            label: Some(label),
            agent: None,
            address: None,
            life: self.life(true),
            by_password: None,
        };
        let made = self.inner.accounts.create_grant(&new).await.map_err(|error| refusals::away(&error))?;
        Ok((made.ok_or_else(refusals::no_such_account)?, token.shown))
    }

    /// An account's sessions that hold, the newest first.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn sessions(&self, account: UserId) -> Result<Vec<Grant>, Refusal> {
        self.grants(account, GrantKind::Session).await
    }

    /// An account's API keys that hold, the newest first.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn keys(&self, account: UserId) -> Result<Vec<Grant>, Refusal> {
        self.grants(account, GrantKind::Key).await
    }

    async fn grants(&self, account: UserId, kind: GrantKind) -> Result<Vec<Grant>, Refusal> {
        let grants = self.inner.accounts.grants_of(account, kind, LISTED_MAX).await;
        grants.map_err(|error| refusals::away(&error))
    }

    /// Ends one session or key of an account. Ending it twice is well.
    ///
    /// # Errors
    /// `not_found`, `unavailable`.
    pub async fn revoke(&self, account: UserId, grant: GrantId) -> Result<(), Refusal> {
        match self.end(account, Revoke::One(grant.0)).await? {
            0 => Err(refusals::no_such_grant()),
            _ => Ok(()),
        }
    }

    /// Ends all sessions and keys of an account, but perhaps the one that this is asked by; and says how many.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn revoke_all(&self, account: UserId, but: Option<GrantId>) -> Result<usize, Refusal> {
        self.end(account, Revoke::AllBut(but.map(|grant| grant.0))).await
    }

    async fn end(&self, account: UserId, which: Revoke) -> Result<usize, Refusal> {
        let ended = self.inner.accounts.revoke(account, which).await.map_err(|error| refusals::away(&error))?;
        self.have_ended(&ended).await;
        Ok(ended.len())
    }

    /// The store has it that these ended: their copies go, and whoever is connected here by them is told at once. Other nodes
    /// hear of it from the store.
    pub(crate) async fn have_ended(&self, ended: &[Ended]) {
        let inner = &*self.inner;
        inner.metrics.revoked.inc_by(ended.len() as u64);
        inner.watch.registry.end(ended.iter().map(|grant| grant.id));
        for grant in ended {
            inner.copies.remove(&grant.hash).await;
        }
    }
}

fn later(moment: Timestamp, time: Duration) -> Timestamp {
    Timestamp(moment.0.saturating_add(i64::try_from(time.as_millis()).unwrap_or(i64::MAX)))
}

fn left(until: Timestamp, now: Timestamp) -> Duration {
    Duration::from_millis(u64::try_from(until.0.saturating_sub(now.0)).unwrap_or(0))
}

/// What a program says of itself, fit to be shown.
fn visible(text: &str, chars: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(chars).collect()
}

//! Who somebody is: guests, accounts, sessions, keys, and the tokens that prove it.
//!
//! The store is the truth about accounts and about *grants*, the sessions and API keys that let their bearers be an account.
//! Nodes share copies of it for half a minute, and read each second what was revoked. If the store is away nobody comes in.
//! Absent on purpose: sockets, HTTP, SQL, Redis. Refusals are in the words of [`proto::Code`].
//!
//! Start at [`People::recognize`].

mod accounts;
mod config;
mod copies;
mod gather;
mod grants;
mod guests;
mod identity;
mod jwt;
mod live;
mod metrics;
mod names;
mod paces;
mod passwords;
mod refusals;
mod sign_in;
mod touches;
mod vouched;
mod watch;

pub use bus::Pace;
pub use config::PeopleConfig;
pub use guests::Tokens;
pub use identity::{GrantId, Identity, Standing};
pub use jwt::{JwtConfig, JwtError, KeySetPace, LEEWAY, Vouchers};
pub use live::Live;
pub use metrics::PeopleMetrics;
pub use paces::{Caller, Paces};
pub use store::{Account, AccountKind, Grant, GrantKind};
pub use vouched::Voucher;

use std::pin::Pin;
use std::sync::Arc;
use std::time::SystemTime;

use bus::Commons;
use copies::Copies;
use gather::{Gathering, gathering};
use paces::Limits;
use parking_lot::Mutex;
use passwords::Passwords;
use proto::{Code, PersonName, Refusal, User, UserId};
use store::{Accounts, GrantHash, Granted};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use touches::Touches;
use uuid::Uuid;
use watch::Watch;

/// Ended grants that may wait for the gateway; the others wait here.
const ENDINGS_MAX: usize = 1_024;

/// Knows people by their tokens, on every node alike. Cheap to clone.
#[derive(Clone)]
pub struct People {
    inner: Arc<Inner>,
}

struct Inner {
    config: PeopleConfig,
    tokens: Tokens,
    accounts: Arc<dyn Accounts>,
    /// Which names are accounts'.
    names: Gathering<String, ()>,
    /// What the store has of a grant, by its token's hash, and by what it is called.
    by_hash: Gathering<GrantHash, Granted>,
    by_id: Gathering<Uuid, Granted>,
    touches: Touches,
    copies: Copies,
    limits: Limits,
    passwords: Passwords,
    watch: Arc<Watch>,
    endings: Mutex<Option<mpsc::Receiver<GrantId>>>,
    metrics: PeopleMetrics,
    tasks: TaskTracker,
    stop: DropGuard,
}

impl People {
    /// Begins to watch what is revoked. Must be called within a Tokio runtime.
    pub fn start(
        config: PeopleConfig,
        accounts: Arc<dyn Accounts>,
        commons: Arc<dyn Commons>,
        metrics: PeopleMetrics,
    ) -> Self {
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let (names, of_names) = gathering();
        let (by_hash, of_hashes) = gathering();
        let (by_id, of_ids) = gathering();
        let (touches, touched) = touches::queue();
        let (told, endings) = mpsc::channel(ENDINGS_MAX);
        let watch = Arc::new(Watch::new());
        let keep = |task: Pin<Box<dyn Future<Output = ()> + Send>>| {
            let until = stop.clone();
            tasks.spawn(async move { until.run_until_cancelled(task).await });
        };
        let store = Arc::clone(&accounts);
        keep(Box::pin(of_names.answer(move |keys| {
            let store = Arc::clone(&store);
            async move { Ok(store.taken(&keys).await?.into_iter().map(|key| (key, ())).collect()) }
        })));
        let store = Arc::clone(&accounts);
        keep(Box::pin(of_hashes.answer(move |hashes| {
            let store = Arc::clone(&store);
            async move { Ok(store.grants(&hashes, &[]).await?.into_iter().collect()) }
        })));
        let store = Arc::clone(&accounts);
        keep(Box::pin(of_ids.answer(move |ids| {
            let store = Arc::clone(&store);
            let by_id = |(_, granted): (GrantHash, Granted)| (granted.grant.id, granted);
            async move { Ok(store.grants(&[], &ids).await?.into_iter().map(by_id).collect()) }
        })));
        keep(Box::pin(touches::note(touched, Arc::clone(&accounts), config.session)));
        let (watching, store, counted) = (Arc::clone(&watch), Arc::clone(&accounts), metrics.clone());
        keep(Box::pin(async move { watching.keep(store, told, counted).await }));
        tasks.close();
        let tokens = Tokens::new(&config.secret);
        let inner = Inner {
            copies: Copies::new(Arc::clone(&commons), tokens.key()),
            limits: Limits::new(commons, config.paces),
            passwords: Passwords::new(config.passwords.0, config.passwords.1, metrics.clone()),
            endings: Mutex::new(Some(endings)),
            stop: stop.drop_guard(),
            config,
            tokens,
            accounts,
            names,
            by_hash,
            by_id,
            touches,
            watch,
            metrics,
            tasks,
        };
        Self { inner: Arc::new(inner) }
    }

    /// A guest of this name, whom nobody has met before: names are not unique, ids are. Refused if the name is an account's.
    ///
    /// # Errors
    /// `unauthorized` where guests are not let in, `name_taken`, `unavailable`.
    pub async fn guest(&self, name: PersonName) -> Result<Identity, Refusal> {
        let guest = self.may_be_guest(User { id: UserId(Uuid::new_v4()), name }).await;
        self.inner.metrics.at_the_door(&guest);
        guest
    }

    async fn may_be_guest(&self, user: User) -> Result<Identity, Refusal> {
        if !self.inner.config.guests {
            return Err(refusals::no_guests());
        }
        self.must_be_free(&user.name).await?;
        Ok(Identity { user, standing: Standing::Guest, check_at: None })
    }

    /// Whether somebody without an account may be called so.
    ///
    /// # Errors
    /// `name_taken`, `unavailable`.
    pub async fn must_be_free(&self, name: &PersonName) -> Result<(), Refusal> {
        match self.inner.names.ask(names::key(name)).await? {
            Some(()) => Err(refusals::name_taken()),
            None => Ok(()),
        }
    }

    /// Whom a token stands for: a guest's, a session's, an API key or a JWT.
    ///
    /// # Errors
    /// `unauthorized`; `name_taken` for a guest whose name has become an account's; `unavailable`.
    pub async fn recognize(&self, token: &str) -> Result<Identity, Refusal> {
        let recognized = self.whom(token).await;
        self.inner.metrics.at_the_door(&recognized);
        recognized
    }

    async fn whom(&self, token: &str) -> Result<Identity, Refusal> {
        if grants::is_grant(token) {
            return self.by_grant(token).await;
        }
        if Tokens::are_like(token) {
            if !self.inner.config.guests {
                return Err(refusals::no_guests());
            }
            let user = self.inner.tokens.check(token).ok_or_else(refusals::unknown_token)?;
            return self.may_be_guest(user).await;
        }
        match &self.inner.config.voucher {
            Some(voucher) if token.split('.').count() == 3 => voucher.recognize(token).await,
            _ => Err(refusals::unknown_token()),
        }
    }

    /// The token by which a guest comes back.
    pub fn guest_token(&self, user: &User) -> String {
        self.inner.tokens.issue(user)
    }

    /// Whether somebody who is connected may stay, asked when [`Identity::check_at`] has come: the next time to ask, or the refusal
    /// that ends the connection. Being connected counts as using a session.
    ///
    /// # Errors
    /// `unauthorized`; `unavailable` if what they came by may have expired, and the store does not say.
    pub async fn check_again(&self, identity: &Identity) -> Result<Option<SystemTime>, Refusal> {
        match identity.standing {
            Standing::Guest => Ok(None),
            Standing::Account { grant, .. } => self.check_grant(grant).await.map(Some),
            Standing::Vouched => match identity.check_at {
                Some(at) if at <= SystemTime::now() => Err(Refusal::new(Code::Unauthorized, "the token has expired")),
                at => Ok(at),
            },
        }
    }

    /// Somebody is connected from now on, until what this gives is dropped: the grant they came by is watched.
    ///
    /// # Errors
    /// `unauthorized` if it was revoked a moment ago.
    pub fn enter(&self, identity: &Identity) -> Result<Live, Refusal> {
        match identity.grant() {
            Some(GrantId(grant)) => self.inner.watch.registry.enter(grant).ok_or_else(refusals::unknown_token),
            None => Ok(Live::of_no_grant()),
        }
    }

    /// The grants that ended while somebody was connected by them. Can be taken once.
    pub fn endings(&self) -> Option<mpsc::Receiver<GrantId>> {
        self.inner.endings.lock().take()
    }

    /// Ends the tasks.
    pub async fn close(&self) {
        self.inner.stop.token().cancel();
        self.inner.tasks.wait().await;
    }
}

/// An id made of some words, always the same one for the same words.
pub fn derived(words: &[&str]) -> Uuid {
    use sha2::{Digest, Sha256};
    let mut digest = Sha256::new();
    for word in words {
        // With their lengths, so that no two lists of words run together.
        digest.update((word.len() as u64).to_le_bytes());
        digest.update(word);
    }
    let digest = digest.finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_sha1_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_do_not_run_together() {
        assert_ne!(derived(&["ab", "c"]), derived(&["a", "bc"]));
        assert_eq!(derived(&["ab", "c"]), derived(&["ab", "c"]));
    }
}

//! A key set at a URL: fetched at once, again from time to time, and when a token names a key that is not in it.
//!
//! A set that was read once is used for as long as no newer one can be had. However many unknown keys are named, it is fetched at
//! most once in a pause.

use std::sync::Arc;
use std::time::Duration;

use outgoing::{Call, Client, Destination, HeaderMap, Method, StatusCode};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::JwtError;
use super::keys::{self, Key};

/// Most bytes of a set.
const SET_BYTES_MAX: usize = 256 * 1024;
/// How long somebody waits for a set that is on its way.
const WAIT: Duration = Duration::from_secs(12);

/// When a set is fetched.
#[derive(Clone, Copy, Debug)]
pub struct KeySetPace {
    /// After this time, though nobody asked.
    pub refresh: Duration,
    /// No sooner than this after the last time.
    pub pause: Duration,
}

impl Default for KeySetPace {
    fn default() -> Self {
        Self { refresh: Duration::from_secs(300), pause: Duration::from_secs(10) }
    }
}

/// What is known of the set.
#[derive(Clone, Debug, Default)]
struct Known {
    keys: Arc<[Key]>,
    /// How often it was asked for.
    fetches: u64,
    /// When that was last.
    at: Option<Instant>,
    /// Whether there was an answer.
    is_fresh: bool,
}

/// Whether a key of some name was found.
#[derive(Debug)]
pub(super) enum Found {
    /// These may be it.
    Keys(Arc<[Key]>),
    /// There is none, according to an answer of just now.
    None,
    /// It cannot be known; ask again after this time.
    Unknown(Duration),
}

/// The set, and the task that keeps it fresh, which ends with it.
#[derive(Debug)]
pub(super) struct KeySet {
    known: watch::Receiver<Known>,
    /// How many fetches there must have been for everybody to be content.
    wanted: watch::Sender<u64>,
    pace: KeySetPace,
    _task: AbortOnDropHandle<()>,
}

impl KeySet {
    pub(super) fn start(url: &str, client: Client, pace: KeySetPace) -> Result<Self, JwtError> {
        let url = Destination::parse(url).map_err(JwtError::Url)?;
        client.check(&url).map_err(JwtError::Url)?;
        let (tell, known) = watch::channel(Known::default());
        let (wanted, want) = watch::channel(0);
        let keeper = Keeper { url, client, pace, tell, want };
        let task = AbortOnDropHandle::new(tokio::spawn(keeper.run()));
        Ok(Self { known, wanted, pace, _task: task })
    }

    /// The keys that may be called so; waits for the set where that may help.
    pub(super) async fn named(&self, kid: Option<&str>) -> Found {
        let mut known = self.known.clone();
        let now = known.borrow_and_update().clone();
        if holds(&now.keys, kid) {
            return Found::Keys(now.keys);
        }
        let fetched = |last: &Known| if last.is_fresh { Found::None } else { Found::Unknown(self.pace.pause) };
        if now.at.is_some_and(|at| at.elapsed() < self.pace.pause) {
            return fetched(&now);
        }
        self.wanted.send_if_modified(|wanted| std::mem::replace(wanted, now.fetches + 1) <= now.fetches);
        match timeout(WAIT, known.wait_for(|known| known.fetches > now.fetches)).await {
            Ok(Ok(newer)) if holds(&newer.keys, kid) => Found::Keys(newer.keys.clone()),
            Ok(Ok(newer)) => fetched(&newer),
            _ => Found::Unknown(self.pace.pause),
        }
    }
}

fn holds(keys: &[Key], kid: Option<&str>) -> bool {
    keys.iter().any(|key| key.may_be_called(kid))
}

struct Keeper {
    url: Destination,
    client: Client,
    pace: KeySetPace,
    tell: watch::Sender<Known>,
    want: watch::Receiver<u64>,
}

impl Keeper {
    async fn run(mut self) {
        loop {
            let fetched = self.fetch().await;
            let ended = Instant::now();
            self.tell.send_modify(|known| {
                known.fetches += 1;
                known.at = Some(ended);
                known.is_fresh = fetched.is_ok();
                match fetched {
                    Ok(keys) => known.keys = keys.into(),
                    Err(why) => tracing::warn!(url = ?self.url, why, kept = known.keys.len(), "the key set could not be fetched"),
                }
            });
            let (is_fresh, fetches) = (self.tell.borrow().is_fresh, self.tell.borrow().fetches);
            // What failed is tried again although nobody asks: they may be few, and should not have to wait.
            let next = if is_fresh { self.pace.refresh } else { self.pace.pause };
            let asked = async {
                // An error says that the last who could ask is gone, and this task with them.
                drop(self.want.wait_for(|wanted| *wanted > fetches).await);
                sleep_until(ended + self.pace.pause).await;
            };
            tokio::select! {
                () = sleep_until(ended + next) => {}
                () = asked => {}
            }
        }
    }

    async fn fetch(&self) -> Result<Vec<Key>, String> {
        let call = Call {
            to: self.url.clone(),
            method: Method::GET,
            headers: HeaderMap::new(),
            body: Default::default(),
            https: true,
            body_max: Some(SET_BYTES_MAX),
        };
        let answer = self.client.call(call).await.map_err(|error| error.to_string())?;
        if answer.status != StatusCode::OK {
            return Err(format!("the host answered {}", answer.status));
        }
        let keys = keys::of_set(&answer.body).map_err(|error| error.to_string())?;
        // An empty set is more likely a mistake than a wish to let nobody in.
        if keys.is_empty() { Err(JwtError::NoKeys.to_string()) } else { Ok(keys) }
    }
}

//! The connection that says everything.

use std::future::Future;

use fred::clients::Client;
use fred::error::{Error, ErrorKind};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use super::Shared;
use super::link::{Backoff, NO_MESSAGES, Session};
use crate::metrics::Cause;

/// The connection of the moment, if there is one.
pub(super) struct Voice {
    current: watch::Sender<Option<Client>>,
    given_up: Mutex<Option<Cause>>,
    give_up: Notify,
}

impl Default for Voice {
    fn default() -> Self {
        Self { current: watch::Sender::new(None), given_up: Mutex::default(), give_up: Notify::new() }
    }
}

impl Voice {
    pub(super) fn is_up(&self) -> bool {
        self.current.borrow().is_some()
    }

    /// Runs commands on the connection; `None` if there is none. One that ends meanwhile answers nobody: that is an
    /// error at once, not after a time-out.
    pub(super) async fn ask<T, F>(&self, commands: impl FnOnce(Client) -> F) -> Option<Result<T, Error>>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let mut current = self.current.subscribe();
        let client = current.borrow_and_update().clone()?;
        Some(tokio::select! {
            result = commands(client) => result,
            _ = current.changed() => Err(Error::new(ErrorKind::Canceled, "the connection ended")),
        })
    }

    /// Lets a connection be spoken through until it ends or is given up, and says why that was.
    pub(super) async fn lend(&self, session: &mut Session) -> String {
        *self.given_up.lock() = None;
        self.current.send_replace(Some(session.client.clone()));
        let end = loop {
            tokio::select! {
                end = session.ended() => break end,
                () = self.give_up.notified() => {
                    if let Some(cause) = self.given_up.lock().take() {
                        break cause.as_str().to_owned();
                    }
                }
            }
        };
        self.current.send_replace(None);
        end
    }

    /// Ends the connection of the moment, whatever it is busy with.
    pub(super) fn give_up(&self, cause: Cause) {
        *self.given_up.lock() = Some(cause);
        self.give_up.notify_one();
    }
}

/// Keeps a connection for ever.
pub(super) async fn keep(shared: &Shared) {
    let mut backoff = Backoff::default();
    loop {
        match shared.plan.open(NO_MESSAGES).await {
            Ok(session) => {
                backoff.reset();
                let cause = speak(shared, session).await;
                shared.metrics.reconnect(cause);
            }
            Err(error) if backoff.is_fresh() => tracing::warn!(%error, "Redis cannot be reached; trying on"),
            Err(error) => tracing::debug!(%error, "Redis cannot be reached"),
        }
        backoff.pause().await;
    }
}

async fn speak(shared: &Shared, mut session: Session) -> Cause {
    let voice = &shared.voice;
    *voice.given_up.lock() = None;
    voice.current.send_replace(Some(session.client.clone()));
    shared.beat_now.notify_one();
    shared.people.announce_all();
    let cause = loop {
        tokio::select! {
            end = session.ended() => {
                tracing::warn!(%end, "the publishing connection to Redis ended");
                break Cause::Closed;
            }
            () = voice.give_up.notified() => {
                if let Some(cause) = voice.given_up.lock().take() {
                    tracing::warn!(cause = cause.as_str(), "the publishing connection to Redis is given up");
                    break cause;
                }
            }
        }
    };
    voice.current.send_replace(None);
    shared.pulse.doubt();
    cause
}

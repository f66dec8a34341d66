//! Being asked to leave.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// How the node was asked to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    /// SIGTERM: an orchestrator wants it, and balancers should hear of it first.
    Announced,
    /// SIGINT: somebody at a terminal wants it now.
    AtOnce,
}

/// Listens for both from now on.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(crate) fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits until one comes.
    pub(crate) async fn next(&mut self) -> Leave {
        tokio::select! {
            _ = self.terminate.recv() => Leave::Announced,
            _ = self.interrupt.recv() => Leave::AtOnce,
        }
    }
}

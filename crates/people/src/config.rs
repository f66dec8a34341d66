//! What can be chosen about people.

use std::sync::Arc;
use std::time::Duration;

use crate::{Paces, Voucher};

/// Who may come in, and for how long.
pub struct PeopleConfig {
    /// What guests' tokens and shared copies are signed with; nodes of one cluster must share it.
    pub secret: String,
    /// Whether a name is enough to talk.
    pub guests: bool,
    /// Whether people make accounts for themselves.
    pub sign_up: bool,
    /// How long a session lives without being used.
    pub session: Duration,
    /// How often may be tried what lets somebody in.
    pub paces: Paces,
    /// Passwords that are worked on at once, and that wait besides.
    pub passwords: (usize, usize),
    /// Who vouches for people of an embedding application.
    pub voucher: Option<Arc<dyn Voucher>>,
}

impl PeopleConfig {
    /// The defaults, with this secret.
    pub fn new(secret: impl Into<String>) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            secret: secret.into(),
            guests: true,
            sign_up: true,
            session: Duration::from_secs(30 * 24 * 3_600),
            paces: Paces::default(),
            passwords: ((cores / 2).max(1), 64),
            voucher: None,
        }
    }
}

//! What the program can do besides serving, a file each.

pub(crate) mod accounts;
pub(crate) mod config;
pub(crate) mod doctor;
pub(crate) mod export;
pub(crate) mod health;
pub(crate) mod import;
pub(crate) mod lines;
pub(crate) mod migrate;
mod progress;
pub(crate) mod rooms;
pub(crate) mod tasks;
pub(crate) mod telling;

use std::fmt::Display;
use std::io::{self, Write};

use crate::node::StartError;

/// What was asked for. Whoever reads it may have left.
fn say(what: impl Display) -> Result<(), StartError> {
    let mut out = io::stdout().lock();
    let said = write!(out, "{what}").and_then(|()| out.flush());
    said.map_err(|error| StartError::Write { name: "standard output".into(), error })
}

/// What people may want to know besides. Nobody need be there to hear it.
pub(crate) fn mention(what: impl Display) {
    let _ = writeln!(io::stderr(), "{what}");
}

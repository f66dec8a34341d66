//! What the program can do besides serving, a file each.

pub(crate) mod config;
pub(crate) mod doctor;
pub(crate) mod export;
pub(crate) mod import;
mod lines;
pub(crate) mod migrate;
mod progress;

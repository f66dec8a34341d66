//! Webhooks: who outside is told of a room, and who outside may speak in it.
//!
//! That there is something to tell is written by the store, as a task, in the message's own transaction; [`Deliver`] does these
//! tasks. [`Hooks`] is for whoever makes webhooks, and for who comes by an incoming one.
//! Absent on purpose: SQL, when a task is tried again, HTTP towards us.

mod deliver;
mod hooks;
mod secret;
mod signature;

pub use deliver::Deliver;
pub use hooks::{HOOKS_MAX, Hooks, NewHook, SecretOnce, Speaker};
pub use signature::{DELIVERY, EVENT, SIGNATURE, signature};
pub use store::{Direction, Events, Webhook};

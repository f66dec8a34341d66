//! Who somebody is, at every door of a real cluster: by what they are let in, what others see of them, and when that ends.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod doors;
mod endings;
mod house;
mod names;
mod page;
mod secrets;

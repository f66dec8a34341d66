//! Ids of messages: random like those of real clients, without asking the system for each.

use uuid::{Builder, Uuid};

/// An endless run of version 4 UUIDs from one random start (splitmix64).
#[derive(Debug)]
pub(crate) struct Ids(u64);

impl Ids {
    pub(crate) fn new() -> Self {
        Self(Uuid::new_v4().as_u64_pair().0)
    }

    fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn next(&mut self) -> Uuid {
        let (high, low) = (self.number(), self.number());
        Builder::from_u128(u128::from(high) << 64 | u128::from(low)).with_version(uuid::Version::Random).into_uuid()
    }
}

//! Places where a node can be made to die, so that tests need no luck to hit them.
//!
//! `TERTULIA_FAILPOINTS=committed:200` ends the process at the 200th passing of the point `committed`; several are separated
//! by commas. It ends as by `kill -9`: nothing is unwound, flushed or said goodbye to. Without the feature `failpoints` all of
//! this is empty, and the variable means nothing.

#[cfg(any(feature = "failpoints", test))]
#[cfg_attr(not(feature = "failpoints"), expect(dead_code, reason = "then only its tests use it"))]
mod armed;

/// The points there are, in the order in which a batch of posts passes them.
pub const POINTS: [&str; 3] = ["taken", "committed", "published"];

/// Reads the variable, so that a mistake in it is told at the start.
///
/// # Errors
/// A sentence about what cannot be read.
pub fn arm() -> Result<(), String> {
    #[cfg(feature = "failpoints")]
    armed::from_environment().as_ref().map_err(Clone::clone)?;
    Ok(())
}

/// Passes a point, one of [`POINTS`]; may be the end.
#[inline(always)]
pub fn crash(point: &str) {
    #[cfg(feature = "failpoints")]
    if armed::from_environment().as_ref().is_ok_and(|armed| armed.passes(point)) {
        std::process::abort();
    }
    let _ = point;
}

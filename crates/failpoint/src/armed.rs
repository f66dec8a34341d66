//! Which points are set, and how many passings each still lets through.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::POINTS;

const VARIABLE: &str = "TERTULIA_FAILPOINTS";

static ARMED: OnceLock<Result<Armed, String>> = OnceLock::new();

/// The points that are set, with the passings left of each.
#[derive(Debug)]
pub(crate) struct Armed(Vec<(&'static str, AtomicU64)>);

/// What the environment says, read once.
pub(crate) fn from_environment() -> &'static Result<Armed, String> {
    ARMED.get_or_init(|| match std::env::var(VARIABLE) {
        Ok(words) => Armed::parse(&words),
        Err(std::env::VarError::NotPresent) => Ok(Armed(Vec::new())),
        Err(error) => Err(format!("{VARIABLE}: {error}")),
    })
}

impl Armed {
    fn parse(words: &str) -> Result<Self, String> {
        let points = words.split(',').map(str::trim).filter(|word| !word.is_empty()).map(|word| {
            let (name, count) = word.split_once(':').unwrap_or((word, ""));
            let Some(point) = POINTS.into_iter().find(|point| *point == name) else {
                return Err(format!("{VARIABLE}: there is no point {name:?}; there are {}", POINTS.join(", ")));
            };
            match count.parse() {
                Ok(count @ 1..) => Ok((point, AtomicU64::new(count))),
                _ => Err(format!("{VARIABLE}: {word:?} must be {point}:n, with n from 1 on")),
            }
        });
        points.collect::<Result<_, _>>().map(Self)
    }

    /// Whether this passing is the one that a point was set to.
    pub(crate) fn passes(&self, point: &str) -> bool {
        let last = |(_, left): &(&str, AtomicU64)| left.fetch_sub(1, Ordering::Relaxed) == 1;
        self.0.iter().filter(|(set, _)| *set == point).any(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_passed_until_its_number_comes() {
        let armed = Armed::parse("committed:3, taken:1").unwrap();
        assert_eq!([1, 2, 3, 4].map(|_| armed.passes("committed")), [false, false, true, false]);
        assert!(armed.passes("taken"));
        assert!(!armed.passes("published"));
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        for (words, about) in [("comitted:1", "\"comitted\""), ("taken", "taken:n"), ("taken:0", "taken:n")] {
            let told = Armed::parse(words).unwrap_err();
            assert!(told.contains(about), "{told}");
        }
        assert!(Armed::parse("").is_ok_and(|armed| !armed.passes("taken")));
    }
}

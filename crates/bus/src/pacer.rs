//! Paces of a single process, and copies of one.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::Pace;

/// Keys of each kind; beyond it those forgotten first are the ones that matter least.
const KEYS_MAX: usize = 65_536;

/// Paces as this process alone knows them.
#[derive(Default)]
pub(crate) struct Pacer {
    /// When each key is as good as never used again.
    even_at: Mutex<HashMap<String, Instant>>,
}

impl Pacer {
    pub(crate) fn take(&self, key: &str, pace: Pace) -> Result<(), Duration> {
        let now = Instant::now();
        let mut even_at = self.even_at.lock();
        make_room(&mut even_at, |at| *at);
        let even = even_at.get(key).copied().unwrap_or(now).max(now) + pace.every;
        let tolerated = now + pace.every * pace.burst.max(1);
        if even > tolerated {
            return Err(even - tolerated);
        }
        even_at.insert(key.to_owned(), even);
        Ok(())
    }
}

/// Copies within this process.
#[derive(Default)]
pub(crate) struct Copies {
    /// An empty one stands for one that was removed.
    kept: Mutex<HashMap<String, (Instant, Bytes)>>,
}

impl Copies {
    pub(crate) fn get(&self, key: &str) -> Option<Bytes> {
        let kept = self.kept.lock();
        let (until, copy) = kept.get(key)?;
        (*until > Instant::now() && !copy.is_empty()).then(|| copy.clone())
    }

    pub(crate) fn put(&self, key: &str, copy: Bytes, life: Duration) {
        let now = Instant::now();
        let mut kept = self.kept.lock();
        make_room(&mut kept, |(until, _)| *until);
        if kept.get(key).is_none_or(|(until, _)| *until <= now) {
            kept.insert(key.to_owned(), (now + life, copy));
        }
    }

    pub(crate) fn remove(&self, key: &str, shut: Duration) {
        let mut kept = self.kept.lock();
        make_room(&mut kept, |(until, _)| *until);
        kept.insert(key.to_owned(), (Instant::now() + shut, Bytes::new()));
    }
}

/// Forgets what is past when there is much of it; and where that is not enough, half of the rest, the nearest to its end.
fn make_room<T>(kept: &mut HashMap<String, T>, until: impl Fn(&T) -> Instant) {
    if kept.len() < KEYS_MAX {
        return;
    }
    let now = Instant::now();
    kept.retain(|_, value| until(value) > now);
    if kept.len() >= KEYS_MAX / 2 {
        let mut ends: Vec<Instant> = kept.values().map(&until).collect();
        let middle = ends.len() / 2;
        let (_, middle, _) = ends.select_nth_unstable(middle);
        let middle = *middle;
        kept.retain(|_, value| until(value) > middle);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_pace_allows_a_burst_and_then_one_each() {
        let (pacer, pace) = (Pacer::default(), Pace { burst: 3, every: Duration::from_secs(2) });
        for _ in 0..3 {
            assert_eq!(pacer.take("a", pace), Ok(()));
        }
        assert_eq!(pacer.take("a", pace), Err(Duration::from_secs(2)));
        assert_eq!(pacer.take("b", pace), Ok(()));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(pacer.take("a", pace), Ok(()));
        assert_eq!(pacer.take("a", pace), Err(Duration::from_secs(2)));
        tokio::time::advance(Duration::from_secs(60)).await;
        for _ in 0..3 {
            assert_eq!(pacer.take("a", pace), Ok(()));
        }
        assert!(pacer.take("a", pace).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn many_keys_are_forgotten_before_they_are_too_many() {
        let (pacer, copies) = (Pacer::default(), Copies::default());
        for number in 0..3 * KEYS_MAX {
            let key = number.to_string();
            _ = pacer.take(&key, Pace { burst: 2, every: Duration::from_secs(1) });
            copies.put(&key, Bytes::from_static(b"x"), Duration::from_secs(30));
        }
        assert!(pacer.even_at.lock().len() <= KEYS_MAX);
        assert!(copies.kept.lock().len() <= KEYS_MAX);
    }
}

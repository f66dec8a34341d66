//! Passwords: hashed and checked by argon2id, on threads of their own and few at a time.
//!
//! One takes 19 MiB and some tens of milliseconds on purpose, so whoever may ask for many at once could stop the node: so many
//! are worked on, so many wait, and the rest are told to come back.

use std::sync::Arc;
use std::time::Instant;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use proto::Refusal;
use tokio::sync::Semaphore;
use unicode_normalization::UnicodeNormalization;

use crate::metrics::PeopleMetrics;
use crate::refusals;

/// Bytes in a password.
const BYTES: std::ops::RangeInclusive<usize> = 8..=256;

/// The hash that nobody has a password for, with the cost of all others: an unknown name takes as long as a known one.
const NOBODYS: &str = "$argon2id$v=19$m=19456,t=2,p=1$dGVydHVsaWEtbm9ib2R5$tU1xJmWmV0y3bYb3yqXkq2oY6lq1m0k6l9n4d2YyZ0E";

/// Refuses what is too short or too long to be a password.
pub(crate) fn must_be_good(password: &str) -> Result<(), Refusal> {
    match BYTES.contains(&password.len()) {
        true => Ok(()),
        false => Err(Refusal::field("password", "a text of 8 to 256 bytes")),
    }
}

/// Who hashes.
pub(crate) struct Passwords {
    /// Places for those worked on and those that wait.
    places: Arc<Semaphore>,
    /// Places for those worked on.
    threads: Arc<Semaphore>,
    metrics: PeopleMetrics,
}

impl Passwords {
    pub(crate) fn new(at_once: usize, waiting: usize, metrics: PeopleMetrics) -> Self {
        let at_once = at_once.max(1);
        let [places, threads] = [at_once + waiting, at_once].map(|places| Arc::new(Semaphore::new(places)));
        Self { places, threads, metrics }
    }

    /// A hash of a new password, salted, with its cost.
    pub(crate) async fn hash(&self, password: &str) -> Result<String, Refusal> {
        let password = same_form(password);
        self.work(move || Argon2::default().hash_password(password.as_bytes()).map(|hash| hash.to_string()))
            .await?
            .map_err(|error| {
                tracing::error!(%error, "a password could not be hashed");
                refusals::busy()
            })
    }

    /// Whether a password is the one of this hash. Without a hash it takes as long and is not.
    pub(crate) async fn is_right(&self, password: &str, hash: Option<&str>) -> Result<bool, Refusal> {
        let (password, hash) = (same_form(password), hash.unwrap_or(NOBODYS).to_owned());
        self.work(move || {
            let hash = PasswordHash::new(&hash);
            hash.is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
        })
        .await
    }

    /// Runs on a thread that may block. Who stops waiting does not free the place: the thread goes on.
    async fn work<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Refusal> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| refusals::busy())?;
        let waits = self.metrics.waits();
        let thread = Arc::clone(&self.threads).acquire_owned().await.map_err(|_| refusals::leaving())?;
        let seconds = self.metrics.password_seconds.clone();
        let done = tokio::task::spawn_blocking(move || {
            let began = Instant::now();
            let done = work();
            seconds.observe(began.elapsed().as_secs_f64());
            drop((place, thread, waits));
            done
        });
        done.await.map_err(|_| refusals::leaving())
    }
}

/// One letter may be typed as one character or as two, by the keyboard.
fn same_form(password: &str) -> String {
    password.nfc().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::Code;

    fn passwords(at_once: usize, waiting: usize) -> Passwords {
        Passwords::new(at_once, waiting, PeopleMetrics::register(&prometheus::Registry::new()).unwrap())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_password_is_known_by_its_hash_however_it_is_typed() {
        let passwords = passwords(2, 2);
        let hash = passwords.hash("contraseña").await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_ne!(passwords.hash("contraseña").await.unwrap(), hash, "salted");
        assert_eq!(passwords.is_right("contrasen\u{303}a", Some(&hash)).await, Ok(true));
        assert_eq!(passwords.is_right("contrasena", Some(&hash)).await, Ok(false));
        assert_eq!(passwords.is_right("contraseña", Some("not a hash")).await, Ok(false));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_unknown_name_costs_as_much_as_a_known_one() {
        let (nobodys, ours) = (PasswordHash::new(NOBODYS).unwrap(), passwords(1, 0).hash("12345678").await.unwrap());
        let ours = PasswordHash::new(&ours).unwrap();
        assert_eq!((nobodys.algorithm, nobodys.version, &nobodys.params), (ours.algorithm, ours.version, &ours.params));
        let length = |hash: &PasswordHash| hash.hash.map(|hash| hash.as_bytes().len());
        assert_eq!(length(&nobodys), length(&ours));
        assert_eq!(passwords(1, 0).is_right("12345678", None).await, Ok(false));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn so_many_are_worked_on_and_so_many_wait() {
        let passwords = passwords(1, 2);
        let (go, stop) = std::sync::mpsc::channel::<()>();
        let blocked = passwords.work(move || stop.recv().is_ok());
        let first = passwords.is_right("12345678", None);
        let second = passwords.is_right("12345678", None);
        let too_many = async {
            // The three before were asked first, so their places are taken.
            let refused = passwords.is_right("12345678", None).await.unwrap_err();
            go.send(()).unwrap();
            refused
        };
        let (blocked, first, second, refused) = tokio::join!(blocked, first, second, too_many);
        assert_eq!((blocked, first, second), (Ok(true), Ok(false), Ok(false)));
        assert_eq!(refused.code, Code::Unavailable);
        assert!(refused.retry_after_ms.is_some());
        assert_eq!(passwords.is_right("12345678", None).await, Ok(false), "all places are free again");
    }

    #[test]
    fn a_password_has_8_to_256_bytes() {
        for (password, good) in
            [("1234567", false), ("12345678", true), (&"x".repeat(256), true), (&"x".repeat(257), false)]
        {
            assert_eq!(must_be_good(password).is_ok(), good, "{password}");
        }
    }
}

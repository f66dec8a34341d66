//! Questions that gather while one is under way, and then go to the store together: a storm of people who come back costs it a
//! query for each five hundred of them, and one connection.

use std::collections::HashMap;
use std::hash::Hash;

use proto::Refusal;
use store::StoreError;
use tokio::sync::{mpsc, oneshot};

use crate::refusals;

/// Questions that may wait.
const WAITING_MAX: usize = 8_192;
/// Questions that go together.
const TOGETHER_MAX: usize = 512;

struct Asked<K, V> {
    about: K,
    answer: oneshot::Sender<Result<Option<V>, Refusal>>,
}

/// Where questions of a kind are asked.
pub(crate) struct Gathering<K, V> {
    waiting: mpsc::Sender<Asked<K, V>>,
}

/// The other end of it.
pub(crate) struct Questions<K, V>(mpsc::Receiver<Asked<K, V>>);

pub(crate) fn gathering<K, V>() -> (Gathering<K, V>, Questions<K, V>) {
    let (waiting, questions) = mpsc::channel(WAITING_MAX);
    (Gathering { waiting }, Questions(questions))
}

impl<K, V> Gathering<K, V> {
    /// What the store has about this, if anything.
    pub(crate) async fn ask(&self, about: K) -> Result<Option<V>, Refusal> {
        let (answer, answered) = oneshot::channel();
        self.waiting.try_send(Asked { about, answer }).map_err(|_| refusals::busy())?;
        answered.await.map_err(|_| refusals::leaving())?
    }
}

impl<K: Clone + Eq + Hash, V: Clone> Questions<K, V> {
    /// Asks the store for ever: it is given keys, none twice, and gives what it has.
    pub(crate) async fn answer<F>(mut self, store: impl Fn(Vec<K>) -> F)
    where
        F: Future<Output = Result<HashMap<K, V>, StoreError>>,
    {
        let mut batch = Vec::new();
        while self.0.recv_many(&mut batch, TOGETHER_MAX).await > 0 {
            // Whoever asked may have left.
            batch.retain(|asked| !asked.answer.is_closed());
            let keys: std::collections::HashSet<K> = batch.iter().map(|asked| asked.about.clone()).collect();
            let keys: Vec<K> = keys.into_iter().collect();
            if keys.is_empty() {
                continue;
            }
            let found = store(keys).await;
            for Asked { about, answer } in batch.drain(..) {
                let told = found.as_ref().map(|found| found.get(&about).cloned());
                _ = answer.send(told.map_err(refusals::away));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proto::Code;
    use tokio::sync::{Mutex, Semaphore};

    use super::*;

    #[tokio::test]
    async fn what_is_asked_while_one_question_is_under_way_goes_together() {
        let (gathering, questions) = gathering::<u32, u32>();
        let (gathering, go, asked) =
            (Arc::new(gathering), Arc::new(Semaphore::new(0)), Arc::new(Mutex::new(Vec::new())));
        let (may, told) = (go.clone(), asked.clone());
        tokio::spawn(questions.answer(move |keys| {
            let (may, told) = (may.clone(), told.clone());
            async move {
                told.lock().await.push(keys.len());
                may.acquire().await.unwrap().forget();
                Ok(keys.into_iter().filter(|key| key % 2 == 0).map(|key| (key, key + 1)).collect())
            }
        }));
        let ask = |about| {
            let gathering = gathering.clone();
            tokio::spawn(async move { gathering.ask(about).await })
        };
        let first = ask(0);
        while asked.lock().await.is_empty() {
            tokio::task::yield_now().await;
        }
        let others: Vec<_> = (0..1_100).map(|about| ask(about / 2)).collect();
        while gathering.waiting.capacity() > WAITING_MAX - 1_100 {
            tokio::task::yield_now().await;
        }
        go.add_permits(10);
        assert_eq!(first.await.unwrap(), Ok(Some(1)));
        for (about, other) in others.into_iter().enumerate() {
            let about = about as u32 / 2;
            assert_eq!(other.await.unwrap(), Ok(about.is_multiple_of(2).then_some(about + 1)));
        }
        assert_eq!(*asked.lock().await, [1, 256, 256, 38]);
    }

    #[tokio::test]
    async fn who_finds_no_room_is_told_to_come_back() {
        let (gathering, questions) = gathering::<u32, u32>();
        let mut asking: Vec<_> = (0..WAITING_MAX as u32).map(|about| Box::pin(gathering.ask(about))).collect();
        for ask in &mut asking {
            assert!(futures_util::poll!(ask.as_mut()).is_pending());
        }
        let refused = gathering.ask(7).await.unwrap_err();
        assert!(refused.code == Code::Unavailable && refused.retry_after_ms.is_some());
        drop(questions);
        assert_eq!(asking.pop().unwrap().await.map_err(|refusal| refusal.code), Err(Code::Unavailable));
    }
}

//! Who is open on this node, by a key, and word of when nobody is left.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

pub(crate) struct Roster<K, V> {
    all: Mutex<HashMap<K, Arc<V>>>,
    emptied: Notify,
}

impl<K, V> Default for Roster<K, V> {
    fn default() -> Self {
        Self { all: Mutex::default(), emptied: Notify::new() }
    }
}

impl<K: Eq + Hash, V> Roster<K, V> {
    pub(crate) fn add(&self, key: K, one: Arc<V>) {
        self.all.lock().insert(key, one);
    }

    pub(crate) fn get(&self, key: &K) -> Option<Arc<V>> {
        self.all.lock().get(key).cloned()
    }

    pub(crate) fn remove(&self, key: &K) {
        let mut all = self.all.lock();
        all.remove(key);
        if all.is_empty() {
            self.emptied.notify_waiters();
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.all.lock().len()
    }

    pub(crate) fn all(&self) -> Vec<Arc<V>> {
        self.all.lock().values().cloned().collect()
    }

    /// All of them, held: nobody comes or goes meanwhile.
    pub(crate) fn lock(&self) -> MutexGuard<'_, HashMap<K, Arc<V>>> {
        self.all.lock()
    }

    /// Returns when there is none left.
    pub(crate) async fn emptied(&self) {
        loop {
            let mut emptied = std::pin::pin!(self.emptied.notified());
            emptied.as_mut().enable();
            if self.len() == 0 {
                return;
            }
            emptied.await;
        }
    }
}

//! From a host's name to its addresses.

use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Semaphore;

/// Lookups at once. Each holds a thread for as long as the system's resolver takes, whoever has given up on it meanwhile.
const LOOKUPS: usize = 16;

/// Knows the addresses of names.
#[async_trait]
pub trait Lookup: Send + Sync {
    /// The addresses of a name, in the order to try them.
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// The system's resolver, with its hosts file and its search list.
pub struct SystemLookup {
    threads: Arc<Semaphore>,
}

impl Default for SystemLookup {
    fn default() -> Self {
        Self { threads: Arc::new(Semaphore::new(LOOKUPS)) }
    }
}

#[async_trait]
impl Lookup for SystemLookup {
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let thread = self.threads.clone().acquire_owned().await.map_err(io::Error::other)?;
        let name = name.to_owned();
        let lookup = tokio::task::spawn_blocking(move || {
            let _thread = thread;
            Ok((name.as_str(), 0).to_socket_addrs()?.map(|address| address.ip()).collect())
        });
        lookup.await.map_err(io::Error::other)?
    }
}

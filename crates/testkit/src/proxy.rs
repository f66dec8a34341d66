//! A bad line between two parts: it can cut, refuse, delay, throttle and silently swallow what passes.

#![expect(clippy::expect_used, reason = "a test that cannot have this cannot go on")]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

const CHUNK_BYTES: usize = 16 * 1024;
/// Chunks under way in one direction; a delayed line holds back its sender beyond that.
const CHUNKS_MAX: usize = 4_096;
/// How much of what a client said is remembered, to tell connections apart.
const SAID_BYTES_MAX: usize = 64 * 1024;

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the one who connected.
    ToServer,
    /// Back to it.
    ToClient,
}

#[derive(Clone, Default)]
struct Weather {
    refuse: bool,
    delay: Duration,
    bytes_per_second: Option<usize>,
    /// Whether all is swallowed, both ways.
    dead: bool,
    /// Which way is swallowed, and only on connections whose client has said these bytes.
    swallow: Option<(Way, Vec<u8>)>,
}

/// A listening proxy. Everything ends with it.
pub struct Proxy {
    address: SocketAddr,
    weather: Arc<watch::Sender<Weather>>,
    /// Counts cuts; a connection ends when it changes.
    cuts: Arc<watch::Sender<u64>>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Proxy {
    /// Listens on a free loopback port for connections to `server`.
    ///
    /// # Panics
    /// If there is no free port.
    pub async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let (weather, cuts) = (Arc::new(watch::Sender::new(Weather::default())), Arc::new(watch::Sender::new(0)));
        let (of, mut cut) = (Arc::clone(&weather), cuts.subscribe());
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if !of.borrow().refuse {
                    cut.mark_unchanged();
                    tokio::spawn(serve(client, server, of.subscribe(), cut.clone()));
                }
            }
        });
        Self { address, weather, cuts, accepting }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Fair weather: everything passes again. What was swallowed stays lost.
    pub fn pass(&self) {
        self.weather.send_replace(Weather::default());
    }

    /// Cuts all connections; new ones pass.
    pub fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Cuts all connections, and new ones at once.
    pub fn refuse(&self) {
        self.weather.send_modify(|weather| weather.refuse = true);
        self.cut();
    }

    /// Everything takes this much longer, each way.
    pub fn delay(&self, delay: Duration) {
        self.weather.send_modify(|weather| weather.delay = delay);
    }

    /// Each connection carries no more than this, each way.
    pub fn throttle(&self, bytes_per_second: usize) {
        self.weather.send_modify(|weather| weather.bytes_per_second = Some(bytes_per_second.max(1)));
    }

    /// Connections stay open, and nothing arrives any more: no byte, and no word of an end.
    pub fn die(&self) {
        self.weather.send_modify(|weather| weather.dead = true);
    }

    /// Connections stay open, and bytes going this way vanish.
    pub fn swallow(&self, way: Way) {
        self.swallow_where(way, b"");
    }

    /// The same, but only on connections whose client has said `words` at some time.
    pub fn swallow_where(&self, way: Way, words: &[u8]) {
        self.weather.send_modify(|weather| weather.swallow = Some((way, words.to_owned())));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

async fn serve(
    client: TcpStream,
    server: SocketAddr,
    weather: watch::Receiver<Weather>,
    mut cut: watch::Receiver<u64>,
) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let said = Arc::new(Mutex::new(Vec::new()));
    tokio::select! {
        () = carry(from_client, to_server, Way::ToServer, weather.clone(), Arc::clone(&said)) => {}
        () = carry(from_server, to_client, Way::ToClient, weather, said) => {}
        _ = cut.changed() => {}
    }
}

async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    way: Way,
    weather: watch::Receiver<Weather>,
    said: Arc<Mutex<Vec<u8>>>,
) {
    let (under_way, mut arriving) = mpsc::channel::<(Instant, Vec<u8>)>(CHUNKS_MAX);
    let of = weather.clone();
    let read = async move {
        let mut chunk = vec![0; CHUNK_BYTES];
        while let Ok(length @ 1..) = from.read(&mut chunk).await {
            if way == Way::ToServer {
                let mut said = said.lock();
                let room = SAID_BYTES_MAX.saturating_sub(said.len());
                said.extend_from_slice(&chunk[..length.min(room)]);
            }
            let now = weather.borrow().clone();
            let swallowed = now.swallow.is_some_and(|(swallowed, words)| swallowed == way && has(&said.lock(), &words));
            if !swallowed
                && !now.dead
                && under_way.send((Instant::now() + now.delay, chunk[..length].to_vec())).await.is_err()
            {
                return;
            }
        }
    };
    let write = async move {
        while let Some((due, chunk)) = arriving.recv().await {
            tokio::time::sleep_until(due).await;
            let pace = of.borrow().bytes_per_second;
            // A tenth of a second's worth at a time.
            for piece in chunk.chunks(pace.map_or(CHUNK_BYTES, |pace| pace.div_ceil(10))) {
                if to.write_all(piece).await.is_err() {
                    return;
                }
                if let Some(pace) = pace {
                    tokio::time::sleep(Duration::from_secs_f64(piece.len() as f64 / pace as f64)).await;
                }
            }
        }
    };
    // The reader's end is not the line's: what is under way still arrives.
    tokio::join!(read, write);
}

fn has(said: &[u8], words: &[u8]) -> bool {
    words.is_empty() || said.windows(words.len()).any(|window| window == words)
}

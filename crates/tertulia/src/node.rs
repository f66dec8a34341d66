//! One node, from its first line of log to its last.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bus::{Bus, BusError};
use gateway::{Background, Gateway, GatewayConfig};
use hub::{Hub, HubConfig};
use people::{People, PeopleConfig};
use proto::{Refusal, RoomName, TaskId};
use roomlog::{LaneConfig, RoomLog};
use store::{Keeper, StoreError, StoreView};
use tasks::Workers;
use webhooks::Hooks;

use crate::background;
use crate::config::ServeConfig;
use crate::limits;
use crate::metrics::Metrics;
use crate::open;
use crate::otlp::{self, Export};
use crate::signals::{Leave, Signals};
use crate::vouchers;

/// Why a node could not start, or an errand could not be run. Each is one sentence that says what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error("the runtime could not be started: {0}")]
    Runtime(io::Error),
    #[error(
        "cannot listen on {address}: {error}. Is another node running there? Choose another address with --listen."
    )]
    Listen { address: SocketAddr, error: io::Error },
    #[error("{place} could not be reached: {why}. Does it run, and is everything in DATABASE_URL right?")]
    Unreachable { place: String, why: String },
    #[error("{place} cannot be used: {why}")]
    Unfit { place: String, why: String },
    #[error("{0}")]
    Store(#[from] StoreError),
    #[error("REDIS_URL cannot be used: {0}")]
    Bus(#[from] BusError),
    #[error("{0} To serve all the same, give --allow-weak-durability.")]
    Weak(String),
    #[error("OTEL_EXPORTER_OTLP_ENDPOINT cannot be used: {0}")]
    Traces(#[from] opentelemetry_otlp::ExporterBuildError),
    #[error("JWTs cannot be checked so: {0}")]
    Jwt(#[from] people::JwtError),
    #[error("{0}")]
    Outgoing(String),
    #[error("metrics could not be registered: {0}")]
    Metrics(#[from] prometheus::Error),
    #[error("{0}")]
    Failpoints(String),
    #[error("signals could not be listened for: {0}")]
    Signals(io::Error),
    #[error("{} cannot be written: {error}", .name.display())]
    Write { name: PathBuf, error: io::Error },
    #[error("{} cannot be read: {error}", .name.display())]
    Read { name: PathBuf, error: io::Error },
    #[error("{}", .0.detail)]
    Refused(#[from] Refusal),
    #[error("there is no room {0} here")]
    NoSuchRoom(RoomName),
    #[error("which room? Give its name")]
    WhichRoom,
    #[error("keep what? Give --keep-days or --keep-messages: a number, or all")]
    KeepWhat,
    #[error("{0} keeps everything: give --up-to, or say what it keeps by `tertulia rooms set`")]
    KeepsAll(RoomName),
    #[error("a worker that does nothing: give --workers more than 0")]
    Idle,
    #[error(
        "which task? Give its id, as `tertulia tasks list` tells it, or --dead for all that are not tried any more"
    )]
    WhichTask,
    #[error("there is no task {0}: it is done, or never was")]
    NoSuchTask(TaskId),
    #[error("task {0} was left as it is: there is none, or it is under way, or another with its key waits")]
    TaskNotChanged(TaskId),
    #[error("{} {why}", .name.display())]
    NotAnExport { name: PathBuf, why: String },
    #[error("{}, line {line}: {why}; what came before it is kept", .name.display())]
    Line { name: PathBuf, line: u64, why: String },
    #[error(
        "the room {room} has other messages here: number {seq} is not the one in the file, before line {line}. Import it into \
         a store where the room is empty; other rooms can be exported one by one with --room."
    )]
    OtherMessages { room: RoomName, seq: u64, line: u64 },
}

/// Runs a node until it is asked to leave and everybody has gone.
pub(crate) async fn serve(config: ServeConfig) -> Result<(), StartError> {
    failpoint::arm().map_err(StartError::Failpoints)?;
    let mut signals = Signals::listen().map_err(StartError::Signals)?;
    // First, because a taken port is told at once; nobody is let in before all is ready.
    let listener = open::door(config.listen).map_err(|error| StartError::Listen { address: config.listen, error })?;
    let address = listener.local_addr().unwrap_or(config.listen);

    let started = tokio::select! {
        started = start(&config) => started?,
        _ = signals.next() => return Ok(()),
    };
    started.gateway.serve(listener);
    tracing::info!(node = config.node_name(), "Tertulia is open: http://{}/", reachable(address));

    let leave = signals.next().await;
    tracing::info!(?leave, "leaving");
    let finished = started.leave(leave, Duration::from_secs(config.drain_seconds));
    tokio::select! {
        () = finished => {}
        _ = signals.next() => tracing::warn!("asked twice: leaving at once"),
    }
    Ok(())
}

/// The rooms of the house, each behind the other.
struct Running {
    gateway: Gateway,
    people: People,
    room_log: Arc<RoomLog>,
    hub: Hub,
    bus: Arc<dyn Bus>,
    store: Arc<dyn Keeper>,
    workers: Workers,
    traces: Option<Export>,
}

async fn start(config: &ServeConfig) -> Result<Running, StartError> {
    let metrics = Metrics::of_node(&config.node_name())?;
    let (tracer, traces) = otlp::start(config, metrics.traces)?;
    let store = open::store(config, metrics.store).await?;
    let open::Carrier { bus, commons, events } = open::bus(config, metrics.bus)?;
    let view = Arc::new(StoreView::new(store.epoch().await?));
    let secret = match &config.secret {
        Some(secret) => secret.clone(),
        None => store.secret(&fresh_secret()).await?,
    };
    let client = vouchers::client(&config.vouchers)?;
    let people_config = PeopleConfig {
        guests: config.guests,
        sign_up: config.sign_up,
        session: Duration::from_secs(config.session_seconds),
        voucher: vouchers::vouchers(&config.vouchers, &client)?,
        ..PeopleConfig::new(secret.as_str())
    };
    let people = People::start(people_config, store.clone(), commons, metrics.people);
    let lanes = LaneConfig { tracer: tracer.clone(), ..LaneConfig::default() };
    let room_log = Arc::new(RoomLog::start(store.clone(), bus.clone(), view.clone(), &lanes, metrics.room_log));
    let reads_max = (config.readers as usize / 2).max(1); // the other half stays free for what the node itself must know
    let hub_config = HubConfig { reads_max, tracer: tracer.clone(), ..HubConfig::default() };
    let hub = Hub::start(store.clone(), bus.clone(), events, view, hub_config, metrics.hub);
    let gateway_config = GatewayConfig {
        node_name: config.node_name(),
        allowed_origins: config.allowed_origins.clone(),
        send_rate: config.send_rate,
        request_rate: config.request_rate,
        sockets: limits::sockets(config),
        connections_per_address: config.connections_per_address,
        connect_rate: config.connect_rate,
        http_life: Duration::from_secs(config.http_seconds),
        trusted_proxies: config.trusted_proxies.clone(),
        rooms_per_connection: config.rooms_per_connection,
        backlog_bytes: config.backlog_bytes,
        tracer,
        ..GatewayConfig::default()
    };
    let workers = background::start(config, &store, &client, metrics.tasks)?;
    let background = Background { hooks: Hooks::new(store.clone(), client), chores: store.clone() };
    let Metrics { gateway: metrics, registry, .. } = metrics;
    let gateway =
        Gateway::new(hub.clone(), room_log.clone(), people.clone(), background, gateway_config, metrics, registry);
    Ok(Running { gateway, people, room_log, hub, bus, store, workers, traces })
}

impl Running {
    /// Sees everybody out, commits what was accepted, and closes what was opened, in the order that messages flow.
    async fn leave(self, how: Leave, within: Duration) {
        let deadline = Instant::now() + within;
        // A tenth, at most a second, is kept for what comes after the goodbyes.
        let reserve = Duration::from_secs(1).min(within / 10);
        let within = within.saturating_sub(reserve);
        tokio::join!(self.gateway.drain(how == Leave::Announced, within), self.workers.close(within));
        let close = async {
            self.people.close().await;
            self.room_log.close().await;
            self.bus.close().await;
            self.hub.close().await;
            self.store.close().await;
            if let Some(traces) = self.traces {
                traces.close().await;
            }
        };
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(100));
        if tokio::time::timeout(left, close).await.is_err() {
            tracing::warn!("what was under way did not end in time");
        }
        tracing::info!("gone");
    }
}

/// 32 random bytes in hexadecimal.
fn fresh_secret() -> String {
    let bytes: [u8; 32] = rand::random();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An address that can be opened: "all addresses" cannot.
pub(crate) fn reachable(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => SocketAddr::from(([127, 0, 0, 1], v4.port())),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], v6.port())),
        address => address,
    }
}

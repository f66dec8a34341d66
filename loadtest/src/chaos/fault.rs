//! What can be broken: each kind says whom it concerns, how it is done, and how it is undone.

use std::time::Duration;

use clap::ValueEnum;
use rand::RngExt;
use rand::rngs::SmallRng;
use testkit::proxy::{Proxy, Way};

use super::crowd::Crowd;
use super::fake_clock::FakeClock;
use super::stage::{Member, ROLE, Stage};
use super::{Programs, blocking};

/// Longer than every time-out between the parts.
const BEYOND_TIMEOUTS: u64 = 12_000;

/// A kind of fault, by the name it has on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Kind {
    /// A node is killed on the spot, and started again.
    NodeKill,
    /// A node dies between a commit and its publication (needs a node built with fail-points).
    NodeCrash,
    /// A node is told to leave under load.
    NodeTerm,
    /// All nodes leave and come back, one after another.
    Rolling,
    /// A node's process is stopped beyond every time-out, then goes on.
    NodeFreeze,
    /// Redis is stopped and started: its memory is gone.
    RedisRestart,
    /// Redis forgets everything.
    RedisFlush,
    /// Redis answers nobody for a while.
    RedisPause,
    /// Redis cuts all who have subscribed.
    RedisKillSubscribers,
    /// Redis cuts those who take what they subscribed to too slowly.
    RedisOutputLimit,
    /// Redis's process is stopped, then goes on.
    RedisFreeze,
    /// The lines to Redis become slow.
    RedisSlow,
    /// Postgres is restarted in good order.
    PostgresRestart,
    /// Postgres is killed on the spot and recovers.
    PostgresCrash,
    /// Postgres's processes are stopped for seconds.
    PostgresFreeze,
    /// Postgres has no connection left for the nodes, and theirs are ended.
    PostgresFull,
    /// What a node committed is never confirmed to it: the answers vanish, then the line is cut.
    CommitReplyLost,
    /// One node cannot reach Redis, but Postgres.
    CutFromRedis,
    /// One node cannot reach Postgres, but Redis.
    CutFromPostgres,
    /// One node hears nothing of what it subscribed to, over connections that look well.
    Deaf,
    /// HAProxy reads its configuration anew.
    ProxyReload,
    /// Some clients stop reading, while texts are long.
    ReadersStall,
    /// Half of the clients hear nothing any more, over connections that look well.
    HalfOpen,
    /// Every client is cut off at once.
    Storm,
    /// The wall clock of one node jumps by hours, forth and back.
    ClockStep,
    /// The disk of Postgres is full.
    DiskFull,
    /// One node runs another version for a while (needs its program).
    MixedVersions,
}

impl Kind {
    /// Its name on the command line and in reports.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::NodeKill => "node-kill",
            Self::NodeCrash => "node-crash",
            Self::NodeTerm => "node-term",
            Self::Rolling => "rolling",
            Self::NodeFreeze => "node-freeze",
            Self::RedisRestart => "redis-restart",
            Self::RedisFlush => "redis-flush",
            Self::RedisPause => "redis-pause",
            Self::RedisKillSubscribers => "redis-kill-subscribers",
            Self::RedisOutputLimit => "redis-output-limit",
            Self::RedisFreeze => "redis-freeze",
            Self::RedisSlow => "redis-slow",
            Self::PostgresRestart => "postgres-restart",
            Self::PostgresCrash => "postgres-crash",
            Self::PostgresFreeze => "postgres-freeze",
            Self::PostgresFull => "postgres-full",
            Self::CommitReplyLost => "commit-reply-lost",
            Self::CutFromRedis => "cut-from-redis",
            Self::CutFromPostgres => "cut-from-postgres",
            Self::Deaf => "deaf",
            Self::ProxyReload => "proxy-reload",
            Self::ReadersStall => "readers-stall",
            Self::HalfOpen => "half-open",
            Self::Storm => "storm",
            Self::ClockStep => "clock-step",
            Self::DiskFull => "disk-full",
            Self::MixedVersions => "mixed-versions",
        }
    }

    /// What it needs besides the parts of every cluster.
    pub(crate) fn lacks(self, programs: &Programs) -> Option<&'static str> {
        match self {
            Self::NodeCrash if programs.crashing.is_none() => Some("--crash-node"),
            Self::MixedVersions if programs.other.is_none() => Some("--other-node"),
            Self::ClockStep if FakeClock::find().is_none() => {
                Some("libfaketime, which scripts/install-test-tools brings")
            }
            Self::DiskFull if !testkit::process::is_root() => Some("the rights of root, to mount a disk"),
            _ => None,
        }
    }

    /// Whom it concerns, if that is not one node.
    pub(crate) fn target(self) -> Option<&'static str> {
        use Kind::*;
        Some(match self {
            Rolling => "nodes",
            RedisRestart | RedisFlush | RedisPause | RedisKillSubscribers | RedisOutputLimit | RedisFreeze
            | RedisSlow => "redis",
            PostgresRestart | PostgresCrash | PostgresFreeze | PostgresFull | DiskFull => "postgres",
            ProxyReload => "proxy",
            ReadersStall | HalfOpen | Storm => "clients",
            NodeKill | NodeCrash | NodeTerm | NodeFreeze | CommitReplyLost | CutFromRedis | CutFromPostgres | Deaf
            | ClockStep | MixedVersions => return None,
        })
    }

    /// How long it lasts, in milliseconds: at random within this.
    fn lasts(self) -> std::ops::Range<u64> {
        use Kind::*;
        match self {
            NodeFreeze => BEYOND_TIMEOUTS..BEYOND_TIMEOUTS + 3_000,
            RedisFlush | RedisKillSubscribers | Storm | ProxyReload | Rolling => 200..500,
            PostgresFreeze | PostgresFull | CommitReplyLost | CutFromPostgres | DiskFull => 2_000..4_500,
            RedisFreeze | RedisPause | Deaf | HalfOpen | ReadersStall => 4_000..8_000,
            MixedVersions | ClockStep => 3_000..5_000,
            NodeKill | NodeCrash | NodeTerm | RedisRestart | RedisOutputLimit | RedisSlow | PostgresRestart
            | PostgresCrash | CutFromRedis => 500..4_000,
        }
    }
}

/// One fault of a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    /// Which node, where it concerns one.
    pub(crate) node: usize,
    pub(crate) lasts: Duration,
    /// For whatever else is left to chance.
    pub(crate) chance: u64,
}

impl Fault {
    pub(crate) fn draw(kind: Kind, nodes: usize, rng: &mut SmallRng) -> Self {
        // The clock that can be stepped is that of the last node.
        let node = if kind == Kind::ClockStep { nodes - 1 } else { rng.random_range(0..nodes) };
        Self { kind, node, lasts: Duration::from_millis(rng.random_range(kind.lasts())), chance: rng.random() }
    }

    /// Whom it concerns.
    pub(crate) fn target(&self, stage: &Stage) -> String {
        self.kind.target().map_or_else(|| stage.members[self.node].name.clone(), str::to_owned)
    }

    /// Breaks it, waits, and mends it.
    pub(crate) async fn happen(&self, stage: &mut Stage, crowd: &Crowd) {
        let wait = || tokio::time::sleep(self.lasts);
        match self.kind {
            Kind::NodeKill => {
                stage.members[self.node].node.kill();
                wait().await;
                stage.members[self.node].start(None, &[]).await;
            }
            Kind::NodeCrash => self.crash(stage).await,
            Kind::NodeTerm => {
                leave(&mut stage.members[self.node]).await;
                wait().await;
                stage.members[self.node].start(None, &[]).await;
            }
            Kind::Rolling => {
                for member in &mut stage.members {
                    leave(member).await;
                    member.start(None, &[]).await;
                    member.node.until("tertulia_bus_up", |up| up == 1.0).await;
                }
            }
            Kind::NodeFreeze => {
                stage.members[self.node].node.signal("STOP");
                wait().await;
                stage.members[self.node].node.signal("CONT");
            }
            Kind::RedisRestart => {
                stage.redis.stop();
                wait().await;
                stage.redis.start_again().await;
            }
            Kind::RedisFlush => {
                stage.redis.flush().await;
                wait().await;
            }
            Kind::RedisPause => {
                stage.redis.pause(self.lasts).await;
                wait().await;
            }
            Kind::RedisKillSubscribers => {
                stage.redis.kill_subscribers().await;
                wait().await;
            }
            Kind::RedisOutputLimit => self.limit_output(stage, crowd).await,
            Kind::RedisFreeze => {
                stage.redis.freeze();
                wait().await;
                stage.redis.thaw();
            }
            Kind::RedisSlow => {
                let delay = Duration::from_millis(20 + self.chance % 400);
                stage.members.iter().for_each(|member| member.to_redis.delay(delay));
                wait().await;
                stage.members.iter().for_each(|member| member.to_redis.pass());
            }
            Kind::PostgresRestart => {
                blocking(|| stage.postgres.stop());
                wait().await;
                blocking(|| stage.postgres.start_again());
            }
            Kind::PostgresCrash => {
                blocking(|| stage.postgres.kill());
                wait().await;
                blocking(|| stage.postgres.start_again());
            }
            Kind::PostgresFreeze => {
                stage.postgres.freeze();
                wait().await;
                stage.postgres.thaw();
            }
            Kind::PostgresFull => {
                // The same answer as of a server that has no connection left.
                stage.sql(&format!("ALTER ROLE {ROLE} CONNECTION LIMIT 0"));
                stage.sql(&format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{ROLE}'"));
                wait().await;
                stage.sql(&format!("ALTER ROLE {ROLE} CONNECTION LIMIT -1"));
            }
            Kind::CommitReplyLost => {
                let line = &stage.members[self.node].to_postgres;
                line.swallow(Way::ToClient);
                wait().await;
                end_of_silence(line).await;
            }
            Kind::CutFromRedis => {
                stage.members[self.node].to_redis.refuse();
                wait().await;
                stage.members[self.node].to_redis.pass();
            }
            Kind::CutFromPostgres => {
                stage.members[self.node].to_postgres.refuse();
                wait().await;
                stage.members[self.node].to_postgres.pass();
            }
            Kind::Deaf => {
                stage.members[self.node].to_redis.swallow_where(Way::ToClient, b"SSUBSCRIBE");
                wait().await;
                stage.members[self.node].to_redis.pass();
            }
            Kind::ProxyReload => {
                stage.door.reload();
                wait().await;
            }
            Kind::ReadersStall => {
                crowd.stall(self.chance);
                wait().await;
                crowd.read_on();
            }
            Kind::HalfOpen => {
                let way = if self.chance.is_multiple_of(2) { Way::ToClient } else { Way::ToServer };
                stage.streets[0].swallow(way);
                wait().await;
                end_of_silence(&stage.streets[0]).await;
            }
            Kind::Storm => {
                stage.streets.iter().for_each(|street| street.cut());
                wait().await;
            }
            Kind::ClockStep => {
                if let Some(clock) = &stage.members[self.node].clock {
                    clock.step(7_200);
                    wait().await;
                    clock.step(-7_200);
                    wait().await;
                    clock.step(0);
                }
            }
            Kind::DiskFull => {
                blocking(|| stage.postgres.fill_disk());
                wait().await;
                blocking(|| stage.postgres.free_disk());
            }
            Kind::MixedVersions => {
                let other = stage.programs.other.clone();
                leave(&mut stage.members[self.node]).await;
                stage.members[self.node].start(other.as_ref(), &[]).await;
                wait().await;
                leave(&mut stage.members[self.node]).await;
                stage.members[self.node].start(None, &[]).await;
            }
        }
    }

    /// The node runs again with the fail-point set, dies by it, and comes back without.
    async fn crash(&self, stage: &mut Stage) {
        let program = stage.programs.crashing.clone();
        let points = format!("committed:{}", 1 + self.chance % 20);
        let member = &mut stage.members[self.node];
        member.node.kill();
        member.start(program.as_ref(), &[("TERTULIA_FAILPOINTS", &points)]).await;
        // Whoever is elsewhere stays there, so somebody must be made to come.
        let mut died = false;
        for _ in 0..5 {
            stage.streets.iter().for_each(|street| street.cut());
            died = stage.members[self.node].node.ended(Duration::from_secs(5)).await.is_some();
            if died {
                break;
            }
        }
        if !died {
            eprintln!("          it did not die between commit and publication: nobody wrote there");
        }
        let member = &mut stage.members[self.node];
        member.node.kill();
        tokio::time::sleep(self.lasts).await;
        member.start(None, &[]).await;
    }

    /// What is published is held up on its way to the subscribers, and Redis has no patience.
    async fn limit_output(&self, stage: &mut Stage, crowd: &Crowd) {
        let limit = async |limit: &str| {
            _ = stage.redis.command(&["CONFIG", "SET", "client-output-buffer-limit", limit]).await;
        };
        limit("pubsub 65536 0 0").await;
        stage.members.iter().for_each(|member| member.to_redis.throttle(4_096));
        crowd.long_texts();
        tokio::time::sleep(self.lasts).await;
        crowd.read_on();
        stage.members.iter().for_each(|member| member.to_redis.pass());
        limit("pubsub 33554432 8388608 60").await;
    }
}

/// A line that swallowed something must not go on: no network leaves out bytes in the middle.
async fn end_of_silence(line: &Proxy) {
    line.cut();
    tokio::time::sleep(Duration::from_millis(100)).await;
    line.pass();
}

/// A node is told to leave, and waited for.
async fn leave(member: &mut Member) {
    member.node.signal("TERM");
    _ = member.node.ended(Duration::from_secs(20)).await;
    member.node.kill();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a report calls a fault can be asked for by that name.
    #[test]
    fn a_kind_has_the_same_name_in_reports_and_on_the_command_line() {
        for kind in Kind::value_variants() {
            assert_eq!(kind.to_possible_value().map(|value| value.get_name().to_owned()).as_deref(), Some(kind.name()));
        }
    }
}

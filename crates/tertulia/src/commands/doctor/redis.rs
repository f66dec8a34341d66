//! What carries messages between nodes.

use bus::RedisServer;

use super::report::Report;
use crate::config::ServeConfig;
use crate::mask;
use crate::open::{self, Place};

/// The first with sharded publications.
const OLDEST: u32 = 7;
/// A node that is busy for a moment should not be cut off: some seconds' worth of a busy cluster.
const BUFFER_MIN: u64 = 8 * 1024 * 1024;

pub(super) async fn look(config: &ServeConfig, report: &mut Report) {
    let is_shared = Place::of(config).is_shared();
    let Some(url) = &config.redis_url else {
        if is_shared {
            let advice =
                "set REDIS_URL if there is more than one node: without it they hear each other only after seconds";
            report.warning("redis", "none, beside a Postgres", advice);
        } else {
            report.ok("redis", "none, and one node needs none");
        }
        return;
    };
    let shown = mask::address(url);
    let servers = match bus::survey(&open::redis_config(config, url)).await {
        Ok(servers) => servers,
        Err(error) => {
            let advice = "does it run, and is everything in REDIS_URL right? A node would start degraded or not at all";
            return report.problem("redis", format!("{shown}: {error}"), advice);
        }
    };
    if !is_shared {
        let advice = "set DATABASE_URL to a Postgres that nodes share, or leave REDIS_URL away";
        report.warning("redis", "beside a SQLite file, which no other node can use", advice);
    }
    let count = servers.len();
    for (server, number) in servers.iter().zip(1..) {
        let name = if count == 1 { shown.clone() } else { format!("{shown}, server {number} of {count}") };
        version(server, &name, report);
        memory(server, report);
        buffer(server, report);
    }
}

fn version(server: &RedisServer, name: &str, report: &mut Report) {
    let what = format!("Redis {} at {name}", server.version);
    if server.major() < OLDEST {
        report.problem("redis", what, "move to Redis 7 or later: nodes publish in shards, which older ones cannot");
    } else {
        report.ok("redis", what);
    }
}

fn memory(server: &RedisServer, report: &mut Report) {
    let RedisServer { memory_max, eviction, .. } = server;
    match *memory_max {
        0 => report.ok("redis memory", "as much as there is; nodes keep what they put there within bounds"),
        max if eviction == "noeviction" => report.warning(
            "redis memory",
            format!("{max} bytes, and once they are used up nothing more is taken (noeviction)"),
            "set maxmemory-policy to allkeys-lru: nothing that nodes put there may not be lost",
        ),
        max => report.ok("redis memory", format!("{max} bytes, then {eviction}")),
    }
}

fn buffer(server: &RedisServer, report: &mut Report) {
    let about = "redis buffer";
    match server.subscriber_buffer {
        None => report.ok(about, "it does not tell how much may wait for a subscriber"),
        Some(0) => report.warning(
            about,
            "any number of bytes may wait for a node that does not read",
            "set client-output-buffer-limit to pubsub 32mb 8mb 60, so that a stuck node cannot use up Redis's memory",
        ),
        Some(bytes) if bytes < BUFFER_MIN => report.warning(
            about,
            format!("a node is cut off when {bytes} bytes wait for it"),
            "set client-output-buffer-limit to pubsub 32mb 8mb 60, or a burst of messages will do it",
        ),
        Some(bytes) => report.ok(about, format!("a node is cut off when {bytes} bytes wait for it")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_judged_by_what_it_says() {
        let good = RedisServer {
            version: "7.4.1".into(),
            memory_max: 0,
            eviction: "noeviction".into(),
            subscriber_buffer: Some(32 * 1024 * 1024),
        };
        for (server, line) in [
            (good.clone(), "ok       redis        Redis 7.4.1 at redis://cache"),
            (RedisServer { version: "6.2.7".into(), ..good.clone() }, "problem  redis        Redis 6.2.7"),
            (RedisServer { memory_max: 1000, ..good.clone() }, "warning  redis memory 1000 bytes"),
            (RedisServer { memory_max: 1000, eviction: "allkeys-lru".into(), ..good.clone() }, "ok       redis memory"),
            (RedisServer { subscriber_buffer: Some(0), ..good.clone() }, "warning  redis buffer any number"),
            (RedisServer { subscriber_buffer: Some(1000), ..good.clone() }, "warning  redis buffer a node is cut off"),
            (RedisServer { subscriber_buffer: None, ..good }, "ok       redis buffer"),
        ] {
            let mut report = Report::default();
            version(&server, "redis://cache", &mut report);
            memory(&server, &mut report);
            buffer(&server, &mut report);
            assert!(report.to_string().contains(line), "{line} is not in {report}");
        }
    }
}

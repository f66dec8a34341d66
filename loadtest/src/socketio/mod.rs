//! What a Socket.IO socket costs here, beside Socket.IO's own server on Node.js with its Redis adapter.
//!
//! Both are started by the tool, with the same Redis, one after the other and in turns, and loaded by the same cheap client (`guest.rs`).
//! Tertulia also has a Postgres, where each message is before it is acknowledged; the other server keeps nothing.

mod contender;
mod guest;
mod measure;
mod table;

use std::io;

use testkit::postgres::Postgres;
use testkit::redis::Redis;

use crate::args::Socketio;
use contender::{Beside, Contender};
use table::Table;

/// Measures all contenders, round by round; whether no node lost anything.
pub(crate) async fn run(args: &Socketio) -> io::Result<bool> {
    let contenders = Contender::all(args)?;
    let beside = Beside { postgres: Postgres::start(), redis: Redis::start().await };
    let mut table = Table::new(&contenders);
    for round in 0..usize::from(args.rounds) {
        for turn in 0..contenders.len() {
            // Each is the first at some time: what the machine does meanwhile shall not meet the same one always.
            let index = (round + turn) % contenders.len();
            eprintln!("round {} of {}: {}", round + 1, args.rounds, contenders[index].name);
            let server = contenders[index].start(&beside).await;
            table.add(index, measure::all(&server, &beside, args).await?);
        }
    }
    table.tell(args)?;
    Ok(contenders.iter().enumerate().all(|(index, contender)| contender.is_peer() || table.is_whole(index)))
}

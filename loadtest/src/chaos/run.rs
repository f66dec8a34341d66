//! One run, from an empty machine to a verdict.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::ValueEnum;

use super::Programs;
use super::counters::Counters;
use super::crowd::Crowd;
use super::fault::{Fault, Kind};
use super::judge::judge;
use super::record::{Evidence, FaultSpan};
use super::report::{Report, RunInfo};
use super::schedule::Schedule;
use super::stage::Stage;
use super::stored;
use crate::args::Chaos;

/// Talk before the first fault, so that there is something to lose.
const WARM_UP: Duration = Duration::from_secs(3);

/// Runs it; `true` if every promise held.
///
/// # Errors
/// When the report cannot be written or the store cannot be read.
pub(crate) async fn run(chaos: &Chaos) -> io::Result<bool> {
    let programs = programs(chaos).map_err(io::Error::other)?;
    let kinds = choose(chaos, &programs).map_err(io::Error::other)?;
    let info = info(chaos, &kinds, &programs);
    let mut stage = Stage::set(programs, chaos.nodes.into(), &kinds).await;
    let rooms: Vec<String> = (1..=chaos.talk.rooms).map(|number| format!("room-{number}")).collect();

    let began = Instant::now();
    let counters = Arc::new(Counters::default());
    let mut watching = tokio::task::JoinSet::new();
    for member in &stage.members {
        let (counters, address) = (counters.clone(), member.node.address());
        watching.spawn(async move { counters.watch(address, began).await });
    }
    let streets: Vec<_> = stage.streets.iter().map(|street| street.address()).collect();
    let crowd = Crowd::enter(&chaos.talk, &rooms, &streets, began);
    tokio::time::sleep(WARM_UP).await;

    let mut faults = Vec::new();
    let mut schedule = Schedule::of(&kinds, chaos.nodes.into(), chaos.talk.seed);
    while began.elapsed() < Duration::from_secs(chaos.seconds) {
        let Some((quiet, fault)) = schedule.draw() else { break };
        tokio::time::sleep(quiet).await;
        faults.push(happen(&fault, &mut stage, &crowd, began).await);
    }
    let healed_at = began.elapsed();
    tokio::time::sleep(WARM_UP).await;
    let doors = stage.members.iter().map(|member| (format!("latecomer at {}", member.name), member.node.address()));
    let clients = crowd.finish(doors).await;
    let ended_at = began.elapsed();
    watching.shutdown().await;

    let store = rooms.iter().map(|room| stored::read(&stage, room)).collect::<Result<Vec<_>, _>>();
    let store = store.map_err(io::Error::other)?;
    let counters = counters.gains();
    let evidence = Evidence { rooms, clients, store, faults, counters, healed_at, ended_at };
    let verdict = judge(&evidence);
    let report = Report::of(&info, &evidence, &verdict);
    report.tell(&chaos.output)?;
    if let Some(folder) = chaos.keep.as_ref().filter(|_| !verdict.holds()) {
        stage.keep_logs(folder)?;
    }
    Ok(verdict.holds())
}

async fn happen(fault: &Fault, stage: &mut Stage, crowd: &Crowd, began: Instant) -> FaultSpan {
    let target = fault.target(stage);
    eprintln!("{:6.1} s  {} ({target})", began.elapsed().as_secs_f64(), fault.kind.name());
    let start = began.elapsed();
    fault.happen(stage, crowd).await;
    FaultSpan { kind: fault.kind.name(), target, began: start, ended: began.elapsed() }
}

fn info(chaos: &Chaos, kinds: &[Kind], programs: &Programs) -> RunInfo {
    let version = std::process::Command::new(&programs.node).arg("--version").output();
    let kinds: Vec<String> = kinds.iter().map(|kind| kind.name().to_owned()).collect();
    let size = format!(
        "--nodes={} --rooms={} --writers={} --editors={} --readers={} --rate={}",
        chaos.nodes, chaos.talk.rooms, chaos.talk.writers, chaos.talk.editors, chaos.talk.readers, chaos.talk.rate
    );
    RunInfo {
        seed: chaos.talk.seed,
        command: format!(
            "loadtest chaos --seed={} --seconds={} {size} --faults={}",
            chaos.talk.seed,
            chaos.seconds,
            kinds.join(",")
        ),
        seconds: chaos.seconds,
        nodes: chaos.nodes.into(),
        rooms: chaos.talk.rooms.into(),
        writers: chaos.talk.writers.into(),
        editors: chaos.talk.editors.into(),
        readers: chaos.talk.readers.into(),
        version: version.map(|told| String::from_utf8_lossy(&told.stdout).trim().to_owned()).unwrap_or_default(),
        kinds,
    }
}

/// What is asked for, as far as there is what it needs. What was asked for by name must be had.
fn choose(chaos: &Chaos, programs: &Programs) -> Result<Vec<Kind>, String> {
    let asked = if chaos.faults.is_empty() { Kind::value_variants() } else { &chaos.faults };
    let mut kinds = Vec::new();
    for kind in asked.iter().filter(|kind| !chaos.without.contains(kind)) {
        match kind.lacks(programs) {
            None => kinds.push(*kind),
            Some(flag) if chaos.faults.is_empty() => eprintln!("left out: {} needs {flag}", kind.name()),
            Some(flag) => return Err(format!("{} needs {flag}", kind.name())),
        }
    }
    Ok(kinds)
}

/// The programs asked for, which must be there before anything is started.
fn programs(chaos: &Chaos) -> Result<Programs, String> {
    let beside = || std::env::current_exe().unwrap_or_default().with_file_name("tertulia");
    let programs = Programs {
        node: chaos.node.clone().unwrap_or_else(beside),
        crashing: chaos.crash_node.clone(),
        other: chaos.other_node.clone(),
    };
    for program in [Some(&programs.node), programs.crashing.as_ref(), programs.other.as_ref()].into_iter().flatten() {
        if !program.exists() {
            return Err(format!("there is no {}: build it, or name another", program.display()));
        }
    }
    Ok(programs)
}

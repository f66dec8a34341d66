//! The figures of small runs made by hand, and the forms of large ones made up.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use uuid::Uuid;

use super::super::record::{ClientLog, CounterGain, Digest, Evidence, FaultSpan, Line, Moment, What};
use super::super::verdict::Verdict;
use super::figures::Figures;
use super::{Report, RunInfo, html, json, sample, words};
use crate::args::Output;

fn ms(time: u64) -> Moment {
    Duration::from_millis(time)
}

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn log(name: &str, lines: Vec<(u64, What)>) -> ClientLog {
    ClientLog { name: name.to_owned(), lines: lines.into_iter().map(|(at, what)| Line { at: ms(at), what }).collect() }
}

fn sent(number: u128) -> What {
    What::Sent { room: 0, id: id(number), text: Digest(1) }
}

fn acked(number: u128, seq: u64) -> What {
    What::Acked { room: 0, id: id(number), seq }
}

fn got(number: u128, seq: u64, page: bool) -> What {
    What::Got { room: 0, seq, rev: seq, id: id(number), text: Some(Digest(1)), page }
}

fn join(after: Option<u64>) -> What {
    What::JoinAsked { room: 0, after }
}

fn joined(more: bool) -> What {
    What::Joined { room: 0, epoch: "e".to_owned(), head: 9, reset: false, more }
}

fn connected() -> What {
    What::Connected { node: "n1".to_owned() }
}

fn lost(why: &str) -> What {
    What::Lost { why: why.to_owned() }
}

fn fault(kind: &'static str, began: u64, ended: u64) -> FaultSpan {
    FaultSpan { kind, target: "n1".to_owned(), began: ms(began), ended: ms(ended) }
}

/// One writer; one reader that has history, hears one message, is away from 1,500 to 3,000, and finds two on its return.
fn small() -> Evidence {
    let writer = vec![
        (0, connected()),
        (100, sent(1)),
        (105, acked(1, 1)),
        (1_000, sent(2)),
        (1_010, acked(2, 2)),
        (2_000, sent(3)),
        (2_100, What::Deferred { room: 0, id: id(3), code: "unavailable".to_owned() }),
        (2_400, sent(3)),
        (2_450, acked(3, 3)),
        (2_500, acked(3, 3)),
    ];
    let reader = vec![
        (200, connected()),
        (210, join(None)),
        (220, joined(false)),
        (220, got(1, 1, true)),
        (1_020, got(2, 2, false)),
        (1_500, lost("lost")),
        (1_800, What::NotLetIn { why: "503".to_owned() }),
        (2_600, connected()),
        (2_650, lost("closed 1012")),
        (2_900, connected()),
        (2_910, join(Some(2))),
        (2_950, joined(true)),
        (3_000, joined(false)),
        (3_000, got(3, 3, true)),
        (3_200, got(3, 3, false)),
        (5_900, lost("over")),
    ];
    Evidence {
        rooms: vec!["tertulia-0".to_owned()],
        clients: vec![log("writer 0", writer), log("reader 0", reader)],
        faults: vec![fault("node-kill", 1_400, 2_000), fault("node-pause", 4_000, 4_100)],
        counters: vec![CounterGain {
            series: "tertulia_gaps_total{cause=\"skip\"}".to_owned(),
            gain: 5.0,
            steps: vec![(ms(1_000), 2.0), (ms(2_200), 3.0)],
        }],
        healed_at: ms(4_100),
        ended_at: ms(6_000),
        ..Evidence::default()
    }
}

#[test]
fn messages_and_acknowledgements_count_once_and_writes_each_time() {
    let counts = Figures::of(&small()).counts;
    assert_eq!((counts.sent, counts.writes, counts.acknowledged), (3, 4, 3));
    assert_eq!((counts.deliveries, counts.paged, counts.joins, counts.pages), (4, 2, 2, 3));
    assert_eq!(counts.deferred.get("unavailable"), Some(&1));
    assert_eq!(counts.lost.get("closed 1012"), Some(&1));
    assert_eq!(counts.lost.get("over"), None, "a client that stops has lost nothing");
    assert_eq!(counts.not_let_in.get("503"), Some(&1));
}

#[test]
fn a_delay_counts_from_the_first_writing_to_the_first_receipt_and_history_has_none() {
    let figures = Figures::of(&small());
    let delays: Vec<_> = figures.receipts.iter().map(|receipt| receipt.delay().as_millis()).collect();
    assert_eq!(delays, [20, 1_000], "the history, and the second receipt of the same message, do not count");
    assert_eq!((figures.delivery.count, figures.delivery.max_ms), (2, 1_000.0));
    assert!((figures.delivery.p50_ms - 20.0).abs() < 0.1);
    assert_eq!((figures.acknowledgement.count, figures.acknowledgement.max_ms), (3, 450.0));
}

#[test]
fn an_absence_lasts_through_failed_returns_until_the_last_page() {
    let figures = Figures::of(&small());
    assert_eq!(figures.absences.len(), 1);
    assert_eq!(figures.longest_absence, ms(1_500));
    assert_eq!(figures.longest_away.as_deref(), Some("reader 0"));
    assert_eq!(figures.not_back, 0);
    assert_eq!(figures.longest_silence, ms(1_980), "from the live message to the page");
}

#[test]
fn what_comes_until_a_room_was_joined_is_history_however_often_that_breaks_off() {
    let mut evidence = small();
    let again = [(1, connected()), (2, join(None)), (3, joined(true)), (3, got(2, 2, true)), (4, lost("lost"))];
    let whole = [(5, connected()), (6, join(Some(2))), (7, joined(false)), (7, got(3, 3, true))];
    evidence.clients[1] = log("reader 0", again.into_iter().chain(whole).collect());
    assert_eq!(Figures::of(&evidence).receipts, []);
}

#[test]
fn a_client_that_never_comes_back_is_away_until_the_end_and_nothing_is_normal() {
    let mut evidence = small();
    evidence.clients[1].lines.retain(|line| line.at < ms(2_900));
    let figures = Figures::of(&evidence);
    assert_eq!((figures.not_back, figures.longest_absence), (1, ms(4_500)));
    assert_eq!(figures.spans[0].normal_after, None);
    assert_eq!(figures.slowest_recovery(), None);
}

#[test]
fn a_fault_has_what_happened_in_its_reach() {
    let figures = Figures::of(&small());
    let [kill, pause] = figures.spans.as_slice() else { panic!("a span for each fault") };
    assert_eq!(kill.until, ms(4_000), "where the next begins");
    assert_eq!((kill.delivery.count, kill.delivery.max_ms, kill.late), (1, 1_000.0, 1));
    assert_eq!((kill.lost, kill.not_let_in, kill.deferred), (2, 1, 1));
    assert_eq!(kill.longest_absence, ms(1_500));
    assert_eq!(kill.normal_after, Some(ms(1_000)), "the page came at 3,000, the fault ended at 2,000");
    assert_eq!(kill.heals, [(0, 3.0)], "what was gained before is not its own");
    assert_eq!(pause.until, ms(9_100));
    assert_eq!((pause.lost, pause.late, pause.normal_after), (0, 0, Some(Duration::ZERO)));
    assert_eq!(figures.slowest_recovery(), Some(ms(1_000)));
}

#[test]
fn a_second_of_the_time_line_has_what_was_sent_in_it() {
    let slots = Figures::of(&small()).timeline(1, ms(6_000));
    assert_eq!(slots.len(), 6);
    assert_eq!(slots.iter().map(|slot| slot.acked).collect::<Vec<_>>(), [1, 1, 1, 0, 0, 0]);
    assert_eq!(slots[0].delivery, None, "the history of the first join is no delivery");
    assert_eq!(slots[2].delivery.map(|spread| spread.max_ms), Some(1_000.0));
    assert_eq!((slots[1].lost, slots[2].lost, slots[2].returned, slots[1].not_let_in), (1, 1, 2, 1));
    assert_eq!(slots[2].deferred, 1);
}

#[test]
fn a_run_without_anything_is_told_too() {
    let (run, evidence, verdict) = (RunInfo::default(), Evidence::default(), Verdict::default());
    let figures = Figures::of(&evidence);
    well_formed(&html::page(&run, &evidence, &verdict, &figures));
    assert_eq!(json::document(&run, &evidence, &verdict, &figures)["held"], true);
}

#[test]
fn the_line_says_what_held_and_through_what() {
    let (run, evidence) = (sample::run(7, 60), small());
    assert_eq!(
        Report::of(&run, &evidence, &sample::held()).line(),
        "HELD  seed 7 · 60 s · 2 faults · 3 acknowledged, 0 lost, 0 doubled, 0 reordered · 4 deliveries, slowest heal 1.0 s \
         · longest absence 1.5 s"
    );
}

#[test]
fn the_line_says_which_promises_broke_and_how_often() {
    assert_eq!(
        Report::of(&sample::run(7, 60), &small(), &sample::broken()).line(),
        "BROKEN acked-is-kept ×2, same-end ×1, 4 more findings · seed 7 · 60 s · 2 faults"
    );
}

/// Every tag is closed where it should be, and every ampersand is an entity's.
fn well_formed(page: &str) {
    let body = page.strip_prefix("<!DOCTYPE html>\n").expect("a document type");
    let mut open: Vec<&str> = Vec::new();
    let mut rest = body;
    while let Some(at) = rest.find('<') {
        let text = &rest[..at];
        assert!(open.last() == Some(&"style") || !text.contains('>'), "a bare > in {text:?}");
        for entity in text.split('&').skip(1) {
            let name = entity.split(';').next().unwrap_or_default();
            assert!(["amp", "lt", "gt", "quot"].contains(&name) || name.starts_with('#'), "&{entity}");
        }
        let end = at + rest[at..].find('>').expect("a tag that ends");
        let tag = &rest[at + 1..end];
        assert_eq!(tag.matches('"').count() % 2, 0, "quotes in <{tag}>");
        let name = tag.trim_start_matches('/').split([' ', '/', '\n']).next().unwrap_or_default();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "</{name}> closes what is not open");
        } else if !tag.ends_with('/') {
            open.push(name);
        }
        rest = &rest[end + 1..];
    }
    assert!(open.is_empty(), "left open: {open:?}");
}

#[test]
fn the_page_is_well_formed_whatever_names_say_and_needs_no_other_host() {
    for verdict in [sample::held(), sample::broken()] {
        let mut evidence = sample::evidence(7, 60);
        evidence.faults[0].target = "<n1 & \"friends\">".to_owned();
        evidence.counters[0].series = "x{y=\"<i>\"}".to_owned();
        let mut run = sample::run(7, 60);
        run.command.push_str(" --x '<img src=a>'");
        let page = html::page(&run, &evidence, &verdict, &Figures::of(&evidence));
        well_formed(&page);
        for foreign in ["http", "url(", "@import", "<script", "<img", "<i>", "src=\"", "href", "NaN", "\"inf", "inf,"] {
            let found = page.find(foreign).map(|at| page[at.saturating_sub(30)..].chars().take(60).collect::<String>());
            assert_eq!(found, None, "{foreign}");
        }
    }
}

#[test]
fn the_page_tells_of_causes_that_found_nothing_and_of_counters_that_it_does_not_know() {
    let mut evidence = small();
    evidence.counters[0].series = "tertulia_new_total{kind=\"odd\"}".to_owned();
    let page = html::page(&sample::run(7, 60), &evidence, &sample::held(), &Figures::of(&evidence));
    assert!(page.contains("<tr class=\"none\"><td><b>sweep</b></td><td>0</td>"));
    assert!(page.contains("<tr><td><b>new odd</b></td><td>5</td>"));
}

#[test]
fn the_page_lists_every_promise_and_every_finding() {
    let (evidence, verdict) = (sample::evidence(7, 60), sample::broken());
    let page = html::page(&sample::run(7, 60), &evidence, &verdict, &Figures::of(&evidence));
    for rule in words::RULES {
        assert!(page.contains(&format!("<code>{}</code>", rule.name())), "{}", rule.name());
    }
    assert!(page.contains("holds 118, which the store does not"));
    assert!(page.contains("&lt;script&gt;alert(&#39;no&#39;)&lt;/script&gt;"));
    assert!(page.contains("Broken. 2 promises were not kept."));
}

#[test]
fn the_json_agrees_with_the_evidence() {
    let (run, evidence, verdict) = (sample::run(7, 60), sample::evidence(7, 60), sample::broken());
    let figures = Figures::of(&evidence);
    let text = json::document(&run, &evidence, &verdict, &figures).to_string();
    let document: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(document["held"], false);
    assert_eq!(document["run"]["seed"], 7);
    assert_eq!(document["findings"].as_array().map(Vec::len), Some(3));
    assert_eq!(document["findings"][0]["at_seconds"], 23.4);
    assert_eq!(document["findings_left_out"], 4);
    assert_eq!(document["rules"]["acked-is-kept"], 2);
    assert_eq!(document["rules"].as_object().map(|rules| rules.len()), Some(13));
    assert_eq!(document["faults"].as_array().map(Vec::len), Some(evidence.faults.len()));
    let rows: u64 = evidence.store.iter().map(|room| room.head).sum();
    assert_eq!(document["counts"]["rows"], rows);
    assert_eq!(document["counts"]["acknowledged"], rows);
    let seconds = document["timeline"]["acknowledged"].as_array().expect("a column");
    assert_eq!(seconds.len(), 70);
    assert_eq!(seconds.iter().filter_map(Value::as_u64).sum::<u64>(), rows, "each acknowledgement is in one second");
    for (name, column) in document["timeline"].as_object().expect("columns") {
        assert_eq!(column.as_array().map(Vec::len), Some(70), "{name}");
    }
}

#[test]
fn an_hour_makes_a_page_of_less_than_a_megabyte() {
    let (run, evidence) = (sample::run(3, 3_600), sample::evidence(3, 3_600));
    let figures = Figures::of(&evidence);
    let page = html::page(&run, &evidence, &sample::held(), &figures);
    assert!(evidence.faults.len() > 500, "{} faults", evidence.faults.len());
    assert!(page.len() < 1_000_000, "{} bytes", page.len());
    well_formed(&page);
}

#[test]
fn what_is_asked_for_is_written_to_files() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/chaos-report");
    fs::create_dir_all(&folder).expect("a folder");
    for (name, seconds, verdict) in
        [("held", 60, sample::held()), ("broken", 60, sample::broken()), ("hour", 3_600, sample::held())]
    {
        let (run, evidence) = (sample::run(7, seconds), sample::evidence(7, seconds));
        let [page, document] = ["html", "json"].map(|end| folder.join(format!("{name}.{end}")));
        let output = Output { html: Some(page.clone()), json: Some(document.clone()) };
        Report::of(&run, &evidence, &verdict).tell(&output).expect("written");
        assert!(fs::read_to_string(&page).expect("a page").contains("</html>"));
        let document: Value = serde_json::from_str(&fs::read_to_string(&document).expect("a document")).expect("JSON");
        assert_eq!(document["held"], verdict.holds());
    }
    let missing = Output { html: Some(folder.join("no/such/folder.html")), json: None };
    let nothing = Evidence::default();
    assert!(Report::of(&RunInfo::default(), &nothing, &Verdict::default()).tell(&missing).is_err());
}

#[test]
fn figures_are_said_with_as_many_digits_as_mean_something() {
    assert_eq!(
        ["0.84", "12.3", "950", "2900", "41000", "200000"].map(|ms| words::time_ms(ms.parse().unwrap())),
        ["0.8 ms", "12 ms", "950 ms", "2.9 s", "41 s", "3 min 20 s"]
    );
    assert_eq!([1, 999, 5_213, 1_234_567].map(words::grouped), ["1", "999", "5,213", "1,234,567"]);
    assert_eq!(words::many(2, "answer to a join"), "2 answers to a join");
    assert_eq!((words::many(1, "delivery"), words::many(0, "delivery")), ("1 delivery".into(), "0 deliveries".into()));
    assert_eq!([12_340, 125_000, 3_723_400].map(|at| words::moment(ms(at))), ["12.3 s", "2:05.0", "1:02:03.4"]);
    assert_eq!(words::short_series("tertulia_gaps_total{cause=\"skip\"}"), "gaps skip");
    assert_eq!(words::short_series("tertulia_republished_total"), "republished");
}

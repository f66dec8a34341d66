//! The product with mistakes made on purpose.
//!
//! `mutants/` has a patch for each mistake. All of them are applied to a copy of the sources, each asleep until
//! `TERTULIA_MUTANT` names it, so that one build serves all.

// A test fails by a panic.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::json;
use testkit::node::{Node, NodeOptions};

const HERE: &str = env!("CARGO_MANIFEST_DIR");
const SCRATCH: &str = env!("CARGO_TARGET_TMPDIR");

static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// The patches, by name.
fn patches() -> Vec<(String, PathBuf)> {
    let files = fs::read_dir(Path::new(HERE).join("mutants")).unwrap().map(|file| file.unwrap().path());
    let patches = files.filter(|path| path.extension().is_some_and(|extension| extension == "patch"));
    let mut named: Vec<_> =
        patches.map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), path)).collect();
    named.sort();
    named
}

/// Git, in a folder that must not be taken for a part of the repository around it.
fn git(folder: &Path) -> Command {
    let mut git = Command::new("git");
    git.current_dir(folder).stdin(Stdio::null()).env("GIT_CEILING_DIRECTORIES", folder.parent().unwrap());
    git
}

/// The files that git knows of, below a folder.
fn tracked(root: &Path) -> BTreeSet<PathBuf> {
    let listed = git(root).args(["ls-files", "-z"]).output().expect("there is a git");
    assert!(listed.status.success(), "the sources are no repository: {}", String::from_utf8_lossy(&listed.stderr));
    let names = String::from_utf8(listed.stdout).unwrap();
    names.split_terminator('\0').map(PathBuf::from).filter(|name| root.join(name).is_file()).collect()
}

/// Copies files to another folder and leaves alone those that are the same, so that little is compiled again.
fn copy(names: &BTreeSet<PathBuf>, from: &Path, to: &Path) {
    for name in names {
        let (source, copy) = (from.join(name), to.join(name));
        let content = fs::read(&source).unwrap();
        if fs::read(&copy).ok().as_deref() != Some(&content[..]) {
            fs::create_dir_all(copy.parent().unwrap()).unwrap();
            fs::write(&copy, content).unwrap();
        }
    }
}

/// Every file below a folder, by its path from there.
fn all_files(root: &Path, below: &Path, files: &mut BTreeSet<PathBuf>) {
    for entry in fs::read_dir(root.join(below)).unwrap() {
        let entry = entry.unwrap();
        let name = below.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() { all_files(root, &name, files) } else { _ = files.insert(name) }
    }
}

/// A node with all mistakes in it.
fn program() -> &'static Path {
    PROGRAM.get_or_init(|| {
        let place = Path::new(SCRATCH).parent().unwrap().join("mutants");
        let (fresh, tree) = (place.join("fresh"), place.join("tree"));
        if fresh.exists() {
            fs::remove_dir_all(&fresh).unwrap();
        }
        let sources = Path::new(HERE).parent().unwrap();
        copy(&tracked(sources), sources, &fresh);
        for (name, patch) in patches() {
            let applied = git(&fresh).args(["apply", "--whitespace=nowarn"]).arg(&patch).output().unwrap();
            let said = String::from_utf8_lossy(&applied.stderr);
            assert!(applied.status.success(), "mutants/{name}.patch does not apply any more: {said}");
        }
        // Or what is compiled from it would be taken for the product's.
        let manifest = fs::read_to_string(fresh.join("Cargo.toml")).unwrap();
        let (own, mutant) = (concat!("version = \"", env!("CARGO_PKG_VERSION")), "-mutant\"");
        assert_eq!(manifest.matches(own).count(), 1, "one version for all packages");
        fs::write(fresh.join("Cargo.toml"), manifest.replace(&format!("{own}\""), &format!("{own}{mutant}"))).unwrap();
        let mut files = BTreeSet::new();
        all_files(&fresh, Path::new(""), &mut files);
        copy(&files, &fresh, &tree);
        let mut old = BTreeSet::new();
        all_files(&tree, Path::new(""), &mut old);
        old.difference(&files).for_each(|gone| fs::remove_file(tree.join(gone)).unwrap());
        testkit::build::node(&tree, SCRATCH, "mutants", &[])
    })
}

/// Guards against a patch that says nothing of itself, or that never wakes because it asks for another name.
#[test]
fn every_patch_is_explained_and_asks_for_its_own_name() {
    let table = fs::read_to_string(Path::new(HERE).join("mutants/README.md")).unwrap();
    let names: Vec<String> = patches().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), 7, "{names:?}");
    for (name, path) in patches() {
        let patch = fs::read_to_string(path).unwrap();
        for word in ["Mistake:", "Promise:", "When:", "Shows as:", "Faults:", "Rules:", "With:"] {
            assert!(patch.lines().any(|line| line.starts_with(word)), "{name}: no `{word}`");
        }
        let asked: BTreeSet<&str> =
            patch.split("is_ok_and(|name| name == \"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert_eq!(asked, BTreeSet::from([name.as_str()]), "{name}");
        assert!(table.contains(&format!("| `{name}` |")), "{name} is not in the table");
    }
}

/// Guards against a patch that no longer applies or builds, and against a mistake that does not sleep: unnamed, none is made.
#[tokio::test]
async fn a_node_with_all_mistakes_asleep_is_a_good_node() {
    let node = Node::start(NodeOptions::alone(program())).await;
    let mut ana = node.guest("Ana").await;
    let held = ana.join("r").await;
    ana.send("r", "frist").await;
    ana.say(json!({"type": "edit", "room": "r", "seq": 1, "text": "first"})).await;
    ana.heard("r", &["frist", "first"]).await;
    ana.say(json!({"type": "join", "room": "r", "after": 0, "epoch": held["epoch"]})).await;
    let again = ana.expect("joined").await;
    let messages: Vec<_> = again["messages"].as_array().unwrap().iter().map(|message| &message["text"]).collect();
    assert_eq!(messages, ["first"], "{again}");
}

/// What a patch says of itself.
fn said(name: &str, word: &str) -> String {
    let patch = fs::read_to_string(Path::new(HERE).join(format!("mutants/{name}.patch"))).unwrap();
    patch.lines().find_map(|line| line.strip_prefix(word)).unwrap().trim().to_owned()
}

/// Runs the chaos command: whether all promises held, and the rules found broken.
fn chaos(name: &str, mutant: Option<&str>, faults: &str, more: &str) -> (bool, BTreeSet<String>) {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report.json");
    let mut loadtest = Command::new(env!("CARGO_BIN_EXE_loadtest"));
    loadtest.args(["chaos", "--seed=1", "--faults", &faults.replace(", ", ",")]).args(more.split_whitespace());
    loadtest.arg("--node").arg(program()).arg("--json").arg(&report);
    loadtest.env_remove("TERTULIA_MUTANT").envs(mutant.map(|mutant| ("TERTULIA_MUTANT", mutant)));
    let output = loadtest.stdin(Stdio::null()).output().unwrap();
    let told = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let held = match output.status.code() {
        Some(0) => true,
        Some(1) => false,
        other => panic!("{name}: ended with {other:?}: {told}"),
    };
    let report: serde_json::Value = serde_json::from_slice(&fs::read(report).unwrap()).unwrap();
    let findings = report["findings"].as_array().unwrap();
    let rules = findings.iter().map(|finding| finding["rule"].as_str().unwrap().to_owned()).collect();
    println!("{name}: {told}");
    (held, rules)
}

/// Guards against a judge that sees nothing: each mistake is found, by a rule that it breaks.
fn is_caught(name: &str) {
    let (faults, rules) = (said(name, "Faults:"), said(name, "Rules:"));
    let (held, broken) = chaos(name, Some(name), &faults, &said(name, "With:"));
    assert!(!held, "{name} was not caught");
    assert!(rules.split(", ").any(|rule| broken.contains(rule)), "{name} was caught by {broken:?}, and not by {rules}");
}

#[test]
fn an_acknowledgement_before_the_commit_is_caught() {
    is_caught("ack-before-commit");
}

#[test]
fn heads_read_before_the_subscription_are_caught() {
    is_caught("heads-before-subscribe");
}

#[test]
fn ids_that_are_not_looked_up_are_caught() {
    is_caught("no-duplicate-check");
}

#[test]
fn old_versions_left_in_the_ring_are_caught() {
    is_caught("no-purge-on-edit");
}

#[test]
fn a_reconnection_without_a_look_at_the_store_is_caught() {
    is_caught("no-resync-after-reconnect");
}

#[test]
fn a_publication_before_the_commit_is_caught() {
    is_caught("publish-before-commit");
}

#[test]
fn a_ring_that_is_off_by_one_is_caught() {
    is_caught("ring-off-by-one");
}

/// Guards against a judge that cries wolf: without a mistake, the same faults break nothing.
#[test]
fn without_a_mistake_nothing_is_found() {
    let faults = "postgres-crash,commit-reply-lost,redis-kill-subscribers,storm,node-kill,deaf";
    let (held, broken) = chaos("none", None, faults, "--seconds=30");
    assert!(held, "{broken:?}");
}

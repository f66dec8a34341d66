//! `docs/security.md` names tests, so that nobody need believe it: these are there.

use std::path::{Path, PathBuf};

/// All files below a folder that may hold a test.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        if path.is_symlink() || name == "target" || name == "node_modules" {
            continue;
        }
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|kind| kind == "rs" || kind == "mjs") {
            found.push(path);
        }
    }
}

/// Guards the page against promising what nothing holds any more.
#[test]
fn every_test_that_the_page_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let (mut all, mut missing, mut named) = (Vec::new(), Vec::new(), 0);
    for folder in ["crates", "web"] {
        files(&root.join(folder), &mut all);
    }
    let page = std::fs::read_to_string(root.join("docs/security.md")).unwrap();
    for (file, test) in page.split('`').skip(1).step_by(2).filter_map(|code| code.split_once("::")) {
        named += 1;
        let is_there = |path: &&PathBuf| {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            path.ends_with(file) && (text.contains(&format!("fn {test}(")) || text.contains(&format!("test('{test}")))
        };
        if !all.iter().any(|path| is_there(&path)) {
            missing.push(format!("{file}::{test}"));
        }
    }
    assert!(missing.is_empty() && named > 50, "of {named}, missing: {missing:#?}");
}

//! Migrations are written once and only add: while a cluster is rolled, nodes of two versions work on one schema, and whoever rolls
//! back must find what it left. `docs/upgrades.md` has the rule; this holds it.

// What helps a test fails like a test.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

const DIALECTS: [&str; 2] = ["postgres", "sqlite"];

/// Files that take away what no version in use looks at any more, and why that is known. A file named here may DROP.
const MAY_DROP: [(&str, &str); 0] = [];

/// Functions that a file makes anew, and why older nodes may call them so: they take the same, give the same, and keep the same
/// promises. Nodes of all versions call the newest, and so none of them can leave out what it adds.
const MAY_REPLACE: [(&str, &[&str], &str); 2] = [
    (
        "postgres/0005_tasks.sql",
        &["tertulia_append", "tertulia_amend"],
        "a message of an older node must cause its tasks, too",
    ),
    (
        "postgres/0006_retention.sql",
        &["tertulia_append", "tertulia_amend"],
        "an older node must not give a forgotten id another number; to it the retry of one cannot be acknowledged yet, no more",
    ),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations")
}

/// All migrations, by `dialect/file`.
fn migrations() -> BTreeMap<String, String> {
    let of_dialect = |dialect: &str| {
        let files = fs::read_dir(folder().join(dialect)).unwrap().map(|entry| entry.unwrap().path());
        let sql = files.filter(|path| path.extension().is_some_and(|extension| extension == "sql"));
        sql.map(|path| {
            let name = format!("{dialect}/{}", path.file_name().unwrap().to_str().unwrap());
            (name, fs::read_to_string(path).unwrap())
        })
        .collect::<Vec<_>>()
    };
    DIALECTS.into_iter().flat_map(of_dialect).collect()
}

#[test]
fn a_migration_is_never_changed_once_it_is_written() {
    let pinned: BTreeMap<String, String> = fs::read_to_string(folder().join("CHECKSUMS"))
        .unwrap()
        .lines()
        .map(|line| line.split_once("  ").unwrap())
        .map(|(sum, name)| (name.to_owned(), sum.to_owned()))
        .collect();
    let found: BTreeMap<String, String> = migrations().into_iter().map(|(name, sql)| (name, sum_of(&sql))).collect();
    for (name, sum) in &pinned {
        assert_eq!(
            found.get(name),
            Some(sum),
            "{name} was changed or is gone: databases have it as it was. Write a new one"
        );
    }
    for (name, sum) in &found {
        assert!(pinned.contains_key(name), "a new migration: add this line to migrations/CHECKSUMS:\n{sum}  {name}");
    }
}

fn sum_of(sql: &str) -> String {
    Sha256::digest(sql.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A number means one thing, in the dialects that need it.
#[test]
fn migrations_are_numbered_from_one_without_holes() {
    let mut names: BTreeMap<u32, BTreeSet<String>> = BTreeMap::new();
    for path in migrations().into_keys() {
        let (_, name) = path.split_once('/').unwrap();
        let (number, words) = name.split_once('_').unwrap();
        let good =
            number.len() == 4 && words.bytes().all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'_' | b'.'));
        assert!(good, "{path} should be NNNN_what_it_adds.sql");
        names.entry(number.parse().unwrap()).or_default().insert(name.to_owned());
    }
    for (place, (number, names)) in names.into_iter().enumerate() {
        assert_eq!(number as usize, place + 1, "a hole before {names:?}");
        assert_eq!(names.len(), 1, "one number for different things: {names:?}");
    }
}

#[test]
fn a_migration_only_adds() {
    let mut found = Vec::new();
    for (name, sql) in migrations() {
        let may_drop = MAY_DROP.iter().any(|(file, _)| *file == name);
        let may_replace = MAY_REPLACE.iter().find(|(file, ..)| *file == name).map_or(&[][..], |(_, names, _)| names);
        found.extend(faults(&sql, may_drop, may_replace).into_iter().map(|fault| format!("{name}: {fault}")));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// What of a migration does more than add.
fn faults(sql: &str, may_drop: bool, may_replace: &[&str]) -> Vec<String> {
    let mut made_here = BTreeSet::new();
    let mut faults = Vec::new();
    for statement in statements(sql) {
        let words: Vec<&str> = statement.split(' ').collect();
        if let ["create", "table", table, ..] = words[..] {
            made_here.insert(table.to_owned());
        }
        if let Some(why) = objection(&words, &made_here, may_drop, may_replace) {
            faults.push(format!("{why}: {statement}"));
        }
    }
    faults
}

/// Why a statement may not stand in a migration. Only what is known to be harmless passes.
fn objection(
    words: &[&str],
    made_here: &BTreeSet<String>,
    may_drop: bool,
    may_replace: &[&str],
) -> Option<&'static str> {
    match words {
        ["create", "table" | "function", ..] => None,
        ["create", "index", ..] => None,
        // What older nodes write could break it.
        ["create", "unique", "index", _, "on", table, ..] if made_here.contains(*table) => None,
        ["create", "unique", ..] => Some("a unique index may refuse what the version before writes"),
        ["create", "or", "replace", "function", name, ..] if may_replace.contains(name) => None,
        ["create", "or", "replace", ..] => Some("what the version before calls must stay as it is: give it a new name"),
        ["alter", "table", _, "add", "column", _, rest @ ..] => column_objection(rest),
        // Advice to the planner.
        ["alter", "table", _, "alter", "column", _, "set", "(", ..] => None,
        ["alter", "table", ..] => Some("an existing table may only get columns"),
        ["drop", ..] if may_drop => None,
        ["drop", ..] => Some("the version before may still look at it"),
        _ => Some("this test does not know it to be harmless"),
    }
}

fn column_objection(rest: &[&str]) -> Option<&'static str> {
    let has = |word: &str| rest.contains(&word);
    let not_null = rest.windows(2).any(|two| two == ["not", "null"]);
    match () {
        () if has(",") && has("column") => Some("one column a statement"),
        () if has("unique") || has("primary") || has("check") || has("references") || has("constraint") => {
            Some("a condition may refuse what the version before writes")
        }
        () if not_null && !has("default") => Some("the version before does not fill it: it needs a default"),
        () => None,
    }
}

/// The statements, in lower case and with single spaces, without comments. Texts, quoted names and bodies of functions are
/// emptied, so that no word in them is taken for SQL.
fn statements(sql: &str) -> Vec<String> {
    let mut plain = String::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let (skip, instead) = match first {
            '-' if rest.starts_with("--") => (rest.find('\n').unwrap_or(rest.len()), " "),
            '/' if rest.starts_with("/*") => (after(rest, 2, "*/"), " "),
            '\'' => (after(rest, 1, "'"), " '' "),
            '"' => (after(rest, 1, "\""), " \"\" "),
            '$' => match rest[1..].find('$').map(|end| &rest[..end + 2]) {
                Some(tag) if tag[1..tag.len() - 1].bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') => {
                    (after(rest, tag.len(), tag), " $$ ")
                }
                _ => (1, "$"),
            },
            '(' => (1, " ( "),
            ')' => (1, " ) "),
            ',' => (1, " , "),
            _ => {
                plain.extend(first.to_lowercase());
                (first.len_utf8(), "")
            }
        };
        plain.push_str(instead);
        rest = &rest[skip..];
    }
    let tidy = |statement: &str| statement.split_whitespace().collect::<Vec<_>>().join(" ");
    plain.split(';').map(tidy).filter(|statement| !statement.is_empty()).collect()
}

/// Where the text behind the next `end` begins.
fn after(text: &str, from: usize, end: &str) -> usize {
    text[from..].find(end).map_or(text.len(), |at| from + at + end.len())
}

#[test]
fn what_only_adds_passes() {
    for good in [
        "CREATE TABLE t (a text NOT NULL, UNIQUE (a)); CREATE UNIQUE INDEX i ON t (a);",
        "create index i on messages (room, at) -- DROP TABLE messages\n;",
        "ALTER TABLE messages ADD COLUMN pinned boolean NOT NULL DEFAULT false;",
        "ALTER TABLE messages ADD COLUMN note text; ALTER TABLE messages ADD COLUMN word text DEFAULT 'DROP; TABLE''s';",
        "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $body$ DELETE FROM heads; DROP TABLE x; $body$;",
        "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $$ UPDATE heads SET head = head $$;",
        "/* RENAME */ ALTER TABLE messages ALTER COLUMN room SET (n_distinct = -0.01);",
    ] {
        assert_eq!(faults(good, false, &[]), Vec::<String>::new());
    }
    assert!(faults("DROP FUNCTION tertulia_append;", true, &[]).is_empty());
}

#[test]
fn a_function_is_made_anew_only_as_it_was() {
    let head = |sql: &str| {
        let from = sql.find("FUNCTION tertulia_").unwrap();
        let head = &sql[from..from + sql[from..].find("AS $$").unwrap()];
        head.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let all = migrations();
    for (file, names, _) in MAY_REPLACE {
        for name in names {
            let makes = |sql: &str| Some(head(&sql[sql.find(&format!("FUNCTION {name}("))?..]));
            let first = all.values().find_map(|sql| makes(sql)).unwrap();
            assert_eq!(makes(&all[file]), Some(first), "{file} makes another {name}");
        }
    }
}

#[test]
fn what_does_more_is_found() {
    for bad in [
        "DROP TABLE messages;",
        "DROP INDEX i;",
        "ALTER TABLE messages DROP COLUMN text;",
        "ALTER TABLE messages RENAME COLUMN text TO words;",
        "ALTER TABLE messages RENAME TO posts;",
        "ALTER TABLE messages ALTER COLUMN seq TYPE integer;",
        "ALTER TABLE messages ALTER COLUMN reply_to SET NOT NULL;",
        "ALTER TABLE messages ALTER COLUMN deleted DROP DEFAULT;",
        "ALTER TABLE messages ADD COLUMN pinned boolean NOT NULL;",
        "ALTER TABLE messages ADD COLUMN pinned boolean DEFAULT false UNIQUE;",
        "ALTER TABLE messages ADD COLUMN a text, ADD COLUMN b text NOT NULL DEFAULT '';",
        "ALTER TABLE messages ADD CONSTRAINT short CHECK (length(text) < 10);",
        "CREATE UNIQUE INDEX i ON messages (author);",
        "CREATE OR REPLACE FUNCTION tertulia_append() RETURNS void LANGUAGE sql AS $$ SELECT 1 $$;",
        "CREATE TRIGGER t BEFORE INSERT ON messages EXECUTE FUNCTION f();",
        "UPDATE messages SET text = '';",
        "DELETE FROM settings;",
        "TRUNCATE messages;",
        "CREATE TABLE t (a text); /* and */ drop table heads",
        "DO $$ BEGIN DROP TABLE heads; END $$;",
        "PRAGMA journal_mode = DELETE;",
    ] {
        assert!(!faults(bad, false, &["another"]).is_empty(), "{bad}");
    }
    assert!(!faults("DELETE FROM messages;", true, &[]).is_empty());
}

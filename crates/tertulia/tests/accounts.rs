//! `tertulia accounts`, as whoever runs a chat uses it.

// A test fails by a panic.
#![allow(clippy::unwrap_used)]

use testkit::errand::{self, Errand, SECRET};
use testkit::node::{Node, NodeOptions};
use testkit::postgres::Postgres;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tertulia");

/// One place to keep accounts in, and what commands say about it.
struct Chat {
    flags: Vec<String>,
}

impl Chat {
    fn accounts(&self, args: &[&str], input: &str) -> Errand {
        let args: Vec<&str> =
            ["accounts"].iter().chain(args).copied().chain(self.flags.iter().map(String::as_str)).collect();
        errand::run_with(PROGRAM, &args, &[], input)
    }

    /// All of it, as somebody does it in an afternoon.
    fn is_looked_after(&self) {
        let password = format!("{SECRET}\n");
        self.accounts(&["add", "Ana María", "--admin"], &password).well();
        self.accounts(&["add", "Ben"], &password).well();
        self.accounts(&["add", "Echo", "--bot"], "").well();
        self.accounts(&["add", "ANA  MARÍA"], &password).badly("the name is an account's");
        self.accounts(&["add", "Eve"], "short\n").badly("8 to 256 bytes");
        self.accounts(&["add", "Eve"], "").badly("8 to 256 bytes");
        assert_eq!(self.accounts(&["add", "E\nve"], &password).code, Some(2));
        assert_eq!(self.accounts(&["add"], &password).code, Some(2));
        assert_eq!(self.accounts(&["list", "Ana"], "").code, Some(2));
        assert_eq!(self.accounts(&["dance", "Ana"], "").code, Some(2));

        let listed = self.accounts(&["list"], "").well();
        let lines: Vec<&str> = listed.lines().collect();
        assert!(lines[0].contains("person, admin ") && lines[0].ends_with("  Ana María"), "{listed}");
        assert!(lines[1].contains("person ") && lines[1].ends_with("  Ben"), "{listed}");
        assert!(lines[2].contains("bot ") && lines[2].ends_with("  Echo"), "{listed}");
        assert_eq!(lines.len(), 3);

        let key = self.accounts(&["key", "echo", "--label=in the kitchen"], "");
        assert!(key.complained.contains("not shown again"));
        let token = key.well();
        assert!(token.starts_with("tk_") && token.trim_end().len() == 46, "{token}");
        self.accounts(&["key", "Echo"], "").well();
        let sessions = self.accounts(&["sessions", "Echo"], "").well();
        assert!(sessions.contains("in the kitchen") && !sessions.contains(token.trim_end()), "{sessions}");
        assert_eq!(sessions.lines().count(), 2);
        let kitchen = sessions.lines().find(|line| line.contains("in the kitchen")).unwrap();
        let id = kitchen.split_whitespace().next().unwrap();
        self.accounts(&["revoke", "Ben", "--grant", id], "").badly("no such session or key");
        self.accounts(&["revoke", "Echo", "--grant", id], "").well();
        assert_eq!(self.accounts(&["sessions", "Echo"], "").well().lines().count(), 1);
        assert!(self.accounts(&["revoke", "Echo"], "").complained.starts_with("1 of Echo's"));
        assert_eq!(self.accounts(&["sessions", "Echo"], "").well(), "");

        self.accounts(&["disable", "ben"], "").well();
        assert!(self.accounts(&["list"], "").well().contains("person, disabled "));
        self.accounts(&["key", "Ben"], "").badly("no such account");
        self.accounts(&["enable", "Ben"], "").well();
        self.accounts(&["key", "Ben"], "").well();
        self.accounts(&["password", "Ben"], "the next one\r\n").well();
        assert_eq!(self.accounts(&["sessions", "Ben"], "").well(), "", "another password ends what was");
        self.accounts(&["enable", "Eve"], "").badly("no such account");
    }
}

#[test]
fn accounts_can_be_made_before_the_first_node() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    Chat { flags: vec![format!("--data-dir={}", data.display())] }.is_looked_after();
    assert!(data.join("tertulia.db").is_file());
}

#[tokio::test]
async fn accounts_are_looked_after_beside_a_node_that_has_the_file() {
    let node = Node::start(NodeOptions::alone(PROGRAM)).await;
    Chat { flags: vec![format!("--data-dir={}", node.folder().join("data").display())] }.is_looked_after();
}

#[test]
fn accounts_are_looked_after_in_postgres() {
    Chat { flags: vec![format!("--database-url={}", Postgres::shared().database())] }.is_looked_after();
}

//! A program run to its end, as somebody at a terminal would.

use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// What came of it.
#[derive(Debug)]
pub struct Errand {
    /// How it ended; `None` if a signal did it.
    pub code: Option<i32>,
    /// Standard output.
    pub said: String,
    /// Standard error.
    pub complained: String,
}

/// Runs the program to its end, which must come within a minute: who starts to serve where it should complain is ended, and
/// has another exit code then.
///
/// # Panics
/// When it cannot be started.
pub fn run<A: AsRef<OsStr>>(program: impl AsRef<Path>, args: &[A], environment: &[(&str, &str)]) -> Errand {
    run_with(program, args, environment, "")
}

/// The same, with something on standard input.
///
/// # Panics
/// As [`run`].
pub fn run_with<A: AsRef<OsStr>>(
    program: impl AsRef<Path>,
    args: &[A],
    environment: &[(&str, &str)],
    input: &str,
) -> Errand {
    let mut child = Command::new("timeout")
        .arg("60")
        .arg(program.as_ref())
        .args(args)
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("there is a `timeout`");
    // Whoever does not read it may have left already.
    _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("its end");
    Errand {
        code: output.status.code(),
        said: String::from_utf8_lossy(&output.stdout).into_owned(),
        complained: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

impl Errand {
    /// It must have ended well: what it said.
    ///
    /// # Panics
    /// When it did not.
    pub fn well(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.said
    }

    /// It must have ended with 1 and one sentence about something, and must not have told a secret.
    ///
    /// # Panics
    /// When it did not.
    pub fn badly(self, about: &str) {
        assert!(self.code == Some(1) && self.complained.contains(about), "{about}: {self:?}");
        assert!(!self.complained.contains("panicked") && !self.complained.contains(SECRET), "{self:?}");
    }
}

/// What tests put where passwords and secrets go, and must not find again.
pub const SECRET: &str = "never-to-be-shown";

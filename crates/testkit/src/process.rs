//! Processes and folders that a test owns: they end with it, even when it is killed.
//!
//! A shell stands between us and each of them and reads from a pipe that we hold. When we let go, or die in whatever
//! way, the pipe ends and the shell clears up. (A parent-death signal would not do: it fires when the *thread* that
//! started the child ends, and each test has a thread of its own.)

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// `$1` is the signal that ends the command; the command follows. It tells the command's id, then waits until the pipe
/// ends or names another signal. The shell ignores what a terminal sends; the command must not inherit that.
/// The command is woken first, since a stopped process cannot hear anything else.
const KEEPER: &str = r#"
signal=$1; shift
trap '' INT HUP TERM
(trap - INT HUP TERM; exec "$@") </dev/null >&2 & child=$!
echo $child
read -r asked
kill -CONT $child; kill -${asked:-$signal} $child
wait $child
"#;

/// Tries for a while, because whoever writes to the folder may be ending at the same moment. The folder may be a disk of its own.
const SWEEPER: &str = r#"
trap '' INT HUP TERM
cat >/dev/null
mountpoint -q "$1" && umount -l "$1"
for _ in 1 2 3 4 5 6 7 8 9 10; do rm -rf "$1" && exit; sleep 0.3; done
"#;

/// A running program that ends when this is dropped.
#[derive(Debug)]
pub struct Daemon {
    keeper: Child,
    pid: u32,
}

impl Daemon {
    /// Starts a command, to be ended by `signal` (`TERM`, `QUIT` …). What it writes goes to `log`.
    ///
    /// # Panics
    /// When there is no shell, or the log cannot be written.
    pub fn start(signal: &str, log: &Path, command: &[&str]) -> Self {
        let log = std::fs::File::options().create(true).append(true).open(log).expect("the log can be written");
        let mut keeper = Command::new("sh")
            .args(["-c", KEEPER, "sh", signal])
            .args(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("there is a shell");
        let mut line = String::new();
        let told = BufReader::new(keeper.stdout.take().expect("it was piped")).read_line(&mut line);
        let pid = line.trim().parse().unwrap_or_else(|_| panic!("the shell tells a process id: {told:?} {line:?}"));
        Self { keeper, pid }
    }

    /// The program's process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends a signal to the program.
    pub fn signal(&self, name: &str) {
        signal(name, &[self.pid]);
    }

    /// Kills the program and all its children, and waits until none of them runs any more.
    ///
    /// Its clock is stopped first: a child born between the look and the signal would live on.
    pub fn kill_family(self) {
        self.signal("STOP");
        is_so(|| !matches!(state(self.pid), Some('R' | 'S' | 'D')));
        let family = self.family();
        signal("KILL", &family);
        is_so(|| family.iter().all(|id| matches!(state(*id), None | Some('Z' | 'X'))));
    }

    /// Sends a signal to the program and all its children.
    pub fn signal_family(&self, name: &str) {
        signal(name, &self.family());
    }

    /// The process ids of the program and all its children.
    pub fn family(&self) -> Vec<u32> {
        let mut family = vec![self.pid];
        let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", self.pid)).unwrap_or_default();
        family.extend(children.split_whitespace().filter_map(|id| id.parse::<u32>().ok()));
        family
    }

    /// Ends it by another signal and waits until it is gone.
    pub fn end_by(mut self, signal: &str) {
        if let Some(pipe) = &mut self.keeper.stdin {
            let _ = writeln!(pipe, "{signal}");
        }
        self.let_go();
    }

    /// The exit code, once the program has ended by itself; `None` while it runs.
    pub fn ended(&mut self) -> Option<i32> {
        // The shell has not looked after it yet, so what has ended is a zombie, and its number nobody else's.
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        let state = stat.rsplit_once(") ").map(|(_, rest)| rest.chars().next());
        if !matches!(state, None | Some(Some('Z'))) {
            return None;
        }
        drop(self.keeper.stdin.take());
        self.keeper.wait().ok().and_then(|status| status.code())
    }

    fn let_go(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.let_go();
    }
}

/// The letter that the system has for what a process does; `None` if there is none of that id.
fn state(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// Waits a little, for what the system does soon.
fn is_so(mut so: impl FnMut() -> bool) {
    for _ in 0..1_000 {
        if so() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

/// The shell's own `kill` needs no package; one that went already is no mistake.
fn signal(name: &str, ids: &[u32]) {
    let ids: Vec<String> = ids.iter().map(u32::to_string).collect();
    let script = format!("kill -{name} {} 2>/dev/null", ids.join(" "));
    let _ = Command::new("sh").args(["-c", &script]).status();
}

/// A temporary folder that goes when this is dropped. Drop it after whoever writes to it.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    sweeper: Child,
}

impl Folder {
    /// Makes a folder, owned by `owner` where that is somebody else than us.
    ///
    /// # Panics
    /// When there is no place for temporary files.
    pub(crate) fn make(owner: Option<&Owner>) -> Self {
        let path = TempDir::with_prefix("tertulia-").expect("temporary files can be made").keep();
        if let Some(owner) = owner {
            run("chown", &[&format!("{}:{}", owner.user, owner.group), &path.to_string_lossy()]);
        }
        let sweeper = Command::new("sh")
            .args(["-c", SWEEPER, "sh"])
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("there is a shell");
        Self { path, sweeper }
    }

    /// A folder that is a disk of its own, in memory, of so many megabytes: one that can be filled.
    ///
    /// # Panics
    /// When it cannot be mounted, which takes the rights of root.
    pub fn small_disk(megabytes: usize) -> Self {
        Self::make_small_disk(megabytes, None)
    }

    pub(crate) fn make_small_disk(megabytes: usize, owner: Option<&Owner>) -> Self {
        let folder = Self::make(owner);
        let mut options = format!("size={megabytes}m,mode=700");
        if let Some(Owner { user, group }) = owner {
            options += &format!(",uid={user},gid={group}");
        }
        run("mount", &["-t", "tmpfs", "-o", &options, "tmpfs", &folder.path.to_string_lossy()]);
        folder
    }

    /// Leaves no byte free on a small disk.
    ///
    /// # Panics
    /// When it is not full in the end.
    pub fn fill(&self) {
        let mut filler = std::fs::File::create(self.filler()).expect("a file on the disk");
        let full = (0..1 << 16).find_map(|_| filler.write_all(&[0; 1 << 16]).err());
        assert!(full.is_some(), "a small disk is full at some time");
    }

    /// Takes back what [`fill`](Self::fill) took.
    pub fn free(&self) {
        _ = std::fs::remove_file(self.filler());
    }

    fn filler(&self) -> PathBuf {
        self.path.join("filler")
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(self.sweeper.stdin.take());
        let _ = self.sweeper.wait();
    }
}

/// Runs a command to its end.
///
/// # Panics
/// When it cannot be started or fails, with what it said.
pub fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{program} cannot be started: {error}"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{program} {args:?} failed: {said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

/// A port on the loopback address that nobody listens on now.
///
/// # Panics
/// When there is none.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("there is a free port");
    listener.local_addr().expect("it has an address").port()
}

/// The numbers of a user and its group.
#[derive(Clone, Debug)]
pub(crate) struct Owner {
    pub(crate) user: String,
    pub(crate) group: String,
}

/// Whether we may do anything on this machine.
pub fn is_root() -> bool {
    run("id", &["-u"]).trim() == "0"
}

/// Who runs what refuses to be run by root: `wanted` or else `nobody`. Nobody else than us when we are not root.
pub(crate) fn humble_owner(wanted: &str) -> Option<Owner> {
    if !is_root() {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let find = |name: &str| {
        let fields: Vec<&str> = users.lines().map(|line| line.split(':').collect()).find(|f: &Vec<_>| f[0] == name)?;
        Some(Owner { user: (*fields.get(2)?).to_owned(), group: (*fields.get(3)?).to_owned() })
    };
    find(wanted).or_else(|| find("nobody"))
}

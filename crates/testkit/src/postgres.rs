//! A real Postgres for a test, in a temporary folder on a free port.
//!
//! Most tests share one server per test process and take a database each; those that stop, kill or freeze the server
//! start their own. Its settings are those of a careful operator, only smaller: commits wait for the disk.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::process::{Daemon, Folder, Owner, free_port, humble_owner, run};

/// A server, running or stopped.
#[derive(Debug)]
pub struct Postgres {
    // Fields are dropped in this order: the program before its folder.
    daemon: Option<Daemon>,
    folder: Folder,
    programs: PathBuf,
    owner: Option<Owner>,
    port: u16,
    databases: AtomicU32,
}

static SHARED: OnceLock<Postgres> = OnceLock::new();

impl Postgres {
    /// The server that this test process shares. Leave it running.
    pub fn shared() -> &'static Self {
        SHARED.get_or_init(Self::start)
    }

    /// A server of one's own, to be stopped, killed and frozen at will.
    ///
    /// # Panics
    /// When Postgres is not installed or does not start.
    pub fn start() -> Self {
        Self::start_on_disk(None)
    }

    /// The same, on a disk of its own of so many megabytes, in memory: one that can be filled.
    ///
    /// # Panics
    /// Also when such a disk cannot be mounted, which takes the rights of root.
    pub fn start_on_small_disk(megabytes: usize) -> Self {
        Self::start_on_disk(Some(megabytes))
    }

    fn start_on_disk(megabytes: Option<usize>) -> Self {
        let owner = humble_owner("postgres");
        let folder = match megabytes {
            Some(megabytes) => Folder::make_small_disk(megabytes, owner.as_ref()),
            None => Folder::make(owner.as_ref()),
        };
        let mut server =
            Self { daemon: None, folder, programs: programs(), owner, port: free_port(), databases: AtomicU32::new(0) };
        let (initdb, data) = (server.program("initdb"), server.data());
        let args = ["-D", &data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"];
        let command: Vec<&str> = server.as_owner(&initdb).into_iter().chain(args).collect();
        run(command[0], &command[1..]);
        server.start_again();
        server
    }

    /// A fresh database: its address.
    ///
    /// # Panics
    /// When the server is not running.
    pub fn database(&self) -> String {
        let name = format!("d{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.execute("postgres", &format!("CREATE DATABASE {name}"));
        self.url(&name)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The address of a database.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// Runs SQL as the superuser and returns what it says, unadorned.
    ///
    /// # Panics
    /// When it fails.
    pub fn execute(&self, database: &str, sql: &str) -> String {
        let url = self.url(database);
        run(&self.program("psql"), &["-qXAt", "-v", "ON_ERROR_STOP=1", "-d", &url, "-c", sql])
    }

    /// All of a database as SQL, as `pg_dump` gives it to whoever makes backups.
    ///
    /// # Panics
    /// When it fails.
    pub fn dump(&self, database: &str) -> String {
        let dump = run(&self.program("pg_dump"), &["--inserts", "-d", &self.url(database)]);
        // Without the words that only psql itself knows.
        dump.lines().filter(|line| !line.starts_with('\\')).map(|line| format!("{line}\n")).collect()
    }

    /// Stops it in an orderly way: open connections are told and cut.
    pub fn stop(&mut self) {
        if let Some(daemon) = self.daemon.take() {
            daemon.signal_family("CONT");
            daemon.end_by("INT");
        }
    }

    /// Kills it on the spot, as a power cut would.
    pub fn kill(&mut self) {
        if let Some(daemon) = self.daemon.take() {
            // A child that lived on would keep the server's memory from the next one.
            daemon.kill_family();
        }
    }

    /// Starts it on the same data and port, and waits until it takes connections.
    ///
    /// # Panics
    /// When it does not within half a minute.
    pub fn start_again(&mut self) {
        self.start_without_waiting();
        let ready = self.program("pg_isready");
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            let port = self.port.to_string();
            let args = ["-q", "-h", "127.0.0.1", "-p", &port];
            let asked = Command::new(&ready).args(args).stdin(Stdio::null()).status();
            if asked.is_ok_and(|status| status.success()) {
                return;
            }
            assert!(Instant::now() < until, "Postgres does not start: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn start_without_waiting(&mut self) {
        let (postgres, data, port) = (self.program("postgres"), self.data(), self.port.to_string());
        let mut command = self.as_owner(&postgres);
        command.extend(["-D", &data, "-p", &port, "-h", "127.0.0.1"]);
        // The log's own collector and the socket folder would need places outside the temporary folder.
        for setting in [
            "unix_socket_directories=",
            "shared_buffers=32MB",
            "max_connections=200",
            "max_wal_size=256MB",
            "log_min_messages=warning",
            "jit=off",
        ] {
            command.extend(["-c", setting]);
        }
        let daemon = Daemon::start("QUIT", &self.folder.path().join("log"), &command);
        self.daemon = Some(daemon);
    }

    /// Stops its clock: it is there, takes connections, and answers nothing.
    pub fn freeze(&self) {
        self.daemon.iter().for_each(|daemon| daemon.signal_family("STOP"));
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.daemon.iter().for_each(|daemon| daemon.signal_family("CONT"));
    }

    /// Leaves no byte free on its disk, which should be a small one.
    ///
    /// # Panics
    /// When it is not full in the end.
    pub fn fill_disk(&self) {
        self.folder.fill();
    }

    /// Makes room again, and starts the server if it gave up meanwhile.
    ///
    /// # Panics
    /// When the server does not start.
    pub fn free_disk(&mut self) {
        self.folder.free();
        if self.daemon.as_mut().is_none_or(|daemon| daemon.ended().is_some()) {
            self.start_again();
        }
    }

    /// While it is stopped: makes it come back as a standby without a primary, as after a failover to the wrong side.
    ///
    /// # Panics
    /// When its folder cannot be written.
    pub fn demote(&self) {
        let mark = Path::new(&self.data()).join("standby.signal");
        std::fs::write(mark, "").expect("the data folder can be written");
    }

    /// What the server wrote to its log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Where it keeps everything.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The process id of the running server.
    pub fn pid(&self) -> Option<u32> {
        self.daemon.as_ref().map(Daemon::pid)
    }

    /// The process ids of the running server and all its children.
    pub fn family(&self) -> Vec<u32> {
        self.daemon.as_ref().map(Daemon::family).unwrap_or_default()
    }

    fn data(&self) -> String {
        self.folder.path().join("data").to_string_lossy().into_owned()
    }

    fn program(&self, name: &str) -> String {
        self.programs.join(name).to_string_lossy().into_owned()
    }

    fn as_owner<'a>(&'a self, program: &'a str) -> Vec<&'a str> {
        match &self.owner {
            Some(owner) => {
                vec!["setpriv", "--reuid", &owner.user, "--regid", &owner.group, "--clear-groups", "--", program]
            }
            None => vec![program],
        }
    }
}

/// The folder of the newest installed version, or that of a `postgres` on the path.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions
        .filter_map(|version| {
            let number: u32 = version.file_name().to_str()?.parse().ok()?;
            Some((number, version.path().join("bin")))
        })
        .filter(|(_, bin)| bin.join("postgres").exists())
        .max();
    if let Some((_, bin)) = newest {
        return bin;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).find(|bin| bin.join("initdb").exists()).unwrap_or_else(|| {
        panic!("Postgres is not installed: `scripts/install-test-tools` brings it, and `make test` runs that first")
    })
}

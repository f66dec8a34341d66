//! The wall clock of one node, moved by `libfaketime` while the node runs. Its steady clock stays right, as on a real machine.

use std::fs;
use std::path::PathBuf;

use tempfile::NamedTempFile;
use testkit::node::NodeOptions;

/// A file that the library reads whenever the node asks for the time.
pub(crate) struct FakeClock {
    library: PathBuf,
    offset: NamedTempFile,
}

impl FakeClock {
    /// The right time, until it is moved; `None` where `libfaketime` is not installed or there is no place for its file.
    pub(crate) fn find() -> Option<Self> {
        let folders = fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path());
        let library =
            folders.map(|folder| folder.join("faketime/libfaketimeMT.so.1")).find(|library| library.exists())?;
        let clock = Self { library, offset: NamedTempFile::new().ok()? };
        clock.step(0);
        Some(clock)
    }

    /// Moves the clock: seconds from the right time.
    pub(crate) fn step(&self, seconds: i64) {
        _ = fs::write(self.offset.path(), format!("{seconds:+}\n"));
    }

    pub(crate) fn with(&self, options: NodeOptions) -> NodeOptions {
        options
            .with("LD_PRELOAD", self.library.display())
            .with("FAKETIME_TIMESTAMP_FILE", self.offset.path().display())
            .with("FAKETIME_NO_CACHE", 1)
            .with("FAKETIME_DONT_FAKE_MONOTONIC", 1)
    }
}

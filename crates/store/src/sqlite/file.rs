//! The file, and that it is ours alone.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use crate::StoreError;

/// What to do about a place that is closed to us.
pub(super) const MAY_WRITE: &str = "let whoever runs this program write there, or name another place";

/// The path in `sqlite://path`, `sqlite:path` or a plain path.
pub(super) fn path(path_or_url: &str) -> Result<PathBuf, StoreError> {
    let path = path_or_url.strip_prefix("sqlite:").unwrap_or(path_or_url);
    let path = path.strip_prefix("//").unwrap_or(path);
    // A scheme that we do not know is a mistake, not a folder to be made.
    if path.is_empty() || path == ":memory:" || path.contains('?') || path.contains("://") {
        // All but the scheme may hold a password.
        let shown = path_or_url.split_once("://").map_or(path_or_url.into(), |(scheme, _)| format!("{scheme}://…"));
        return Err(StoreError::Refused(format!(
            "{shown:?} names no store that we know: give postgres://user:password@host/database, or sqlite: and a path"
        )));
    }
    Ok(PathBuf::from(path))
}

/// Makes the folder and takes the lock, a file of its own beside the database: SQLite's own locks come and go with each
/// transaction. The system lets go of it when the process ends, however it ends.
pub(super) fn own(path: &Path) -> Result<File, StoreError> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|error| {
            StoreError::Refused(format!("the folder {} cannot be made: {error}; {MAY_WRITE}", folder.display()))
        })?;
    }
    let name = lock_name(path);
    let file =
        File::options().create(true).truncate(false).write(true).open(&name).map_err(|error| {
            StoreError::Refused(format!("{} cannot be written: {error}; {MAY_WRITE}", name.display()))
        })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Refused(format!(
            "another node uses {}: one SQLite file serves one node at a time, and several nodes need Postgres",
            path.display()
        ))),
        Err(TryLockError::Error(error)) => {
            Err(StoreError::Refused(format!("{} cannot be locked: {error}", name.display())))
        }
    }
}

fn lock_name(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}

/// Whether a node holds the file now.
pub(super) fn is_in_use(path: &Path) -> bool {
    File::open(lock_name(path)).is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

/// For whoever only reads: a wrong path must not make a file.
pub(super) fn must_exist(path: &Path) -> Result<(), StoreError> {
    match path.is_file() {
        true => Ok(()),
        false => Err(StoreError::Refused(format!("there is no file {}", path.display()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_may_be_plain_or_an_address() {
        for (given, read) in [("a/b.db", "a/b.db"), ("sqlite:a.db", "a.db"), ("sqlite:///a/b.db", "/a/b.db")] {
            assert_eq!(path(given).unwrap(), PathBuf::from(read), "{given}");
        }
        for bad in ["", "sqlite:", "sqlite::memory:", "sqlite://a.db?mode=ro"] {
            assert!(matches!(path(bad), Err(StoreError::Refused(_))), "{bad}");
        }
    }
}

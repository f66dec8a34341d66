//! The configuration file: each flag is a key.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches};

/// What a file decides.
pub(super) struct Found {
    pub(super) path: PathBuf,
    /// Key, and the flag that says the same; none for a switch that is off and for an empty list.
    keys: Vec<(String, Option<String>)>,
}

impl Found {
    pub(super) fn flags(&self) -> impl Iterator<Item = OsString> {
        self.keys.iter().filter_map(|(_, flag)| flag.as_ref().map(OsString::from))
    }

    pub(super) fn decides(&self, key: &str) -> bool {
        self.keys.iter().any(|(name, _)| name == key)
    }
}

/// Reads the file, and leaves out what a flag or a variable has already decided.
pub(super) fn read(path: &Path, known: &[Arg], given: &ArgMatches) -> Result<Found, String> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| format!("{shown} cannot be read: {error}"))?;
    let table: toml::Table =
        text.parse().map_err(|error| format!("{shown} is not TOML: {}", complaint(&text, &error)))?;
    let mut keys = Vec::new();
    for (key, value) in &table {
        let Some(arg) = known.iter().find(|arg| arg.get_long() == Some(key.as_str()) && key != "config") else {
            return Err(format!("{shown}: there is no setting `{key}`; `tertulia serve --help` lists them"));
        };
        let decided = given.value_source(arg.get_id().as_str());
        if matches!(decided, Some(ValueSource::CommandLine | ValueSource::EnvVariable)) {
            continue;
        }
        let is_switch = !arg.get_action().takes_values();
        let flag = match value {
            toml::Value::Boolean(true) if is_switch => Some(format!("--{key}")),
            toml::Value::Boolean(false) if is_switch => None,
            toml::Value::Array(items) if items.is_empty() => None,
            value => {
                let value =
                    plain(value).ok_or(format!("{shown}: `{key}` must be text, a number, true, false or a list"))?;
                Some(format!("--{key}={value}"))
            }
        };
        keys.push((key.clone(), flag));
    }
    Ok(Found { path: path.to_owned(), keys })
}

/// Where and why, without the line itself: it may hold a secret.
fn complaint(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    format!("line {}: {}", before.matches('\n').count() + 1, error.message().replace('\n', ", "))
}

fn plain(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Array(items) => items.iter().map(plain).collect::<Option<Vec<_>>>().map(|items| items.join(",")),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(yes) => Some(yes.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Datetime(_) | toml::Value::Table(_) => None,
    }
}

//! Where each setting came from, for whoever wonders.

use std::any::TypeId;
use std::fmt;
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches};

use super::file::Found;
use crate::mask::mask;

/// A setting in force.
pub(crate) struct Setting {
    /// The name of its flag, and its key in a file.
    pub(crate) key: String,
    /// `None` if nothing was said and there is no default.
    pub(crate) value: Option<Value>,
    pub(crate) source: Source,
    /// Whether something was left out of the value that must not be shown.
    pub(crate) is_masked: bool,
}

/// A value, as a file has it.
pub(crate) enum Value {
    Text(String),
    Number(String),
    Switch(bool),
    List(Vec<String>),
}

/// Who decided.
pub(crate) enum Source {
    Flag,
    Variable(String),
    File(PathBuf),
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("flag"),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// All settings, in the order of the help.
pub(super) fn told(known: &[Arg], given: &ArgMatches, file: Option<&Found>) -> Vec<Setting> {
    known.iter().filter_map(|arg| setting(arg, given, file)).collect()
}

fn setting(arg: &Arg, given: &ArgMatches, file: Option<&Found>) -> Option<Setting> {
    let (key, id) = (arg.get_long()?, arg.get_id().as_str());
    if key == "config" {
        return None;
    }
    let source = match (given.value_source(id), file, arg.get_env()) {
        (_, Some(file), _) if file.decides(key) => Source::File(file.path.clone()),
        (Some(ValueSource::CommandLine), ..) => Source::Flag,
        (Some(ValueSource::EnvVariable), _, Some(name)) => Source::Variable(name.to_string_lossy().into_owned()),
        _ => Source::Default,
    };
    // What is set and empty counts as not given.
    let raw = given.get_raw(id).into_iter().flatten().map(|raw| raw.to_string_lossy().into_owned());
    let words: Vec<String> = raw.filter(|word| !word.is_empty()).collect();
    let is_secret = arg.is_hide_env_values_set();
    let shown: Vec<String> = words.iter().map(|word| if is_secret { mask(key, word) } else { word.clone() }).collect();
    let is_masked = shown != words;
    let value = if !arg.get_action().takes_values() {
        Some(Value::Switch(given.get_flag(id)))
    } else if arg.get_value_delimiter().is_some() {
        Some(Value::List(shown))
    } else {
        shown.into_iter().next().map(|word| if is_number(arg, &word) { Value::Number(word) } else { Value::Text(word) })
    };
    Some(Setting { key: key.into(), value, source, is_masked })
}

fn is_number(arg: &Arg, word: &str) -> bool {
    let parsed = arg.get_value_parser().type_id();
    let numbers = [TypeId::of::<u32>(), TypeId::of::<u64>(), TypeId::of::<usize>(), TypeId::of::<f64>()];
    // What TOML would not write so (.5, 007) is text, which a file may have as well.
    numbers.iter().any(|number| parsed == *number) && word.parse::<toml::Value>().is_ok()
}

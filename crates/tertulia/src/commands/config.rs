//! `tertulia config`: the settings in force, as a file that could be used.

use std::fmt::Write;

use crate::config::{ServeConfig, Setting, Source, Value};
use crate::node::StartError;
use crate::open;

/// Shows them.
pub(crate) fn run(config: &ServeConfig, settings: &[Setting]) -> Result<(), StartError> {
    super::say(page(config, settings))
}

/// What was masked and what is not set stand in comments: with a mask for its value a setting would be a wrong one.
fn page(config: &ServeConfig, settings: &[Setting]) -> String {
    let mut page = String::from("# The settings in force, and where each comes from.\n");
    for setting in settings {
        let key = &setting.key;
        // Writing to a string does not fail.
        let _ = match &setting.value {
            Some(value) if setting.is_masked => {
                writeln!(page, "# {key} = {} # {}; not shown whole", toml(value), source(&setting.source))
            }
            Some(value) => writeln!(page, "{key} = {} # {}", toml(value), source(&setting.source)),
            None => writeln!(page, "# {key} is not set: {}", unset(key, config)),
        };
    }
    page
}

/// A path may hold anything, a comment no line break.
fn source(source: &Source) -> String {
    source.to_string().replace(char::is_control, "?")
}

/// What it means that nothing was said.
fn unset(key: &str, config: &ServeConfig) -> String {
    match key {
        "database-url" => format!("messages are kept in {}", open::Place::of(config).shown()),
        "redis-url" => "one node, without Redis".into(),
        "node-name" => format!("the host name, {}", config.node_name()),
        "secret" => "made once and kept in the store".into(),
        "otlp-endpoint" => "nothing is traced".into(),
        "otlp-service" => "traces call this chat tertulia".into(),
        _ => "none".into(),
    }
}

fn toml(value: &Value) -> String {
    match value {
        Value::Text(text) => quoted(text),
        Value::Number(number) => number.clone(),
        Value::Switch(on) => on.to_string(),
        Value::List(items) => format!("[{}]", items.iter().map(|item| quoted(item)).collect::<Vec<_>>().join(", ")),
    }
}

/// A basic string. JSON's is one, but for the one control character that JSON leaves as it is.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

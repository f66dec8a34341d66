//! `tertulia migrate`: the schema, and nothing else.

use super::say;
use crate::config::ServeConfig;
use crate::node::StartError;
use crate::open;

/// Applies what is missing and says what that was. Several may do so at once, nodes among them: the first works, the others
/// wait and find nothing left to do.
pub(crate) async fn run(config: &ServeConfig) -> Result<(), StartError> {
    let applied = open::migrate(config).await?;
    let place = open::Place::of(config).shown();
    for step in &applied {
        say(format_args!("applied migration {}: {}\n", step.version, step.name))?;
    }
    let sum = match applied.len() {
        0 => "nothing to do, the schema is up to date".to_owned(),
        1 => "up to date, 1 migration was applied".to_owned(),
        count => format!("up to date, {count} migrations were applied"),
    };
    say(format_args!("{place}: {sum}\n"))
}

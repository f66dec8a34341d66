//! `tertulia migrate`: the schema, and nothing else.

use crate::config::ServeConfig;
use crate::node::StartError;
use crate::open;

/// Applies what is missing and says what that was. Several may do so at once, nodes among them: the first works, the others
/// wait and find nothing left to do.
pub(crate) async fn run(config: &ServeConfig) -> Result<(), StartError> {
    let applied = open::migrate(config).await?;
    let place = open::Place::of(config).shown();
    for step in &applied {
        println!("applied migration {}: {}", step.version, step.name);
    }
    match applied.len() {
        0 => println!("{place}: nothing to do, the schema is up to date"),
        1 => println!("{place}: up to date, 1 migration was applied"),
        count => println!("{place}: up to date, {count} migrations were applied"),
    }
    Ok(())
}

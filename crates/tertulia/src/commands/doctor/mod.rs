//! `tertulia doctor`: looks at all that a node would lean on, and changes nothing.

mod database;
mod machine;
mod redis;
mod report;

use crate::config::DoctorConfig;
use crate::node::StartError;
use report::Report;

/// Whether there is no problem. Warnings are none.
pub(crate) async fn run(asked: &DoctorConfig) -> Result<bool, StartError> {
    let mut report = Report::default();
    database::look(&asked.config, &mut report).await;
    redis::look(&asked.config, &mut report).await;
    machine::open_files(asked.connections, &mut report);
    machine::door(asked.config.listen, &mut report).await;
    super::say(&report)?;
    Ok(report.is_clear())
}

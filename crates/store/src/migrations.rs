//! What a failed migration means.

use sqlx::migrate::MigrateError;

use crate::StoreError;

/// `of_database` judges what the database itself said.
pub(crate) fn failed(error: MigrateError, of_database: impl Fn(&sqlx::Error) -> StoreError) -> StoreError {
    match error {
        MigrateError::Execute(error) => of_database(&error),
        MigrateError::ExecuteMigration(error, version) => match of_database(&error) {
            StoreError::Refused(why) => StoreError::Refused(format!("migration {version} failed: {why}")),
            passing => passing,
        },
        MigrateError::VersionMissing(version) => StoreError::Refused(format!(
            "its data was written by a newer version of this program (migration {version}): start that version or a newer one"
        )),
        MigrateError::VersionMismatch(version) => StoreError::Refused(format!(
            "its migration {version} differs from this program's: the two do not come from the same release"
        )),
        other => StoreError::Refused(other.to_string()),
    }
}

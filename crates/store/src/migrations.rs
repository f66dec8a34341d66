//! The schema: bringing it up to date, and how it stands.

use sqlx::migrate::{AppliedMigration, Migrate, MigrateError, Migration, Migrator};

use crate::StoreError;

/// Where the library notes what was applied.
const TABLE: &str = "_sqlx_migrations";

/// One migration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its number.
    pub version: i64,
    /// What it adds.
    pub name: String,
}

impl From<&Migration> for Step {
    fn from(migration: &Migration) -> Self {
        Self { version: migration.version, name: migration.description.to_string() }
    }
}

/// How a database's schema stands to this program's migrations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schema {
    /// Applied, and known to us.
    pub applied: Vec<Step>,
    /// Not applied yet.
    pub pending: Vec<Step>,
    /// Applied by a newer version of this program.
    pub newer: Vec<i64>,
}

impl Schema {
    /// # Errors
    /// When a migration that was applied is not the one that we know by its number.
    pub(crate) fn read(migrator: &Migrator, found: &[AppliedMigration]) -> Result<Self, MigrateError> {
        let mut schema = Self::default();
        for migration in migrator.iter() {
            match found.iter().find(|applied| applied.version == migration.version) {
                None => schema.pending.push(migration.into()),
                Some(applied) if applied.checksum == migration.checksum => schema.applied.push(migration.into()),
                Some(_) => return Err(MigrateError::VersionMismatch(migration.version)),
            }
        }
        schema.newer = found.iter().map(|applied| applied.version).filter(|v| !migrator.version_exists(*v)).collect();
        Ok(schema)
    }

    fn refuse_newer(&self, allow_newer: bool) -> Result<(), MigrateError> {
        match self.newer.first() {
            Some(version) if !allow_newer => Err(MigrateError::VersionMissing(*version)),
            _ => Ok(()),
        }
    }

    /// For whoever only reads: nothing may be missing.
    pub(crate) fn refuse_unfinished(&self, allow_newer: bool) -> Result<(), StoreError> {
        self.refuse_newer(allow_newer)
            .map_err(|error| failed(error, |error| StoreError::Refused(error.to_string())))?;
        match self.pending.first() {
            Some(step) => Err(StoreError::Refused(format!(
                "its schema is older than this program (it lacks migration {}): run `tertulia migrate` first",
                step.version
            ))),
            None => Ok(()),
        }
    }
}

/// Applies what is missing, one caller at a time, and says what that was.
pub(crate) async fn run(
    migrator: &Migrator,
    connection: &mut impl Migrate,
    allow_newer: bool,
) -> Result<Vec<Step>, MigrateError> {
    connection.lock().await?;
    connection.ensure_migrations_table(TABLE).await?;
    if let Some(version) = connection.dirty_version(TABLE).await? {
        return Err(MigrateError::Dirty(version));
    }
    let schema = found(migrator, connection).await?;
    schema.refuse_newer(allow_newer)?;
    for version in &schema.newer {
        tracing::warn!(version, "a newer version of this program has migrated this database: serving on it as allowed");
    }
    for migration in migrator.iter().filter(|one| schema.pending.iter().any(|step| step.version == one.version)) {
        connection.apply(TABLE, migration).await?;
    }
    connection.unlock().await?;
    Ok(schema.pending)
}

/// How the schema stands, where the library's table is there already.
pub(crate) async fn found(migrator: &Migrator, connection: &mut impl Migrate) -> Result<Schema, MigrateError> {
    Schema::read(migrator, &connection.list_applied_migrations(TABLE).await?)
}

/// What a failure means. `of_database` judges what the database itself said.
pub(crate) fn failed(error: MigrateError, of_database: impl Fn(&sqlx::Error) -> StoreError) -> StoreError {
    match error {
        MigrateError::Execute(error) => of_database(&error),
        MigrateError::ExecuteMigration(error, version) => match of_database(&error) {
            StoreError::Refused(why) => StoreError::Refused(format!("migration {version} failed: {why}")),
            passing => passing,
        },
        MigrateError::VersionMissing(version) => StoreError::Refused(format!(
            "its data was written by a newer version of this program (migration {version}): start that version or a newer \
             one, or give --allow-newer-migrations to go back to this one for a while"
        )),
        MigrateError::VersionMismatch(version) => StoreError::Refused(format!(
            "its migration {version} differs from this program's: the two do not come from the same release; start the \
             release that made it"
        )),
        other => StoreError::Refused(other.to_string()),
    }
}

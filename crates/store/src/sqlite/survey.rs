//! A look at a file from outside.

use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;

use super::connect::{self, Kind, SqliteOpener};
use super::{SqliteConfig, SqliteStore, faults, file};
use crate::StoreError;
use crate::seats::Opener;
use crate::survey::{LoneFile, Survey};

impl SqliteStore {
    /// Looks at a file and changes nothing, also while a node uses it.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when the address is malformed, or the file is no database or cannot be read.
    pub async fn survey(path_or_url: &str, config: &SqliteConfig) -> Result<Survey, StoreError> {
        let path = file::path(path_or_url)?;
        let exists = path.exists();
        let mut connection = match exists {
            true => SqliteOpener::new(&path, config, Kind::Reader).open().await?,
            false => SqliteConnection::connect("sqlite::memory:").await.map_err(|error| faults::judge(&error))?,
        };
        let version: String = sqlx::query_scalar("SELECT sqlite_version()")
            .fetch_one(&mut connection)
            .await
            .map_err(|error| faults::judge(&error))?;
        let schema = connect::schema(&mut connection).await?;
        SqliteOpener::close(connection).await;
        let file = Some(LoneFile { exists, in_use: file::is_in_use(&path), path });
        Ok(Survey { product: format!("SQLite {version}"), schema, durability: None, server: None, file })
    }
}

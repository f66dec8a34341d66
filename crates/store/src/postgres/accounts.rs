//! Accounts and grants, on the readers' connections: nobody's messages wait for them.

use std::time::Duration;

use async_trait::async_trait;
use proto::{Timestamp, UserId};
use sqlx::postgres::PgConnection;
use sqlx::{Connection, FromRow};
use tokio::time::timeout;
use uuid::Uuid;

use super::{PgQuery, PostgresStore, faults, rows_of};
use crate::StoreError;
use crate::accounts::{
    self, ACCOUNT_BY_ID, ACCOUNT_BY_KEY, ACCOUNTS, Account, AccountRow, Accounts, Alteration, By, Credentials,
    CredentialsRow, Ended, EndedRow, Grant, GrantHash, GrantKind, GrantRow, Granted, GrantedRow, NewAccount, NewGrant,
    RevocationRow, Revocations, Revoke, SET_ADMIN, SET_DISABLED, SET_PASSWORD, millis,
};
use crate::moment::Moment;
use crate::row::{column, one_more};

/// Does nothing where the name is taken; whose it is then stands in the table.
const CREATE_ACCOUNT: &str = "
    INSERT INTO accounts (id, name, name_key, password_hash, kind, admin, created_at)
    VALUES ($1, $2, $3, $4, $5, $6, clock_timestamp()) ON CONFLICT DO NOTHING";

const TAKEN: &str = "SELECT name_key FROM accounts WHERE name_key = ANY($1)";

/// The lock on the account makes this wait for an alteration under way, or the alteration for this: so a grant that must not
/// be is either not made, or seen by whoever ends them.
const CREATE_GRANT: &str = "
    WITH owner AS (
        SELECT a.id, clock_timestamp() AS now FROM accounts a
        WHERE a.id = $2 AND NOT a.disabled AND ($9::text IS NULL OR a.password_hash = $9) FOR SHARE
    )
    INSERT INTO grants (id, account, kind, hash, label, agent, address, created_at, used_at, expires_at)
    SELECT $1, o.id, $3, $4, $5, $6, $7, o.now, o.now, o.now + $8::bigint * interval '1 millisecond' FROM owner o
    RETURNING id, account, kind, label, agent, address, created_at, used_at, expires_at";

macro_rules! grant {
    ($rest:literal) => {
        concat!(
            "SELECT g.id, g.account, g.kind, g.label, g.agent, g.address, g.created_at, g.used_at, g.expires_at,
                a.name, a.kind AS account_kind, a.admin, a.disabled, a.created_at AS account_created_at,
                g.hash, clock_timestamp() AS read_at
            FROM grants g JOIN accounts a ON a.id = g.account
            WHERE g.revoked_at IS NULL AND (g.expires_at IS NULL OR g.expires_at > clock_timestamp())
                AND NOT a.disabled ",
            $rest
        )
    };
}
const GRANTS: &str = grant!("AND (g.hash = ANY($1) OR g.id = ANY($2))");
const GRANTS_OF: &str = grant!("AND g.account = $1 AND g.kind = $2 ORDER BY g.created_at DESC LIMIT $3");
const HOLDING: &str = grant!("AND g.id = ANY($1)");

const TOUCH: &str = "
    UPDATE grants SET used_at = clock_timestamp(),
        expires_at = clock_timestamp() + $2::bigint * interval '1 millisecond'
    WHERE id = ANY($1) AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > clock_timestamp())";
const REVOKE_ONE: &str = "
    UPDATE grants SET revoked_at = coalesce(revoked_at, clock_timestamp()) WHERE id = $2 AND account = $1
    RETURNING id, hash";
const REVOKE_ALL: &str = "
    UPDATE grants SET revoked_at = clock_timestamp()
    WHERE account = $1 AND revoked_at IS NULL AND id IS DISTINCT FROM $2 RETURNING id, hash";
const REVOKED_AFTER: &str = "
    SELECT clock_timestamp() AS read_at, g.id, g.revoked_at
    FROM (VALUES (0)) one LEFT JOIN grants g ON g.revoked_at > $1 ORDER BY g.revoked_at LIMIT $2";
const FORGET: &str = "
    WITH long_ago AS (SELECT clock_timestamp() - $1::bigint * interval '1 millisecond' AS moment), gone AS (
        DELETE FROM grants WHERE id IN (
            (SELECT g.id FROM grants g, long_ago WHERE g.revoked_at < long_ago.moment LIMIT $2)
            UNION ALL
            (SELECT g.id FROM grants g, long_ago WHERE g.expires_at < long_ago.moment LIMIT $2)
        ) RETURNING id
    )
    SELECT count(*) AS count FROM gone";

#[derive(FromRow)]
struct Key {
    name_key: String,
}

#[derive(FromRow)]
struct Count {
    count: i64,
}

impl PostgresStore {
    async fn people<T>(&self, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        self.metrics.watch(&self.metrics.people, call).await
    }

    /// One of several statements in one transaction. A failure of any closes the connection, and Postgres rolls back.
    async fn alter(&self, id: UserId, alteration: &Alteration<'_>) -> Result<Option<Vec<Ended>>, StoreError> {
        let mut seat = self.readers.take().await?;
        let ended = timeout(self.config.answer_timeout, alter(&mut seat.connection, id, alteration))
            .await
            .map_err(|_| StoreError::Away("it does not answer".into()))??;
        seat.give_back();
        Ok(ended)
    }
}

async fn alter(
    connection: &mut PgConnection,
    id: UserId,
    alteration: &Alteration<'_>,
) -> Result<Option<Vec<Ended>>, StoreError> {
    let judge = |error| faults::judge(&error).error;
    let mut transaction = connection.begin().await.map_err(judge)?;
    let statement = match *alteration {
        Alteration::Password(hash, _) => sqlx::query(SET_PASSWORD).bind(id.0).bind(hash),
        Alteration::Disabled(disabled) => sqlx::query(SET_DISABLED).bind(id.0).bind(disabled),
        Alteration::Admin(admin) => sqlx::query(SET_ADMIN).bind(id.0).bind(admin),
    };
    let found = statement.fetch_optional(&mut *transaction).await.map_err(judge)?;
    let rows = match alteration.ends() {
        // A statement of its own: it sees what was granted while the one before waited.
        Some(which) => revoke(id, which).fetch_all(&mut *transaction).await.map_err(judge)?,
        None => Vec::new(),
    };
    transaction.commit().await.map_err(judge)?;
    found.map(|_| ended(rows_of(&rows)?)).transpose()
}

fn revoke(account: UserId, which: Revoke) -> PgQuery {
    match which {
        Revoke::One(id) => sqlx::query(REVOKE_ONE).bind(account.0).bind(id),
        Revoke::AllBut(id) => sqlx::query(REVOKE_ALL).bind(account.0).bind(id),
    }
}

fn ended(rows: Vec<EndedRow>) -> Result<Vec<Ended>, StoreError> {
    rows.into_iter().map(EndedRow::read).collect()
}

#[async_trait]
impl Accounts for PostgresStore {
    async fn create_account(&self, new: &NewAccount<'_>) -> Result<Option<Account>, StoreError> {
        self.people(async {
            let insert = sqlx::query(CREATE_ACCOUNT)
                .bind(new.id.0)
                .bind(new.name.as_str().to_owned())
                .bind(new.key.to_owned())
                .bind(new.password_hash.map(str::to_owned))
                .bind(new.kind.as_str())
                .bind(new.admin);
            self.ask(&self.readers, insert).await?;
            let rows = self.ask_twice(|| sqlx::query(ACCOUNT_BY_KEY).bind(new.key.to_owned())).await?;
            let found = rows_of::<AccountRow>(&rows)?.pop().map(AccountRow::read).transpose()?;
            Ok(found.filter(|account| account.id == new.id))
        })
        .await
    }

    async fn account(&self, by: By<'_>) -> Result<Option<Credentials>, StoreError> {
        let ask = || match by {
            By::Id(id) => sqlx::query(ACCOUNT_BY_ID).bind(id.0),
            By::Key(key) => sqlx::query(ACCOUNT_BY_KEY).bind(key.to_owned()),
        };
        self.people(async {
            let found = rows_of::<CredentialsRow>(&self.ask_twice(ask).await?)?.pop();
            found.map(CredentialsRow::read).transpose()
        })
        .await
    }

    async fn taken(&self, keys: &[String]) -> Result<Vec<String>, StoreError> {
        self.people(async {
            let rows = self.ask_twice(|| sqlx::query(TAKEN).bind(keys.to_vec())).await?;
            Ok(rows_of::<Key>(&rows)?.into_iter().map(|row| row.name_key).collect())
        })
        .await
    }

    async fn accounts(&self, after: &str, limit: usize) -> Result<Vec<Account>, StoreError> {
        self.people(async {
            let ask = || sqlx::query(ACCOUNTS).bind(after.to_owned()).bind(column(limit as u64));
            rows_of::<AccountRow>(&self.ask_twice(ask).await?)?.into_iter().map(AccountRow::read).collect()
        })
        .await
    }

    async fn alter_account(&self, id: UserId, alteration: &Alteration<'_>) -> Result<Option<Vec<Ended>>, StoreError> {
        self.people(self.alter(id, alteration)).await
    }

    async fn create_grant(&self, new: &NewGrant<'_>) -> Result<Option<Grant>, StoreError> {
        self.people(async {
            let insert = sqlx::query(CREATE_GRANT)
                .bind(new.id)
                .bind(new.account.0)
                .bind(new.kind.as_str())
                .bind(new.hash.to_vec())
                .bind(new.label.map(str::to_owned))
                .bind(new.agent.map(str::to_owned))
                .bind(new.address.map(str::to_owned))
                .bind(new.life.map(millis))
                .bind(new.by_password.map(str::to_owned));
            let rows = self.ask(&self.readers, insert).await?;
            rows_of::<GrantRow>(&rows)?.pop().map(GrantRow::read).transpose()
        })
        .await
    }

    async fn grants(&self, hashes: &[GrantHash], ids: &[Uuid]) -> Result<Vec<(GrantHash, Granted)>, StoreError> {
        let hashes: Vec<Vec<u8>> = hashes.iter().map(|hash| hash.to_vec()).collect();
        self.people(async {
            let ask = || sqlx::query(GRANTS).bind(hashes.clone()).bind(ids.to_vec());
            rows_of::<GrantedRow>(&self.ask_twice(ask).await?)?.into_iter().map(GrantedRow::read).collect()
        })
        .await
    }

    async fn touch_grants(&self, ids: &[Uuid], life: Option<Duration>) -> Result<(), StoreError> {
        self.people(async {
            self.ask(&self.readers, sqlx::query(TOUCH).bind(ids.to_vec()).bind(life.map(millis))).await?;
            Ok(())
        })
        .await
    }

    async fn grants_of(&self, account: UserId, kind: GrantKind, limit: usize) -> Result<Vec<Grant>, StoreError> {
        self.people(async {
            let ask = || sqlx::query(GRANTS_OF).bind(account.0).bind(kind.as_str()).bind(column(limit as u64));
            rows_of::<GrantRow>(&self.ask_twice(ask).await?)?.into_iter().map(GrantRow::read).collect()
        })
        .await
    }

    async fn revoke(&self, account: UserId, which: Revoke) -> Result<Vec<Ended>, StoreError> {
        self.people(async { ended(rows_of(&self.ask(&self.readers, revoke(account, which)).await?)?) }).await
    }

    async fn revoked_after(&self, moment: Timestamp, limit: usize) -> Result<Revocations, StoreError> {
        self.people(async {
            let ask = || sqlx::query(REVOKED_AFTER).bind(Moment(moment)).bind(one_more(limit));
            accounts::revocations(rows_of::<RevocationRow>(&self.ask_twice(ask).await?)?, limit)
        })
        .await
    }

    async fn holding(&self, grants: &[Uuid]) -> Result<Vec<Uuid>, StoreError> {
        self.people(async {
            let rows = self.ask_twice(|| sqlx::query(HOLDING).bind(grants.to_vec())).await?;
            rows_of::<GrantRow>(&rows)?.into_iter().map(|row| Ok(row.read()?.id)).collect()
        })
        .await
    }

    async fn forget_grants(&self, ended_for: Duration, limit: usize) -> Result<u64, StoreError> {
        self.people(async {
            let forget = sqlx::query(FORGET).bind(millis(ended_for)).bind(column(limit as u64));
            let rows = self.ask(&self.readers, forget).await?;
            Ok(rows_of::<Count>(&rows)?.pop().map_or(0, |row| crate::row::number(row.count)))
        })
        .await
    }
}

//! Accounts and grants. A command may write these beside the node that owns the file: a node looks here for them each second,
//! and keeps nothing of them that it does not read again.

use std::time::Duration;

use async_trait::async_trait;
use proto::{Timestamp, UserId};
use sqlx::query::QueryAs;
use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteConnection};
use sqlx::{Connection, QueryBuilder};
use uuid::Uuid;

use super::{SqliteStore, faults};
use crate::StoreError;
use crate::accounts::{
    self, ACCOUNT_BY_ID, ACCOUNT_BY_KEY, ACCOUNTS, Account, AccountRow, Accounts, Alteration, By, Credentials,
    CredentialsRow, Ended, EndedRow, Grant, GrantHash, GrantKind, GrantRow, Granted, GrantedRow, NewAccount, NewGrant,
    RevocationRow, Revocations, Revoke, SET_ADMIN, SET_DISABLED, SET_PASSWORD, millis,
};
use crate::row::{column, one_more};

/// Values in one statement.
const VALUES_MAX: usize = 1_000;

macro_rules! now {
    () => {
        "CAST(unixepoch('subsec') * 1000 AS INTEGER)"
    };
}

const CREATE_ACCOUNT: &str = concat!(
    "INSERT INTO accounts (id, name, name_key, password_hash, kind, admin, created_at)
    VALUES ($1, $2, $3, $4, $5, $6, ",
    now!(),
    ") ON CONFLICT DO NOTHING"
);

const CREATE_GRANT: &str = concat!(
    "INSERT INTO grants (id, account, kind, hash, label, agent, address, created_at, used_at, expires_at)
    SELECT $1, a.id, $3, $4, $5, $6, $7, ",
    now!(),
    ", ",
    now!(),
    ", ",
    now!(),
    " + $8 FROM accounts a
    WHERE a.id = $2 AND NOT a.disabled AND ($9 IS NULL OR a.password_hash = $9)
    RETURNING id, account, kind, label, agent, address, created_at, used_at, expires_at"
);

macro_rules! grant {
    ($rest:literal) => {
        concat!(
            "SELECT g.id, g.account, g.kind, g.label, g.agent, g.address, g.created_at, g.used_at, g.expires_at,
                a.name, a.kind AS account_kind, a.admin, a.disabled, a.created_at AS account_created_at, g.hash, ",
            now!(),
            " AS read_at
            FROM grants g JOIN accounts a ON a.id = g.account
            WHERE g.revoked_at IS NULL AND (g.expires_at IS NULL OR g.expires_at > ",
            now!(),
            ") AND NOT a.disabled ",
            $rest
        )
    };
}
const GRANTS_OF: &str = grant!("AND g.account = $1 AND g.kind = $2 ORDER BY g.created_at DESC, g.rowid DESC LIMIT $3");

const TOUCH: &str = concat!("UPDATE grants SET used_at = ", now!(), ", expires_at = ", now!(), " + ");
const TOUCH_THOSE: &str =
    concat!(" WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ", now!(), ") AND id IN (");
const REVOKE_ONE: &str = concat!(
    "UPDATE grants SET revoked_at = coalesce(revoked_at, ",
    now!(),
    ") WHERE id = $2 AND account = $1 RETURNING id, hash"
);
const REVOKE_ALL: &str = concat!(
    "UPDATE grants SET revoked_at = ",
    now!(),
    " WHERE account = $1 AND revoked_at IS NULL AND id IS NOT $2 RETURNING id, hash"
);
const REVOKED_AFTER: &str = concat!(
    "SELECT ",
    now!(),
    " AS read_at, g.id, g.revoked_at
    FROM (VALUES (0)) one LEFT JOIN grants g ON g.revoked_at > $1 ORDER BY g.revoked_at LIMIT $2"
);
const FORGET: &str = concat!(
    "DELETE FROM grants WHERE id IN (SELECT id FROM grants WHERE revoked_at < ",
    now!(),
    " - $1 OR expires_at < ",
    now!(),
    " - $1 LIMIT $2)"
);

impl SqliteStore {
    async fn people<T>(&self, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        self.metrics.watch(&self.metrics.people, call).await
    }

    async fn alter(&self, id: UserId, alteration: &Alteration<'_>) -> Result<Option<Vec<Ended>>, StoreError> {
        let mut seat = self.writer.take().await?;
        let ended = alter(&mut seat.connection, id, alteration).await?;
        seat.give_back();
        Ok(ended)
    }
}

async fn alter(
    connection: &mut SqliteConnection,
    id: UserId,
    alteration: &Alteration<'_>,
) -> Result<Option<Vec<Ended>>, StoreError> {
    let judge = |error| faults::judge(&error);
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(judge)?;
    let statement = match *alteration {
        Alteration::Password(hash, _) => sqlx::query(SET_PASSWORD).bind(id.0).bind(hash),
        Alteration::Disabled(disabled) => sqlx::query(SET_DISABLED).bind(id.0).bind(disabled),
        Alteration::Admin(admin) => sqlx::query(SET_ADMIN).bind(id.0).bind(admin),
    };
    let found = statement.fetch_optional(&mut *transaction).await.map_err(judge)?;
    let rows = match alteration.ends() {
        Some(which) => revoke(id, which).fetch_all(&mut *transaction).await.map_err(judge)?,
        None => Vec::new(),
    };
    transaction.commit().await.map_err(judge)?;
    found.map(|_| ended(rows)).transpose()
}

/// A statement that ends in a list of these.
fn among_ids(sql: &str, ids: &[Uuid]) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::<Sqlite>::new(sql);
    let mut list = query.separated(", ");
    ids.iter().for_each(|id| _ = list.push_bind(*id));
    query.push(")");
    query
}

fn revoke(account: UserId, which: Revoke) -> QueryAs<'static, Sqlite, EndedRow, SqliteArguments> {
    match which {
        Revoke::One(id) => sqlx::query_as(REVOKE_ONE).bind(account.0).bind(id),
        Revoke::AllBut(id) => sqlx::query_as(REVOKE_ALL).bind(account.0).bind(id),
    }
}

fn ended(rows: Vec<EndedRow>) -> Result<Vec<Ended>, StoreError> {
    rows.into_iter().map(EndedRow::read).collect()
}

#[async_trait]
impl Accounts for SqliteStore {
    async fn create_account(&self, new: &NewAccount<'_>) -> Result<Option<Account>, StoreError> {
        self.people(async {
            let insert = sqlx::query(CREATE_ACCOUNT)
                .bind(new.id.0)
                .bind(new.name.as_str())
                .bind(new.key)
                .bind(new.password_hash)
                .bind(new.kind.as_str())
                .bind(new.admin);
            self.touched(insert).await?;
            let found = self.rows::<AccountRow>(sqlx::query_as(ACCOUNT_BY_KEY).bind(new.key)).await?.pop();
            let found = found.map(AccountRow::read).transpose()?;
            Ok(found.filter(|account| account.id == new.id))
        })
        .await
    }

    async fn account(&self, by: By<'_>) -> Result<Option<Credentials>, StoreError> {
        let query = match by {
            By::Id(id) => sqlx::query_as(ACCOUNT_BY_ID).bind(id.0),
            By::Key(key) => sqlx::query_as(ACCOUNT_BY_KEY).bind(key),
        };
        self.people(async { self.rows::<CredentialsRow>(query).await?.pop().map(CredentialsRow::read).transpose() })
            .await
    }

    async fn taken(&self, keys: &[String]) -> Result<Vec<String>, StoreError> {
        self.people(async {
            let mut taken = Vec::new();
            for keys in keys.chunks(VALUES_MAX) {
                let mut query = QueryBuilder::<Sqlite>::new("SELECT name_key FROM accounts WHERE name_key IN (");
                let mut list = query.separated(", ");
                for key in keys {
                    list.push_bind(key.as_str());
                }
                query.push(")");
                let rows: Vec<(String,)> = self.rows(query.build_query_as().persistent(keys.len() == 1)).await?;
                taken.extend(rows.into_iter().map(|(key,)| key));
            }
            Ok(taken)
        })
        .await
    }

    async fn accounts(&self, after: &str, limit: usize) -> Result<Vec<Account>, StoreError> {
        let query = sqlx::query_as(ACCOUNTS).bind(after).bind(column(limit as u64));
        self.people(async { self.rows::<AccountRow>(query).await?.into_iter().map(AccountRow::read).collect() }).await
    }

    async fn alter_account(&self, id: UserId, alteration: &Alteration<'_>) -> Result<Option<Vec<Ended>>, StoreError> {
        self.people(self.alter(id, alteration)).await
    }

    async fn create_grant(&self, new: &NewGrant<'_>) -> Result<Option<Grant>, StoreError> {
        let insert = sqlx::query_as(CREATE_GRANT)
            .bind(new.id)
            .bind(new.account.0)
            .bind(new.kind.as_str())
            .bind(new.hash.to_vec())
            .bind(new.label)
            .bind(new.agent)
            .bind(new.address)
            .bind(new.life.map(millis))
            .bind(new.by_password);
        self.people(async { self.written::<GrantRow>(insert).await?.pop().map(GrantRow::read).transpose() }).await
    }

    async fn grants(&self, hashes: &[GrantHash], ids: &[Uuid]) -> Result<Vec<(GrantHash, Granted)>, StoreError> {
        self.people(async {
            let mut found = Vec::new();
            let by_hash = hashes.chunks(VALUES_MAX).map(|hashes| {
                let mut query = QueryBuilder::<Sqlite>::new(grant!("AND g.hash IN ("));
                let mut list = query.separated(", ");
                hashes.iter().for_each(|hash| _ = list.push_bind(hash.to_vec()));
                query.push(")");
                (query, hashes.len() == 1)
            });
            let by_id = ids.chunks(VALUES_MAX).map(|ids| (among_ids(grant!("AND g.id IN ("), ids), ids.len() == 1));
            for (mut query, is_kept) in by_hash.chain(by_id) {
                for row in self.rows::<GrantedRow>(query.build_query_as().persistent(is_kept)).await? {
                    found.push(row.read()?);
                }
            }
            Ok(found)
        })
        .await
    }

    async fn touch_grants(&self, ids: &[Uuid], life: Option<Duration>) -> Result<(), StoreError> {
        self.people(async {
            for ids in ids.chunks(VALUES_MAX) {
                let mut query = QueryBuilder::<Sqlite>::new(TOUCH);
                query.push_bind(life.map(millis)).push(TOUCH_THOSE);
                let mut list = query.separated(", ");
                ids.iter().for_each(|id| _ = list.push_bind(*id));
                query.push(")");
                self.touched(query.build().persistent(ids.len() == 1)).await?;
            }
            Ok(())
        })
        .await
    }

    async fn grants_of(&self, account: UserId, kind: GrantKind, limit: usize) -> Result<Vec<Grant>, StoreError> {
        let query = sqlx::query_as(GRANTS_OF).bind(account.0).bind(kind.as_str()).bind(column(limit as u64));
        self.people(async { self.rows::<GrantRow>(query).await?.into_iter().map(GrantRow::read).collect() }).await
    }

    async fn revoke(&self, account: UserId, which: Revoke) -> Result<Vec<Ended>, StoreError> {
        self.people(async { ended(self.written(revoke(account, which)).await?) }).await
    }

    async fn revoked_after(&self, moment: Timestamp, limit: usize) -> Result<Revocations, StoreError> {
        let query = sqlx::query_as(REVOKED_AFTER).bind(moment.0).bind(one_more(limit));
        self.people(async { accounts::revocations(self.rows::<RevocationRow>(query).await?, limit) }).await
    }

    async fn holding(&self, grants: &[Uuid]) -> Result<Vec<Uuid>, StoreError> {
        self.people(async {
            let mut holding = Vec::new();
            for ids in grants.chunks(VALUES_MAX) {
                let mut query = among_ids(grant!("AND g.id IN ("), ids);
                for row in self.rows::<GrantRow>(query.build_query_as().persistent(false)).await? {
                    holding.push(row.read()?.id);
                }
            }
            Ok(holding)
        })
        .await
    }

    async fn forget_grants(&self, ended_for: Duration, limit: usize) -> Result<u64, StoreError> {
        let forget = sqlx::query(FORGET).bind(millis(ended_for)).bind(column(limit as u64));
        self.people(self.touched(forget)).await
    }
}

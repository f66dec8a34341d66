//! `tertulia accounts`: who has a name for good, looked after by whoever runs the chat.
//!
//! It talks to the store alone. Nodes read there each second what was revoked, so it needs none of them, and no Redis.

use std::io::{self, BufRead, IsTerminal, Read};
use std::sync::Arc;

use bus::LocalBus;
use people::{Account, AccountKind, Grant, GrantId, GrantKind, People, PeopleConfig, PeopleMetrics};
use prometheus::Registry;
use proto::{PersonName, UserId};

use super::{mention, say};
use crate::config::{AccountsAction, AccountsConfig};
use crate::node::StartError;
use crate::open;

/// Accounts that are read at once.
const PAGE: usize = 500;
/// No password is longer than this, by far.
const PASSWORD_BYTES: u64 = 4_096;

/// Does one thing to one account, or shows all.
pub(crate) async fn run(asked: &AccountsConfig) -> Result<(), StartError> {
    let store = open::beside(&asked.config).await?;
    // Nothing is signed here, and nobody waits for what is in common.
    let (bus, _events) = LocalBus::new(1);
    let metrics = PeopleMetrics::register(&Registry::new())?;
    let people = People::start(PeopleConfig::new(""), store.clone(), Arc::new(bus), metrics);
    let done = match &asked.name {
        Some(name) => act(&people, asked, name).await,
        None => list(&people).await,
    };
    people.close().await;
    store.close().await;
    done
}

async fn act(people: &People, asked: &AccountsConfig, name: &PersonName) -> Result<(), StartError> {
    if asked.action == AccountsAction::Add {
        return add(people, asked, name).await;
    }
    let account = people.account_named(name).await?;
    let (id, name) = (account.id, account.name);
    match asked.action {
        AccountsAction::Disable => {
            people.disable(id).await?;
            mention(format_args!("{name} is disabled, and signed out everywhere"));
        }
        AccountsAction::Enable => {
            people.enable(id).await?;
            mention(format_args!("{name} is enabled"));
        }
        AccountsAction::Password => {
            people.set_password(id, &password()?).await?;
            mention(format_args!("{name} has another password, and is signed out everywhere"));
        }
        AccountsAction::Key => {
            let (key, token) = people.create_key(id, &asked.label).await?;
            say(format_args!("{token}\n"))?;
            mention(format_args!("the key {} of {name}: it is not shown again", key.id));
        }
        AccountsAction::Sessions => sessions(people, id).await?,
        AccountsAction::Revoke => {
            let ended = match asked.grant {
                Some(grant) => people.revoke(id, GrantId(grant)).await.map(|()| 1)?,
                None => people.revoke_all(id, None).await?,
            };
            mention(format_args!("{ended} of {name}'s sessions and keys ended"));
        }
        AccountsAction::Add | AccountsAction::List => {}
    }
    Ok(())
}

async fn add(people: &People, asked: &AccountsConfig, name: &PersonName) -> Result<(), StartError> {
    let (kind, password) = if asked.bot { (AccountKind::Bot, None) } else { (AccountKind::Person, Some(password()?)) };
    let account = people.create_account(name, password.as_deref(), kind, asked.admin).await?;
    mention(format_args!("{} is {}", account.name, described(&account)));
    Ok(())
}

/// What an account is, in words.
fn described(account: &Account) -> String {
    let mut words = vec![account.kind.as_str()];
    words.extend(account.admin.then_some("admin"));
    words.extend(account.disabled.then_some("disabled"));
    words.join(", ")
}

async fn list(people: &People) -> Result<(), StartError> {
    let mut last: Option<PersonName> = None;
    loop {
        let page = people.accounts(last.as_ref(), PAGE).await?;
        for account in &page {
            let Account { id, created_at, name, .. } = account;
            say(format_args!("{id}  {created_at}  {:<24}  {name}\n", described(account)))?;
        }
        match page.into_iter().last() {
            Some(account) => last = Some(account.name),
            None => return Ok(()),
        }
    }
}

async fn sessions(people: &People, account: UserId) -> Result<(), StartError> {
    for grant in people.sessions(account).await?.into_iter().chain(people.keys(account).await?) {
        let Grant { id, kind, used_at, label, agent, address, .. } = grant;
        let what = match kind {
            GrantKind::Key => label.unwrap_or_default(),
            GrantKind::Session => [address, agent].into_iter().flatten().collect::<Vec<_>>().join(" "),
        };
        say(format_args!("{id}  {:<7}  used {used_at}  {what}\n", kind.as_str()))?;
    }
    Ok(())
}

/// The first line of standard input.
fn password() -> Result<String, StartError> {
    let input = io::stdin();
    if input.is_terminal() {
        mention("the password, which is shown while you type it:");
    }
    let mut line = String::new();
    let read = input.lock().take(PASSWORD_BYTES).read_line(&mut line);
    read.map_err(|error| StartError::Read { name: "standard input".into(), error })?;
    line.truncate(line.trim_end_matches(['\r', '\n']).len());
    Ok(line)
}

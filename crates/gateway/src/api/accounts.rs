//! Accounts: making one, one's own, and everybody's for those who look after the chat.

use axum::http::StatusCode;
use people::{Account, AccountKind};
use proto::{Code, PersonName, Refusal, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::answer::{Answer, json, nothing};
use super::call::{self, Call};
use super::route::{Part, Route};
use super::schemas;
use super::sessions::{self, SignedIn};

const MINE: &str = "/accounts/me";
const ALL: &str = "/accounts";
const ONE: &str = "/accounts/{account}";

pub(super) fn part() -> Part {
    let sign_up = Route::post(ALL, sign_up)
        .says("signUp", "Make an account, and be signed in.")
        .more("Refused where accounts are made by admins only. The name is yours for good: no guest can have it.")
        .body::<NewAccount>()
        .answers::<SignedIn>(StatusCode::CREATED, "An account, and its first session")
        .sets_cookie(StatusCode::CREATED)
        .refuses(&[Code::InvalidName, Code::NameTaken]);
    let mine = Route::get(MINE, mine)
        .says("getMyAccount", "The account that you are.")
        .known()
        .answers::<AccountShown>(StatusCode::OK, "Your account");
    let password = Route::put("/accounts/me/password", password)
        .says("changePassword", "Take another password.")
        .more("All your other sessions and all your API keys end.")
        .known()
        .body::<NewPassword>()
        .done("It is the password from now on");
    let list = Route::get(ALL, list)
        .says("listAccounts", "All accounts, by name. For admins.")
        .known()
        .query("after", schemas::name(), "Accounts behind this name only")
        .query("limit", schemas::limit(), "How many at most; what is over 500 is cut to it")
        .answers::<AccountPage>(StatusCode::OK, "Some of the accounts")
        .refuses(&[Code::InvalidName]);
    let bot = Route::post("/bots", bot)
        .says("makeBot", "Make an account for a program. For admins.")
        .more("A bot has no password; give it an API key.")
        .known()
        .body::<NewBot>()
        .answers::<AccountShown>(StatusCode::CREATED, "The bot's account")
        .refuses(&[Code::InvalidName, Code::NameTaken]);
    let look = Route::get(ONE, look)
        .says("getAccount", "One account. For admins.")
        .known()
        .segment("account", schemas::uuid(), "The account's id")
        .answers::<AccountShown>(StatusCode::OK, "The account")
        .refuses(&[Code::NotFound]);
    let alter = Route::patch(ONE, alter)
        .says("alterAccount", "Disable or enable an account, or say whether it is an admin's. For admins.")
        .more("Who is disabled, or is no admin any more, is signed out everywhere, and their API keys end.")
        .known()
        .segment("account", schemas::uuid(), "The account's id")
        .body::<Changes>()
        .answers::<AccountShown>(StatusCode::OK, "The account as it is now")
        .refuses(&[Code::NotFound]);
    let about = "People and programs whose name is theirs for good.";
    Part { name: "Accounts", about, routes: vec![sign_up, mine, password, list, bot, look, alter] }
}

/// Somebody who wants an account.
#[derive(Deserialize, ToSchema)]
struct NewAccount {
    #[schema(schema_with = schemas::name)]
    name: String,
    #[schema(schema_with = schemas::password)]
    password: String,
    /// Whether a browser is to keep the session, as a cookie that no script can read. There is no `token` in the answer then.
    #[serde(default)]
    cookie: bool,
}

/// Another password.
#[derive(Deserialize, ToSchema)]
struct NewPassword {
    /// The one before.
    #[schema(schema_with = schemas::password)]
    before: String,
    /// The one from now on.
    #[schema(schema_with = schemas::password)]
    after: String,
}

/// A program that wants an account.
#[derive(Deserialize, ToSchema)]
struct NewBot {
    #[schema(schema_with = schemas::name)]
    name: String,
}

/// What is to change; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[schema(as = AccountChanges)]
struct Changes {
    /// Whether nobody may be this account.
    disabled: Option<bool>,
    /// Whether it may look after the chat.
    admin: Option<bool>,
}

/// An account.
#[derive(Serialize, ToSchema)]
#[schema(as = Account)]
struct AccountShown {
    id: Uuid,
    #[schema(schema_with = schemas::name)]
    name: String,
    /// `person` or `bot`.
    kind: &'static str,
    /// Whether it may look after the chat.
    admin: bool,
    /// Whether nobody may be this account.
    disabled: bool,
    #[schema(schema_with = schemas::moment)]
    created_at: String,
}

impl From<Account> for AccountShown {
    fn from(account: Account) -> Self {
        Self {
            id: account.id.0,
            name: account.name.to_string(),
            kind: account.kind.as_str(),
            admin: account.admin,
            disabled: account.disabled,
            created_at: account.created_at.to_string(),
        }
    }
}

/// Some of the accounts.
#[derive(Serialize, ToSchema)]
struct AccountPage {
    accounts: Vec<AccountShown>,
    /// Whether there are more.
    more: bool,
    /// The address of the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<String>,
}

#[derive(Deserialize)]
struct Wanted {
    after: Option<String>,
    limit: Option<String>,
}

async fn sign_up(mut call: Call) -> Answer {
    let NewAccount { name, password, cookie } = call.body().await?;
    sessions::may_have_cookie(&call, cookie)?;
    let signed_in = call.node.people.sign_up(&PersonName::parse(&name)?, &password, &call.caller()).await?;
    sessions::begun(&call, signed_in, cookie)
}

async fn mine(call: Call) -> Answer {
    let id = call.account()?.user.id;
    json(StatusCode::OK, &AccountShown::from(call.node.people.account(id).await?))
}

async fn password(mut call: Call) -> Answer {
    let identity = call.account()?.clone();
    let NewPassword { before, after } = call.body().await?;
    call.node.people.change_password(&identity, &before, &after, &call.caller()).await?;
    nothing()
}

async fn list(call: Call) -> Answer {
    call.admin()?;
    let wanted: Wanted = call.query()?;
    let after = wanted.after.as_deref().map(PersonName::parse).transpose()?;
    let limit = call::limit(wanted.limit.as_deref())?;
    let mut accounts = call.node.people.accounts(after.as_ref(), limit + 1).await?;
    let more = accounts.len() > limit;
    accounts.truncate(limit);
    let last = accounts.last().filter(|_| more);
    let next =
        last.map(|last| format!("{}{ALL}?after={}&limit={limit}", super::ROOT, call::escaped(last.name.as_str())));
    let accounts = accounts.into_iter().map(AccountShown::from).collect();
    json(StatusCode::OK, &AccountPage { accounts, more, next })
}

async fn bot(mut call: Call) -> Answer {
    call.admin()?;
    let NewBot { name } = call.body().await?;
    let name = PersonName::parse(&name)?;
    let bot = call.node.people.create_account(&name, None, AccountKind::Bot, false).await?;
    json(StatusCode::CREATED, &AccountShown::from(bot))
}

async fn look(call: Call) -> Answer {
    call.admin()?;
    let id = UserId(call.uuid("account")?);
    json(StatusCode::OK, &AccountShown::from(call.node.people.account(id).await?))
}

async fn alter(mut call: Call) -> Answer {
    let own = call.admin()?.user.id;
    let id = UserId(call.uuid("account")?);
    let Changes { disabled, admin } = call.body().await?;
    if id == own && (disabled == Some(true) || admin == Some(false)) {
        return Err(Refusal::new(Code::Forbidden, "not oneself: somebody must be left to look after the chat").into());
    }
    let people = &call.node.people;
    match disabled {
        Some(true) => people.disable(id).await?,
        Some(false) => people.enable(id).await?,
        None => {}
    }
    if let Some(admin) = admin {
        people.set_admin(id, admin).await?;
    }
    json(StatusCode::OK, &AccountShown::from(people.account(id).await?))
}

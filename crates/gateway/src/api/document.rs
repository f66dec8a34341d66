//! The OpenAPI document, made from the same declarations as the router.

use proto::Code;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::Paths;
use utoipa::openapi::schema::{ComponentsBuilder, ObjectBuilder, SchemaFormat};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{InfoBuilder, KnownFormat, OpenApi, OpenApiBuilder, Type};

use super::route::{Part, RATES, SCHEMES};
use crate::credentials;

const ABOUT: &str = "Rooms, messages and people of a Tertulia, over HTTP. A message is acknowledged once it is durable; it may be sent \
                     again with the same id at any time, and is kept once. Answers come from whatever node was asked: all know the same.";

/// Writes the document. Takes what the parts say of themselves; their handlers stay.
pub(super) fn of(parts: &mut [Part]) -> OpenApi {
    let mut paths = Paths::new();
    let mut components = ComponentsBuilder::new().schema("Problem", problem());
    let mut tags = Vec::new();
    for part in parts {
        tags.push(TagBuilder::new().name(part.name).description(Some(part.about)).build());
        for route in &mut part.routes {
            components = components.schemas_from_iter(std::mem::take(&mut route.schemas));
            let operation = route.operation(part.name).build();
            paths.add_path_operation(format!("{}{}", super::ROOT, route.path), vec![route.method.clone()], operation);
        }
    }
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("A guest's token, a session's, an API key, or a JWT of the application around this chat"));
    let cookie = ApiKeyValue::with_description(
        credentials::COOKIE,
        "The cookie of a session. Whoever changes something by it must come from the chat's own page, or one of `--allowed-origins`",
    );
    components = components
        .security_scheme(SCHEMES[0], SecurityScheme::Http(bearer.build()))
        .security_scheme(SCHEMES[1], SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
    for (name, about) in RATES.into_iter().zip([
        "How many requests may come at once",
        "How many of these are left",
        "Seconds until all of them are there again",
    ]) {
        components = components.header(name, number(about));
    }
    components = components.header("Retry-After", number("Seconds after which trying again makes sense"));
    for (name, about) in [
        ("WWW-Authenticate", "How to say who one is"),
        ("Set-Cookie", "Gives a browser the cookie of its session, or takes it"),
    ] {
        let text = HeaderBuilder::new().schema(Some(ObjectBuilder::new().schema_type(Type::String)));
        components = components.header(name, text.description(Some(about)).build());
    }
    let info = InfoBuilder::new().title("Tertulia").version(env!("CARGO_PKG_VERSION")).description(Some(ABOUT));
    OpenApiBuilder::new().info(info.build()).paths(paths).components(Some(components.build())).tags(Some(tags)).build()
}

fn number(about: &str) -> utoipa::openapi::header::Header {
    let number = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0));
    HeaderBuilder::new().schema(Some(number)).description(Some(about)).build()
}

/// A refusal, as RFC 9457 writes it.
fn problem() -> ObjectBuilder {
    let text = |about: &str| ObjectBuilder::new().schema_type(Type::String).description(Some(about));
    let number = |about: &str| ObjectBuilder::new().schema_type(Type::Integer).description(Some(about));
    let code = text("For programs: one of a fixed list, the same as over WebSocket")
        .enum_values(Some(Code::ALL.map(Code::as_str)));
    let wait = number("When to try again, in milliseconds; absent where that cannot help")
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)));
    ObjectBuilder::new()
        .description(Some("Why something was refused, as RFC 9457 writes it"))
        .property("type", text("`about:blank`: the status says it all"))
        .required("type")
        .property("title", text("The status in words"))
        .required("title")
        .property("status", number("The status"))
        .required("status")
        .property("code", code)
        .required("code")
        .property("detail", text("For whoever debugs the client"))
        .required("detail")
        .property("retry_after_ms", wait)
}

//! What may be asked: each declared once, for the router and for the document alike.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::handler::Handler;
use axum::http::StatusCode;
use axum::routing::{MethodFilter, MethodRouter, on};
use proto::Code;
use utoipa::ToSchema;
use utoipa::openapi::path::{OperationBuilder, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::{ContentBuilder, HttpMethod, Ref, RefOr, Required, ResponseBuilder, Schema, SecurityRequirement};

use crate::http::problem;
use crate::node::Node;

/// What the browser's session and whoever has a token are called in the document.
pub(super) const SCHEMES: [&str; 2] = ["token", "cookie"];
/// The headers of every answer, by what they are called in the document.
pub(super) const RATES: [&str; 3] = ["RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"];

const JSON: &str = "application/json";
/// JSON lines.
pub(super) const LINES: &str = "application/x-ndjson";

/// One thing that may be asked.
pub(super) struct Route {
    pub(super) path: &'static str,
    pub(super) method: HttpMethod,
    pub(super) handler: MethodRouter<Arc<Node>>,
    pub(super) schemas: Vec<(String, RefOr<Schema>)>,
    operation: OperationBuilder,
    refusals: BTreeMap<u16, Vec<Code>>,
    answers: Vec<(StatusCode, ResponseBuilder)>,
    cookie_at: Option<u16>,
}

/// A part of the API, whose routes belong together.
pub(super) struct Part {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) routes: Vec<Route>,
}

macro_rules! methods {
    ($($name:ident $method:ident $filter:ident),*) => {
        $(
            /// Something asked by this method.
            pub(super) fn $name<H: Handler<T, Arc<Node>>, T: 'static>(path: &'static str, handler: H) -> Self {
                Self::new(HttpMethod::$method, path, on(MethodFilter::$filter, handler))
            }
        )*
    };
}

impl Route {
    methods! { get Get GET, post Post POST, put Put PUT, patch Patch PATCH, delete Delete DELETE }

    fn new(method: HttpMethod, path: &'static str, handler: MethodRouter<Arc<Node>>) -> Self {
        let route = Self {
            path,
            method,
            handler,
            schemas: Vec::new(),
            operation: OperationBuilder::new(),
            refusals: BTreeMap::new(),
            answers: Vec::new(),
            cookie_at: None,
        };
        // What any request may meet: a malformed head, an origin that may not, an address too long, too many, a node in need.
        let mut route = route.refuses(&[Code::InvalidFrame, Code::Forbidden, Code::RateLimited, Code::Unavailable]);
        route.refusals.entry(StatusCode::URI_TOO_LONG.as_u16()).or_default().push(Code::InvalidFrame);
        route
    }

    /// What it is called by programs, and what it does.
    pub(super) fn says(mut self, name: &str, summary: &str) -> Self {
        self.operation = self.operation.operation_id(Some(name)).summary(Some(summary));
        self
    }

    /// More about it.
    pub(super) fn more(mut self, text: &str) -> Self {
        self.operation = self.operation.description(Some(text));
        self
    }

    /// Only for somebody.
    pub(super) fn known(mut self) -> Self {
        for scheme in SCHEMES {
            self.operation = self.operation.security(SecurityRequirement::new(scheme, Vec::<String>::new()));
        }
        self.refuses(&[Code::Unauthorized, Code::NameTaken])
    }

    /// Something in the address.
    pub(super) fn segment(self, name: &str, schema: impl Into<RefOr<Schema>>, about: &str) -> Self {
        self.parameter(name, ParameterIn::Path, schema, about)
    }

    /// Something in the query, which may be left out.
    pub(super) fn query(self, name: &str, schema: impl Into<RefOr<Schema>>, about: &str) -> Self {
        self.parameter(name, ParameterIn::Query, schema, about)
    }

    fn parameter(mut self, name: &str, at: ParameterIn, schema: impl Into<RefOr<Schema>>, about: &str) -> Self {
        let required = if at == ParameterIn::Path { Required::True } else { Required::False };
        let parameter = ParameterBuilder::new().name(name).parameter_in(at).required(required);
        self.operation = self.operation.parameter(parameter.schema(Some(schema)).description(Some(about)));
        self.refuses(&[Code::InvalidField])
    }

    /// What the body holds.
    pub(super) fn body<T: ToSchema>(mut self) -> Self {
        let content = ContentBuilder::new().schema(Some(self.schema::<T>()));
        let body = RequestBodyBuilder::new().required(Some(Required::True)).content(JSON, content.build());
        self.operation = self.operation.request_body(Some(body.build()));
        for status in [StatusCode::PAYLOAD_TOO_LARGE, StatusCode::UNSUPPORTED_MEDIA_TYPE] {
            self.refusals.entry(status.as_u16()).or_default().push(Code::InvalidFrame);
        }
        self.refuses(&[Code::InvalidField])
    }

    /// An answer with a body.
    pub(super) fn answers<T: ToSchema>(mut self, status: StatusCode, about: &str) -> Self {
        let content = ContentBuilder::new().schema(Some(self.schema::<T>()));
        self.answer(status, ResponseBuilder::new().description(about).content(JSON, content.build()))
    }

    /// An answer in JSON lines.
    pub(super) fn answers_lines(self, about: &str) -> Self {
        let content = ContentBuilder::new().build();
        self.answer(StatusCode::OK, ResponseBuilder::new().description(about).content(LINES, content))
    }

    /// An answer without one.
    pub(super) fn done(self, about: &str) -> Self {
        self.answer(StatusCode::NO_CONTENT, ResponseBuilder::new().description(about))
    }

    /// Such an answer may give a browser its cookie, or take it.
    pub(super) fn sets_cookie(mut self, status: StatusCode) -> Self {
        self.cookie_at = Some(status.as_u16());
        self
    }

    /// Refusals of its own.
    pub(super) fn refuses(mut self, codes: &[Code]) -> Self {
        for code in codes {
            let of_status = self.refusals.entry(problem::status(*code).as_u16()).or_default();
            if !of_status.contains(code) {
                of_status.push(*code);
            }
        }
        self
    }

    fn answer(mut self, status: StatusCode, response: ResponseBuilder) -> Self {
        self.answers.push((status, response));
        self
    }

    fn schema<T: ToSchema>(&mut self) -> RefOr<Schema> {
        self.schemas.push((T::name().into_owned(), T::schema()));
        T::schemas(&mut self.schemas);
        Ref::from_schema_name(T::name()).into()
    }

    /// The whole of it, for the document.
    pub(super) fn operation(&mut self, part: &str) -> OperationBuilder {
        let mut operation = std::mem::take(&mut self.operation).tag(part);
        for (status, response) in std::mem::take(&mut self.answers) {
            let headers = if self.cookie_at == Some(status.as_u16()) { &["Set-Cookie"][..] } else { &[] };
            let response = with_headers(with_headers(response, &RATES), headers);
            operation = operation.response(status.as_str(), response.build());
        }
        for (status, codes) in &self.refusals {
            let codes: Vec<String> = codes.iter().map(|code| format!("`{code}`")).collect();
            let about = StatusCode::from_u16(*status).ok().and_then(|status| status.canonical_reason());
            let about = format!("{}: {}", about.unwrap_or("refused"), codes.join(", "));
            let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem")));
            let response =
                ResponseBuilder::new().description(about).content("application/problem+json", content.build());
            let headers = match status {
                401 => &["WWW-Authenticate"][..],
                429 | 503 => &["Retry-After"],
                _ => &[],
            };
            let response = with_headers(with_headers(response, &RATES), headers);
            operation = operation.response(status.to_string(), response.build());
        }
        operation
    }
}

fn with_headers(response: ResponseBuilder, names: &[&str]) -> ResponseBuilder {
    names
        .iter()
        .fold(response, |response, name| response.header_ref(*name, Ref::new(format!("#/components/headers/{name}"))))
}

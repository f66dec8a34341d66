//! The document as a page: written once, when the node starts, without a script.

use std::fmt::Write;

use axum::body::Bytes;
use serde_json::Value;
use utoipa::openapi::OpenApi;

use crate::http::page::Kept;

const FRAME: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../web/api/index.html"));

/// Writes the page.
pub(super) fn of(document: &OpenApi) -> Kept {
    let document = serde_json::to_value(document).unwrap_or_default();
    let html = FRAME
        .replace("{version}", &shown(&document["info"]["version"]))
        .replace("{about}", &shown(&document["info"]["description"]))
        .replace("{parts}", &parts(&document))
        .replace("{things}", &things(&document));
    Kept::new("text/html; charset=utf-8", Bytes::from(html))
}

fn parts(document: &Value) -> String {
    let mut html = String::new();
    for tag in items(&document["tags"]) {
        let _ = write!(html, "<section>\n<h2>{}</h2>\n<p>{}</p>\n", shown(&tag["name"]), shown(&tag["description"]));
        for (path, item) in entries(&document["paths"]) {
            for (method, operation) in entries(item) {
                if operation["tags"][0] == tag["name"] {
                    html.push_str(&operation_of(method, path, operation));
                }
            }
        }
        html.push_str("</section>\n");
    }
    html
}

fn operation_of(method: &str, path: &str, operation: &Value) -> String {
    let id = shown(&operation["operationId"]);
    let mut html = format!(
        "<article id=\"{id}\">\n<h3><a href=\"#{id}\"><b>{}</b> <code>{}</code></a></h3>\n",
        method.to_uppercase(),
        escaped(path)
    );
    let _ = writeln!(html, "<p class=\"summary\">{}</p>", shown(&operation["summary"]));
    if operation["description"].is_string() {
        let _ = writeln!(html, "<p>{}</p>", shown(&operation["description"]));
    }
    let mut asks: Vec<(String, String)> = items(&operation["parameters"])
        .map(|parameter| {
            let place = if parameter["in"] == "path" { "in the address" } else { "in the query" };
            let about = format!("{}; {place}, {}", shown(&parameter["description"]), kind(&parameter["schema"]));
            (shown(&parameter["name"]), about)
        })
        .collect();
    let body = &operation["requestBody"]["content"]["application/json"]["schema"];
    if !body.is_null() {
        asks.push(("body".into(), kind(body)));
    }
    let who = if operation["security"].is_array() { "a token or a cookie" } else { "nothing" };
    asks.push(("needs".into(), who.into()));
    html.push_str(&list(asks));
    let answers = entries(&operation["responses"]).map(|(status, response)| {
        let shape = &response["content"]["application/json"]["schema"];
        let shape = if shape.is_null() { String::new() } else { format!("; {}", kind(shape)) };
        (status.clone(), format!("{}{shape}", shown(&response["description"])))
    });
    html.push_str(&list(answers));
    html.push_str("</article>\n");
    html
}

fn things(document: &Value) -> String {
    let mut html = String::new();
    for (name, schema) in entries(&document["components"]["schemas"]) {
        let _ = write!(html, "<article id=\"{0}\">\n<h3><a href=\"#{0}\">{0}</a></h3>\n", escaped(name));
        if schema["description"].is_string() {
            let _ = writeln!(html, "<p>{}</p>", shown(&schema["description"]));
        }
        let required: Vec<&Value> = items(&schema["required"]).collect();
        let fields = entries(&schema["properties"]).map(|(field, schema)| {
            let about = if schema["description"].is_string() {
                format!("; {}", shown(&schema["description"]))
            } else {
                String::new()
            };
            let may = if required.iter().any(|one| *one == field) { "" } else { "; may be absent" };
            (field.clone(), format!("{}{about}{may}", kind(schema)))
        });
        html.push_str(&list(fields));
        html.push_str("</article>\n");
    }
    html
}

/// What a value is, in few words.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|at| at.rsplit('/').next()) {
        return format!("<a href=\"#{0}\">{0}</a>", escaped(name));
    }
    let kind = match &schema["type"] {
        Value::String(kind) if kind == "array" => format!("array of {}", kind_of_items(schema)),
        Value::String(kind) => escaped(kind),
        Value::Array(kinds) => kinds.iter().map(shown).collect::<Vec<_>>().join(" or "),
        _ => items(&schema["oneOf"]).map(self::kind).collect::<Vec<_>>().join(" or "),
    };
    let format = if schema["format"].is_string() { format!(" ({})", shown(&schema["format"])) } else { String::new() };
    let values: Vec<String> = items(&schema["enum"]).map(|value| format!("<code>{}</code>", shown(value))).collect();
    let values = if values.is_empty() { String::new() } else { format!(": {}", values.join(" ")) };
    format!("{kind}{format}{values}")
}

fn kind_of_items(schema: &Value) -> String {
    kind(&schema["items"])
}

fn list(pairs: impl IntoIterator<Item = (String, String)>) -> String {
    let mut html = String::from("<dl>\n");
    for (term, about) in pairs {
        let _ = writeln!(html, "<dt><code>{term}</code></dt><dd>{about}</dd>");
    }
    html + "</dl>\n"
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

/// A text of the document. What stands between backticks is code.
fn shown(value: &Value) -> String {
    let text = escaped(value.as_str().unwrap_or_default());
    let mut html = String::with_capacity(text.len());
    for (index, piece) in text.split('`').enumerate() {
        if index > 0 {
            html.push_str(if index % 2 == 1 { "<code>" } else { "</code>" });
        }
        html.push_str(piece);
    }
    html
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

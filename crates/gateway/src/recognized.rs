//! Who somebody is by what their first request brings, found out before it becomes a connection.

use axum::http::HeaderMap;
use people::Identity;
use proto::Refusal;

use crate::credentials::{self, Doing};
use crate::http::problem::Problem;
use crate::node::Node;

/// Who somebody is, or why what they brought says nothing.
pub(crate) type Recognized = Result<Identity, Refusal>;

/// Who the headers say it is; absent if they bring nothing. What is wrong with a token is told by the door, in its own words.
///
/// # Errors
/// When a cookie was brought by a page that may not, or it cannot be found out now.
pub(crate) async fn recognize(
    node: &Node,
    headers: &HeaderMap,
    doing: Doing,
) -> Result<Option<Box<Recognized>>, Problem> {
    let Some(credential) = credentials::of(headers, &node.config, doing).map_err(|why| unrecognized(node, &why))?
    else {
        return Ok(None);
    };
    match node.people.recognize(credential.token()).await {
        Err(refusal) if refusal.retry_after_ms.is_some() => Err(unrecognized(node, &refusal)),
        recognized => Ok(Some(Box::new(recognized))),
    }
}

/// Turns somebody away before they are connected.
pub(crate) fn unrecognized(node: &Node, refusal: &Refusal) -> Problem {
    node.metrics.turned_away.with_label_values(&["unauthorized"]).inc();
    Problem::of(refusal)
}

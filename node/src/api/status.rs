//! Answers how the node is.

use super::{Problem, Shared};
use crate::view;
use axum::Json;
use std::process;

/// The node and its networks, in a few lines.
#[utoipa::path(get, path = "/api/v1/status", tag = "node", responses((status = 200, body = view::Status)))]
pub(super) async fn status(node: Shared) -> Result<Json<view::Status>, Problem> {
    let mut networks = Vec::with_capacity(node.networks.len());
    for network in &node.networks {
        networks.push(network.status().await?);
    }
    let (name, last) = (format!("polypeer-{}", process::id()), node.events.last());
    let last_event = *last.borrow();
    Ok(Json(view::Status { node: name, version: env!("CARGO_PKG_VERSION").into(), networks, last_event }))
}

//! Answers whether the node lives, whether it is ready, and what it counts.

use super::{Problem, Shared, metrics as encode};
use axum::http::header;
use axum::response::IntoResponse;

/// Whether the process answers.
#[utoipa::path(get, path = "/healthz", tag = "node", responses((status = 200, description = "alive", body = String)))]
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether every network listens, its store is open and it is not catching up.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "node",
    responses((status = 200, description = "ready", body = String), (status = 503, body = Problem))
)]
pub(super) async fn readyz(node: Shared) -> Result<&'static str, Problem> {
    if node.is_ready() {
        return Ok("ready\n");
    }
    if let Some(network) = node.networks.iter().find(|network| !network.is_sound()) {
        return Err(Problem::unavailable(format!("the store of {} does not take anything", network.name())));
    }
    let syncing: Vec<_> = node.networks.iter().filter(|network| network.is_syncing()).map(|own| own.name()).collect();
    Err(match syncing.as_slice() {
        [] => Problem::unavailable("the node is starting or going down"),
        names => Problem::unavailable(format!("catching up: {}", names.join(", "))),
    })
}

/// Everything that is counted, for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "node", responses((status = 200, body = String)))]
pub(super) async fn metrics(node: Shared) -> Result<impl IntoResponse, Problem> {
    let mut networks = Vec::with_capacity(node.networks.len());
    for network in &node.networks {
        networks.push((network.name().to_owned(), network.meters().await?));
    }
    let text = encode::encode(&networks, node.is_ready());
    Ok(([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text))
}

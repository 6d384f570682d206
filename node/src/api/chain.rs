//! Answers what a network's ledger holds, and hands it transactions.

use super::problem::{Asked, Body, In};
use super::{PAGE_MAX, Problem, Shared};
use crate::networks::Which;
use crate::view;
use axum::Json;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// A transaction to send.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewTransaction {
    /// Its bytes in hex.
    hex: String,
}

/// A transaction that the ledger has.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Taken {
    /// Its identifier.
    pub id: String,
}

/// A block, by hash, by height in the main chain, or the tip.
#[utoipa::path(
    get,
    path = "/api/v1/networks/{name}/blocks/{block}",
    tag = "ledger",
    params(
        ("name" = String, Path, description = "The network."),
        ("block" = String, Path, description = "A hash in hex, a height, or `tip`."),
    ),
    responses((status = 200, body = view::Block), (status = 400, body = Problem), (status = 404, body = Problem))
)]
pub(super) async fn block(node: Shared, In((name, block)): In<(String, String)>) -> Result<Json<view::Block>, Problem> {
    let network = node.network(&name)?;
    let which = which(&block).ok_or_else(|| Problem::bad_request("a block is a hash in hex, a height, or `tip`"))?;
    let found = network.block(which).await?;
    found.map(Json).ok_or_else(|| Problem::not_found(format!("no block `{block}`")))
}

/// A transaction that waits or is in the main chain.
#[utoipa::path(
    get,
    path = "/api/v1/networks/{name}/transactions/{id}",
    tag = "ledger",
    params(
        ("name" = String, Path, description = "The network."),
        ("id" = String, Path, description = "Its identifier in hex."),
    ),
    responses((status = 200, body = view::Transaction), (status = 400, body = Problem), (status = 404, body = Problem))
)]
pub(super) async fn transaction(
    node: Shared,
    In((name, id)): In<(String, String)>,
) -> Result<Json<view::Transaction>, Problem> {
    let network = node.network(&name)?;
    let parsed = bytes32(&id).ok_or_else(|| Problem::bad_request("an identifier is 64 hex digits"))?;
    let found = network.transaction(parsed).await?;
    found.map(Json).ok_or_else(|| Problem::not_found(format!("no transaction `{id}`")))
}

/// Hands a transaction to the ledger. It is stored when this answers, and waits again after a restart.
#[utoipa::path(
    post,
    path = "/api/v1/networks/{name}/transactions",
    tag = "ledger",
    params(("name" = String, Path, description = "The network.")),
    request_body = NewTransaction,
    security(("token" = [])),
    responses(
        (status = 200, body = Taken),
        (status = 400, body = Problem), (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem, description = "the ledger does not take it"),
        (status = 429, body = Problem, description = "too many that the ledger did not take came before it"),
    )
)]
pub(super) async fn submit(
    node: Shared,
    In(name): In<String>,
    Body(transaction): Body<NewTransaction>,
) -> Result<Json<Taken>, Problem> {
    let network = node.network(&name)?;
    let bytes = const_hex::decode(&transaction.hex).map_err(|_| Problem::bad_request("`hex` is not hex"))?;
    Ok(Json(Taken { id: network.submit(bytes).await? }))
}

/// How much of the mempool is named.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Named {
    /// At most so many transactions are listed, 0 to 10,000; the count is of all.
    limit: Option<usize>,
}

/// The transactions that wait.
#[utoipa::path(
    get,
    path = "/api/v1/networks/{name}/mempool",
    tag = "ledger",
    params(("name" = String, Path, description = "The network."), Named),
    responses((status = 200, body = view::Mempool), (status = 400, body = Problem), (status = 404, body = Problem))
)]
pub(super) async fn mempool(
    node: Shared,
    In(name): In<String>,
    Asked(asked): Asked<Named>,
) -> Result<Json<view::Mempool>, Problem> {
    let limit = asked.limit.unwrap_or(PAGE_MAX);
    if limit > PAGE_MAX {
        return Err(Problem::bad_request(format!("`limit` is 0 to {PAGE_MAX}")));
    }
    Ok(Json(node.network(&name)?.mempool(limit).await?))
}

/// An account at the tip; one that never had anything is empty.
#[utoipa::path(
    get,
    path = "/api/v1/networks/{name}/accounts/{key}",
    tag = "ledger",
    params(
        ("name" = String, Path, description = "The network."),
        ("key" = String, Path, description = "Its public key in hex."),
    ),
    responses((status = 200, body = view::Account), (status = 400, body = Problem), (status = 404, body = Problem))
)]
pub(super) async fn account(
    node: Shared,
    In((name, key)): In<(String, String)>,
) -> Result<Json<view::Account>, Problem> {
    let network = node.network(&name)?;
    let key = bytes32(&key).ok_or_else(|| Problem::bad_request("a key is 64 hex digits"))?;
    let found = network.account(key).await?;
    found.map(Json).ok_or_else(|| Problem::not_found(format!("{name} has no accounts")))
}

fn which(text: &str) -> Option<Which> {
    match text {
        "tip" => Some(Which::Tip),
        // 64 digits are a hash, even when all of them are decimal: no height is that long.
        _ if text.len() == 64 => bytes32(text).map(Which::Hash),
        _ => text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit())).map(Which::Height),
    }
}

fn bytes32(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    (text.len() == 64 && const_hex::decode_to_slice(text, &mut bytes).is_ok()).then_some(bytes)
}

//! Answers who is connected, known and refused, and why; and changes it.

use super::problem::{Asked, Body, In, MaybeBody};
use super::{PAGE_MAX, Problem, Shared};
use crate::config::target;
use crate::networks::{About, Order};
use crate::view;
use axum::Json;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use polypeer_engine::{Address, ConnectionId, IMPORT_MAX, ImportedAddress, Target};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;
use utoipa::{IntoParams, ToSchema};

/// How long a ban holds when nobody says.
const BAN_DEFAULT: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest ban: ten years. What is meant for ever belongs in a firewall.
const BAN_MAX: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// A peer to keep connected.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPeer {
    /// `HOST:PORT`, an address or a name.
    address: String,
}

/// How long to refuse an IP address.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewBan {
    /// Seconds; a day when it is left out.
    duration: Option<u64>,
}

/// A part of a listing.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Page {
    /// Only what comes after this entry; the `Link` header of an answer that is not the last has it.
    after: Option<String>,
    /// At most so many, 1 to 10,000.
    limit: Option<usize>,
}

impl Page {
    fn after<T: FromStr>(&self) -> Result<Option<T>, Problem> {
        let parse = |text: &String| text.parse().map_err(|_| Problem::bad_request("`after` is no entry of this list"));
        self.after.as_ref().map(parse).transpose()
    }

    fn limit(&self) -> Result<usize, Problem> {
        match self.limit.unwrap_or(PAGE_MAX) {
            limit @ 1..=PAGE_MAX => Ok(limit),
            _ => Err(Problem::bad_request(format!("`limit` is 1 to {PAGE_MAX}"))),
        }
    }
}

// One entry more than the page was asked for: it tells whether there is another page.
fn paged<T>(mut rows: Vec<T>, limit: usize, path: &str, name: impl Fn(&T) -> &str) -> (HeaderMap, Json<Vec<T>>) {
    let mut headers = HeaderMap::new();
    if rows.len() > limit {
        rows.truncate(limit);
        let last = rows.last().map(&name).unwrap_or_default();
        let link = format!("<{path}?after={last}&limit={limit}>; rel=\"next\"");
        headers.extend(HeaderValue::from_str(&link).ok().map(|link| (header::LINK, link)));
    }
    (headers, Json(rows))
}

/// The peers of a network.
#[utoipa::path(
    get,
    path = "/api/v1/networks/{name}/peers",
    tag = "peers",
    params(("name" = String, Path, description = "The network.")),
    responses((status = 200, body = Vec<view::Peer>), (status = 404, body = Problem))
)]
pub(super) async fn peers(node: Shared, In(name): In<String>) -> Result<Json<Vec<view::Peer>>, Problem> {
    Ok(Json(node.network(&name)?.peers().await?))
}

/// Keeps a peer connected from now on, until the node stops.
#[utoipa::path(
    post,
    path = "/api/v1/networks/{name}/peers",
    tag = "peers",
    params(("name" = String, Path, description = "The network.")),
    request_body = NewPeer,
    security(("token" = [])),
    responses(
        (status = 202, description = "it will be dialled"),
        (status = 400, body = Problem), (status = 401, body = Problem), (status = 404, body = Problem),
    )
)]
pub(super) async fn add_peer(
    node: Shared,
    In(name): In<String>,
    Body(peer): Body<NewPeer>,
) -> Result<StatusCode, Problem> {
    let network = node.network(&name)?;
    let target = target(&peer.address).filter(|target| match target {
        Target::Address(address) => address.is_dialable(),
        Target::Name(..) => true,
    });
    let target = target.ok_or_else(|| Problem::bad_request("`address` is `HOST:PORT`, where a peer can be"))?;
    network.order(Order::Add(target)).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Closes a connection, named by its number; or forgets a peer that was to be kept, named by its `HOST:PORT`.
#[utoipa::path(
    delete,
    path = "/api/v1/networks/{name}/peers/{id}",
    tag = "peers",
    params(
        ("name" = String, Path, description = "The network."),
        ("id" = String, Path, description = "A connection's number, or `HOST:PORT`."),
    ),
    security(("token" = [])),
    responses(
        (status = 204, description = "done"),
        (status = 400, body = Problem), (status = 401, body = Problem), (status = 404, body = Problem),
    )
)]
pub(super) async fn drop_peer(node: Shared, In((name, id)): In<(String, String)>) -> Result<StatusCode, Problem> {
    let network = node.network(&name)?;
    let order = match (id.parse().map(ConnectionId::from_u64), target(&id)) {
        (Ok(connection), _) => Order::Drop(connection),
        (Err(_), Some(target)) => Order::Forget(target),
        (Err(_), None) => return Err(Problem::bad_request("a peer is a connection's number, or `HOST:PORT`")),
    };
    match network.order(order).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::not_found(format!("no peer `{id}`"))),
    }
}

/// The address book, by address, 10,000 entries a page.
#[utoipa::path(
    get,
    path = "/api/v1/networks/{name}/addresses",
    tag = "peers",
    params(("name" = String, Path, description = "The network."), Page),
    responses((status = 200, body = Vec<view::KnownAddress>), (status = 400, body = Problem), (status = 404, body = Problem))
)]
pub(super) async fn addresses(
    node: Shared,
    In(name): In<String>,
    Asked(page): Asked<Page>,
) -> Result<(HeaderMap, Json<Vec<view::KnownAddress>>), Problem> {
    let (after, limit) = (page.after::<Address>()?, page.limit()?);
    let rows = node.network(&name)?.addresses(after, limit + 1).await?;
    Ok(paged(rows, limit, &format!("/api/v1/networks/{name}/addresses"), |row| &row.address))
}

/// The address book by network group, the largest groups first.
#[utoipa::path(
    get,
    path = "/api/v1/networks/{name}/addresses/groups",
    tag = "peers",
    params(("name" = String, Path, description = "The network.")),
    responses((status = 200, body = view::BookGroups), (status = 404, body = Problem))
)]
pub(super) async fn groups(node: Shared, In(name): In<String>) -> Result<Json<view::BookGroups>, Problem> {
    Ok(Json(node.network(&name)?.groups().await?))
}

/// Takes over addresses of another book, as its listing has them, at most 10,000. Known ones stay as they are.
#[utoipa::path(
    post,
    path = "/api/v1/networks/{name}/addresses",
    tag = "peers",
    params(("name" = String, Path, description = "The network.")),
    request_body = Vec<view::KnownAddress>,
    security(("token" = [])),
    responses(
        (status = 200, body = view::Imported),
        (status = 400, body = Problem), (status = 401, body = Problem), (status = 404, body = Problem),
    )
)]
pub(super) async fn import(
    node: Shared,
    In(name): In<String>,
    Body(known): Body<Vec<view::KnownAddress>>,
) -> Result<Json<view::Imported>, Problem> {
    let network = node.network(&name)?;
    if known.len() > IMPORT_MAX {
        return Err(Problem::bad_request(format!("at most {IMPORT_MAX} addresses at a time")));
    }
    let addresses: Result<Vec<_>, _> = known.iter().map(imported).collect();
    Ok(Json(view::Imported { taken: network.import(addresses?).await? }))
}

fn imported(known: &view::KnownAddress) -> Result<ImportedAddress, Problem> {
    let address = known.address.parse().ok().filter(Address::is_dialable);
    let address = address.ok_or_else(|| Problem::bad_request(format!("`{}` is no `IP:PORT`", known.address)))?;
    let source = known.source.as_ref().map(|source| ip(source)).transpose()?;
    Ok(ImportedAddress {
        address,
        source,
        is_tried: known.tried,
        last_tried_ms: known.last_tried.unwrap_or(0),
        last_success_ms: known.last_success.unwrap_or(0),
        last_seen_ms: known.last_seen.unwrap_or(0),
        failures: known.failures,
    })
}

/// Who is refused, by IP address, 10,000 entries a page.
#[utoipa::path(
    get,
    path = "/api/v1/networks/{name}/bans",
    tag = "peers",
    params(("name" = String, Path, description = "The network."), Page),
    responses((status = 200, body = Vec<view::Ban>), (status = 400, body = Problem), (status = 404, body = Problem))
)]
pub(super) async fn bans(
    node: Shared,
    In(name): In<String>,
    Asked(page): Asked<Page>,
) -> Result<(HeaderMap, Json<Vec<view::Ban>>), Problem> {
    let (after, limit) = (page.after::<IpAddr>()?, page.limit()?);
    let rows = node.network(&name)?.bans(after, limit + 1).await?;
    Ok(paged(rows, limit, &format!("/api/v1/networks/{name}/bans"), |row| &row.address))
}

/// Refuses an IP address: its connections end, new ones are not let in. Holds for loopback too.
#[utoipa::path(
    put,
    path = "/api/v1/networks/{name}/bans/{address}",
    tag = "peers",
    params(
        ("name" = String, Path, description = "The network."),
        ("address" = String, Path, description = "An IP address; a port is ignored."),
    ),
    request_body(content = Option<NewBan>),
    security(("token" = [])),
    responses(
        (status = 204, description = "refused"),
        (status = 400, body = Problem), (status = 401, body = Problem), (status = 404, body = Problem),
    )
)]
pub(super) async fn ban(
    node: Shared,
    In((name, address)): In<(String, String)>,
    MaybeBody(body): MaybeBody<NewBan>,
) -> Result<StatusCode, Problem> {
    let network = node.network(&name)?;
    let ip = ip(&address)?;
    let duration = body.and_then(|body| body.duration).map_or(BAN_DEFAULT, Duration::from_secs);
    if duration.is_zero() || duration > BAN_MAX {
        return Err(Problem::bad_request("`duration` is 1 to 315360000 seconds"));
    }
    network.order(Order::Ban(ip, duration)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lifts a ban or a discouragement.
#[utoipa::path(
    delete,
    path = "/api/v1/networks/{name}/bans/{address}",
    tag = "peers",
    params(
        ("name" = String, Path, description = "The network."),
        ("address" = String, Path, description = "An IP address; a port is ignored."),
    ),
    security(("token" = [])),
    responses(
        (status = 204, description = "lifted"),
        (status = 400, body = Problem), (status = 401, body = Problem), (status = 404, body = Problem),
    )
)]
pub(super) async fn unban(node: Shared, In((name, address)): In<(String, String)>) -> Result<StatusCode, Problem> {
    let network = node.network(&name)?;
    let ip = ip(&address)?;
    match network.order(Order::Unban(ip)).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::not_found(format!("{ip} is not refused"))),
    }
}

/// Why things were done about a peer, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/networks/{name}/why/{peer}",
    tag = "peers",
    params(
        ("name" = String, Path, description = "The network."),
        ("peer" = String, Path, description = "A connection's number, an IP address, or an address with a port."),
    ),
    responses((status = 200, body = Vec<view::Why>), (status = 400, body = Problem), (status = 404, body = Problem))
)]
pub(super) async fn why(node: Shared, In((name, peer)): In<(String, String)>) -> Result<Json<Vec<view::Why>>, Problem> {
    let network = node.network(&name)?;
    let about = if let Ok(number) = peer.parse() {
        About::Connection(ConnectionId::from_u64(number))
    } else if let Ok(ip) = peer.parse::<IpAddr>() {
        About::Ip(ip.to_canonical())
    } else if let Ok(address) = peer.parse() {
        About::Address(address)
    } else {
        return Err(Problem::bad_request("a peer is a connection's number, an IP address, or `IP:PORT`"));
    };
    Ok(Json(network.why(about).await?))
}

/// How near the network is to an eclipse, from the diversity of its peers and its address book, and what that is made
/// of.
#[utoipa::path(
    get,
    path = "/api/v1/networks/{name}/risk",
    tag = "peers",
    params(("name" = String, Path, description = "The network.")),
    responses((status = 200, body = view::Risk), (status = 404, body = Problem))
)]
pub(super) async fn risk(node: Shared, In(name): In<String>) -> Result<Json<view::Risk>, Problem> {
    Ok(Json(node.network(&name)?.risk().await?))
}

fn ip(text: &str) -> Result<IpAddr, Problem> {
    let ip = text.parse::<IpAddr>().or_else(|_| text.parse::<Address>().map(|address| address.ip()));
    ip.map(|ip| ip.to_canonical()).map_err(|_| Problem::bad_request(format!("`{text}` is no IP address")))
}

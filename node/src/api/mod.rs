//! Serves the HTTP API: reads need nothing, everything that acts needs the token.

mod chain;
mod dashboard;
mod events;
mod health;
mod metrics;
mod peers;
mod problem;
mod server;
mod status;
mod token;

pub use chain::Taken;
pub use problem::Problem;
pub use server::{Server, serve};
use token::Scheme;
pub use token::Token;

use crate::event_log::EventLog;
use crate::networks::RunningNetwork;
use axum::extract::DefaultBodyLimit;
use axum::routing::get;
use axum::{Router, middleware};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use utoipa::OpenApi;
use utoipa::openapi::OpenApi as Document;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// A request's body in bytes: the largest transaction of any network as hex, and room for its wrapping.
pub const BODY_BYTES_MAX: usize = 4 << 20;
/// Entries of one listing.
pub const PAGE_MAX: usize = 10_000;

/// What the API shows and acts on.
pub struct Node {
    /// The networks, in the order of their start.
    pub networks: Vec<Arc<dyn RunningNetwork>>,
    /// What happened.
    pub events: Arc<EventLog>,
    /// Who may act; nothing when nobody may.
    pub token: Option<Token>,
    /// Whether every network has started.
    pub is_up: AtomicBool,
    /// Whether the node is going down.
    pub is_draining: AtomicBool,
}

impl Node {
    /// A node that is up.
    pub fn new(networks: Vec<Arc<dyn RunningNetwork>>, events: Arc<EventLog>, token: Option<Token>) -> Self {
        Self { networks, events, token, is_up: AtomicBool::new(true), is_draining: AtomicBool::new(false) }
    }

    /// The network with that name.
    pub fn network(&self, name: &str) -> Result<&Arc<dyn RunningNetwork>, Problem> {
        let found = self.networks.iter().find(|network| network.name() == name);
        found.ok_or_else(|| {
            let names: Vec<_> = self.networks.iter().map(|network| network.name()).collect();
            Problem::not_found(format!("no network `{name}` runs here; there are: {}", names.join(", ")))
        })
    }

    /// Whether every network listens, its store is open, and none is catching up.
    pub fn is_ready(&self) -> bool {
        self.is_up.load(Ordering::Relaxed)
            && !self.is_draining.load(Ordering::Relaxed)
            && self.networks.iter().all(|network| network.is_sound() && !network.is_syncing())
    }
}

/// What every handler gets.
pub(crate) type Shared = axum::extract::State<Arc<Node>>;

#[derive(OpenApi)]
#[openapi(
    info(title = "Polypeer", description = "A peer of several networks: what it knows, what it can be told to do."),
    modifiers(&Scheme),
    // Served on a listener of its own, so the router below does not have it.
    paths(health::metrics),
    tags(
        (name = "node", description = "The node as a whole."),
        (name = "peers", description = "Connections, addresses, bans, and the reasons for them."),
        (name = "ledger", description = "Blocks, transactions, accounts."),
    )
)]
struct Described;

/// The API, and its description.
pub fn router(node: Arc<Node>) -> Router {
    let (router, document) = described(node.clone()).split_for_parts();
    let document: Arc<Document> = Arc::new(document);
    let openapi = move || async move { axum::Json(document.as_ref().clone()) };
    finish(router.route("/openapi.json", get(openapi)).merge(dashboard::routes()), node)
}

/// What the second listener serves: metrics, and whether the node lives.
pub fn metrics_router(node: Arc<Node>) -> Router {
    let router = Router::new()
        .route("/metrics", get(health::metrics))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz));
    finish(router.with_state(node.clone()), node)
}

/// The API's description alone.
pub fn document() -> Document {
    let node = Node::new(Vec::new(), Arc::default(), None);
    described(Arc::new(node)).split_for_parts().1
}

fn described(node: Arc<Node>) -> OpenApiRouter {
    OpenApiRouter::with_openapi(Described::openapi())
        .routes(routes!(status::status))
        .routes(routes!(events::events))
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(peers::peers, peers::add_peer))
        .routes(routes!(peers::drop_peer))
        .routes(routes!(peers::addresses, peers::import))
        .routes(routes!(peers::groups))
        .routes(routes!(peers::bans))
        .routes(routes!(peers::ban, peers::unban))
        .routes(routes!(peers::why))
        .routes(routes!(peers::risk))
        .routes(routes!(chain::block))
        .routes(routes!(chain::transaction))
        .routes(routes!(chain::submit))
        .routes(routes!(chain::mempool))
        .routes(routes!(chain::account))
        .with_state(node)
}

// The outermost layer comes last: the token is asked for before anything is looked at.
fn finish(router: Router, node: Arc<Node>) -> Router {
    router
        .fallback(problem::no_such_path)
        .method_not_allowed_fallback(problem::no_such_method)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(node, token::require))
}

#[cfg(test)]
mod tests;

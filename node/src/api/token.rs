//! Lets only those act who hold the token.

use super::{Node, Problem};
use axum::extract::{Request, State};
use axum::http::{Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use utoipa::Modify;
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};

/// The token, as its hash: comparing hashes takes the same time wherever they differ.
#[derive(Clone, Debug)]
pub struct Token(blake3::Hash);

impl Token {
    /// The token with this text.
    pub fn new(text: &str) -> Self {
        Self(blake3::hash(text.as_bytes()))
    }

    fn is(&self, text: &str) -> bool {
        self.0 == blake3::hash(text.as_bytes())
    }
}

/// Refuses everything but reading without the token.
pub(super) async fn require(State(node): State<Arc<Node>>, request: Request, next: Next) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return next.run(request).await;
    }
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given =
        given.and_then(|value| value.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    match (given, &node.token) {
        (Some((_, text)), Some(token)) if token.is(text.trim()) => next.run(request).await,
        (Some(_), _) => Problem::unauthorized("the token is not this node's; it is in `api.token`").into_response(),
        (None, _) => {
            let detail = "send `Authorization: Bearer` and the token in `api.token` of the node's data folder";
            Problem::unauthorized(detail).into_response()
        }
    }
}

/// Describes the token in the API's description.
pub(super) struct Scheme;

impl Modify for Scheme {
    fn modify(&self, document: &mut OpenApi) {
        let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        document.components.get_or_insert_default().add_security_scheme("token", bearer);
    }
}

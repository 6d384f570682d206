//! Holds the API to its description, with a node that has no network.

use super::*;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use tower::ServiceExt;

/// Asks a node without networks. Status, content type, body.
async fn ask(method: Method, path: &str, token: Option<&str>, body: &str) -> (StatusCode, String, String) {
    let node = Arc::new(Node::new(Vec::new(), Arc::default(), Some(Token::new("secret"))));
    let mut request = Request::builder().method(method).uri(path);
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, token);
    }
    let request = request.body(Body::from(body.to_owned())).unwrap();
    let answer = router(node).oneshot(request).await.unwrap();
    let kind = answer.headers().get(header::CONTENT_TYPE).map(|kind| kind.to_str().unwrap().to_owned());
    let status = answer.status();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, kind.unwrap_or_default(), String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn what_acts_needs_the_token() {
    let paths = [
        (Method::POST, "/api/v1/networks/x/transactions"),
        (Method::POST, "/api/v1/networks/x/peers"),
        (Method::DELETE, "/api/v1/networks/x/peers/1"),
        (Method::POST, "/api/v1/networks/x/addresses"),
        (Method::PUT, "/api/v1/networks/x/bans/1.2.3.4"),
        (Method::DELETE, "/api/v1/networks/x/bans/1.2.3.4"),
        (Method::POST, "/nowhere"),
    ];
    for (method, path) in paths {
        for token in [None, Some("Bearer wrong"), Some("Basic secret"), Some("secret"), Some("Bearer ")] {
            let (status, kind, body) = ask(method.clone(), path, token, "{}").await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{method} {path} {token:?}");
            assert_eq!(kind, "application/problem+json");
            let problem: Problem = serde_json::from_str(&body).unwrap();
            assert_eq!(problem.status, 401);
        }
        let (status, ..) =
            ask(method.clone(), path, Some("bearer secret"), "{\"hex\":\"\",\"address\":\"1.2.3.4:5\"}").await;
        assert_ne!(status, StatusCode::UNAUTHORIZED, "{method} {path}");
    }
}

#[tokio::test]
async fn faults_are_problem_documents() {
    let token = Some("Bearer secret");
    let long = "x".repeat(BODY_BYTES_MAX + 1);
    for (method, path, body, status) in [
        (Method::GET, "/nowhere", "", 404),
        (Method::GET, "/api/v1/networks/x/peers", "", 404),
        (Method::GET, "/api/v1/networks/x/blocks/tip", "", 404),
        (Method::DELETE, "/api/v1/status", "", 405),
        (Method::GET, "/api/v1/events?since=x", "", 400),
        (Method::GET, "/api/v1/networks/x/addresses?limit=0", "", 400),
        (Method::GET, "/api/v1/networks/x/mempool?limit=10001", "", 400),
        (Method::POST, "/api/v1/networks/x/peers", "no json", 400),
        (Method::POST, "/api/v1/networks/x/transactions", long.as_str(), 413),
    ] {
        let (got, kind, text) = ask(method.clone(), path, token, body).await;
        assert_eq!(got.as_u16(), status, "{method} {path}: {text}");
        assert_eq!(kind, "application/problem+json", "{method} {path}");
        let problem: Problem = serde_json::from_str(&text).unwrap();
        assert_eq!((problem.status, problem.kind.as_str()), (status, "about:blank"));
        assert!(!problem.detail.is_empty());
    }
}

#[tokio::test]
async fn the_description_is_openapi_3_1_and_names_every_path() {
    let (status, kind, body) = ask(Method::GET, "/openapi.json", None, "").await;
    assert_eq!((status, kind.as_str()), (StatusCode::OK, "application/json"));
    let document: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{}", document["openapi"]);
    let paths = document["paths"].as_object().unwrap();
    for (path, methods) in [
        ("/api/v1/status", &["get"][..]),
        ("/api/v1/events", &["get"]),
        ("/api/v1/networks/{name}/peers", &["get", "post"]),
        ("/api/v1/networks/{name}/peers/{id}", &["delete"]),
        ("/api/v1/networks/{name}/blocks/{block}", &["get"]),
        ("/api/v1/networks/{name}/transactions", &["post"]),
        ("/api/v1/networks/{name}/transactions/{id}", &["get"]),
        ("/api/v1/networks/{name}/mempool", &["get"]),
        ("/api/v1/networks/{name}/accounts/{key}", &["get"]),
        ("/api/v1/networks/{name}/addresses", &["get"]),
        ("/api/v1/networks/{name}/addresses/groups", &["get"]),
        ("/api/v1/networks/{name}/bans", &["get"]),
        ("/api/v1/networks/{name}/bans/{address}", &["put", "delete"]),
        ("/api/v1/networks/{name}/why/{peer}", &["get"]),
        ("/healthz", &["get"]),
        ("/readyz", &["get"]),
        ("/metrics", &["get"]),
    ] {
        for method in methods {
            assert!(paths[path][method]["responses"].is_object(), "{method} {path}");
        }
    }
    assert_eq!(document["components"]["securitySchemes"]["token"]["scheme"], "bearer");
}

#[tokio::test]
async fn a_node_without_networks_is_alive_and_ready() {
    assert_eq!(ask(Method::GET, "/healthz", None, "").await.0, StatusCode::OK);
    assert_eq!(ask(Method::GET, "/readyz", None, "").await.0, StatusCode::OK);
    let (status, _, body) = ask(Method::GET, "/api/v1/status", None, "").await;
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &body["last_event"]), (StatusCode::OK, &serde_json::json!(0)));
}

#[tokio::test]
async fn metrics_are_on_their_own_listener_only() {
    let node = Arc::new(Node::new(Vec::new(), Arc::default(), None));
    let get = |path: &str| Request::builder().uri(path).body(Body::empty()).unwrap();
    for (path, status) in [("/metrics", 200), ("/healthz", 200), ("/readyz", 200), ("/api/v1/status", 404)] {
        let answer = metrics_router(node.clone()).oneshot(get(path)).await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{path}");
    }
    assert_eq!(ask(Method::GET, "/metrics", None, "").await.0, StatusCode::NOT_FOUND);
}

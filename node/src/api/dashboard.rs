//! Serves the dashboard: a page, its style and its script, all of them in the program.

use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;

/// Nothing from elsewhere, and nothing that is written into the page: what a peer says of itself can never run. A script
/// that asks and a picture of the page's own are all that is left.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'none'; frame-ancestors 'none'; base-uri 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// A file of the page: where it is, what it is, what is in it.
type Asset = (&'static str, &'static str, &'static str);

const ASSETS: [Asset; 20] = [
    ("/", HTML, include_str!("dashboard/index.html")),
    ("/dashboard.css", CSS, include_str!("dashboard/style.css")),
    ("/dashboard.js", JAVASCRIPT, include_str!("dashboard/dashboard.js")),
    ("/dashboard.svg", SVG, include_str!("dashboard/icon.svg")),
    ("/dashboard/api.js", JAVASCRIPT, include_str!("dashboard/api.js")),
    ("/dashboard/bans.js", JAVASCRIPT, include_str!("dashboard/bans.js")),
    ("/dashboard/book.js", JAVASCRIPT, include_str!("dashboard/book.js")),
    ("/dashboard/dom.js", JAVASCRIPT, include_str!("dashboard/dom.js")),
    ("/dashboard/feed.js", JAVASCRIPT, include_str!("dashboard/feed.js")),
    ("/dashboard/history.js", JAVASCRIPT, include_str!("dashboard/history.js")),
    ("/dashboard/orders.js", JAVASCRIPT, include_str!("dashboard/orders.js")),
    ("/dashboard/overview.js", JAVASCRIPT, include_str!("dashboard/overview.js")),
    ("/dashboard/peers.js", JAVASCRIPT, include_str!("dashboard/peers.js")),
    ("/dashboard/pool.js", JAVASCRIPT, include_str!("dashboard/pool.js")),
    ("/dashboard/propagation.js", JAVASCRIPT, include_str!("dashboard/propagation.js")),
    ("/dashboard/risk.js", JAVASCRIPT, include_str!("dashboard/risk.js")),
    ("/dashboard/state.js", JAVASCRIPT, include_str!("dashboard/state.js")),
    ("/dashboard/stream.js", JAVASCRIPT, include_str!("dashboard/stream.js")),
    ("/dashboard/topology.js", JAVASCRIPT, include_str!("dashboard/topology.js")),
    ("/dashboard/words.js", JAVASCRIPT, include_str!("dashboard/words.js")),
];

/// A path for each file.
pub(super) fn routes() -> Router {
    let serve =
        |router: Router, (path, kind, text): Asset| router.route(path, get(move || async move { answer(kind, text) }));
    ASSETS.into_iter().fold(Router::new(), serve)
}

// Asked for again at each visit: a program that was replaced must not meet scripts of the one before.
fn answer(kind: &'static str, text: &'static str) -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use axum::http::{HeaderMap, Request, StatusCode};
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    async fn fetch(path: &str) -> (StatusCode, HeaderMap, String) {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        let answer = routes().oneshot(request).await.unwrap();
        let (status, headers) = (answer.status(), answer.headers().clone());
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        (status, headers, String::from_utf8(bytes.to_vec()).unwrap())
    }

    // What stands between one text and the next, wherever it does.
    fn between<'a>(text: &'a str, start: &'a str, end: &'a str) -> impl Iterator<Item = &'a str> {
        text.split(start).skip(1).filter_map(move |rest| rest.split(end).next())
    }

    #[tokio::test]
    async fn every_file_has_its_type_and_a_strict_policy() {
        for (path, kind, text) in ASSETS {
            let (status, headers, body) = fetch(path).await;
            assert_eq!((status, body.as_str()), (StatusCode::OK, text), "{path}");
            assert_eq!(headers[header::CONTENT_TYPE], kind, "{path}");
            assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff", "{path}");
            let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
            assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
            assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
        }
    }

    #[tokio::test]
    async fn every_file_that_the_page_names_is_there() {
        let (_, _, page) = fetch("/").await;
        for name in between(&page, "src=\"", "\"").chain(between(&page, "href=\"dashboard", "\"")) {
            let path = format!("/{}", if name.starts_with('.') { format!("dashboard{name}") } else { name.to_owned() });
            assert_eq!(fetch(&path).await.0, StatusCode::OK, "{path}");
        }
        let mut imports = 0;
        for (path, _, text) in ASSETS.iter().filter(|(_, kind, _)| *kind == JAVASCRIPT) {
            for name in between(text, "from \"./", "\"") {
                let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
                assert_eq!(fetch(&format!("{folder}/{name}")).await.0, StatusCode::OK, "{path} imports {name}");
                imports += 1;
            }
        }
        assert!(imports > 20, "{imports}");
    }

    #[test]
    fn what_peers_say_goes_in_as_text_alone() {
        for (path, kind, text) in ASSETS {
            let ways: &[&str] = match kind {
                HTML => &["<script>", "<style", " style=", " onclick=", " onload=", "javascript:"],
                JAVASCRIPT => &[
                    "innerHTML",
                    "outerHTML",
                    "insertAdjacentHTML",
                    "document.write",
                    "eval(",
                    "Function(",
                    "DOMParser",
                    "setHTML",
                    "localStorage",
                    "\"style\"",
                ],
                _ => &["@import", "url(", "<script"],
            };
            for way in ways {
                assert!(!text.contains(way), "{path} has {way}");
            }
            // Nothing is fetched from elsewhere: the one address is the name of the format of pictures.
            let foreign = between(text, "://", "\"").filter(|rest| *rest != "www.w3.org/2000/svg");
            assert_eq!(foreign.collect::<Vec<_>>(), Vec::<&str>::new(), "{path}");
        }
    }
}

//! Answers browsers with one plain page that asks the API.

use axum::http::header;
use axum::response::{Html, IntoResponse};

/// No word from elsewhere: the page's own script and style are named by their hash-free inline permission only.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; \
                      frame-ancestors 'none'; base-uri 'none'";

/// The page.
pub(super) async fn page() -> impl IntoResponse {
    let headers = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, Html(include_str!("page.html")))
}

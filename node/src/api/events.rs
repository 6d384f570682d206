//! Streams what happens, as server-sent events with numbers.

use super::problem::Asked;
use super::{Node, Problem, Shared};
use crate::event_log::EventLog;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{self, Stream};
use serde::Deserialize;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::watch;
use utoipa::IntoParams;

/// Events read from the log at one time.
const BATCH_MAX: usize = 256;
/// A comment is sent after so long without an event, so that a dead reader is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Where to start.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Since {
    /// Only events after this number, 0 for all that are kept; only new ones when it is left out.
    since: Option<u64>,
}

struct Reading {
    node: Arc<Node>,
    last: watch::Receiver<u64>,
    since: u64,
    ready: VecDeque<Event>,
}

/// What happens, as it happens. An event's id is its number; what was lost is seen as missing numbers and as an
/// event `gap`.
#[utoipa::path(
    get,
    path = "/api/v1/events",
    tag = "node",
    params(Since),
    responses((status = 200, content_type = "text/event-stream", body = crate::view::Happened))
)]
pub(super) async fn events(
    node: Shared,
    headers: HeaderMap,
    Asked(asked): Asked<Since>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    // A browser that reconnects says in this header how far it came.
    let resumed = headers.get("last-event-id").and_then(|id| id.to_str().ok()).and_then(|id| id.parse().ok());
    let last = node.events.last();
    let since = resumed.or(asked.since).unwrap_or(*last.borrow());
    let reading = Reading { node: node.0, last, since, ready: VecDeque::new() };
    let stream = stream::unfold(reading, |reading| async { reading.next().await });
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

impl Reading {
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some((Ok(event), self));
            }
            // Marked before reading: what comes meanwhile wakes the wait below at once.
            self.last.mark_unchanged();
            let node = self.node.clone();
            if self.read(&node.events) {
                continue;
            }
            if node.is_draining.load(Ordering::Relaxed) {
                return None;
            }
            self.last.changed().await.ok()?;
        }
    }

    fn read(&mut self, log: &EventLog) -> bool {
        for happened in log.after(self.since, BATCH_MAX) {
            self.since = happened.sequence;
            let event = Event::default().id(happened.sequence.to_string()).event(happened.what.word());
            self.ready.extend(event.json_data(&*happened).ok());
        }
        !self.ready.is_empty()
    }
}

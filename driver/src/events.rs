//! Numbers events and hands them to whoever watches.

use polypeer_engine::Event;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::broadcast;

/// Events that a slow watcher may be behind before it loses the oldest, visibly.
const BEHIND_MAX: usize = 4096;

/// Where events go. Every event has a number, also when nobody watches, so that a gap is visible.
#[derive(Clone, Debug)]
pub(crate) struct Events(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    sender: broadcast::Sender<(u64, Event)>,
    next: Mutex<u64>,
}

impl Events {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner { sender: broadcast::channel(BEHIND_MAX).0, next: Mutex::new(0) }))
    }

    /// Shows an event. The lock keeps numbers and order the same thing; it is held for as long as a push takes.
    pub(crate) fn publish(&self, event: Event) {
        let mut next = self.0.next.lock().unwrap_or_else(PoisonError::into_inner);
        let number = *next;
        *next += 1;
        if self.0.sender.receiver_count() > 0 {
            // Failing means that the last watcher left meanwhile.
            let _ = self.0.sender.send((number, event));
        }
    }

    /// Shows a sentence.
    pub(crate) fn note(&self, text: String) {
        self.publish(Event::Note(text));
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<(u64, Event)> {
        self.0.sender.subscribe()
    }
}

//! Keeps records from a background thread: the latest of each key, a durable commit a batch.

use crate::events::Events;
use bytes::Bytes;
use polypeer_engine::{Record, Table};
use polypeer_store::Store;
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Keys that may wait for the disk; a full address book and a full tracker fit many times. More are refused and
/// counted: what is remembered is a help, never a promise.
const KEYS_MAX: usize = 1 << 17;
/// Records in one commit, so that the wait for the last one at the end stays short.
const BATCH_MAX: usize = 1 << 14;
/// Between two commits, so that a busy address book costs ten of them a second at most.
const PAUSE: Duration = Duration::from_millis(100);
/// Between two tries while the disk refuses.
const RETRY: Duration = Duration::from_secs(1);

/// The engine's end: takes records without waiting for the disk.
pub(crate) struct Saver {
    desk: Arc<Desk>,
    thread: Option<JoinHandle<()>>,
    next: Vec<Record>,
    refused: u64,
}

#[derive(Default)]
struct Desk {
    waiting: Mutex<Waiting>,
    bell: Condvar,
}

#[derive(Default)]
struct Waiting {
    records: BTreeMap<(Table, Bytes), Option<Bytes>>,
    is_stopping: bool,
}

impl Saver {
    pub(crate) fn start(name: &str, store: Store, events: Events) -> std::io::Result<Self> {
        let desk = Arc::new(Desk::default());
        let of_thread = desk.clone();
        let body = move || of_thread.run(&store, &events);
        let thread = thread::Builder::new().name(format!("store:{name}")).spawn(body)?;
        Ok(Self { desk, thread: Some(thread), next: Vec::new(), refused: 0 })
    }

    /// Notes a record; it goes to the thread with the next [`Saver::send`].
    pub(crate) fn save(&mut self, record: Record) {
        self.next.push(record);
    }

    /// Sends what was noted: one lock a turn.
    pub(crate) fn send(&mut self) {
        if self.next.is_empty() {
            return;
        }
        let mut waiting = self.desk.lock();
        for Record { table, key, value } in self.next.drain(..) {
            let key = (table, key);
            if waiting.records.len() >= KEYS_MAX && !waiting.records.contains_key(&key) {
                self.refused += 1;
            } else {
                waiting.records.insert(key, value);
            }
        }
        drop(waiting);
        self.desk.bell.notify_one();
    }

    /// Records that found no room.
    pub(crate) fn refused(&self) -> u64 {
        self.refused
    }

    /// Saves what waits and ends.
    pub(crate) fn finish(&mut self) {
        self.send();
        self.desk.lock().is_stopping = true;
        self.desk.bell.notify_one();
        if let Some(thread) = self.thread.take() {
            // The thread says itself what went wrong.
            let _ = thread.join();
        }
    }
}

impl Drop for Saver {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing that can panic runs under the lock.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, store: &Store, events: &Events) {
        let mut has_failed = false;
        while let Some(batch) = self.take() {
            match store.save(&batch) {
                Ok(_) => has_failed = false,
                Err(error) => {
                    if !std::mem::replace(&mut has_failed, true) {
                        events.note(format!("records cannot be kept, trying again: {error}"));
                    }
                    if !self.put_back(batch) {
                        return;
                    }
                }
            }
            self.pause(if has_failed { RETRY } else { PAUSE });
        }
    }

    fn take(&self) -> Option<Vec<Record>> {
        let waiting = self.lock();
        let is_idle = |waiting: &mut Waiting| waiting.records.is_empty() && !waiting.is_stopping;
        let mut waiting = self.bell.wait_while(waiting, is_idle).unwrap_or_else(PoisonError::into_inner);
        if waiting.records.is_empty() {
            return None;
        }
        let mut batch = Vec::new();
        while batch.len() < BATCH_MAX
            && let Some(((table, key), value)) = waiting.records.pop_first()
        {
            batch.push(Record { table, key, value });
        }
        Some(batch)
    }

    // Whether there is another try: not at the end, which must not wait for a full disk.
    fn put_back(&self, batch: Vec<Record>) -> bool {
        let mut waiting = self.lock();
        for Record { table, key, value } in batch {
            waiting.records.entry((table, key)).or_insert(value);
        }
        !waiting.is_stopping
    }

    fn pause(&self, pause: Duration) {
        let waiting = self.lock();
        let is_running = |waiting: &mut Waiting| !waiting.is_stopping;
        drop(self.bell.wait_timeout_while(waiting, pause, is_running));
    }
}

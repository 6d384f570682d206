//! Writes the journal of a network's actions from a background thread.
//!
//! Recording never stops a node: when the disk refuses or cannot keep up the recording ends, and a note says so.

use crate::events::Events;
use polypeer_engine::journal;
use serde::Serialize;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Bytes that may wait for the disk: two of the largest entries. More ends the recording.
const WAITING_MAX: usize = 2 * journal::ENTRY_BYTES_MAX;
/// From so many bytes on the writer does not wait for more.
const FULL_BYTES: usize = 1 << 20;
/// How long an entry may wait in memory; so much of a recording a crash can cost.
const PATIENCE: Duration = Duration::from_millis(50);

/// A recording under way.
pub(crate) struct Recorder {
    desk: Arc<Desk>,
    thread: Option<JoinHandle<()>>,
    entry: Vec<u8>,
    events: Events,
    is_over: bool,
}

#[derive(Default)]
struct Desk {
    waiting: Mutex<Waiting>,
    bell: Condvar,
}

#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    is_stopping: bool,
    is_broken: bool,
}

/// Makes the file, readable by its owner only: it holds the seed that decides an engine's chance.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    let file = File::options().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    // The mode above does not hold for a file that was there.
    if file.metadata()?.is_file() {
        file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    }
    Ok(file)
}

impl Recorder {
    /// Starts to record into a file that is empty.
    pub(crate) fn start(name: &str, file: impl Write + Send + 'static, events: Events) -> io::Result<Self> {
        let desk = Arc::new(Desk::default());
        desk.lock().bytes.extend_from_slice(&journal::MAGIC);
        let (of_thread, of_events) = (desk.clone(), events.clone());
        let body = move || of_thread.run(file, &of_events);
        let thread = thread::Builder::new().name(format!("record:{name}")).spawn(body)?;
        Ok(Self { desk, thread: Some(thread), entry: Vec::new(), events, is_over: false })
    }

    /// Whether entries still go anywhere.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Adds an entry.
    pub(crate) fn put(&mut self, entry: &impl Serialize) {
        if self.is_over {
            return;
        }
        self.entry.clear();
        if let Err(damage) = journal::put(entry, &mut self.entry) {
            self.end(&damage.to_string());
            return;
        }
        let mut waiting = self.desk.lock();
        let (is_broken, is_full) = (waiting.is_broken, waiting.bytes.len() > WAITING_MAX);
        if is_broken || is_full {
            drop(waiting);
            self.end(if is_full { "the disk cannot keep up" } else { "the disk refuses" });
            return;
        }
        waiting.bytes.extend_from_slice(&self.entry);
        // The writer looks by itself every 50 ms; it is called only when much waits.
        let is_much = waiting.bytes.len() >= FULL_BYTES;
        drop(waiting);
        if is_much {
            self.desk.bell.notify_one();
        }
        if self.entry.capacity() > FULL_BYTES {
            self.entry = Vec::new();
        }
    }

    fn end(&mut self, why: &str) {
        self.is_over = true;
        self.events.note(format!("the recording ends here: {why}"));
    }

    /// Writes what waits and ends.
    pub(crate) fn finish(&mut self) {
        self.is_over = true;
        self.desk.lock().is_stopping = true;
        self.desk.bell.notify_one();
        if let Some(thread) = self.thread.take() {
            // The thread says itself what went wrong.
            let _ = thread.join();
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing that can panic runs under the lock.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, mut file: impl Write, events: &Events) {
        let mut bytes = Vec::new();
        loop {
            let waiting = self.lock();
            let may_wait = |waiting: &mut Waiting| waiting.bytes.len() < FULL_BYTES && !waiting.is_stopping;
            let waited = self.bell.wait_timeout_while(waiting, PATIENCE, may_wait);
            let mut waiting = waited.unwrap_or_else(PoisonError::into_inner).0;
            std::mem::swap(&mut bytes, &mut waiting.bytes);
            let is_stopping = waiting.is_stopping;
            drop(waiting);
            if let Err(error) = file.write_all(&bytes) {
                events.note(format!("the recording cannot be written: {error}"));
                let mut waiting = self.lock();
                waiting.is_broken = true;
                waiting.bytes = Vec::new();
                return;
            }
            bytes.clear();
            bytes.shrink_to(2 * FULL_BYTES);
            if is_stopping {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use polypeer_engine::Event;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::time::Instant;

    /// A file that takes so many writes, the last one only in part, and hands on what it has.
    struct Full {
        left: usize,
        taken: Vec<u8>,
        done: Sender<Vec<u8>>,
    }

    impl Full {
        fn after(left: usize) -> (Self, Receiver<Vec<u8>>) {
            let (done, taken) = channel();
            (Self { left, taken: Vec::new(), done }, taken)
        }
    }

    impl Write for Full {
        // A sector at a time, so that a batch is many writes.
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let sector = bytes.len().min(512);
            let taken = match self.left {
                0 => return Err(io::ErrorKind::StorageFull.into()),
                1 => sector.div_ceil(2),
                _ => sector,
            };
            self.left -= 1;
            self.taken.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Drop for Full {
        fn drop(&mut self) {
            // The test may not want it.
            let _ = self.done.send(std::mem::take(&mut self.taken));
        }
    }

    #[test]
    fn a_full_disk_at_any_of_the_first_200_writes_ends_the_recording_and_nothing_else() {
        for left in 1..=200 {
            let events = Events::new();
            let mut heard = events.subscribe();
            let (file, taken) = Full::after(left);
            let mut recorder = Recorder::start("test", file, events).expect("a thread");
            // Each so long that the writer does not wait for more.
            let entry = vec![7_u8; FULL_BYTES / 64];
            let end = Instant::now() + Duration::from_secs(60);
            let mut put = 0;
            while !recorder.is_over() {
                recorder.put(&entry);
                put += 1;
                assert!(Instant::now() < end, "it never ended");
                if put % 64 == 0 {
                    thread::yield_now();
                }
            }
            recorder.put(&entry);
            recorder.finish();
            // What it has is whole up to where it was cut.
            let taken = taken.recv().expect("the writer is gone");
            let mut rest = taken.strip_prefix(&journal::MAGIC[..]).unwrap_or_default();
            while let Ok((_, length)) = journal::entry(rest) {
                rest = &rest[length..];
            }
            assert!(matches!(journal::entry(rest), Err(journal::Damage::Cut)), "after {left}");
            let mut notes = Vec::new();
            while let Ok((_, Event::Note(text))) = heard.try_recv() {
                notes.push(text);
            }
            assert!(notes.iter().any(|note| note.contains("the recording ends here")), "{notes:?}");
        }
    }
}

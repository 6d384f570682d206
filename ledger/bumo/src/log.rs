//! Appends records to a file of a fixed size, so that one sync makes many of them durable.
//!
//! ```text
//!   segment 0   [ head, generation 7 │ carried │ seal │ record │ record │ ..zeros.. ]   ◄── appended to
//!   segment 1   [ head, generation 6 │ ...                                          ]   the next to be written
//! ```
//! There are two files of the same size, filled with zeros when they are made: a write within a file whose blocks exist
//! changes no metadata, so that the sync is as cheap as a sync can be. When one is full the other begins a new
//! generation with the records that still matter. It counts from the moment its seal is durable; what a crash leaves
//! before that is no segment, and the older one is read.
//!
//! A record's check covers its generation and its place: a record of an earlier turn is none. Reading ends at the first
//! place without a record, which is where a crash cut the last write; but each record says up to where its file was
//! durable when it was written, so that a hole below that is told as damage.

use bytes::Bytes;
use redb::StorageBackend;
use std::io;
use std::sync::Arc;

/// Begins a segment.
const MAGIC: [u8; 8] = *b"ppvotes\x01";
/// Magic, generation, check.
const HEAD_BYTES: u64 = 32;
/// Length, durable place, kind, check.
const RECORD_HEAD_BYTES: usize = 32;
const CHECK_BYTES: usize = 16;
/// The kind of the record after which a segment counts.
const SEAL: u8 = u8::MAX;
/// What waits to be written is written, without a sync, when there is this much of it.
const BUFFER_BYTES: usize = 1 << 20;
/// Bytes that may be hashed to look for a hole: whoever sends values could fill a segment with what looks like heads.
const SCANNED_BYTES_MAX: usize = 64 << 20;
const ZEROS: [u8; 4_096] = [0; 4_096];
/// A segment that cannot shed anything ends here: the store has failed long before.
const SEGMENT_BYTES_MAX: u64 = 512 << 20;

/// A record: what it is, and its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) kind: u8,
    pub(crate) bytes: Bytes,
}

/// Why a log cannot be opened.
#[derive(Debug)]
pub(crate) enum LogError {
    /// It is not what was written, at this byte.
    Damaged(u64),
    /// It cannot be read or written.
    Io(io::Error),
}

impl From<io::Error> for LogError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Where a log is: two files, of this size each.
#[derive(Clone, Debug)]
pub(crate) struct Segments {
    pub(crate) files: [Arc<dyn StorageBackend>; 2],
    pub(crate) bytes: u64,
}

/// A log.
#[derive(Debug)]
pub(crate) struct Log {
    segments: Segments,
    generation: u64,
    /// Where the next write goes.
    end: u64,
    /// Up to where the segment is durable.
    durable: u64,
    /// Records that are not written yet.
    buffer: Vec<u8>,
    /// Whether a sync failed: what the file then holds is not known before the next start.
    is_broken: bool,
}

impl Log {
    /// Opens a log, or makes one, and begins a generation with the records that `keeps` leaves.
    pub(crate) fn open(
        segments: Segments,
        keeps: impl FnOnce(Vec<Entry>) -> Vec<Entry>,
    ) -> Result<(Self, Vec<Entry>), LogError> {
        let mut found = None;
        for file in &segments.files {
            let segment = read(&**file)?;
            if segment.as_ref().map(|(generation, _)| *generation) > found.as_ref().map(|(generation, _)| *generation) {
                found = segment;
            }
        }
        // The second file gets its size after the first is whole: without it, nothing was ever signed.
        if found.is_none() && segments.files[1].len()? > 0 {
            return Err(LogError::Damaged(0));
        }
        let (generation, entries) = found.unwrap_or_default();
        let kept = keeps(entries);
        let mut log = Self { segments, generation, end: 0, durable: 0, buffer: Vec::new(), is_broken: false };
        log.turn(&kept)?;
        // The other one is made now, so that turning later writes within it.
        extend(&*log.segments.files[log.other()], log.segments.bytes)?;
        Ok((log, kept))
    }

    fn active(&self) -> usize {
        (self.generation % 2) as usize
    }

    fn other(&self) -> usize {
        1 - self.active()
    }

    /// Adds a record, which is durable after the next [`Log::sync`].
    ///
    /// # Errors
    /// The file cannot be written or is too long; the record may become durable all the same.
    pub(crate) fn append(&mut self, kind: u8, bytes: &[u8]) -> io::Result<()> {
        if self.bytes() > SEGMENT_BYTES_MAX {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let place = self.bytes();
        put(&mut self.buffer, self.generation, place, self.durable, kind, bytes);
        if self.buffer.len() >= BUFFER_BYTES { self.write() } else { Ok(()) }
    }

    /// Makes all records durable: one write and one sync, or none when there is nothing new.
    ///
    /// # Errors
    /// They may not be durable. After a failed sync every further one fails.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        if self.is_broken {
            return Err(io::Error::other("the log has failed, and is not trusted again before the next start"));
        }
        self.write()?;
        if self.durable < self.end {
            self.segments.files[self.active()].sync_data().inspect_err(|_| self.is_broken = true)?;
            self.durable = self.end;
        }
        Ok(())
    }

    /// Begins the other segment with these records only. They are durable afterwards.
    ///
    /// # Errors
    /// The log is as it was.
    pub(crate) fn turn(&mut self, kept: &[Entry]) -> io::Result<()> {
        let generation = self.generation + 1;
        let file = self.segments.files[(generation % 2) as usize].clone();
        let mut bytes = head(generation);
        for entry in kept {
            let place = bytes.len() as u64;
            put(&mut bytes, generation, place, 0, entry.kind, &entry.bytes);
        }
        let place = bytes.len() as u64;
        put(&mut bytes, generation, place, 0, SEAL, &[]);
        extend(&*file, self.segments.bytes.max(bytes.len() as u64))?;
        file.write(0, &bytes)?;
        file.sync_data()?;
        let end = bytes.len() as u64;
        (self.generation, self.end, self.durable) = (generation, end, end);
        self.buffer.clear();
        Ok(())
    }

    /// Bytes of the segment in use.
    pub(crate) fn bytes(&self) -> u64 {
        self.end + self.buffer.len() as u64
    }

    /// Whether more than half of the segment is in use.
    pub(crate) fn is_half_full(&self) -> bool {
        self.bytes() > self.segments.bytes / 2
    }

    /// Whether nearly all of it is.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes() > self.segments.bytes / 8 * 7
    }

    fn write(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let file = &self.segments.files[self.active()];
        extend(&**file, self.bytes())?;
        file.write(self.end, &self.buffer)?;
        self.end += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

/// Makes a file at least this long, with zeros that are written: a hole would be filled later, at a sync's cost.
fn extend(file: &dyn StorageBackend, bytes: u64) -> io::Result<()> {
    let length = file.len()?;
    if length < bytes {
        file.set_len(bytes)?;
        let zeros = vec![0; usize::try_from(bytes - length).unwrap_or(usize::MAX).min(BUFFER_BYTES)];
        let mut place = length;
        while place < bytes {
            let count = zeros.len().min(usize::try_from(bytes - place).unwrap_or(usize::MAX));
            file.write(place, &zeros[..count])?;
            place += count as u64;
        }
    }
    Ok(())
}

fn head(generation: u64) -> Vec<u8> {
    let mut head = MAGIC.to_vec();
    head.extend(generation.to_le_bytes());
    let check = check(&[&head]);
    head.extend(check);
    head
}

fn put(out: &mut Vec<u8>, generation: u64, place: u64, durable: u64, kind: u8, bytes: &[u8]) {
    // Three bytes are enough for the kind's neighbours; the length is that of a value, far below 2^32.
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let mut head = [0; RECORD_HEAD_BYTES - CHECK_BYTES];
    head[..4].copy_from_slice(&length.to_le_bytes());
    head[4] = kind;
    head[8..].copy_from_slice(&durable.to_le_bytes());
    out.extend(head);
    out.extend(check(&[&generation.to_le_bytes(), &place.to_le_bytes(), &head, bytes]));
    out.extend(bytes);
}

fn check(parts: &[&[u8]]) -> [u8; CHECK_BYTES] {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    let mut check = [0; CHECK_BYTES];
    check.copy_from_slice(&hasher.finalize().as_bytes()[..CHECK_BYTES]);
    check
}

/// Generation and records of a segment; nothing when it was never sealed.
fn read(file: &dyn StorageBackend) -> Result<Option<(u64, Vec<Entry>)>, LogError> {
    let length = file.len()?;
    let mut bytes = vec![0; usize::try_from(length.min(2 * SEGMENT_BYTES_MAX)).unwrap_or(usize::MAX)];
    file.read(0, &mut bytes)?;
    let bytes = Bytes::from(bytes);
    let Some(generation) = generation(&bytes) else { return Ok(None) };
    let (mut place, mut entries, mut is_sealed) = (HEAD_BYTES, Vec::new(), false);
    while let Some(found) = record(&bytes, generation, place) {
        place = found.end;
        match found.entry.kind {
            SEAL => is_sealed = true,
            _ => entries.push(found.entry),
        }
    }
    if !is_sealed {
        return Ok(None);
    }
    if is_contradicted(&bytes, generation, place) {
        return Err(LogError::Damaged(place));
    }
    Ok(Some((generation, entries)))
}

/// Whether a record behind the end says that the end was durable when it was written.
fn is_contradicted(bytes: &Bytes, generation: u64, end: u64) -> bool {
    let used = bytes.chunks(ZEROS.len()).rposition(|chunk| *chunk != ZEROS[..chunk.len()]).map_or(0, |chunk| chunk + 1);
    let used = (used * ZEROS.len()).min(bytes.len()) as u64;
    let mut budget = SCANNED_BYTES_MAX;
    (end + 1..used).any(|place| {
        let says =
            claim(bytes, place).filter(|(durable, length)| *durable > end && *durable <= place && *length <= budget);
        says.is_some_and(|(_, length)| {
            budget -= length;
            record(bytes, generation, place).is_some()
        })
    })
}

/// What the head of a record at this place would say: up to where the segment was durable, and how long it is.
fn claim(bytes: &Bytes, place: u64) -> Option<(u64, usize)> {
    let (head, rest) = bytes.get(usize::try_from(place).ok()?..)?.split_first_chunk::<RECORD_HEAD_BYTES>()?;
    let (length, durable) = (u32::from_le_bytes(*head.first_chunk()?) as usize, head.get(8..16)?);
    (head[5..8] == [0; 3] && length <= rest.len()).then_some((u64::from_le_bytes(durable.try_into().ok()?), length))
}

fn generation(bytes: &[u8]) -> Option<u64> {
    let (head, _) = bytes.split_first_chunk::<{ HEAD_BYTES as usize }>()?;
    let (named, seen) = head.split_at(head.len() - CHECK_BYTES);
    let (magic, generation) = named.split_first_chunk::<8>()?;
    (*magic == MAGIC && seen == check(&[named])).then_some(())?;
    Some(u64::from_le_bytes(generation.try_into().ok()?))
}

struct Found {
    entry: Entry,
    end: u64,
}

fn record(bytes: &Bytes, generation: u64, place: u64) -> Option<Found> {
    let start = usize::try_from(place).ok()?;
    let (head, rest) = bytes.get(start..)?.split_first_chunk::<{ RECORD_HEAD_BYTES - CHECK_BYTES }>()?;
    // Zeros are no record.
    if head[5..8] != [0; 3] || *head == [0; RECORD_HEAD_BYTES - CHECK_BYTES] {
        return None;
    }
    let length = u32::from_le_bytes(*head.first_chunk()?) as usize;
    let (seen, rest) = rest.split_first_chunk::<CHECK_BYTES>()?;
    let body = rest.get(..length)?;
    (*seen == check(&[&generation.to_le_bytes(), &place.to_le_bytes(), head, body])).then_some(())?;
    let from = start + RECORD_HEAD_BYTES;
    let entry = Entry { kind: head[4], bytes: bytes.slice(from..from + length) };
    Some(Found { entry, end: (from + length) as u64 })
}

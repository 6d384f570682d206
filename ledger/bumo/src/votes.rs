//! Remembers every vote before it is signed, so that a validator that crashes never contradicts itself.
//!
//! ```text
//!   Sign ──► contradicts? ──► append ─┐
//!   Sign ──► contradicts? ──► append ─┴─► one sync ──► signatures
//!   Submit ─► append the operator's transaction ─► the same sync ─► acknowledged
//!   Close ─► append the ledger, which the next sync makes durable with the next vote
//! ```
//! A ledger that was closed is here until the store has it, and a vote until the ledger that it was for is in the store. So
//! is a transaction that the operator was told is kept: until the store has the ledger after it.

use crate::log::{Entry, Log, LogError, Segments};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use polypeer_bumo::hash::Hash;
use polypeer_bumo::ledger::SignError;
use polypeer_bumo::wire::{Body, Message, Pbft, Vote};
use std::collections::BTreeMap;
use std::io;

const VOTE: u8 = 1;
const KEPT: u8 = 2;
const CLOSED: u8 = 3;
const OPERATOR: u8 = 4;

/// Votes and records above the last durable ledger. A view changes at most every 30 s, or three intervals: these are the
/// votes of some weeks without a ledger.
const LIVE_MAX: usize = 100_000;

/// What a vote is for. Whoever votes for two digests in one place lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) sequence: i64,
    view: i64,
    kind: u8,
}

/// A vote: its place, and what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ballot {
    pub(crate) place: Place,
    /// Nothing for a view change without a prepared value.
    pub(crate) digest: Option<Hash>,
}

impl Ballot {
    /// What a message votes for; nothing for one that binds to nothing.
    pub(crate) fn of(pbft: &Pbft<'_>) -> Result<Option<Self>, SignError> {
        let (kind, view, sequence, digest) = match pbft.body {
            Body::PrePrepare(one) => (0, one.view_number, one.sequence, one.value_digest),
            Body::Prepare(Vote { view_number, sequence, value_digest, .. }) => (1, view_number, sequence, value_digest),
            Body::Commit(Vote { view_number, sequence, value_digest, .. }) => (2, view_number, sequence, value_digest),
            // Its sequence is the last closed ledger's.
            Body::ViewChange(change) => {
                (3, change.view_number, change.sequence.saturating_add(1), change.prepared_value_digest)
            }
            Body::NewView(_) | Body::RawViewChange(_) => return Ok(None),
            Body::Missing(_) => return Err(SignError::Malformed),
        };
        let digest = match digest {
            [] if kind == 3 => None,
            digest => Some(Hash(digest.try_into().map_err(|_| SignError::Malformed)?)),
        };
        Ok(Some(Self { place: Place { sequence, view, kind }, digest }))
    }

    /// Whether it is a vote for a value, not for a view.
    pub(crate) fn is_for_value(&self) -> bool {
        self.place.kind != 3
    }

    fn encode(&self, keep: &[u8]) -> Bytes {
        let mut out = BytesMut::with_capacity(50 + keep.len());
        out.put_i64(self.place.sequence);
        out.put_i64(self.place.view);
        out.put_u8(self.place.kind);
        out.put_u8(u8::from(self.digest.is_some()));
        out.put_slice(&self.digest.unwrap_or(Hash([0; 32])).0);
        out.put_slice(keep);
        out.freeze()
    }

    /// The vote, and what was kept with it.
    fn decode(mut bytes: Bytes) -> Option<(Self, Bytes)> {
        let mut digest = [0; 32];
        if bytes.len() < 50 {
            return None;
        }
        let (sequence, view, kind) = (bytes.get_i64(), bytes.get_i64(), bytes.get_u8());
        let is_there = bytes.get_u8() == 1;
        bytes.copy_to_slice(&mut digest);
        let digest = is_there.then_some(Hash(digest));
        Some((Self { place: Place { sequence, view, kind }, digest }, bytes))
    }
}

/// A ledger that was closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClosedLedger {
    pub(crate) value: Bytes,
    pub(crate) proof: Bytes,
}

/// What the log has and the store has not.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unstored {
    /// In their order.
    pub(crate) closed: Vec<ClosedLedger>,
    /// Envelopes of the operator's.
    pub(crate) operator: Vec<Bytes>,
}

#[derive(Clone, Debug)]
struct Live {
    sequence: i64,
    /// What the state machine wants back.
    keep: Bytes,
    entry: Entry,
}

/// The vote log.
pub(crate) struct Votes {
    log: Log,
    /// In their order.
    live: Vec<Live>,
    ballots: BTreeMap<Place, Option<Hash>>,
}

impl Votes {
    /// Opens the log of a ledger whose store has all ledgers up to `durable`, and gives what it holds beyond.
    pub(crate) fn open(segments: Segments, durable: i64) -> Result<(Self, Unstored), LogError> {
        let mut live = Vec::new();
        let (log, _) = Log::open(segments, |entries| {
            live = entries.into_iter().filter_map(read).filter(|live| live.sequence > durable).collect();
            live.iter().map(|live| live.entry.clone()).collect()
        })?;
        let mut votes = Self { log, live, ballots: BTreeMap::new() };
        votes.ballots = votes.live.iter().filter_map(|live| ballot(&live.entry)).collect();
        let closed = votes.live.iter().filter_map(|live| closed(&live.entry)).collect();
        let operator = votes.live.iter().map(|live| &live.entry).filter(|entry| entry.kind == OPERATOR);
        let operator = operator.map(|entry| entry.bytes.slice(8..)).collect();
        Ok((votes, Unstored { closed, operator }))
    }

    /// Takes a vote; it is durable after [`Votes::sync`]. One that was taken before needs no sync.
    pub(crate) fn vote(&mut self, ballot: Ballot, keep: &Bytes) -> Result<(), SignError> {
        if let Some(digest) = self.ballots.get(&ballot.place) {
            if *digest != ballot.digest {
                return Err(SignError::Contradiction);
            }
            if keep.is_empty() || self.live.iter().rev().any(|live| live.keep == *keep) {
                return Ok(());
            }
        }
        let entry = Entry { kind: VOTE, bytes: ballot.encode(keep) };
        self.append(ballot.place.sequence, keep.clone(), entry).map_err(|_| SignError::Store)?;
        self.ballots.insert(ballot.place, ballot.digest);
        Ok(())
    }

    /// Takes a record of the state machine's, which belongs to the ledger of this number.
    pub(crate) fn keep(&mut self, sequence: i64, record: &Bytes) -> io::Result<()> {
        let mut bytes = BytesMut::with_capacity(8 + record.len());
        bytes.put_i64(sequence);
        bytes.put_slice(record);
        self.append(sequence, record.clone(), Entry { kind: KEPT, bytes: bytes.freeze() })
    }

    /// Takes a transaction of the operator's, which waits for the ledger of this number or a later one. It is durable after
    /// [`Votes::sync`].
    pub(crate) fn submit(&mut self, sequence: i64, envelope: &Bytes) -> io::Result<()> {
        let mut bytes = BytesMut::with_capacity(8 + envelope.len());
        bytes.put_i64(sequence);
        bytes.put_slice(envelope);
        self.append(sequence, Bytes::new(), Entry { kind: OPERATOR, bytes: bytes.freeze() })
    }

    /// Takes a ledger that was closed.
    pub(crate) fn close(&mut self, number: i64, value: &Bytes, proof: &Bytes) -> io::Result<()> {
        let mut bytes = BytesMut::with_capacity(12 + value.len() + proof.len());
        bytes.put_i64(number);
        bytes.put_u32(u32::try_from(value.len()).unwrap_or(u32::MAX));
        bytes.put_slice(value);
        bytes.put_slice(proof);
        self.append(number, Bytes::new(), Entry { kind: CLOSED, bytes: bytes.freeze() })
    }

    fn append(&mut self, sequence: i64, keep: Bytes, entry: Entry) -> io::Result<()> {
        if self.live.len() >= LIVE_MAX {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.log.append(entry.kind, &entry.bytes)?;
        self.live.push(Live { sequence, keep, entry });
        Ok(())
    }

    /// Makes all that was taken durable.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.log.sync()
    }

    /// What the state machine wants back, of ledgers above this one, in its order.
    pub(crate) fn kept(&self, tip: i64) -> Vec<Bytes> {
        let is_wanted = |live: &&Live| live.sequence > tip && !live.keep.is_empty();
        self.live.iter().filter(is_wanted).map(|live| live.keep.clone()).collect()
    }

    /// Lets go of what was for ledgers that the store has now.
    ///
    /// # Errors
    /// The log could not begin anew; it is used on.
    pub(crate) fn forget(&mut self, durable: i64) -> io::Result<()> {
        self.live.retain(|live| live.sequence > durable);
        self.ballots.retain(|place, _| place.sequence > durable);
        if !self.log.is_half_full() {
            return Ok(());
        }
        let entries: Vec<_> = self.live.iter().map(|live| live.entry.clone()).collect();
        self.log.turn(&entries)
    }

    /// Whether it is time to let go of something.
    pub(crate) fn is_half_full(&self) -> bool {
        self.log.is_half_full()
    }

    /// Whether its file would have to grow, which makes every sync dearer.
    pub(crate) fn is_full(&self) -> bool {
        self.log.is_full()
    }
}

fn read(entry: Entry) -> Option<Live> {
    let sequence = i64::from_be_bytes(*entry.bytes.first_chunk()?);
    let keep = match entry.kind {
        VOTE => Ballot::decode(entry.bytes.clone())?.1,
        KEPT => entry.bytes.slice(8..),
        _ => Bytes::new(),
    };
    Some(Live { sequence, keep, entry })
}

fn ballot(entry: &Entry) -> Option<(Place, Option<Hash>)> {
    let (ballot, _) = (entry.kind == VOTE).then(|| Ballot::decode(entry.bytes.clone()))??;
    Some((ballot.place, ballot.digest))
}

fn closed(entry: &Entry) -> Option<ClosedLedger> {
    let (head, _) = (entry.kind == CLOSED).then(|| entry.bytes.split_first_chunk::<12>())??;
    let length = u32::from_be_bytes(*head.last_chunk()?) as usize;
    let rest = entry.bytes.slice(head.len()..);
    (length <= rest.len()).then(|| ClosedLedger { value: rest.slice(..length), proof: rest.slice(length..) })
}

/// What is to be signed, read.
pub(crate) fn read_pbft(bytes: &[u8], chain_id: i64) -> Result<Option<Ballot>, SignError> {
    let pbft = Pbft::decode(bytes).map_err(|_| SignError::Malformed)?;
    if pbft.chain_id != chain_id {
        return Err(SignError::Malformed);
    }
    Ballot::of(&pbft)
}

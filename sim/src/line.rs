//! Joins two nodes: a connection with its two ends and the two pipes between them.

use crate::counts::Counts;
use crate::link::Pipe;
use bytes::BytesMut;
use polypeer_engine::{ChannelId, ConnectionId, Direction, Framer, Phase, Time};
use std::collections::BTreeMap;

/// Names a connection of the world. It is never used again, unlike its place in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LineId {
    index: u32,
    generation: u32,
}

/// One side of a connection: 0 dialled, 1 accepted.
pub(crate) type Side = usize;

/// The other side.
pub(crate) const fn across(side: Side) -> Side {
    1 - side
}

/// A connection between two nodes, or of a node with itself.
#[derive(Debug)]
pub(crate) struct Line<F> {
    /// Nothing where this side is gone.
    pub(crate) ends: [Option<End<F>>; 2],
    /// What each side sends.
    pub(crate) pipes: [Pipe; 2],
    /// The nodes of both sides; they stay when an end goes.
    pub(crate) nodes: [usize; 2],
}

/// A node's end of a connection.
#[derive(Debug)]
pub(crate) struct End<F> {
    pub(crate) connection: ConnectionId,
    /// The one channel of a transport that has no streams; where there are many, nothing comes on it.
    pub(crate) only: Reader<F>,
    /// Channels, by their names here.
    pub(crate) channels: BTreeMap<ChannelId, Channel<F>>,
    /// Their names here, by those that they have on the line.
    pub(crate) names: BTreeMap<WireName, ChannelId>,
    /// Channels that the other end opened so far.
    pub(crate) accepted: u32,
    /// This end has said that it closes.
    pub(crate) is_closing: bool,
}

/// What a channel is called between two nodes: who opened it, and what it is called there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WireName {
    pub(crate) opener: Side,
    pub(crate) channel: ChannelId,
}

impl WireName {
    /// The one channel of a transport that has no streams.
    pub(crate) const ONLY: Self = Self { opener: 0, channel: ChannelId::ONLY };
}

/// An end's part of one channel.
#[derive(Debug)]
pub(crate) struct Channel<F> {
    pub(crate) name: WireName,
    pub(crate) kind: u16,
    pub(crate) reader: Reader<F>,
    /// Whether both ends agree on what it is for.
    pub(crate) is_agreed: bool,
    /// Whether this end writes no more.
    pub(crate) is_closed: bool,
    /// Whether the other end writes no more.
    pub(crate) is_finished: bool,
    /// Bytes that this end sent and that have not arrived.
    pub(crate) in_flight: usize,
    /// Bytes that it sent since it was last told that it may write.
    pub(crate) since_writable: usize,
}

/// What cuts the bytes of one channel into frames.
#[derive(Debug)]
pub(crate) struct Reader<F> {
    pub(crate) framer: F,
    pub(crate) phase: Phase,
    /// What has come and is no whole frame yet.
    pub(crate) buffer: BytesMut,
    /// Bytes that the framer has taken out of the buffer for a frame in the making, or to skip them.
    pub(crate) held: usize,
    /// Since when a frame is in the making.
    pub(crate) partial_since: Option<Time>,
    /// Whether a look at that is on the agenda.
    pub(crate) is_timed: bool,
    /// What still comes is thrown away: this end closed, or its bytes cannot be read on.
    pub(crate) is_deaf: bool,
}

impl<F: Framer> End<F> {
    pub(crate) fn new(connection: ConnectionId, framer: F) -> Self {
        Self {
            connection,
            only: Reader::new(framer),
            channels: BTreeMap::new(),
            names: BTreeMap::new(),
            accepted: 0,
            is_closing: false,
        }
    }

    /// Nobody listens here any more.
    pub(crate) fn close(&mut self, counts: &mut Counts) {
        self.is_closing = true;
        for reader in self.readers_mut() {
            reader.is_deaf = true;
        }
        self.discard(counts);
    }

    /// Throws away what has come and was not read.
    pub(crate) fn discard(&mut self, counts: &mut Counts) {
        for reader in self.readers_mut() {
            reader.discard(counts);
        }
    }

    /// What cuts the bytes of a channel.
    pub(crate) fn reader_mut(&mut self, channel: ChannelId) -> Option<&mut Reader<F>> {
        match channel {
            ChannelId::ONLY => Some(&mut self.only),
            _ => self.channels.get_mut(&channel).map(|channel| &mut channel.reader),
        }
    }

    fn readers_mut(&mut self) -> impl Iterator<Item = &mut Reader<F>> {
        std::iter::once(&mut self.only).chain(self.channels.values_mut().map(|channel| &mut channel.reader))
    }

    /// Adds a channel.
    pub(crate) fn add(&mut self, id: ChannelId, name: WireName, kind: u16, framer: F, is_agreed: bool) {
        let reader = Reader { is_deaf: self.is_closing, ..Reader::new(framer) };
        let (is_closed, is_finished, in_flight, since_writable) = Default::default();
        let channel = Channel { name, kind, reader, is_agreed, is_closed, is_finished, in_flight, since_writable };
        self.names.insert(name, id);
        self.channels.insert(id, channel);
    }

    /// Takes a channel away, with what has come on it and was not read.
    pub(crate) fn remove(&mut self, id: ChannelId, counts: &mut Counts) -> Option<Channel<F>> {
        let mut channel = self.channels.remove(&id)?;
        self.names.remove(&channel.name);
        channel.reader.discard(counts);
        Some(channel)
    }

    /// What a channel is called on the line; nothing when there is none.
    pub(crate) fn name(&self, id: ChannelId) -> Option<WireName> {
        match id {
            ChannelId::ONLY => Some(WireName::ONLY),
            _ => self.channels.get(&id).map(|channel| channel.name),
        }
    }

    /// What it is called here.
    pub(crate) fn named(&self, name: WireName) -> Option<ChannelId> {
        if name == WireName::ONLY { Some(ChannelId::ONLY) } else { self.names.get(&name).copied() }
    }

    /// Channels that stand and that this side, or the other one, opened.
    pub(crate) fn count(&self, opener: Direction) -> usize {
        self.channels.keys().filter(|channel| channel.opener() == opener).count()
    }
}

impl<F: Framer> Reader<F> {
    fn new(framer: F) -> Self {
        Self {
            framer,
            phase: Phase(0),
            buffer: BytesMut::new(),
            held: 0,
            partial_since: None,
            is_timed: false,
            is_deaf: false,
        }
    }

    /// Throws away what has come and was not read.
    pub(crate) fn discard(&mut self, counts: &mut Counts) {
        let bytes = (self.buffer.len() + std::mem::take(&mut self.held)) as u64;
        self.buffer = BytesMut::new();
        self.partial_since = None;
        counts.bytes_waiting -= bytes;
        counts.bytes_discarded += bytes;
    }
}

/// All connections of a world, by place, so that finding one costs no search.
#[derive(Debug)]
pub(crate) struct Lines<F> {
    places: Vec<Place<F>>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Place<F> {
    generation: u32,
    line: Option<Line<F>>,
}

impl<F> Default for Lines<F> {
    fn default() -> Self {
        Self { places: Vec::new(), free: Vec::new() }
    }
}

impl<F> Lines<F> {
    pub(crate) fn add(&mut self, line: Line<F>) -> LineId {
        if let Some(index) = self.free.pop() {
            let place = &mut self.places[index as usize];
            place.line = Some(line);
            return LineId { index, generation: place.generation };
        }
        // A world has as many connections as fit into memory: far fewer than 2^32.
        let index = self.places.len() as u32;
        self.places.push(Place { generation: 0, line: Some(line) });
        LineId { index, generation: 0 }
    }

    /// The connection, unless both of its ends are gone.
    pub(crate) fn get(&self, id: LineId) -> Option<&Line<F>> {
        let place = self.places.get(id.index as usize)?;
        place.line.as_ref().filter(|_| place.generation == id.generation)
    }

    /// The connection, to change it.
    pub(crate) fn get_mut(&mut self, id: LineId) -> Option<&mut Line<F>> {
        let place = self.places.get_mut(id.index as usize)?;
        place.line.as_mut().filter(|_| place.generation == id.generation)
    }

    /// One end of a connection, to change it.
    pub(crate) fn end_mut(&mut self, id: LineId, side: Side) -> Option<&mut End<F>> {
        self.get_mut(id)?.ends[side].as_mut()
    }

    /// Forgets a connection.
    pub(crate) fn remove(&mut self, id: LineId) {
        let Some(place) = self.places.get_mut(id.index as usize) else { return };
        if place.generation == id.generation && place.line.take().is_some() {
            place.generation = place.generation.wrapping_add(1);
            self.free.push(id.index);
        }
    }

    /// All connections.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Line<F>> {
        self.places.iter().filter_map(|place| place.line.as_ref())
    }
}

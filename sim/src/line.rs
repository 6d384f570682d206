//! Joins two nodes: a connection with its two ends and the two pipes between them.

use crate::counts::Counts;
use crate::link::Pipe;
use bytes::BytesMut;
use polypeer_engine::{ConnectionId, Framer, Phase, Time};

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
    /// This end has said that it closes.
    pub(crate) is_closing: bool,
}

impl<F: Framer> End<F> {
    pub(crate) fn new(connection: ConnectionId, framer: F) -> Self {
        Self {
            connection,
            framer,
            phase: Phase(0),
            buffer: BytesMut::new(),
            held: 0,
            partial_since: None,
            is_timed: false,
            is_deaf: false,
            is_closing: false,
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

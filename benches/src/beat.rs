//! Says what every simulator of H6 has to do: a ring of nodes, each sending a message a second to its neighbours.

#[cfg(feature = "commonware")]
use crate::payload::Arrivals;
use crate::payload::{self, Tally};
#[cfg(feature = "commonware")]
use std::sync::Arc;
use std::time::Duration;

/// Nodes of the world.
pub(crate) const NODES: usize = 1_000;
/// Neighbours of each: half of them before it in the ring, half behind it.
pub(crate) const NEIGHBOURS: usize = 8;
/// Bytes of a message.
pub(crate) const PAYLOAD_BYTES: usize = 256;
/// Between two messages of a node.
pub(crate) const BEAT: Duration = Duration::from_secs(1);
/// A link's latency, and how far it is off.
pub(crate) const LATENCY: Duration = Duration::from_millis(50);
/// See [`LATENCY`].
pub(crate) const JITTER: Duration = Duration::from_millis(10);
/// The seed of every world.
pub(crate) const SEED: u64 = 6;

/// The neighbours of a node.
pub(crate) fn neighbours(node: usize) -> impl Iterator<Item = usize> {
    let half = NEIGHBOURS / 2;
    (1..=half).flat_map(move |step| [(node + step) % NODES, (node + NODES - step) % NODES])
}

/// When a node begins: nodes are spread over the first second.
pub(crate) fn begins(node: usize) -> Duration {
    BEAT * node as u32 / NODES as u32
}

/// A node's messages, one after another.
pub(crate) struct Beats {
    body: Vec<u8>,
    hash: u64,
    next: u64,
}

impl Beats {
    /// Those of this node.
    pub(crate) fn of(node: usize) -> Self {
        let body: Vec<u8> = (0..PAYLOAD_BYTES).map(|at| (at * 31 + node * 131) as u8).collect();
        Self { hash: payload::hash(&body), body, next: 0 }
    }

    /// The next one.
    pub(crate) fn next(&mut self) -> &[u8] {
        payload::stamp(&mut self.body, self.next, self.hash);
        self.next += 1;
        &self.body
    }
}

/// Checks what each neighbour of a node sends.
#[cfg(feature = "commonware")]
pub(crate) struct Heard {
    node: usize,
    of: Vec<Arrivals>,
}

#[cfg(feature = "commonware")]
impl Heard {
    /// By this node, so far nothing.
    pub(crate) fn by(node: usize, tally: &Arc<Tally>) -> Self {
        Self { node, of: (0..=NEIGHBOURS).map(|_| Arrivals::new(Arc::clone(tally))).collect() }
    }

    /// Takes a message of a neighbour's.
    pub(crate) fn take(&mut self, from: usize, payload: &[u8]) {
        let place = (from + NEIGHBOURS / 2 + NODES - self.node) % NODES;
        if let Some(arrivals) = self.of.get_mut(place) {
            arrivals.take(payload);
        }
    }
}

/// Ends the process when a message has been under way for longer than any can be: what a world lost makes its figure
/// worthless. `elapsed` is how long it has run on its own clock.
pub(crate) fn insist(tally: &Tally, elapsed: Duration) {
    use std::sync::atomic::Ordering::Relaxed;
    let beats = elapsed.as_secs().saturating_sub(3);
    let expected = beats * (NODES * NEIGHBOURS) as u64;
    let delivered = tally.delivered.load(Relaxed);
    let wrong = tally.corrupt.load(Relaxed) + tally.repeated.load(Relaxed);
    if delivered < expected || wrong > 0 {
        eprintln!("after {elapsed:?} {delivered} messages of {expected} came, {wrong} of them wrong or again");
        std::process::exit(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_mutual() {
        for node in [0, 1, 500, NODES - 1] {
            let all: Vec<usize> = neighbours(node).collect();
            assert_eq!(all.len(), NEIGHBOURS);
            assert!(all.iter().all(|other| *other != node && neighbours(*other).any(|back| back == node)));
        }
    }

    #[test]
    fn beats_check() {
        let mut beats = Beats::of(3);
        assert_eq!(payload::check(beats.next()), Some(0));
        assert_eq!(payload::check(beats.next()), Some(1));
        assert_eq!(beats.next().len(), PAYLOAD_BYTES);
    }
}

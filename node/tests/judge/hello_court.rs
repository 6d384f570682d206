//! Tries one row of the Hello rules at a time, with an honest observer who must notice nothing.

use super::hello::{Manner, NETWORK, Peer};
use super::node::Node;

/// Where a conversation stands when the row's bytes are said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Connected, nothing said.
    Fresh,
    /// The handshake is done.
    Open,
}

/// What the node owes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// A `REJECT` about this method, and the connection goes on.
    Rejected(String),
    /// A `REJECT` about some method that the spec leaves open, and the connection goes on.
    RejectedSomehow,
    /// A `REJECT` about this method, then it closes.
    Ends(String),
    /// A `REJECT` about some method, then it closes.
    EndsSomehow,
    /// It closes without a word.
    Silent,
    /// No complaint.
    Fine,
}

/// One row: what is said, and what the node owes for it.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// For people.
    pub(crate) name: String,
    /// When it is said.
    pub(crate) stage: Stage,
    /// The bytes.
    pub(crate) say: Vec<u8>,
    /// What is owed.
    pub(crate) then: Then,
}

/// A row.
pub(crate) fn row(name: impl Into<String>, stage: Stage, say: Vec<u8>, then: Then) -> Row {
    Row { name: name.into(), stage, say, then }
}

/// A node under judgment, and its honest observer.
pub(crate) struct Court {
    /// The node.
    pub(crate) node: Node,
    /// A peer that does nothing wrong.
    pub(crate) observer: Peer,
}

impl Court {
    /// A node with these settings and no discovery.
    pub(crate) fn new(settings: &str, arguments: &[&str]) -> Self {
        let node = Node::start(NETWORK, settings, &[arguments, &["--no-discovery"]].concat());
        let observer = Peer::ready(node.address, Manner::honest(&[]));
        Self { node, observer }
    }

    /// Tries rows, each on a connection of its own.
    pub(crate) fn try_all(&mut self, rows: &[Row]) {
        rows.iter().for_each(|row| self.check(row));
    }

    /// Tries one row.
    pub(crate) fn check(&mut self, row: &Row) {
        println!("row: {}", row.name);
        let mut peer = match row.stage {
            Stage::Fresh => Peer::dial(self.node.address),
            Stage::Open => Peer::open(self.node.address),
        };
        judge(&mut peer, row);
        drop(peer);
        self.adjourn();
    }

    /// The node still runs, and its honest observer is served at once.
    pub(crate) fn adjourn(&mut self) {
        assert!(self.node.is_alive(), "the program died");
        self.observer.is_served();
    }
}

/// Says the row's bytes to the node behind `peer` and holds it to what it owes.
pub(crate) fn judge(peer: &mut Peer, row: &Row) {
    let taken = peer.try_say(&row.say);
    assert!(taken || row.then == Then::Silent, "the node broke the connection");
    match &row.then {
        Then::Rejected(about) => {
            peer.rejected(about);
            peer.is_served();
        }
        Then::RejectedSomehow => {
            peer.message_of("REJECT");
            peer.is_served();
        }
        Then::Ends(about) => {
            peer.rejected(about);
            peer.closed();
        }
        Then::EndsSomehow => {
            peer.message_of("REJECT");
            peer.closed();
        }
        Then::Silent => peer.closed_silently(),
        Then::Fine => peer.fine(),
    }
}

//! Lists what hostile nodes do: our own engines with a switch flipped.
//!
//! A switch is one of three things, none of which knows a protocol: a hand on the frames that the engine sends,
//! a ledger that lies (see [`Lie`]), or where a node is and whom it dials. What a hostile node says is therefore
//! well formed unless it means not to be, which is what makes it hard to tell from an honest one.

mod meddler;

pub(crate) use meddler::Meddler;

use crate::chain::Lie;
use serde::{Deserialize, Serialize};

/// What a hostile node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Attack {
    /// Says nothing any more once the handshake is done, and keeps the connection.
    Silent,
    /// Says everything, each frame up to 9 s late.
    Slow,
    /// Claims a chain far higher than the one that it has.
    Height,
    /// Announces what it has and never hands it out.
    Withhold,
    /// Bends frames: flipped, cut, lengthened, doubled, replaced.
    Mutate,
    /// Says old frames again, to anyone.
    Replay,
    /// Tells different peers different things: two blocks on one parent, and half of them to each half.
    Equivocate,
    /// Says everything a hundred times.
    Flood,
    /// Has an address book full of places where nobody is, and hands it out as proven.
    Poison,
    /// One of a swarm in few network groups that dials many, takes everything and passes nothing on.
    Sybil,
    /// One of a swarm in few network groups that all keep a connection to one victim, and tell it nothing.
    Eclipse,
}

impl Attack {
    /// Every attack.
    pub const ALL: [Self; 11] = [
        Self::Silent,
        Self::Slow,
        Self::Height,
        Self::Withhold,
        Self::Mutate,
        Self::Replay,
        Self::Equivocate,
        Self::Flood,
        Self::Poison,
        Self::Sybil,
        Self::Eclipse,
    ];

    /// How the ledger lies, if it does.
    pub(crate) fn lie(self) -> Option<Lie> {
        match self {
            Self::Height => Some(Lie::Height),
            Self::Withhold | Self::Sybil => Some(Lie::Withhold),
            Self::Equivocate => Some(Lie::Siblings),
            _ => None,
        }
    }

    /// Whether it stands among many in few network groups.
    pub(crate) fn is_of_a_swarm(self) -> bool {
        matches!(self, Self::Sybil | Self::Eclipse)
    }

    /// Connections that it keeps up by dialling; nothing when it is as modest as an honest node.
    pub(crate) fn outbound_target(self) -> Option<u32> {
        match self {
            Self::Sybil | Self::Flood => Some(24),
            // Only its victim.
            Self::Eclipse => Some(0),
            _ => None,
        }
    }
}

//! Weighs what a peer can do wrong.

use bytes::Bytes;
use core::fmt::Debug;

/// How heavy a fault is, and so what it costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Another network or version: closed without blame, not dialled again for an hour.
    Stranger,
    /// Wrong but borne; it fades. More than [`crate::Profile::slips_max`] at one time end the connection and
    /// discourage the peer.
    Slip,
    /// One ends the connection and discourages the peer: not dialled for 24 hours.
    Breach,
    /// One ends the connection and bans the peer's IP address for 24 hours.
    Attack,
}

/// Every way in which a peer of one network can be wrong. One variant a rule: the variant decides the price and the
/// last word, in one place.
pub trait Misbehavior: Copy + Debug + Send + 'static {
    /// The variant's name in snake case, as reasons and metrics show it.
    fn name(&self) -> &'static str;

    /// What it costs.
    fn weight(&self) -> Weight;

    /// The last word to the peer, a whole frame. After one the connection lingers: the frame is flushed, our side
    /// shut down, what still comes is discarded until the peer closes. Without one it closes at once.
    fn farewell(&self) -> Option<Bytes> {
        None
    }
}

//! Floods running programs over real sockets, and holds them to what others must not notice.
//!
//! Each flood runs against a `polypeer run` (or `tracker`) on loopback, bounded in count and time, while an honest peer
//! does a steady piece of work. In the same run that work is counted without the flood first. What is asserted: nine
//! tenths of it are done, memory is flat once the bounded tables are full, and whoever crossed a limit is gone within a
//! second of the node's own record of it. POLYPEER_FLOOD_SECONDS makes each longer, 3 seconds when unset.

#[allow(dead_code, reason = "the wire's judges use the rest")]
mod judge {
    pub(crate) mod anya;
    pub(crate) mod bumo;
    pub(crate) mod bumo_court;
    pub(crate) mod bumo_pbft;
    pub(crate) mod hello;
    pub(crate) mod ledger;
    pub(crate) mod node;
    pub(crate) mod websocket;
}

mod flood {
    mod anya;
    mod bounds;
    mod bumo;
    mod hello;
    mod party;
    pub(crate) mod trial;
}

//! Lists what is read and written above a stream, and which room does it.
//!
//! | what | room |
//! |---|---|
//! | OCaml's `bin_prot`: numbers, records, lists, field elements | [`binprot`] |
//! | blocks: headers, protocol states, proofs, bodies | [`block`] |
//! | commands of users, SNARK work | [`command`], [`snark`] |
//! | what is gossiped around them | [`envelope`], and gossipsub's own frames in [`frame`] |
//! | Kademlia's messages, questions and answers | [`kad`], [`rpc`] |
//! | identify, addresses, who is where | [`identify`], [`multiaddr`], [`peer_exchange`] |

pub use crate::mesh::frame;
pub use crate::{binprot, block, command, envelope, identify, kad, multiaddr, peer_exchange, rpc, snark};

//! Imagines: the same engines in a seeded world.
//!
//! A [`World`] holds nodes, each a production [`polypeer_engine::Engine`] with its protocol's own framers and its
//! real ledger, joined by links that delay, cut and merge bytes. Time is virtual, chance comes from one seed: the
//! same seed gives the same [`World::trace`], and a story of minutes takes milliseconds.
//!
//! ```text
//!   node 0  engine ─ effects ─► link: latency, bandwidth, cut and merge ─► framer ─ frames ─► engine  node 1
//!              ▲ answers                                                                         │ requests
//!            ledger                                                                            ledger
//! ```
//!
//! It refuses to know a protocol by name, to use a thread or a socket, and to read a clock.
#![forbid(unsafe_code)]

mod agenda;
mod link;
mod node;
mod world;

pub use link::LinkQuality;
pub use node::{Node, Seat};
pub use world::{NodeId, World};

//! Imagines: the same engines in a seeded world.
//!
//! A [`World`] holds nodes, each a production [`polypeer_engine::Engine`] with its protocol's own framers, its real
//! ledger and its real store on disks that a crash tears, joined by links that delay, cut and merge bytes. Time is
//! virtual, chance comes from one seed: the same seed gives the same [`World::trace`], and a story of minutes takes
//! milliseconds.
//!
//! ```text
//!   node 0  engine ─ effects ─► link: latency, bandwidth, cut and merge ─► framer ─ frames ─► engine  node 1
//!            ▲ │ answers                    ▲ Fault                                            │ requests
//!     Switch ┘ └► store, ledger ─► Disk     Map                        Observer after each step ┘
//! ```
//!
//! A [`Fault`] is a plain value, so that a plan of them can be written down, replayed and cut short. A [`Switch`] makes an
//! attacker of a production engine. An [`Observer`] looks on after every step, and what it complains about stops the
//! world. [`World::conservation`] adds up every frame and byte.
//!
//! It refuses to know a protocol by name, to use a thread or a socket, and to read a clock.
#![forbid(unsafe_code)]

mod agenda;
mod clock;
mod counts;
mod disk;
mod fault;
mod keeper;
mod line;
mod link;
mod node;
mod observer;
mod regions;
mod switch;
mod trace;
mod world;

pub use counts::Counts;
pub use disk::{Disk, DiskCounts, Unsynced};
pub use fault::{Fault, Planned};
pub use keeper::Remembering;
pub use link::{HostQuality, LinkQuality};
pub use node::{Boot, Node, Seat};
pub use observer::{Life, Observer, Violation};
pub use regions::{Map, Region, WORLD_REGIONS};
pub use switch::{Scene, Switch};
pub use trace::TraceHash;
pub use world::{Connected, NodeId, Setting, World};

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
//! A [`Scenario`] makes a [`Plan`] of a seed, and [`run`] plays it with a network's [`Cast`]: hostile nodes are [`Attack`]s,
//! checks look on ([`CHECKS`]), the [`Outcome`] says what came of it. A [`Simulation`] is both in a file, and [`shrink`]
//! makes one that failed smaller.
//!
//! It refuses to know a protocol by name, to use a thread or a socket, and to read a clock.
#![forbid(unsafe_code)]

mod agenda;
mod attack;
mod cast;
mod chain;
mod check;
mod clock;
mod counts;
mod disk;
mod fault;
mod file;
mod keeper;
mod line;
mod link;
mod node;
mod observer;
mod outcome;
mod places;
mod plan;
mod recovery;
mod regions;
mod run;
mod scenarios;
mod shrink;
mod switch;
mod tape;
mod trace;
mod world;

pub use attack::Attack;
pub use cast::{Cast, End, Held, Id, LedgerSeat, News};
pub use chain::{Chain, Lie, Witness};
pub use check::CHECKS;
pub use counts::Counts;
pub use disk::{Disk, DiskCounts, Unsynced};
pub use fault::{Fault, Planned};
pub use file::{FileError, Simulation};
pub use keeper::Remembering;
pub use link::{HostQuality, LinkQuality};
pub use node::{Boot, Node, Seat};
pub use observer::{Life, Observer, Violation};
pub use outcome::{Figures, Finding, Mark, Outcome};
pub use plan::{Hostile, Plan, Shape, Unfit, Work};
pub use regions::{Map, Region, WORLD_REGIONS};
pub use run::{Progress, run};
pub use scenarios::{Request, SCENARIOS, Scenario};
pub use shrink::{Shrunk, shrink};
pub use switch::{Scene, Switch};
pub use tape::Tape;
pub use trace::TraceHash;
pub use world::{Connected, NodeId, Setting, World};

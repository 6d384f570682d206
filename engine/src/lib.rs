//! Decides: the pure core of a peer, from actions to effects.
//!
//! An [`Engine`] is a state machine. The host (the driver over real sockets, the simulator over virtual ones) hands
//! in what happened as a [`P2pAction`] together with the time, and carries out the [`Effect`]s that come back.
//! There is no socket, file, clock, entropy, thread or log in here: the same seed and the same actions give the same
//! effects, byte for byte.
//!
//! ```text
//!            host                        engine                          host
//!   frame, answer, time ──► step(now, action, &mut effects) ──► send, dial, ask, save
//!                                 │            ▲
//!                          shell (every network)
//!                          protocol (one network: what to say and whom to believe)
//!                          kit (parts that protocols share)
//! ```
//!
//! It refuses to know how bytes travel, what a block means, and anything that only one network knows.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod action;
mod address;
mod as_map;
mod border;
mod context;
mod effect;
mod engine;
mod event;
mod frame;
mod framer;
mod id;
pub mod journal;
pub mod kit;
mod ledger;
mod misbehavior;
mod profile;
mod protocol;
mod random;
pub mod shell;
mod stock;
mod time;

pub use action::{ChannelEnd, Command, DialFailure, DisconnectCause, IMPORT_MAX, ImportedAddress, P2pAction};
pub use address::{Address, NetworkGroup};
pub use as_map::{AS_PREFIXES_MAX, AsMap, AsPrefix};
pub use border::{Border, BorderFault, STEP_BYTES_MAX, Told};
pub use context::{Context, Useful};
pub use effect::{Close, Effect, Overflow, Record, Table};
pub use engine::{Engine, FrameCount, P2pState};
pub use event::{Event, Reason, ReasonRecord, Subject};
pub use frame::Frame;
pub use framer::{BadFrame, Framed, Framer};
pub use id::{ChannelId, ConnectionId, Direction, Phase, Ticket};
pub use ledger::{Ledger, To};
pub use misbehavior::{Misbehavior, Weight};
pub use profile::{ChannelKind, Libp2p, P2pConfig, Profile, Target, Transport};
pub use protocol::{Ends, Parting, PeerAbout, Protocol};
pub use random::Random;
pub use stock::{Stock, Stocks};
pub use time::{Now, Time};

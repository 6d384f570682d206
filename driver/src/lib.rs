//! Acts: sockets, clock and entropy under an engine.
//!
//! [`start`] gives one network a thread with its engine, its sockets and all its queues, and its ledger another.
//! A frame's way, from a peer's socket through the engine into the queues of other peers, is run to completion on
//! that one thread: no lock, no channel. [`Handle`] reaches it from outside.
//!
//! ```text
//!   handles ── words ──►┌──────────── net:NAME ────────────┐
//!                       │ streams ► framer ► engine ► queue │◄── answers ── ledger:NAME
//!   events  ◄───────────│            ▲ clock, alarms        │─── asks ────►
//!                       └──────┬──────────────┬─────────────┘
//!                          records          steps
//!                       store:NAME       record:NAME
//! ```
//!
//! A stream is a TCP connection, or a call of gRPC or a WebSocket on one, as the network's `Profile::transport` says:
//! bytes each way. Over libp2p a connection has many streams, each a channel with a framer and a queue of its own.
//!
//! ```text
//!   Tcp        socket ◄────────────────────────────────────────────► framer, queue
//!   Grpc       socket ◄─ gate ─► HTTP/2, by h2 ◄─ DATA of a stream ─► framer, queue
//!   WebSocket  socket ◄─ TLS, if wanted ─► messages ◄── as frames ──► framer, queue
//!   Libp2p     socket ◄─ keystream ─► Noise ◄─► yamux ◄── streams ──► framers, queues
//! ```
//!
//! Everything is bounded: queues by `Profile::queue_bytes_max`, memory over all networks by a [`Budget`], the
//! ledger's mailbox by not reading from peers, the store's and the recorder's desks by giving up. A panic anywhere
//! ends the network visibly ([`State::Failed`]), never silently.
//!
//! It refuses to know any protocol by name, or what a frame means; nor does it compress or inflate.

mod budget;
mod channel;
mod clock;
mod connection;
mod events;
mod failure;
mod grpc;
mod handle;
mod host;
mod identity;
mod ledger;
mod libp2p;
mod meter;
mod network;
mod noise;
mod opening;
mod partials;
mod places;
mod queue;
mod reading;
mod recorder;
mod replay;
mod saver;
mod sockets;
mod stream;
mod tls;
mod websocket;

pub use budget::Budget;
pub use handle::{Gone, Handle, Last, State, View};
pub use identity::Identity;
pub use meter::{Imbalance, Meter, Meters, Totals};
pub use network::{Network, StartError, start};
pub use replay::{ReplayError, Replayed, head, replay, replay_from};
pub use tls::{Tls, TlsError};
#[doc(hidden)]
pub use websocket::trial as websocket_trial;

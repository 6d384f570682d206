//! Serves: the daemon and the embedding API.
//!
//! The binary `polypeer` is [`cli::main`]. To put a peer into your own program, pick a protocol, hand in a ledger and
//! listen:
//!
//! ```
//! use polypeer::anya::{Anya, Config};
//! use polypeer::reference::{Format, NetworkParameters, Payment, Wallet};
//! use polypeer::{Heard, Peer};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let network = NetworkParameters::anya_devnet;
//! let listen = Some("127.0.0.1:0".parse()?);
//! let (one, _) = Peer::<Anya<Format>>::reference(Config::default(), network(), listen, [])?;
//! let (mut other, _) = Peer::<Anya<Format>>::reference(Config::default(), network(), None, one.address())?;
//!
//! let wallet = Wallet::public_account(1).expect("there are 16");
//! let recipient = Wallet::public_account(2).expect("there are 16").public_key();
//! let payment = Payment { recipient, amount: 5, fee: 1, sequence: 0 };
//! let id = one.send(wallet.sign(b"anya-devnet\0\0\0\0\0", &payment)).await?;
//!
//! let Some(Heard::Transaction { id: heard, .. }) = other.hear().await else { panic!("it ended") };
//! assert_eq!(heard.to_string(), id);
//! # Ok(())
//! # }
//! ```
//!
//! `examples/echo.rs` is a whole program, `examples/own_ledger.rs` one that brings its own ledger. A daemon with an
//! API over networks of your choice is [`daemon::Daemon`].
//!
//! It decides nothing about peers: that is the engine's business and the protocols'.

pub mod api;
pub mod as_map;
pub mod book_file;
pub mod cli;
pub mod client;
pub mod config;
pub mod daemon;
pub mod data;
pub mod devnet;
pub mod embed;
pub mod event_log;
pub mod log_quota;
pub mod networks;
mod purses;
pub mod view;

pub use embed::{Heard, Peer, PeerError};
pub use polypeer_driver as driver;
pub use polypeer_engine as engine;
pub use polypeer_engine::kit::chain;
pub use polypeer_ledger_reference as reference;
pub use polypeer_protocols::{anya, hello};
pub use polypeer_store as store;

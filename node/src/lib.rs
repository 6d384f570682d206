//! Serves: the daemon and the embedding API.

pub mod api;
pub mod cli;
pub mod client;
pub mod config;
pub mod daemon;
pub mod data;
pub mod devnet;
pub mod event_log;
pub mod networks;
mod purses;
pub mod view;

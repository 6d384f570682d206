//! Receives and relays through the whole of AnYa, over a ledger that takes any bytes.

use super::chain::{Chain, Format, GENESIS_HASH};
use super::host;
use crate::payload::Tally;
use anyhow::Result;
use polypeer_anya::{Anya, Config};
use std::sync::Arc;

pub(super) fn run() -> Result<()> {
    let tally = Arc::new(Tally::default());
    let config = Config { network_id: *b"bench\0\0\0\0\0\0\0\0\0\0\0", genesis: GENESIS_HASH, ..Config::default() };
    host::run::<Anya<Format>, Chain>("bench", config, Chain::new(Arc::clone(&tally)), tally)
}

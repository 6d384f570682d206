//! Counts the instructions of the hottest ways in, so that a slower one is noticed on any machine.
//!
//! Needs valgrind and `gungraun-runner` of the same version as the `gungraun` in Cargo.lock.

#![allow(missing_docs, reason = "the harness's macros make items without documentation")]

use bytes::{Bytes, BytesMut};
use gungraun::prelude::*;
use polypeer_anya::wire::{self, Kind, Limits, PHASE_OPEN};
use polypeer_anya::{Anya, Config};
use polypeer_engine::{
    Address, ChannelId, ConnectionId, Direction, Effect, Ends, Engine, Frame, Framed, Framer, Now, P2pAction,
    P2pConfig, Phase,
};
use polypeer_hello::wire::{Lines, OPEN};
use polypeer_ledger_reference::{Format, TRANSACTION_BYTES};
use std::hint::black_box;

/// Frames in one go: about a read's worth.
const FRAMES: usize = 256;
const CONNECTION: ConnectionId = ConnectionId::nth(Direction::Inbound, 0);

type Node = Engine<Anya<Format>>;
type Effects = Vec<Effect<polypeer_engine::kit::chain::Request>>;

fn transactions() -> Vec<Bytes> {
    let payload = |number: usize| [number.to_be_bytes().as_slice(), &[7; TRANSACTION_BYTES - 8]].concat();
    (0..FRAMES).map(|number| wire::frame(Kind::Tx, &payload(number))).collect()
}

fn cut<F: Framer>(mut framer: F, phase: Phase, mut buffer: BytesMut) -> usize {
    let mut frames = 0;
    while let Framed::Frame(frame) = framer.next(phase, &mut buffer) {
        frames += 1;
        drop(black_box(frame));
    }
    frames
}

fn anya_stream() -> (wire::Framer, BytesMut) {
    let limits = Limits { tx_bytes_max: 1 << 20, block_bytes_max: 4 << 20, mempool_bytes_max: 32 << 20 };
    (wire::Framer::new(limits, Direction::Inbound), transactions().concat().as_slice().into())
}

#[library_benchmark]
#[bench::tx_256_frames(setup = anya_stream)]
fn framer_anya((framer, buffer): (wire::Framer, BytesMut)) -> usize {
    cut(framer, PHASE_OPEN, buffer)
}

fn hello_stream() -> (Lines, BytesMut) {
    let line = format!("{{\"BROADCASTTRANSACTION\":{{\"id\":\"{}\"}}}}\n", "7f".repeat(32));
    (Lines::new(8 << 20), line.repeat(FRAMES).as_bytes().into())
}

#[library_benchmark]
#[bench::announcements_256_lines(setup = hello_stream)]
fn framer_hello((framer, buffer): (Lines, BytesMut)) -> usize {
    cut(framer, OPEN, buffer)
}

// An engine with one peer that has shaken hands.
fn greeted() -> (Node, Vec<Bytes>) {
    let mut effects = Effects::new();
    let config = P2pConfig { private_addresses: true, discovery: false, outbound_target: 0, ..P2pConfig::default() };
    let mut node = Node::new(Now::default(), config, Config::default(), [7; 32], &[], &mut effects);
    let (local, remote) = (Address::new([127, 0, 0, 1].into(), 7333), Address::new([127, 0, 0, 1].into(), 40_000));
    let ends =
        Ends { direction: Direction::Inbound, local, remote, dialled: None, identity: None, takes_compressed: false };
    node.step(Now::default(), P2pAction::Connected { connection: CONNECTION, ends }, &mut effects);
    let greeting = wire::connect(None, remote);
    let mut greeting = Some(Frame::from(&greeting));
    node.receive(Now::default(), CONNECTION, ChannelId::ONLY, &mut effects, |_| greeting.take());
    (node, transactions())
}

#[library_benchmark]
#[bench::tx_256_frames(setup = greeted)]
fn engine_anya((mut node, frames): (Node, Vec<Bytes>)) -> usize {
    let mut effects = Effects::with_capacity(2 * FRAMES);
    let mut frames = frames.iter().map(Frame::from);
    node.receive(Now::default(), CONNECTION, ChannelId::ONLY, &mut effects, |_| frames.next());
    // Each transaction is new, so each is put to the ledger.
    assert!(effects.len() >= FRAMES, "only {} effects", effects.len());
    effects.len()
}

library_benchmark_group!(name = hottest, benchmarks = [framer_anya, framer_hello, engine_anya]);
main!(library_benchmark_groups = hottest);

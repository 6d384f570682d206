//! What a real node said to another that synced from it, over a pruned stretch.

use crate::make::fixture;
use bytes::Bytes;
use polypeer_engine::Frame;
use polypeer_kaspa::ledger::Hash;
use polypeer_kaspa::wire::{self, BlockView, Envelope, Hashes, Items, Kind, OneHash};
use std::sync::OnceLock;

/// Every message between two real nodes, and whether the one that was ahead said it.
pub(crate) fn recorded() -> &'static [(bool, Envelope)] {
    static RECORDED: OnceLock<Vec<(bool, Envelope)>> = OnceLock::new();
    RECORDED.get_or_init(|| {
        let mut rest = fixture("conversation_headers_proof.bin");
        let mut messages = Vec::new();
        while !rest.is_empty() {
            let is_ahead = rest[0] == 1;
            let length = u32::from_be_bytes(rest[1..5].try_into().expect("four")) as usize;
            let frame: Bytes = [&[0], &rest[1..5 + length]].concat().into();
            messages.push((is_ahead, wire::unpack(Frame::from(&frame)).expect("a message")));
            rest = rest.slice(5 + length..);
        }
        messages
    })
}

pub(crate) fn said_ahead(kind: Kind) -> Vec<&'static Bytes> {
    let said = recorded().iter().filter(|(is_ahead, it)| *is_ahead && it.kind == kind);
    said.map(|(_, envelope)| &envelope.body).collect()
}

pub(crate) fn relay_block() -> Hash {
    OneHash::decode(said_ahead(Kind::InvRelayBlock)[0]).expect("a hash").0
}

pub(crate) fn point() -> Hash {
    let locator = Hashes::decode(said_ahead(Kind::IbdChainBlockLocator)[0], 64).expect("a locator");
    locator.iter().next_back().expect("it ends with the pruning point")
}

pub(crate) fn genesis() -> Bytes {
    let points = Items::decode(said_ahead(Kind::PruningPoints)[0], 99).expect("headers");
    points.iter().next().expect("genesis is the first")
}

#[test]
fn the_recording_is_what_these_stories_take_it_for() {
    assert_eq!((recorded().len(), said_ahead(Kind::BlockBody).len()), (1_282, 895));
    let relayed = BlockView::decode(said_ahead(Kind::Block)[0]).and_then(|block| block.header()).expect("a block");
    assert_eq!(relayed.hash(), relay_block());
}

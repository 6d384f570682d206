//! Breaks Kaspa: its framer, its messages down to the last field, and what comes compressed.

#[path = "../../protocols/kaspa/tests/wire/reread.rs"]
mod reread;

use crate::pieces::{cut, head};
use crate::targets::Seeds;
use bytes::{BufMut, Bytes, BytesMut};
use polypeer_engine::{Frame, Framed};
use polypeer_kaspa::wire::{self, Envelope, Frames, GZIP, IDENTITY, OPEN, PREFIX_BYTES, SYNCING};
use reread::reread;

/// Any split of a stream gives the same frames, and frames are what the stream holds.
pub fn framer(input: &[u8]) {
    let (flags, opened, sizes, stream) = head(input);
    let open = if flags & 1 == 1 { SYNCING } else { OPEN };
    let whole = cut(Frames::new(), stream, &[], opened, open);
    assert_eq!(whole, cut(Frames::new(), stream, sizes, opened, open));
    let frames =
        whole.given.iter().filter_map(|given| if let Framed::Frame(frame) = given { Some(frame) } else { None });
    let joined: Vec<u8> = frames.flat_map(|frame| frame.iter().copied()).collect();
    assert!(stream.starts_with(&joined));
}

/// The framer once, for what it takes in memory.
pub fn framer_once(input: &[u8]) {
    let (_, opened, sizes, stream) = head(input);
    drop(cut(Frames::new(), stream, sizes, opened, OPEN));
}

/// What is read is written so that it is read the same, in its envelope too.
pub fn messages(payload: &[u8]) {
    let Ok(envelope) = wire::unpack(Frame::from(&framed(IDENTITY, payload))) else { return };
    let Envelope { kind, body, request_id, response_id } = &envelope;
    let frame = wire::pack(*kind, body, *request_id, *response_id);
    assert_eq!(wire::unpack(Frame::from(&frame)).as_ref(), Ok(&envelope));
    if let Ok(again) = reread(*kind, body) {
        assert_eq!(reread(*kind, &again), Ok(again));
    }
}

/// The decoder once, for what it takes in memory.
pub fn decode(payload: &[u8]) {
    if let Ok(Envelope { kind, body, .. }) = wire::unpack(Frame::from(&framed(IDENTITY, payload))) {
        drop(reread(kind, &body));
    }
}

/// What inflates is what it says it is.
pub fn gzip(member: &[u8]) {
    let Ok(envelope) = wire::unpack(Frame::from(&framed(GZIP, member))) else { return };
    let Envelope { kind, body, request_id, response_id } = &envelope;
    let frame = wire::pack_gzip(*kind, body, *request_id, *response_id);
    assert_eq!(wire::unpack(Frame::from(&frame)).as_ref(), Ok(&envelope));
}

fn framed(flag: u8, payload: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(PREFIX_BYTES + payload.len());
    frame.put_u8(flag);
    frame.put_u32(payload.len() as u32);
    frame.put_slice(payload);
    frame.freeze()
}

macro_rules! fixtures {
    ($($name:literal)*) => {
        &[$(($name, include_bytes!(concat!("../../protocols/kaspa/tests/fixtures/", $name, ".bin")))),*]
    };
}

/// What a real node sent, one of every shape that is short.
const FIXTURES: &[(&str, &[u8])] = fixtures! {
    "addresses_empty" "block_4_parents" "block_after_txs" "block_body_with_txs" "block_genesis" "block_headers_antipast"
    "block_locator_9" "block_most_levels" "block_multi_run_parents" "block_with_trusted_data_full" "done_headers"
    "inv_relay_block_sink" "inv_transactions_many" "ping" "proof_chunk_level_250" "pruning_points" "ready"
    "reject_timeout" "request_addresses" "request_antipast" "request_block_locator" "request_headers"
    "request_ibd_chain_block_locator_zoom" "request_relay_blocks" "request_transactions" "smt_lane_chunk"
    "smt_metadata" "transaction_not_found" "transaction_v0_2in_payload" "transaction_v0_storage_mass"
    "transaction_v1_lane_payload" "utxo_chunk_empty" "utxo_done" "verack" "version"
};

/// Envelopes.
pub fn payloads() -> Seeds {
    FIXTURES.iter().map(|(name, payload)| (*name, payload.to_vec())).collect()
}

/// Frames.
pub fn frames() -> Seeds {
    FIXTURES.iter().map(|(name, payload)| (*name, framed(IDENTITY, payload).to_vec())).collect()
}

/// Envelopes, compressed.
pub fn members() -> Seeds {
    let member = |payload: &[u8]| {
        let frame = framed(IDENTITY, payload);
        let Envelope { kind, body, request_id, response_id } = wire::unpack(Frame::from(&frame)).expect("a fixture");
        wire::pack_gzip(kind, &body, request_id, response_id)[PREFIX_BYTES..].to_vec()
    };
    FIXTURES.iter().map(|(name, payload)| (*name, member(payload))).collect()
}

//! Compressed frames, against a stock gzip in both directions.

use super::fixtures::{all, framed};
use bytes::Bytes;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};
use polypeer_engine::Frame;
use polypeer_kaspa::wire::*;
use std::io::{Read as _, Write as _};

fn open(member: &[u8]) -> Result<Envelope, WireError> {
    unpack(Frame::from(&framed(GZIP, member)))
}

fn compress(payload: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(level));
    encoder.write_all(payload).expect("memory");
    encoder.finish().expect("memory")
}

#[test]
fn what_a_stock_gzip_makes_is_inflated() {
    for fixture in all() {
        for level in [0, 1, 6, 9] {
            let envelope = open(&compress(&fixture.payload, level));
            assert_eq!(envelope, Ok(fixture.envelope()), "{} at {level}", fixture.name);
        }
    }
}

#[test]
fn a_stock_gzip_inflates_what_we_make() {
    for fixture in all() {
        let Envelope { kind, body, request_id, response_id } = fixture.envelope();
        let frame = pack_gzip(kind, &body, request_id, response_id);
        assert_eq!(frame[..PREFIX_BYTES], framed(GZIP, &frame[PREFIX_BYTES..])[..PREFIX_BYTES]);
        let mut payload = Vec::new();
        GzDecoder::new(&frame[PREFIX_BYTES..]).read_to_end(&mut payload).expect("gzip");
        assert_eq!(payload, fixture.payload, "{}", fixture.name);
        assert_eq!(unpack(Frame::from(&frame)), Ok(fixture.envelope()), "{}", fixture.name);
    }
}

#[test]
fn headers_may_say_more() {
    let payload = pack(Kind::Ping, &[8, 1], 0, 0).slice(PREFIX_BYTES..);
    let builder = GzBuilder::new().extra(vec![7; 300]).filename("a name").comment("a comment").mtime(9);
    let mut encoder = builder.write(Vec::new(), Compression::fast());
    encoder.write_all(&payload).expect("memory");
    let member = encoder.finish().expect("memory");
    assert_eq!(open(&member).map(|envelope| envelope.kind), Ok(Kind::Ping));
    // With a checksum of the header itself.
    let plain = compress(&payload, 6);
    let mut header = plain[..10].to_vec();
    header[3] = 1 << 1;
    let crc = (crc32fast::hash(&header) as u16).to_le_bytes();
    let checked = |crc: &[u8]| [&header[..], crc, &plain[10..]].concat();
    assert_eq!(open(&checked(&crc)).map(|envelope| envelope.kind), Ok(Kind::Ping));
    assert_eq!(open(&checked(&[crc[0] ^ 1, crc[1]])), Err(WireError::GzipHeader));
    let builder = GzBuilder::new().extra(vec![7; 2000]);
    let mut encoder = builder.write(Vec::new(), Compression::fast());
    encoder.write_all(&payload).expect("memory");
    assert_eq!(open(&encoder.finish().expect("memory")), Err(WireError::GzipHeader), "longer than any is");
}

#[test]
fn a_member_cut_anywhere_is_refused() {
    for fixture in all().iter().filter(|fixture| fixture.payload.len() < 2000) {
        let frame = pack_gzip(Kind::Reject, &fixture.payload, 0, 0);
        let member = &frame[PREFIX_BYTES..];
        for end in 0..member.len() {
            let wrong = open(&member[..end]).expect_err("cut");
            assert_eq!(wrong, if end < 10 { WireError::GzipHeader } else { WireError::GzipData }, "at {end}");
        }
    }
}

#[test]
fn a_member_with_any_bit_turned_is_refused_or_the_same() {
    let fixture = super::fixtures::one("block_with_txs");
    let frame = pack_gzip(Kind::Block, &fixture.envelope().body, 0, 77);
    let member = &frame[PREFIX_BYTES..];
    let mut refused = 0;
    for at in 0..member.len() {
        for bit in 0..8 {
            let mut turned = member.to_vec();
            turned[at] ^= 1 << bit;
            // Time and operating system in the header mean nothing, nor do codes that are not used.
            match open(&turned) {
                Ok(envelope) => assert_eq!(envelope, fixture.envelope()),
                Err(_) => refused += 1,
            }
        }
    }
    assert!(refused > 8 * member.len() * 9 / 10, "{refused}");
}

#[test]
fn what_stands_behind_the_data_is_checked() {
    let member = compress(&pack(Kind::Ping, &[8, 1], 0, 0)[PREFIX_BYTES..], 6);
    let end = member.len();
    for at in end - 8..end {
        let mut wrong = member.clone();
        wrong[at] ^= 0x10;
        assert_eq!(open(&wrong), Err(WireError::GzipChecksum));
    }
    assert_eq!(open(&[&member[..], &[0]].concat()), Err(WireError::GzipTrailing));
    assert_eq!(open(&[&member[..], &member].concat()), Err(WireError::GzipTrailing), "one member");
    assert_eq!(open(&[]), Err(WireError::GzipHeader));
    for (at, byte) in [(0, 0x1e), (1, 0x8a), (2, 7), (3, 0x20), (3, 0x80)] {
        let mut wrong = member.clone();
        wrong[at] = byte;
        assert_eq!(open(&wrong), Err(WireError::GzipHeader));
    }
}

#[test]
fn bombs_are_stopped_at_their_kind() {
    for kind in [Kind::Version, Kind::Ping, Kind::Addresses, Kind::Transaction, Kind::Block, Kind::InvTransactions] {
        let above = pack(kind, &vec![0; kind.bytes_max() + 200], 0, 0).slice(PREFIX_BYTES..);
        let wrong = open(&compress(&above, 1)).expect_err("a bomb");
        assert_eq!(wrong, WireError::GzipBomb, "{}", kind.name());
        assert!(wrong.is_silent());
    }
    // As large as the kind allows, from few bytes: only below a megabyte.
    let at = |kind: Kind, bytes: usize| compress(&pack(kind, &vec![0; bytes], 0, 0)[PREFIX_BYTES..], 9);
    assert_eq!(open(&at(Kind::Transaction, (1 << 20) - 64)).map(|envelope| envelope.kind), Ok(Kind::Transaction));
    assert_eq!(open(&at(Kind::Block, 2 << 20)), Err(WireError::GzipBomb), "a thousand bytes from one");
    assert_eq!(open(&at(Kind::PruningPointProof, 64 << 20)), Err(WireError::GzipBomb));
}

#[test]
fn what_is_inflated_is_limited_by_the_phase() {
    let fixture = super::fixtures::one("proof_chunk_level_0");
    let frame = framed(GZIP, &compress(&fixture.payload, 6));
    let within = |bytes_max| unpack_within(Frame::from(&frame), bytes_max);
    assert!(frame.len() < GREETING_BYTES_MAX && fixture.payload.len() > GREETING_BYTES_MAX);
    assert_eq!(within(GREETING_BYTES_MAX), Err(WireError::GzipBomb));
    assert_eq!(within(fixture.payload.len() - 1), Err(WireError::GzipBomb));
    assert_eq!(within(fixture.payload.len()), Ok(fixture.envelope()));
}

#[test]
fn an_envelope_that_does_not_begin_with_its_payload_may_be_short() {
    let unknown = |bytes: usize| {
        let field = super::edit::delimited(100, &vec![0; bytes]);
        compress(&[&field[..], &pack(Kind::Ping, &[8, 1], 0, 0)[PREFIX_BYTES..]].concat(), 6)
    };
    assert_eq!(open(&unknown(60_000)).map(|envelope| envelope.kind), Ok(Kind::Ping));
    assert_eq!(open(&unknown(70_000)), Err(WireError::GzipBomb));
}

#[test]
fn honest_chunks_are_far_from_the_ratio() {
    let fixture = super::fixtures::one("utxo_chunk_full");
    let chunk = fixture.envelope().body;
    // What a node sends when its chunk is as large as kaspad makes them.
    let body = Bytes::from(chunk.repeat(20));
    let frame = pack_gzip(fixture.envelope().kind, &body, 0, 0);
    assert!(body.len() > 1 << 20 && body.len() / frame.len() < 30, "{}", body.len() / frame.len());
    assert_eq!(unpack(Frame::from(&frame)).map(|envelope| envelope.body), Ok(body));
}

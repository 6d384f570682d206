//! Every count, length and range, at its limit and one above.

use super::edit::{append, delimited, number, with};
use super::fixtures::{body, framed, one, open};
use super::reread::reread;
use bytes::Bytes;
use polypeer_engine::Frame;
use polypeer_engine::kit::chain::Hash;
use polypeer_kaspa::wire::*;

#[track_caller]
fn check(name: &str, change: impl Fn(&[u8]) -> Vec<u8>, expected: Result<(), WireError>) {
    let envelope = one(name).envelope();
    assert_eq!(reread(envelope.kind, &change(&envelope.body).into()).map(drop), expected, "{name}");
}

fn hashes(count: usize) -> Bytes {
    Hashes::from_iter((0..count).map(|index| Hash([index as u8; 32]))).encode()
}

#[test]
fn lists_of_hashes_end_at_their_limit() {
    for (kind, max, wrong) in [
        (Kind::InvTransactions, 131_072, WireError::TooManyInvs),
        (Kind::RequestTransactions, 131_072, WireError::TooManyRequested),
        (Kind::IbdChainBlockLocator, 64, WireError::TooMany),
        (Kind::BlockLocator, 64, WireError::TooMany),
        (Kind::RequestRelayBlocks, 1024, WireError::TooMany),
        (Kind::RequestBlockBodies, 1024, WireError::TooMany),
        (Kind::RequestIbdBlocks, 1024, WireError::TooMany),
    ] {
        let at = hashes(max);
        assert_eq!(Hashes::read(kind, &at).map(|hashes| hashes.len()), Ok(max));
        assert_eq!(Hashes::read(kind, &hashes(max + 1)), Err(wrong));
        // The same in another form: an unknown field behind.
        let odd = |bytes: &[u8]| Bytes::from(number(bytes, &[], 9, 1));
        assert_eq!(Hashes::read(kind, &odd(&at)).map(|hashes| hashes.encode()), Ok(at));
        assert_eq!(Hashes::read(kind, &odd(&hashes(max + 1))), Err(wrong));
        assert_eq!(Hashes::read(kind, &Bytes::new()).map(|hashes| hashes.is_empty()), Ok(true));
        let frame = pack(kind, &hashes(max + 1), 0, 0);
        assert!(unpack(Frame::from(&frame)).is_ok(), "one above the limit is told by count");
    }
    let texts = [WireError::TooManyInvs, WireError::TooManyRequested].map(WireError::text);
    assert_eq!(texts[0], "Number of invs in tx inv message is over the limit");
    assert_eq!(texts[1], "Number of tx ids in request transactions message is over the limit");
}

#[test]
fn addresses_end_at_their_limit() {
    let entry = NetAddress { timestamp: -1, ip: "fd00::1".parse().expect("an IP"), port: 65_535 };
    let at = Addresses(vec![entry; 2500]).encode();
    assert_eq!(Addresses::decode(&at, ADDRESSES_MAX).map(|addresses| addresses.0.len()), Ok(2500));
    let above = Addresses(vec![entry; 2501]).encode();
    let wrong = Addresses::decode(&above, ADDRESSES_MAX).expect_err("too many");
    assert_eq!((wrong, wrong.is_silent()), (WireError::TooManyAddresses(2501), false));
    assert_eq!(wrong.text(), "address count 2501 exceeded 2500");
    assert!(unpack(Frame::from(&pack(Kind::Addresses, &above, 0, 0))).is_ok());
    for length in [0, 3, 5, 15, 17] {
        let bad = with(&body("addresses_1000"), &[1, 3], &vec![1; length]);
        let wrong = Addresses::decode(&bad, ADDRESSES_MAX).expect_err("no IP");
        assert_eq!((wrong, wrong.text()), (WireError::IpLength(length), format!("IP has illegal length {length}")));
    }
    let port = |port| number(&body("addresses_1000"), &[1], 4, port);
    assert_eq!(Addresses::decode(&port(65_535), 2500).expect("addresses").0[0].port, 65_535);
    assert_eq!(Addresses::decode(&port(65_536), 2500), Err(WireError::OutOfRange));
}

#[test]
fn versions_are_checked_and_cut() {
    let version = body("version");
    let with_id = |length| Version::decode(&with(&version, &[5], &vec![1; length]));
    assert!(with_id(16).is_ok());
    assert_eq!(with_id(15), Err(WireError::IdLength(15)));
    let reason = Reject::decode(&body("reject_bad_id_length")).expect("a reject").reason;
    assert_eq!(WireError::IdLength(15).text(), reason);
    // 255 bytes and a character of two: cut before it.
    let agent = |text: &str| Version::decode(&with(&version, &[6], text.as_bytes())).expect("a version").user_agent;
    let long = "a".repeat(255);
    assert_eq!(agent(&format!("{long}é and more")), long);
    assert_eq!(agent(&format!("{long}b and more")), format!("{long}b"));
    let bad = append(&version, &[], &delimited(4, &delimited(3, &[1; 5])));
    assert_eq!(Version::decode(&bad), Err(WireError::IpLength(5)));
    let full = Version {
        address: Some(NetAddress::new("10.1.2.3".parse().expect("an IP"), 16_511)),
        services: u64::MAX,
        timestamp: i64::MIN,
        disable_relay_tx: true,
        subnetwork_id: Some([3; 20]),
        ..Version::decode(&version).expect("a version")
    };
    assert_eq!(Version::decode(&full.encode()), Ok(full));
    assert_eq!(Reject::decode(&delimited(1, &[b'x'; 3000])).expect("a reject").reason, "x".repeat(2048));
}

#[test]
fn texts_are_those_of_the_node() {
    for (name, wrong) in [
        ("reject_missing_field", WireError::MissingField),
        ("reject_hash_length", WireError::SliceLength),
        ("reject_bad_id_length", WireError::IdLength(15)),
    ] {
        assert_eq!(Reject::decode(&body(name)).expect("a reject").reason, wrong.text());
        assert!(!wrong.is_silent());
    }
}

#[test]
fn numbers_fit_their_types() {
    let wrong = Err(WireError::OutOfRange);
    let numbers: [(&str, &[u32], u32, u64); 11] = [
        ("block_with_txs", &[1], 1, 65_536),
        ("block_with_txs", &[1], 6, 1 << 63),
        ("block_most_levels", &[1, 12], 2, 256),
        ("transaction_v0_1in_1out", &[], 1, 65_536),
        ("transaction_v0_1in_1out", &[2], 4, 256),
        ("transaction_v1_native", &[2], 4, 65_536),
        ("transaction_v1_native", &[3, 2], 2, 65_536),
        ("trusted_data_chunk", &[1, 2, 6], 2, 65_536),
        ("proof_chunk_level_0", &[], 2, 256),
        ("utxo_chunk_full", &[1, 2, 2], 2, 65_536),
        ("addresses_1000", &[1], 4, 65_536),
    ];
    for (name, path, field, above) in numbers {
        check(name, |body| number(body, path, field, above - 1), Ok(()));
        check(name, |body| number(body, path, field, above), wrong);
    }
}

#[test]
fn covenants_are_checked() {
    let covenant = |input, id: &[u8]| delimited(3, &number(&delimited(2, &delimited(1, id)), &[], 1, input));
    let add = |input, id: &'static [u8]| move |body: &[u8]| append(body, &[3], &covenant(input, id));
    check("transaction_v1_native", add(65_535, &[7; 32]), Ok(()));
    check("transaction_v1_native", add(65_536, &[7; 32]), Err(WireError::OutOfRange));
    check("transaction_v1_native", add(0, &[7; 31]), Err(WireError::SliceLength));
    check("transaction_v1_native", |body| append(body, &[3], &delimited(3, &[8, 1])), Err(WireError::MissingField));
    let plain = body("transaction_v1_native");
    let view = TransactionView::decode(&plain).expect("a transaction");
    let bound = add(0, &[7; 32])(&plain);
    let bound = TransactionView::decode(&bound).expect("a transaction");
    assert_eq!(
        bound.outputs().next().expect("one").covenant,
        Some(Covenant { authorizing_input: 0, id: Hash([7; 32]) })
    );
    assert!(view.id() != bound.id() && view.hash() != bound.hash());
}

#[test]
fn blue_work_has_at_most_192_bits() {
    let work = |bytes: &'static [u8]| move |body: &[u8]| with(body, &[1, 10], bytes);
    check("block_with_txs", work(&[1; 24]), Ok(()));
    check("block_with_txs", work(&[1; 25]), Err(WireError::BlueWorkLength));
    check("trusted_data_chunk", |body| with(body, &[1, 2, 2], &[0; 25]), Err(WireError::BlueWorkLength));
    // Leading zeros are read and not written.
    let block = body("block_with_txs");
    let padded = work(&[0, 0, 0x0b, 0x74])(&block);
    assert_eq!(reread(Kind::Block, &padded.into()), Ok(block));
}

fn header(runs: &[(u64, &[Hash])]) -> Result<Header, WireError> {
    let mut bytes = Header::default().encode().to_vec();
    for (levels, hashes) in runs {
        let run: Vec<u8> = hashes.iter().flat_map(|hash| delimited(1, &delimited(1, &hash.0))).collect();
        bytes.extend(delimited(12, &number(&run, &[], 2, *levels)));
    }
    Header::decode(&bytes)
}

#[test]
fn parents_are_strictly_compressed() {
    let (a, b) = ([Hash([1; 32])], [Hash([2; 32])]);
    let both = [a[0], b[0]];
    let (swapped, none) = ([b[0], a[0]], [Hash::ZERO; 0]);
    let not_rising = Err(WireError::LevelsNotIncreasing);
    assert_eq!(header(&[(0, &a)]), not_rising);
    assert_eq!(header(&[(1, &a), (1, &b)]), not_rising);
    assert_eq!(header(&[(3, &a), (2, &b)]), not_rising);
    assert_eq!(header(&[(1, &a), (2, &a)]), Err(WireError::EqualRuns));
    assert_eq!(header(&[(1, &both), (2, &swapped)]).expect("order counts").parents.level_count(), 2);
    assert_eq!(header(&[(1, &a), (2, &b), (3, &a)]).expect("not neighbours").parents.level_count(), 3);
    assert_eq!(header(&[(256, &a)]), Err(WireError::OutOfRange));
    let most = header(&[(255, &a)]).expect("255 levels");
    assert_eq!((most.parents.level_count(), most.parents.expanded_count()), (255, 255));
    assert_eq!(most.parents.levels().filter(|level| *level == a).count(), 255);
    assert_eq!(header(&[(2, &none), (4, &a)]).expect("a run may be empty").parents.level(1), none);
    let runs: Vec<(u64, &[Hash])> = (1..=255).map(|level| (level, if level % 2 == 0 { &a[..] } else { &b })).collect();
    let many = header(&runs).expect("255 runs");
    assert_eq!(Header::decode(&many.encode()), Ok(many.clone()));
    assert_eq!(Parents::of_levels(many.parents.levels()), Some(many.parents));
}

#[test]
fn parents_expand_to_a_limit() {
    let most: Vec<Hash> = (0..2048_u32).map(blake).collect();
    let header_at = header(&[(255, &most)]).expect("the limit");
    assert_eq!(header_at.parents.expanded_count(), 522_240);
    let levels = || std::iter::repeat_n(&most[..], 255);
    assert_eq!(Parents::of_levels(levels()), Some(header_at.parents));
    let above = [&most[..], &[Hash::ZERO]].concat();
    assert_eq!(header(&[(1, &above), (255, &most)]), Err(WireError::TooManyParents));
    assert_eq!(Parents::of_levels(std::iter::once(&above[..]).chain(levels().skip(1))), None);
    assert_eq!(Parents::of_levels(std::iter::repeat_n(&above[..1], 256)), None);
    let unlike: Vec<Hash> = (0..40_000_u32).map(blake).collect();
    assert_eq!(header(&[(1, &unlike)]), Err(WireError::TooLarge), "a header of more than a megabyte");
}

fn blake(index: u32) -> Hash {
    polypeer_kaspa::hash::blake2b("BlockHash", &[&index.to_le_bytes()])
}

// A transaction of exactly so many bytes.
fn transaction(bytes: usize) -> Bytes {
    let payload = vec![0; bytes];
    let mut transaction = Transaction { payload: &payload, ..Transaction::default() };
    let overhead = transaction.encode().len() - bytes;
    transaction.payload = &payload[overhead..];
    transaction.encode()
}

#[test]
fn transactions_and_bodies_end_at_their_size() {
    let at = transaction(TRANSACTION_BYTES_MAX);
    assert_eq!(at.len(), 1_048_576);
    assert!(TransactionView::decode(&at).is_ok());
    let above = transaction(TRANSACTION_BYTES_MAX + 1);
    let wrong = TransactionView::decode(&above).expect_err("too large");
    assert_eq!(wrong.text(), "p2p conversion size too large error");
    let header = Header::default().encode();
    // Two keys and lengths: of the header two bytes more for its length, of each transaction four.
    let own = 1 + 2 + 4 + 4;
    let last = transaction((2 << 20) - at.len() - own);
    let block = encode_block(&header, [&at[..], &last]);
    assert_eq!(block.len() - header.len(), BODY_BYTES_MAX);
    assert!(reread(Kind::Block, &block).is_ok());
    let body = BlockView::decode(&block).expect("a block").body();
    assert!(reread(Kind::BlockBody, &body).is_ok());
    let block = encode_block(&header, [&at[..], &last, &[]]);
    assert_eq!(BlockView::decode(&block), Err(WireError::TooLarge));
    let body = Items::of([&at[..], &transaction((2 << 20) - at.len() - 8)]).encode();
    assert_eq!((body.len(), BlockBody::decode(&body).is_ok()), (BODY_BYTES_MAX, true));
    assert_eq!(BlockBody::decode(&append(&body, &[], &[0x20, 1]).into()), Err(WireError::TooLarge));
}

#[test]
fn chunks_hold_as_many_as_they_may() {
    let lane = SmtLane { key: Hash([1; 32]), tip: Hash([2; 32]), blue_score: 3, proof: &[] }.encode();
    let lanes = |count| Items::of(std::iter::repeat_n(&lane[..], count)).encode();
    assert!(reread(Kind::SmtLaneChunk, &lanes(4096)).is_ok());
    assert_eq!(reread(Kind::SmtLaneChunk, &lanes(4097)), Err(WireError::TooMany));
    assert_eq!(reread(Kind::SmtLaneChunk, &Bytes::new()), Err(WireError::Empty));
    let proof = [0; LANE_PROOF_BYTES_MAX + 1];
    let long = |length| SmtLane { proof: &proof[..length], ..SmtLane::decode(&lane).expect("ours") }.encode();
    assert!(SmtLane::decode(&long(LANE_PROOF_BYTES_MAX)).is_ok());
    assert_eq!(SmtLane::decode(&long(LANE_PROOF_BYTES_MAX + 1)), Err(WireError::TooLarge));
    assert_eq!(reread(Kind::PruningPointProofChunk, &Bytes::from_static(&[0x10, 7])), Err(WireError::Empty));
    assert_eq!(reread(Kind::PruningPointUtxoSetChunk, &Bytes::new()), Ok(Bytes::new()));
    let few = Items::of([&[][..]; 3]).encode();
    assert_eq!(Items::decode(&few, 3).map(|items| (items.len(), items.is_empty())), Ok((3, false)));
    assert_eq!(Items::decode(&few, 2), Err(WireError::TooMany));
    let pairs = [delimited(2, &[]), delimited(2, &[])].concat().into();
    assert!(TrustedData::decode(&pairs, 2).is_ok());
    assert_eq!(TrustedData::decode(&pairs, 1), Err(WireError::TooMany));
}

#[test]
fn retired_messages_are_read() {
    let target = delimited(1, &delimited(1, &[5; 32]));
    let known: Vec<u8> = (1..=3).flat_map(|byte| delimited(2, &delimited(1, &[byte; 32]))).collect();
    let locator = Bytes::from([target.clone(), known].concat());
    let read = IbdBlockLocator::decode(&locator, 3).expect("three");
    assert_eq!((read.target, read.known.len()), (Hash([5; 32]), 3));
    assert_eq!(read.encode(), locator);
    assert_eq!(IbdBlockLocator::decode(&locator, 2), Err(WireError::TooMany));
    assert_eq!(reread(Kind::IbdBlockLocator, &locator.slice(target.len()..)), Err(WireError::MissingField));
    assert_eq!(reread(Kind::IbdBlockLocatorHighestHash, &target.clone().into()), Ok(target.into()));
    assert_eq!(reread(Kind::IbdBlockLocatorHighestHashNotFound, &Bytes::new()), Ok(Bytes::new()));
    let block = body("block_with_txs");
    let trusted = Items::decode(&body("v10_trusted_data"), 99).expect("blocks");
    let ghostdag = TrustedBlock::decode(trusted.slices().next().expect("one")).expect("a block").ghostdag;
    let pair = TrustedHash { hash: Hash([1; 32]), ghostdag }.encode();
    let window = [delimited(2, ghostdag), delimited(3, &block)].concat();
    let fields = [delimited(1, &block), vec![0x10, 9], delimited(3, &window), delimited(4, &pair)];
    let old = Bytes::from(fields.concat());
    let read = OldBlockWithTrustedData::decode(&old, 1).expect("one each");
    assert_eq!((read.daa_score, read.window.len(), read.pairs.len()), (9, 1, 1));
    assert_eq!(reread(Kind::BlockWithTrustedData, &old), Ok(old.clone()));
    assert_eq!(OldBlockWithTrustedData::decode(&old, 0), Err(WireError::TooMany));
}

#[test]
fn envelopes_have_one_payload_that_is_known() {
    let ping = |nonce: u8| vec![0x82, 1, 2, 8, nonce];
    let pong = vec![0x8a, 1, 2, 8, 9];
    for nothing in [&[][..], &[0xb0, 6, 7], &delimited(200, &[1, 2]), &delimited(4, &[]), &delimited(62, &[])] {
        assert_eq!(open(nothing), Err(WireError::NoPayload));
    }
    assert!(WireError::NoPayload.is_silent());
    let last = open(&[ping(1), pong.clone(), vec![0xa8, 6, 5, 0xb0, 6, 7]].concat()).expect("two");
    assert_eq!((last.kind, &last.body[..], last.request_id, last.response_id), (Kind::Pong, &[8, 9][..], 7, 5));
    let joined = open(&[ping(1), ping(2), ping(3)].concat()).expect("three");
    assert_eq!(joined.body, [8, 1, 8, 2, 8, 3][..]);
    assert_eq!(Nonce::decode(&joined.body), Ok(Nonce(3)));
    let again = open(&[ping(1), ping(2), pong, ping(4)].concat()).expect("four");
    assert_eq!((again.kind, &again.body[..]), (Kind::Ping, &[8, 4][..]));
    assert_eq!(open(&[0x80, 1, 1]), Err(WireError::WireType));
    assert_eq!(open(&[&ping(1)[..], &[0xaa, 6, 1, 1]].concat()), Err(WireError::WireType));
    let large = open(&[&ping(1)[..], &[0xa8, 6, 0xff, 0xff, 0xff, 0xff, 0xff, 1]].concat()).expect("cut to 32 bits");
    assert_eq!(large.response_id, u32::MAX);
}

#[test]
fn a_message_larger_than_its_kind_is_refused() {
    for kind in [Kind::Version, Kind::Reject, Kind::Addresses, Kind::Transaction, Kind::InvTransactions, Kind::Block] {
        let at = vec![0; kind.bytes_max()];
        assert!(unpack(Frame::from(&pack(kind, &at, 1, 2))).is_ok());
        let above = pack(kind, &[&at[..], &[0]].concat(), 1, 2);
        assert_eq!(unpack(Frame::from(&above)), Err(WireError::KindTooLarge));
    }
}

#[test]
fn frames_are_what_their_prefix_says() {
    let frame = framed(0, &body("request_headers"));
    assert_eq!(unpack(Frame::from(&frame.slice(..4))), Err(WireError::Prefix));
    assert_eq!(unpack(Frame::from(&frame.slice(..frame.len() - 1))), Err(WireError::Prefix));
    assert_eq!(unpack(Frame::from(&framed(2, &[0x9a, 1, 0]))), Err(WireError::Prefix));
}

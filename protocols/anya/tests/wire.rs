//! Feeds the framer every split, every cut and every length; round-trips every payload (AnYa spec, sections 2 and 3).

use bytes::{Bytes, BytesMut};
use polypeer_anya::wire::{self, BadReason, Framer, Kind, PHASE_GREETING, PHASE_OPEN, PHASE_POOL_AWAITED, name};
use polypeer_anya::{Anya, Config};
use polypeer_engine::kit::chain::{ChainFormat, Hash, Head, Tip};
use polypeer_engine::{Address, Direction, Framed, Framer as _, Phase, Protocol as _};
use proptest::prelude::*;

struct NoFormat;

impl ChainFormat for NoFormat {
    fn head(_: &[u8]) -> Option<Head> {
        None
    }

    fn transaction_id(_: &[u8]) -> Hash {
        Hash::ZERO
    }
}

fn framer(opener: Direction) -> Framer {
    Anya::<NoFormat>::framer(&Config::default(), 0, opener)
}

/// What a framer makes of pieces.
fn cut(phase: Phase, pieces: &[&[u8]]) -> Vec<Framed> {
    let mut framer = framer(Direction::Inbound);
    let (mut buffer, mut framed) = (BytesMut::new(), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            let whole = framer.whole(phase, &buffer);
            let next = framer.next(phase, &mut buffer);
            let length = if let Framed::Frame(frame) = &next { Some(frame.len()) } else { None };
            assert!(whole.is_none() || whole == length, "what is whole is what comes next");
            match next {
                Framed::More => break,
                other => framed.push(other),
            }
        }
    }
    framed
}

fn header(name: wire::Name, length: u32) -> Vec<u8> {
    [name.as_slice(), &length.to_be_bytes()].concat()
}

fn reason(framed: &[Framed]) -> Option<(BadReason, bool)> {
    match framed {
        [Framed::Bad(bad)] => BadReason::of(bad.reason).map(|reason| (reason, bad.fatal)),
        _ => None,
    }
}

/// A stream with everything in it: good frames, an unknown type, an unasked mempool, a greeting out of place.
fn stream() -> Vec<u8> {
    let mut all = Vec::new();
    for frame in [wire::frame(Kind::Tx, b"v1"), wire::empty(Kind::Ping), wire::frame(Kind::Mempool, &[0; 50])] {
        all.extend(frame);
    }
    all.extend(header(name("weather"), 9));
    all.extend(b"sunny day");
    all.extend(wire::frame(Kind::Connect, &[1; 64]));
    all.extend(wire::frame(Kind::GetBlock, &[2; 32]));
    all
}

#[test]
fn any_split_gives_the_same_frames() {
    let stream = stream();
    let whole = cut(PHASE_OPEN, &[&stream]);
    assert_eq!(whole.len(), 6);
    let bytes: Vec<_> = stream.chunks(1).collect();
    assert_eq!(cut(PHASE_OPEN, &bytes), whole);
    for at in 0..=stream.len() {
        let (front, back) = stream.split_at(at);
        assert_eq!(cut(PHASE_OPEN, &[front, back]), whole);
    }
}

#[test]
fn a_frame_cut_at_any_byte_is_no_frame() {
    for kind in [Kind::Tx, Kind::Block, Kind::GetBlock, Kind::BlockchainInfo, Kind::Peers, Kind::Error] {
        let frame = wire::frame(kind, &[7; 20]);
        for end in 0..frame.len() {
            assert_eq!(cut(PHASE_OPEN, &[&frame[..end]]), []);
        }
        assert_eq!(cut(PHASE_OPEN, &[&frame]), [Framed::Frame(frame.clone())]);
    }
}

#[test]
fn lengths_are_judged_at_the_header() {
    let limits = Config::default();
    let of = |kind: Kind| match kind {
        Kind::Tx => limits.tx_bytes_max,
        Kind::Block => limits.block_bytes_max,
        Kind::Mempool => limits.mempool_bytes_max,
        Kind::Connect | Kind::Error => 64,
        Kind::ConnectionAccepted | Kind::GetBlock => 32,
        Kind::BlockchainInfo => 163_949,
        Kind::Peers => 32_004,
        _ => 0,
    };
    for kind in Kind::ALL.iter().copied() {
        let limit = of(kind);
        for length in [limit + 1, 1 << 31, (1 << 31) - 1, u32::MAX] {
            let expected = if kind == Kind::Error { BadReason::ErrorTooLong } else { BadReason::TooLong };
            let framed = cut(PHASE_POOL_AWAITED, &[&header(kind.name(), length)]);
            assert_eq!(reason(&framed), Some((expected, true)), "{} {length}", kind.text());
        }
        for length in [0, limit] {
            let mut frame = header(kind.name(), length);
            frame.resize(frame.len() + length as usize, 0);
            match cut(PHASE_POOL_AWAITED, &[&frame]).as_slice() {
                [Framed::Frame(whole)] => assert_eq!(whole, &frame),
                [Framed::Bad(bad)] => {
                    assert!(matches!(kind, Kind::Connect | Kind::ConnectionAccepted) && !bad.fatal);
                }
                other => panic!("{} {length}: {other:?}", kind.text()),
            }
        }
    }
}

#[test]
fn headers_are_judged_in_the_order_of_the_spec() {
    let mut malformed = name("connect");
    malformed[20] = b'x';
    let cases = [
        (PHASE_GREETING, malformed, u32::MAX, BadReason::Malformed),
        (PHASE_GREETING, name("weather"), u32::MAX, BadReason::NotGreeting),
        (PHASE_GREETING, name("tx"), u32::MAX, BadReason::NotGreeting),
        (PHASE_GREETING, name("error"), u32::MAX, BadReason::ErrorFirst),
        (PHASE_GREETING, name("connect"), 65, BadReason::TooLong),
        (PHASE_OPEN, malformed, u32::MAX, BadReason::Malformed),
        (PHASE_OPEN, name("weather"), u32::MAX, BadReason::UnknownTooLong),
        (PHASE_OPEN, name("weather"), 1 << 20, BadReason::Unknown),
        (PHASE_OPEN, name("connect"), 65, BadReason::TooLong),
        (PHASE_OPEN, name("connect"), 64, BadReason::GreetingAgain),
        (PHASE_OPEN, name("mempool"), 33_554_433, BadReason::TooLong),
        (PHASE_OPEN, name("mempool"), 33_554_432, BadReason::PoolUnasked),
    ];
    for (phase, name, length, expected) in cases {
        let framed = cut(phase, &[&header(name, length)]);
        assert_eq!(reason(&framed).map(|(reason, _)| reason), Some(expected));
    }
}

#[test]
fn nothing_is_allocated_for_what_is_only_announced() {
    let mut framer = framer(Direction::Inbound);
    let mut buffer = BytesMut::with_capacity(64);
    for kind in [Kind::Tx, Kind::Block, Kind::Mempool] {
        buffer.clear();
        buffer.extend_from_slice(&header(kind.name(), 1 << 20));
        framer.next(PHASE_POOL_AWAITED, &mut buffer);
        assert!(buffer.capacity() <= 64, "{}", buffer.capacity());
    }
}

#[test]
fn after_the_end_nothing_is_read() {
    let mut bytes = header([0; 32], 0);
    bytes.extend(wire::empty(Kind::Ping));
    let framed = cut(PHASE_OPEN, &[&bytes, &bytes]);
    assert_eq!(reason(&framed), Some((BadReason::Malformed, true)));
}

#[test]
fn waypoints_follow_the_formula() {
    assert_eq!(wire::waypoint_heights(0), [0]);
    assert_eq!(wire::waypoint_heights(1), [0, 1]);
    assert_eq!(wire::waypoint_heights(64), [0, 64]);
    assert_eq!(wire::waypoint_heights(65), [0, 32, 65]);
    for tip in [1_000_000_u64, u64::MAX] {
        let heights = wire::waypoint_heights(tip);
        assert_eq!((heights.len(), heights[0], heights[4095]), (4096, 0, tip));
        assert!(heights.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(u128::from(heights[7]), 7 * u128::from(tip) / 4095);
    }
}

#[test]
fn type_names_are_those_of_the_source_document() {
    let names: Vec<_> = Kind::ALL.iter().map(|kind| kind.text()).collect();
    let document = "connect connection_accepted disconnect disconnect_ack ping pong tx block get_block \
                    get_blockchain_info blockchain_info get_mempool mempool get_peers peers error";
    assert_eq!(names, document.split_whitespace().collect::<Vec<_>>());
    for kind in Kind::ALL {
        assert_eq!(Kind::of(&kind.name()), Some(*kind));
        assert!(wire::is_well_formed(&kind.name()));
    }
}

fn addresses() -> impl Strategy<Value = Address> {
    (any::<std::net::IpAddr>(), 1_u16..)
        .prop_map(|(ip, port)| Address::new(ip, port))
        .prop_filter("nobody", |address| !address.ip().is_unspecified() && !address.ip().is_multicast())
}

fn infos() -> impl Strategy<Value = (Tip, Vec<(u64, Hash)>)> {
    let heights = prop::collection::btree_set(1_u64.., 0..50);
    (heights, any::<[u8; 32]>(), any::<u128>()).prop_map(|(heights, seed, work)| {
        let hash = |height: u64| Hash(*blake3::keyed_hash(&seed, &height.to_be_bytes()).as_bytes());
        let waypoints: Vec<_> = std::iter::once(0).chain(heights).map(|height| (height, hash(height))).collect();
        let (height, last) = *waypoints.last().expect("genesis at least");
        (Tip { hash: last, height, work, genesis: waypoints[0].1 }, waypoints)
    })
}

proptest! {
    #[test]
    fn addresses_round_trip(address in addresses()) {
        prop_assert_eq!(wire::decode_address(&wire::address(address)), Ok(address));
        let both = wire::connect(Some(address), address);
        prop_assert_eq!(wire::decode_connect(wire::payload(&both)), Ok(address));
    }

    #[test]
    fn peers_round_trip(addresses in prop::collection::vec(addresses(), 0..50)) {
        let frame = wire::peers(&addresses);
        prop_assert_eq!(wire::decode_peers(wire::payload(&frame)), Ok(addresses));
    }

    #[test]
    fn infos_round_trip_and_no_cut_of_one_parses((tip, waypoints) in infos(), network_id in any::<[u8; 16]>()) {
        let frame = wire::info(&network_id, &tip, &waypoints);
        let payload = wire::payload(&frame);
        let info = wire::decode_info(payload).expect("our own encoding");
        prop_assert_eq!(&info.waypoints, &waypoints);
        prop_assert_eq!((info.claimed.tip, info.claimed.height, info.claimed.work), (tip.hash, tip.height, tip.work));
        for end in 0..payload.len() {
            prop_assert!(wire::decode_info(&payload[..end]).is_err());
        }
        prop_assert!(wire::decode_info(&[payload, &[0]].concat()).is_err());
    }

    #[test]
    fn mempools_count_their_entries(entries in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..30)) {
        let transactions: Vec<_> = entries.iter().map(|entry| Bytes::copy_from_slice(entry)).collect();
        let frame = wire::mempool(&transactions);
        prop_assert_eq!(wire::pool_entries(wire::payload(&frame)), Ok(entries.len()));
        for end in 0..frame.len() - 36 {
            prop_assert!(wire::pool_entries(&wire::payload(&frame)[..end]).is_err());
        }
    }

    #[test]
    fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300), phase in 0_u8..4) {
        let mut framer = framer(Direction::Outbound);
        let mut buffer = BytesMut::from(bytes.as_slice());
        while framer.next(Phase(phase), &mut buffer) != Framed::More {}
        let _ = (wire::decode_info(&bytes), wire::decode_peers(&bytes), wire::pool_entries(&bytes));
        let _ = (wire::decode_connect(&bytes), wire::decode_hash(&bytes), wire::decode_address(&bytes));
    }

    #[test]
    fn splits_anywhere_give_the_same(cuts in prop::collection::btree_set(0_usize..400, 0..12)) {
        let stream = stream();
        let mut pieces = Vec::new();
        let mut from = 0;
        for at in cuts.into_iter().filter(|at| *at < stream.len()).chain([stream.len()]) {
            pieces.push(&stream[from..at]);
            from = at;
        }
        prop_assert_eq!(cut(PHASE_OPEN, &pieces), cut(PHASE_OPEN, &[&stream]));
    }
}

//! Breaks what Mina's peers say on streams of Kademlia and of questions: messages, how they are cut, and sessions.

use crate::pieces::{cut, head};
use crate::targets::Seeds;
use bytes::Bytes;
use polypeer_engine::kit::protobuf::varint;
use polypeer_engine::{Address, ChannelEnd, ChannelId, ConnectionId, Direction, Frame, Phase, Random, Time};
use polypeer_mina::kad::{self, Kad};
use polypeer_mina::keys::PeerId;
use polypeer_mina::rpc::{self, Cut, Method, Question, Rpc};
use std::time::Duration;

/// What is read is written again to what reads the same; and what a session hears does it no harm.
pub fn kad(input: &[u8]) {
    if let Ok(message) = kad::Message::decode(input) {
        assert!(message.closer.len() <= kad::PEERS_READ_MAX && message.providers.len() <= kad::PEERS_READ_MAX);
        let frame = message.encode();
        let (_, length) = varint(&frame).expect("a length");
        assert_eq!(kad::Message::decode(&frame[length..]), Ok(message));
    }
    kad_session(input);
}

/// The decoder once, for what it takes in memory.
pub fn decode_kad(input: &[u8]) {
    drop(kad::Message::decode(input));
}

// Every eighth byte says what happens, the others are said.
fn kad_session(input: &[u8]) {
    let config = kad::Config { rendezvous: kad::provided("fuzz"), private_addresses: false, low_water: 2, looks: true };
    let mut kad = Kad::new(config, PeerId::of_key([0; 32]), Time::ZERO, Random::new([1; 32]));
    let (mut now, mut out) = (Time::ZERO, Vec::new());
    for (number, part) in input.chunks(64).enumerate() {
        let what = part[0];
        let connection = ConnectionId::nth(Direction::Outbound, u64::from(what & 3));
        let channel = ChannelId(number as u32 / 2);
        let address = Address::new([11, what, 1, 1].into(), 1);
        match what >> 5 {
            0 => {
                // A connection's id is never used again.
                kad.on_disconnected(now, connection, &mut out);
                kad.on_connected(now, connection, PeerId::of_key([what; 32]), Some(address), None, &mut out);
            }
            1 => kad.on_identified(now, connection, what & 4 == 0, &[address], &mut out),
            2 => kad.on_disconnected(now, connection, &mut out),
            3 => kad.on_opened(now, connection, channel, Direction::Outbound, &mut out),
            4 => kad.on_opened(now, connection, channel, Direction::Inbound, &mut out),
            5 => kad.on_frame(now, connection, channel, &[&[part.len() as u8 - 1], &part[1..]].concat(), &mut out),
            6 => {
                let _ = kad.find(now, &PeerId::of_key([what; 32]), &mut out);
            }
            _ => {
                now = now + Duration::from_millis(u64::from(what) * 50);
                kad.wake(now, &mut out);
            }
        }
        kad.check();
        out.clear();
    }
}

/// However a stream is split, it is cut into the same messages and pieces.
pub fn framer(input: &[u8]) {
    let (flags, opened, sizes, stream) = head(input);
    let phase = Phase(flags % 7);
    let whole = cut(Cut::default(), stream, &[], opened, phase);
    assert_eq!(cut(Cut::default(), stream, sizes, opened, phase), whole);
}

/// The framer once, for what it takes in memory.
pub fn framer_once(input: &[u8]) {
    let (flags, opened, _, stream) = head(input);
    drop(cut(Cut::default(), stream, &[], opened, Phase(flags % 7)));
}

/// What is read is written again to what reads the same; payloads are read without harm; and so is a session.
pub fn rpc(input: &[u8]) {
    if let Ok(message) = rpc::Message::read(input) {
        assert_eq!(rpc::Message::decode(&message.encode()), Ok(message));
    }
    payloads(input);
    rpc_session(input);
}

/// The decoders once, for what they take in memory.
pub fn decode_rpc(input: &[u8]) {
    let _ = rpc::Message::read(input);
    drop(rpc::read_menu(input));
    drop(rpc::read_hashes(input, rpc::PATH_MAX));
}

fn payloads(input: &[u8]) {
    if let Ok(hashes) = rpc::read_hashes(input, rpc::HASHES_MAX) {
        assert_eq!(rpc::write_hashes(&hashes), input);
    }
    if let Ok(menu) = rpc::read_menu(input) {
        let methods: Vec<_> =
            menu.iter().filter_map(|(tag, version)| Some((str::from_utf8(tag).ok()?, *version))).collect();
        if methods.len() == menu.len() {
            assert_eq!(rpc::write_menu(methods.into_iter()), input);
        }
    }
    if let Ok(proof) = rpc::ChainProof::decode(input) {
        assert_eq!(proof.encode(), input);
    }
    let bytes = Bytes::copy_from_slice(input);
    drop(rpc::ProvenBlock::decode(&bytes));
    drop(rpc::read_blocks(&bytes));
    drop(rpc::read_peers(input));
    let _ = rpc::read_ancestry(input);
    drop(rpc::read_ledger_query(input));
}

fn rpc_session(input: &[u8]) {
    let mut rpc = Rpc::new(rpc::Config { serves_ledgers: input.len() % 2 == 0 });
    let (mut now, mut out) = (Time::ZERO, Vec::new());
    let agents = ["openmina", "reference"];
    for (number, part) in input.chunks(48).enumerate() {
        let what = part[0];
        let connection = ConnectionId::nth(Direction::Outbound, u64::from(what & 1));
        let channel = ChannelId(number as u32 / 3);
        match what >> 5 {
            0 => {
                rpc.on_disconnected(connection, &mut out);
                rpc.on_connected(connection);
                rpc.on_identified(connection, agents[usize::from(what & 1)]);
            }
            1 => rpc.on_opened(now, connection, channel, Direction::Outbound, &mut out),
            2 => rpc.on_opened(now, connection, channel, Direction::Inbound, &mut out),
            3 => {
                let hello = rpc::handshake();
                rpc.on_frame(now, connection, channel, Frame::from(&hello), &mut out);
            }
            4 => {
                let message = &part[1..];
                let frame = Bytes::from([&(message.len() as u64).to_le_bytes(), message].concat());
                rpc.on_frame(now, connection, channel, Frame::from(&frame), &mut out);
            }
            5 => {
                let method = Method::all().nth(usize::from(what & 15)).unwrap_or(Method::BestTip);
                let _ = rpc.ask(now, connection, Question::plain(method), &mut out);
            }
            6 => rpc.on_closed(
                now,
                connection,
                channel,
                [ChannelEnd::Finished, ChannelEnd::Reset][usize::from(what & 1)],
                &mut out,
            ),
            _ => {
                now = now + Duration::from_millis(u64::from(what) * 100);
                rpc.wake(now, &mut out);
            }
        }
        rpc.check();
        out.clear();
    }
}

/// A question and an answer of Kademlia's, as the spec has them.
pub fn kad_messages() -> Seeds {
    let peer = PeerId::of_key([7; 32]);
    let find = kad::Message::about(kad::Kind::FindNode, &peer.to_bytes());
    let mut answer = find.clone();
    answer.closer.push(kad::Contact {
        peer,
        addresses: vec![Address::new([198, 51, 100, 7].into(), 8302)],
        is_connected: true,
    });
    let body = |message: &kad::Message| message.encode()[1..].to_vec();
    vec![("find", body(&find)), ("answer", body(&answer))]
}

/// Messages of every kind, without their length.
pub fn rpc_messages() -> Seeds {
    let query = |method: Method| {
        let (tag, version) = (method.tag().as_bytes(), method.version());
        rpc::Query { tag, version, id: 5, payload: &rpc::NOTHING }.encode()[8..].to_vec()
    };
    let answer = rpc::Message::Reply(rpc::Reply { id: 5, result: Ok(b"\x00") }).encode()[8..].to_vec();
    vec![("menu", query(Method::Menu)), ("best_tip", query(Method::BestTip)), ("answer", answer)]
}

/// A stream of them.
pub fn rpc_stream() -> Seeds {
    let frames =
        [rpc::handshake(), rpc::heartbeat(), rpc::Query { tag: b"x", version: 1, id: 0, payload: b"" }.encode()];
    vec![("stream", frames.concat())]
}

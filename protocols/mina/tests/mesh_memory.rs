//! Floods the mesh with millions of everything, in a process of its own, and measures that memory stays flat.

use bytes::Bytes;
use ed25519_dalek::{Signer as _, SigningKey};
use polypeer_engine::{ConnectionId, Direction, Frame, Time};
use polypeer_mina::keys::PeerId;
use polypeer_mina::mesh::frame::{self, Message};
use polypeer_mina::mesh::{About, CONSENSUS, Mesh, MessageId, Settings, TopicId, Version};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::alloc::System;
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What may be held more after each flood than before all of them.
const GROWTH_MAX: usize = 1 << 20;
const MILLION: usize = 1_000_000;
const PEERS: u64 = 8;

fn held() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}

fn id(number: usize) -> MessageId {
    let mut id = [0x5a; 32];
    id[..8].copy_from_slice(&number.to_be_bytes());
    MessageId(id)
}

/// So many of what one frame has, in one frame.
fn repeated(frame: &Bytes, count: usize) -> Bytes {
    let head = frame.iter().position(|byte| *byte < 0x80).expect("the length ends") + 1;
    let body = frame[head..].repeat(count);
    let mut framed = Vec::new();
    prost::encoding::encode_varint(body.len() as u64, &mut framed);
    framed.extend_from_slice(&body);
    framed.into()
}

struct Flood {
    about: &'static str,
    per_frame: usize,
    make: fn(usize) -> Bytes,
}

const FLOODS: [Flood; 11] = [
    Flood { about: "names told of", per_frame: 5_000, make: |from| frame::ihave(CONSENSUS, &ids(from, 5_000)) },
    Flood { about: "names asked for", per_frame: 5_000, make: |from| frame::iwant(&ids(from, 5_000)) },
    Flood {
        about: "subscriptions",
        per_frame: 100,
        make: |from| frame::subscriptions([(CONSENSUS, from % 200 == 0); 100].into_iter()),
    },
    Flood {
        about: "subscriptions to topics that there are not",
        per_frame: 100,
        make: |from| {
            let topics: Vec<String> = (from..from + 100).map(|number| format!("topic {number}")).collect();
            frame::subscriptions(topics.iter().map(|topic| (topic.as_str(), true)))
        },
    },
    Flood { about: "grafts", per_frame: 64, make: |_| repeated(&frame::graft(CONSENSUS), 64) },
    Flood { about: "prunes", per_frame: 64, make: |_| repeated(&frame::prune(CONSENSUS, Some(u64::MAX), &[]), 64) },
    Flood { about: "empty messages", per_frame: 5_000, make: |_| repeated(&Bytes::from_static(&[2, 0x12, 0]), 5_000) },
    Flood { about: "unsigned messages", per_frame: 1_000, make: |_| repeated(&message(false), 1_000) },
    Flood { about: "replays", per_frame: 1_000, make: |_| repeated(&message(true), 1_000) },
    Flood {
        about: "fields that there are not",
        per_frame: 1_000,
        make: |_| repeated(&Bytes::from_static(&[2, 0x78, 1]), 1_000),
    },
    Flood {
        about: "more than a frame may have",
        per_frame: 10_000,
        make: |_| repeated(&Bytes::from_static(&[2, 0x12, 0]), 10_000),
    },
];

fn ids(from: usize, count: usize) -> Vec<MessageId> {
    (from..from + count).map(id).collect()
}

/// The same message each time, signed or not.
fn message(is_signed: bool) -> Bytes {
    let key = SigningKey::from_bytes(&[9; 32]);
    let from = PeerId::of_key(key.verifying_key().to_bytes()).to_bytes();
    let unsigned = Message {
        from: Some(&from),
        data: Some(b"data"),
        seqno: Some(&[0; 8]),
        topic: Some(CONSENSUS.as_bytes()),
        ..Message::default()
    };
    let signature = key.sign(&frame::signed_bytes(&unsigned)).to_bytes();
    frame::message(&Message { signature: is_signed.then_some(&signature[..]), ..unsigned }).0
}

#[test]
fn millions_of_everything_leave_nothing_behind() {
    let mut mesh = Mesh::new(Settings::default(), PeerId::of_key([1; 32]), [2; 32]);
    let mut now = Time::from_micros(1_000_000_000);
    let mut out = Vec::new();
    mesh.subscribe(now, TopicId(0), &mut out);
    for number in 0..PEERS {
        let peer = ConnectionId::from_u64(number);
        let id = PeerId::of_key([number as u8 + 10; 32]);
        mesh.connected(now, peer, About { id, direction: Direction::Inbound, ip: None });
        mesh.opened(now, peer, Version::V1_1, &mut out);
    }
    // What is wanted is bounded and allocated once, so it is there before anything is measured.
    for frame in 0..20 {
        let told = frame::ihave(CONSENSUS, &ids(frame * 5_000, 5_000));
        mesh.receive(now, ConnectionId::from_u64(frame as u64 % PEERS), Frame::from(&told), &mut out);
    }
    out = Vec::new();
    let before = held();
    for flood in FLOODS {
        let mut sent = 0;
        while sent < MILLION {
            let frame = (flood.make)(sent);
            sent += flood.per_frame;
            let peer = ConnectionId::from_u64((sent / flood.per_frame) as u64 % PEERS);
            mesh.receive(now, peer, Frame::from(&frame), &mut out);
            out.clear();
            now = now + Duration::from_millis(5);
            if mesh.next_wake().is_some_and(|at| now >= at) {
                mesh.wake(now, &mut out);
            }
            out = Vec::new();
        }
        assert!(mesh.is_sound());
        let grown = held().saturating_sub(before);
        println!("{sent} of {}: {grown} bytes more", flood.about);
        assert!(grown <= GROWTH_MAX, "{} left {grown} bytes", flood.about);
    }
}

//! Measures the mesh alone: a hub that one peer publishes through to 32 others, messages of 256 bytes, signatures
//! checked. Prints deliveries a second of one core, and where the time of one message goes.
//!
//! ```sh
//! cargo run --release -p polypeer-mina --example mesh_speed
//! ```

use bytes::Bytes;
use ed25519_dalek::{Signer as _, SigningKey};
use polypeer_engine::{ConnectionId, Direction, Frame, Time};
use polypeer_mina::keys::PeerId;
use polypeer_mina::mesh::frame::{self, Message};
use polypeer_mina::mesh::{About, CONSENSUS, Degree, Mesh, Output, Settings, TopicId, Verdict, Version};
use std::time::{Duration, Instant};

const PEERS: u64 = 32;
const PAYLOAD_BYTES: usize = 256;
const MESSAGES: u32 = 20_000;

fn signed(key: &SigningKey, number: u32) -> Bytes {
    let from = PeerId::of_key(key.verifying_key().to_bytes()).to_bytes();
    let mut data = [7; PAYLOAD_BYTES];
    data[..4].copy_from_slice(&number.to_be_bytes());
    let seqno = u64::from(number).to_be_bytes();
    let unsigned = Message {
        from: Some(&from),
        data: Some(&data),
        seqno: Some(&seqno),
        topic: Some(CONSENSUS.as_bytes()),
        ..Message::default()
    };
    let signature = key.sign(&frame::signed_bytes(&unsigned)).to_bytes();
    frame::message(&Message { signature: Some(&signature), ..unsigned }).0
}

fn hub(settings: Settings) -> Mesh {
    let degree = Degree { wanted: 32, low: 32, high: 64, by_score: 4, dialled: 0, lazy: 6 };
    let mut mesh = Mesh::new(Settings { degree, ..settings }, PeerId::of_key([1; 32]), [2; 32]);
    let (now, mut out) = (Time::ZERO, Vec::new());
    mesh.subscribe(now, TopicId(0), &mut out);
    for number in 0..=PEERS {
        let peer = ConnectionId::from_u64(number);
        let id = PeerId::of_key([number as u8 + 10; 32]);
        mesh.connected(now, peer, About { id, direction: Direction::Inbound, ip: None });
        mesh.opened(now, peer, Version::V1_1, &mut out);
        mesh.receive(now, peer, Frame::from(&frame::graft(CONSENSUS)), &mut out);
    }
    mesh
}

// Nanoseconds for each message, and how many deliveries there were.
fn run(frames: &[Bytes], settings: Settings) -> (Duration, usize) {
    let mut mesh = hub(settings);
    let publisher = ConnectionId::from_u64(PEERS);
    let (mut out, mut next, mut deliveries) = (Vec::new(), Vec::new(), 0);
    let start = Instant::now();
    for (number, frame) in frames.iter().enumerate() {
        let now = Time::from_micros(number as u64 * 20);
        mesh.receive(now, publisher, Frame::from(frame), &mut out);
        for output in out.drain(..) {
            if let Output::Deliver { id, .. } = output {
                mesh.judged(now, id, Verdict::Accept, &mut next);
            }
        }
        deliveries += next.drain(..).filter(|output| matches!(output, Output::Send { .. })).count();
        if mesh.next_wake().is_some_and(|at| now >= at) {
            mesh.wake(now, &mut out);
            out.clear();
        }
    }
    (start.elapsed(), deliveries)
}

fn main() {
    let key = SigningKey::from_bytes(&[9; 32]);
    let frames: Vec<Bytes> = (0..MESSAGES).map(|number| signed(&key, number)).collect();
    let unchecked = Settings { verify: Some(|_, _, _| true), ..Settings::default() };
    for (about, settings) in [("signatures checked", Settings::default()), ("signatures taken for right", unchecked)] {
        let (time, deliveries) = run(&frames, settings);
        let rate = deliveries as f64 / time.as_secs_f64();
        let each = time / MESSAGES;
        println!("{about}: {deliveries} deliveries, {rate:.0} a second, {each:?} a message");
    }
}

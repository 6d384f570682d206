//! Floods: what costs their sender, what is merely passed over, and that nothing grows.

use crate::stage::{Stage, connection, framed, joined, settings, signed};
use bytes::Bytes;
use polypeer_engine::ConnectionId;
use polypeer_mina::mesh::limits::{BACK_OFFS_MAX, STORM};
use polypeer_mina::mesh::{BLOCK, CONSENSUS, Fault, MessageId, Verdict, frame};
use std::time::Duration;

/// Slips that end a connection: the engine's.
const SLIPS_MAX: usize = 20;

/// How many frames of a flood a peer gets through before its slips or a breach end it, within one heartbeat. What comes
/// out is counted in bytes: no flood is answered with more than it is itself.
fn flood(limit: usize, frame: impl Fn(u64) -> Bytes) -> usize {
    let mut stage = Stage::new();
    stage.crowd(8);
    let peer = connection(1);
    let (mut slips, mut received, mut sent) = (0, 0, 0);
    for number in 0..limit {
        let frame = frame(number as u64);
        received += frame.len();
        stage.say(peer, &frame);
        slips += stage.faults().len();
        sent += stage.outputs().iter().map(answer_bytes).sum::<usize>();
        if slips > SLIPS_MAX {
            assert!(sent <= 2 * received + 1_000, "{sent} bytes answer {received}");
            return number + 1;
        }
    }
    assert!(sent <= 2 * received + 1_000, "{sent} bytes answer {received}");
    limit
}

fn answer_bytes(output: &polypeer_mina::mesh::Output) -> usize {
    if let polypeer_mina::mesh::Output::Send { frame, .. } = output { frame.len() } else { 0 }
}

#[test]
fn floods_of_control_end_their_sender() {
    let id = |number: u64| {
        let mut id = [9; 32];
        id[..8].copy_from_slice(&number.to_be_bytes());
        MessageId(id)
    };
    type Make = Box<dyn Fn(u64) -> Bytes>;
    let floods: [(&str, Make); 7] = [
        ("subscriptions", Box::new(|number| frame::subscriptions([(CONSENSUS, number % 2 == 0)].into_iter()))),
        ("strange subscriptions", Box::new(|_| frame::subscriptions([("strange", true); 100].into_iter()))),
        ("grafts", Box::new(|_| frame::graft(CONSENSUS))),
        ("strange grafts", Box::new(|_| frame::graft("strange"))),
        ("prunes", Box::new(|_| frame::prune(CONSENSUS, Some(u64::MAX), &[]))),
        ("ihaves", Box::new(move |number| frame::ihave(CONSENSUS, &[id(number)]))),
        ("iwants", Box::new(move |number| frame::iwant(&[id(number)]))),
    ];
    for (about, make) in floods {
        let took = flood(10_000, make);
        assert!(took < 25 * STORM as usize, "{about} took {took}");
    }
}

#[test]
fn grafts_after_a_prune_end_their_sender_soon() {
    let took =
        flood(1_000, |number| if number == 0 { frame::prune(CONSENSUS, None, &[]) } else { frame::graft(CONSENSUS) });
    assert!(took <= SLIPS_MAX + 2, "{took}");
}

#[test]
fn forgeries_end_their_sender_soon() {
    let took = flood(1_000, |number| {
        let mut forged = signed(9, 1, CONSENSUS, &number.to_be_bytes()).to_vec();
        *forged.last_mut().expect("a signature") ^= 1;
        forged.into()
    });
    assert!(took <= SLIPS_MAX + 1, "{took}");
}

/// What an honest peer does in a heartbeat at its busiest costs it nothing.
#[test]
fn what_honest_peers_do_is_no_fault() {
    let mut stage = Stage::new();
    stage.crowd(8);
    let topics = [(CONSENSUS, true), (BLOCK, false)];
    for beat in 0..100_u64 {
        for peer in (1..=8).map(connection) {
            stage.say(peer, &frame::subscriptions(topics.into_iter()));
            let ids: Vec<MessageId> = (0..1_000_u64).map(|number| name(beat * 1_000 + number)).collect();
            stage.say(peer, &joined(&[frame::ihave(CONSENSUS, &ids), frame::ihave(BLOCK, &ids)]));
            stage.say(peer, &frame::iwant(&ids));
            stage.say(peer, &signed(9, 1, CONSENSUS, &beat.to_be_bytes()));
        }
        stage.judge(Verdict::Accept);
        assert_eq!(stage.faults(), []);
        stage.out.clear();
        stage.beats(1);
    }
}

fn name(number: u64) -> MessageId {
    let mut id = [3; 32];
    id[..8].copy_from_slice(&number.to_be_bytes());
    MessageId(id)
}

/// One flood of a kind each beat, for a while: nothing is held of it.
#[test]
fn nothing_grows_with_what_strangers_send() {
    let mut stage = Stage::with(settings(|settings| settings.peer_exchange = true));
    stage.crowd(8);
    let mut largest = [0; 6];
    for beat in 0..30_u64 {
        let ids: Vec<MessageId> = (0..5_000).map(|number| name(beat * 5_000 + number)).collect();
        for peer in (1..=8).map(connection) {
            stage.say(peer, &frame::ihave(CONSENSUS, &ids));
            stage.say(peer, &frame::iwant(&ids));
        }
        stage.out.clear();
        stage.beats(1);
        for (largest, held) in largest.iter_mut().zip(stage.mesh.held()) {
            *largest = held.max(*largest);
        }
    }
    let [peers, pending, judged, cached, wanted, back_offs] = largest;
    assert_eq!((peers, pending, judged, cached, back_offs), (8, 0, 0, 0, 0));
    assert!(wanted <= 8_192, "{wanted}");
    stage.beats(5);
    assert_eq!(stage.mesh.held()[4], 0);
}

/// Bitcoin CVE-2020-14198: a list that only grows.
#[test]
fn back_offs_are_bounded_however_many_names_a_swarm_has() {
    let mut stage = Stage::new();
    for number in 1..=BACK_OFFS_MAX as u64 + 500 {
        let peer = ConnectionId::from_u64(number);
        let mut key = [0; 32];
        key[..8].copy_from_slice(&number.to_be_bytes());
        let about = polypeer_mina::mesh::About {
            id: polypeer_mina::keys::PeerId::of_key(key),
            direction: polypeer_engine::Direction::Inbound,
            ip: None,
        };
        stage.mesh.connected(stage.now, peer, about);
        stage.mesh.receive(stage.now, peer, (&frame::prune(CONSENSUS, Some(u64::MAX), &[])).into(), &mut stage.out);
        stage.mesh.gone(stage.now, peer);
    }
    assert_eq!(stage.mesh.held()[5], BACK_OFFS_MAX);
    assert_eq!(stage.mesh.held()[0], 0);
    stage.join(1 << 40);
    stage.pass(Duration::from_secs(2 * 60 * 60));
    assert_eq!(stage.mesh.held()[5], 0);
}

/// h2 RUSTSEC-2026-0258: items of no bytes cost, too.
#[test]
fn frames_of_nothing_are_nothing() {
    let mut stage = Stage::new();
    stage.crowd(3);
    for frame in [framed(&[]), framed(&[0x1a, 0]), framed(&[0x12, 0]), framed(&[0x0a, 0])] {
        for _ in 0..50 {
            stage.say(connection(1), &frame);
        }
    }
    assert_eq!((stage.outputs(), stage.mesh.counts().unfollowed), (vec![], 50));
    stage.say(connection(1), &Bytes::new());
    assert_eq!(stage.faults(), [(connection(1), Fault::Malformed)]);
}

#[test]
fn a_message_that_is_replayed_costs_a_look_up_and_nothing_else() {
    let mut stage = Stage::new();
    stage.crowd(6);
    stage.spread(1, b"payload");
    let replay = signed(9, 7, CONSENSUS, b"payload");
    for _ in 0..10_000 {
        stage.mesh.receive(stage.now, connection(2), (&replay).into(), &mut stage.out);
    }
    assert_eq!((stage.outputs(), stage.mesh.counts().duplicates), (vec![], 10_000));
}

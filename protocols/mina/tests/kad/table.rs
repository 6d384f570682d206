//! The routing table through the public door: who is in it, who leaves, and that liars do not fill it.

use crate::stage::{Stage, address, config, peer};
use polypeer_engine::{Address, ConnectionId, Direction};
use polypeer_mina::kad::{BUCKET_MAX, BUCKET_PER_GROUP_MAX, Config, Key, Output};
use polypeer_mina::keys::PeerId;
use std::time::Duration;

// Peers that share no bit with ours: all for one bucket.
fn far() -> impl Iterator<Item = u64> {
    let own = Key::of_peer(&peer(0));
    (1..).filter(move |number| own.shared_bits(&Key::of_peer(&peer(*number))) == 0)
}

#[test]
fn a_full_bucket_keeps_who_answers_and_lets_go_who_does_not() {
    for stays in [true, false] {
        let mut stage = Stage::new(config());
        let mut far = far();
        let mut first: Option<(u64, ConnectionId)> = None;
        for number in far.by_ref().take(BUCKET_MAX) {
            let connection = stage.meet(number);
            first.get_or_insert((number, connection));
            stage.pass(Duration::from_millis(1));
        }
        let (oldest, connection) = first.expect("one");
        stage.outputs();
        let newcomer = far.next().expect("one more");
        stage.meet(newcomer);
        assert!(!stage.kad.knows(&peer(newcomer)) && stage.kad.knows(&peer(oldest)));
        assert!(stage.outputs().contains(&Output::Open { connection }), "the oldest is asked whether it is there");
        let channel = stage.open(connection, Direction::Outbound);
        stage.outputs();
        if stays {
            stage.say(connection, channel, &crate::stage::find(oldest));
        } else {
            stage.pass(Duration::from_secs(10));
            stage.wake();
        }
        assert_eq!((stage.kad.knows(&peer(oldest)), stage.kad.knows(&peer(newcomer))), (stays, !stays));
        assert_eq!(stage.kad.peers(), BUCKET_MAX);
    }
}

#[test]
fn one_that_waits_is_not_pushed_out_by_the_next() {
    let mut stage = Stage::new(config());
    let mut far = far();
    for number in far.by_ref().take(BUCKET_MAX) {
        stage.meet(number);
    }
    let waits = far.next().expect("one");
    stage.meet(waits);
    for number in far.by_ref().take(100) {
        stage.meet(number);
    }
    stage.pass(Duration::from_secs(10));
    stage.wake();
    assert!(stage.kad.knows(&peer(waits)));
}

#[test]
fn one_network_does_not_have_a_bucket() {
    for (private_addresses, count) in [(false, BUCKET_PER_GROUP_MAX), (true, BUCKET_MAX)] {
        let mut stage = Stage::new(Config { private_addresses, ..config() });
        for (at, number) in far().take(50).enumerate() {
            let one_network: Address = format!("11.22.33.{}:8302", at + 1).parse().expect("an address");
            let connection = ConnectionId::nth(Direction::Outbound, 1_000 + number);
            stage.tell(|kad, now, out| {
                kad.on_connected(now, connection, peer(number), Some(one_network), None, out);
                kad.on_identified(now, connection, true, &[], out);
            });
        }
        assert_eq!(stage.kad.peers(), count);
    }
}

#[test]
fn who_speaks_no_kademlia_or_cannot_be_reached_is_not_in_it() {
    let mut stage = Stage::new(config());
    let silent = stage.connect(1);
    stage.tell(|kad, now, out| kad.on_identified(now, silent, false, &[address(1)], out));
    let hidden = ConnectionId::nth(Direction::Inbound, 9);
    let private = "192.168.1.1:8302".parse().expect("an address");
    stage.tell(|kad, now, out| {
        kad.on_connected(now, hidden, peer(2), None, None, out);
        kad.on_identified(now, hidden, true, &[private], out);
    });
    assert_eq!(stage.kad.peers(), 0);
}

#[test]
fn places_are_hashes_and_distances_are_symmetric() {
    let [a, b, c] = [1, 2, 3].map(|number| Key::of_peer(&peer(number)));
    assert_eq!(a.distance(&b), b.distance(&a));
    assert_eq!((a.distance(&a), a.shared_bits(&a)), ([0; 32], 256));
    let both: Vec<u8> = a.distance(&b).iter().zip(b.distance(&c)).map(|(left, right)| left ^ right).collect();
    assert_eq!(both, a.distance(&c));
    let id = PeerId::of_key([1; 32]);
    assert_eq!(Key::of(&id.to_bytes()), Key::of_peer(&id));
}

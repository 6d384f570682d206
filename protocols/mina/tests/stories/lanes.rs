//! Stories of the lanes: each kind of message has its queue, its budget, its handler and its counters, and a flood of one
//! holds up no other.

use crate::make::{self, gossip, transactions_with};
use crate::stage::*;
use polypeer_mina::envelope;
use polypeer_mina::ledger::{Kind, Request, Verdict};
use polypeer_mina::streams::MESH;
use polypeer_mina::{LaneBudget, LaneCounts};

const PLACES: [&str; 5] = ["10.1.0.9:40000", "10.2.0.9:40000", "10.3.0.9:40000", "10.4.0.9:40000", "10.5.0.9:40000"];

#[test]
fn each_kind_is_counted_for_itself() {
    story(|stage| {
        let (peer, channel) = stage.gossip(PLACES[0], 7);
        stage.says(peer, channel, &gossip(9, 1, &make::block()));
        stage.says(peer, channel, &gossip(9, 2, &make::transactions()));
        stage.ledger.verdict = Verdict::Ignore;
        stage.says(peer, channel, &gossip(9, 3, &make::snark_work()));
        stage.says(peer, channel, &gossip(9, 4, &transactions_with(8)));
        let lane = |kind| stage.engine.protocol().lane(kind);
        let block = LaneCounts { came: 1, accepted: 1, ..LaneCounts::default() };
        let transactions = LaneCounts { came: 2, accepted: 1, ignored: 1, ..LaneCounts::default() };
        let work = LaneCounts { came: 1, ignored: 1, ..LaneCounts::default() };
        assert_eq!(Kind::ALL.map(lane), [block, transactions, work]);
    });
}

#[test]
fn a_full_lane_of_transactions_leaves_room_for_a_block() {
    let mut setting = setting();
    setting.is_asleep = true;
    story_of(&setting, |stage| {
        // A peer has a quarter of what is judged at once, so four have all of it.
        let peers: Vec<_> = (7..).zip(&PLACES[..3]).map(|(key, place)| stage.gossip(place, key)).collect();
        for (number, (peer, channel)) in (0_u8..).zip(&peers) {
            for nonce in 0..37 {
                let data = transactions_with(number * 37 + nonce);
                stage.says(*peer, *channel, &gossip(9, u64::from(nonce), &data));
            }
        }
        let waiting = stage.asked.iter().filter(|(_, request)| matches!(request, Request::Commands { .. })).count();
        assert_eq!(waiting, 111);
        let (peer, channel) = stage.gossip(PLACES[3], 20);
        let (hearer, _) = stage.gossip(PLACES[4], 21);
        stage.wait(seconds(2));
        stage.hears(hearer, MESH);
        stage.says(peer, channel, &gossip(9, 500, &make::block()));
        let is_block = |request: &Request| matches!(request, Request::Block { .. });
        assert!(stage.asked.iter().any(|(_, request)| is_block(request)), "the ledger is asked at once");
        stage.awakes();
        assert!(stage.is_told(hearer).contains(&make::block()));
    });
}

#[test]
fn what_is_over_a_lane_s_length_is_dropped_without_blame() {
    story(|stage| {
        let (peer, channel) = stage.gossip(PLACES[0], 7);
        let most = LaneBudget::of(Kind::Transactions).message_bytes_max;
        let mut data = vec![0; most + 1];
        let rest = data.len() as u64 - 8;
        data[..8].copy_from_slice(&rest.to_le_bytes());
        data[8] = 2;
        stage.says(peer, channel, &gossip(9, 1, &data));
        let counts = stage.engine.protocol().lane(Kind::Transactions);
        assert_eq!((counts.came, counts.dropped), (1, 1));
        assert!(stage.faults(peer).is_empty(), "the network bears longer ones");
    });
}

#[test]
fn who_sends_what_comes_to_nothing_runs_out_of_credit_and_honest_ones_do_not() {
    let mut setting = setting();
    setting.ledger.verdict = Verdict::Ignore;
    story_of(&setting, |stage| {
        let (peer, channel) = stage.gossip(PLACES[0], 7);
        // A thousand payments that nobody wants, again and again with another nonce.
        let payment = make::fixture("v2-current/derived/user-command-payment.bin");
        let list = [&[0xfe, 0xe8, 0x03][..], &payment.repeat(1_000)].concat();
        let mut dropped = 0;
        for number in 0..1_000 {
            let data = envelope::seal_transactions(&list, number);
            stage.says(peer, channel, &gossip(9, number as u64, &data));
            dropped = stage.engine.protocol().lane(Kind::Transactions).dropped;
            if dropped > 0 || !stage.is_open(peer) {
                break;
            }
        }
        assert!(dropped > 0, "its account is empty");
        assert!(stage.is_open(peer), "that is no fault yet");
    });
}

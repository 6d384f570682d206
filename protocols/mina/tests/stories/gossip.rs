//! Stories of messages: decoded, held to the cheap rules, judged by the ledger, sent on. Mina spec, sections 3.5, 3.6, 4.2
//! and 6.4, rows 11 to 18 of section 11.

use crate::make::{self, gossip};
use crate::stage::*;
use bytes::Bytes;
use polypeer_engine::shell::bans::Severity;
use polypeer_engine::{ChannelId, ConnectionId};
use polypeer_mina::hash::text;
use polypeer_mina::ledger::{Hash, Kind, Origin, Request, Verdict};
use polypeer_mina::streams::MESH;

const SENDER: &str = "10.1.0.9:40000";
const HEARER: &str = "10.2.0.9:40000";

/// One who sends and one who hears, both subscribed and grafted.
struct Two {
    sender: ConnectionId,
    channel: ChannelId,
    hearer: ConnectionId,
}

fn two(stage: &mut Stage) -> Two {
    let (sender, channel) = stage.gossip(SENDER, 7);
    let (hearer, _) = stage.gossip(HEARER, 8);
    stage.wait(seconds(2));
    stage.hears(sender, MESH);
    stage.hears(hearer, MESH);
    Two { sender, channel, hearer }
}

/// Tells a story of a message that the ledger says this of: whether it is sent on.
fn judged(verdict: Verdict, data: &Bytes) -> bool {
    let mut setting = setting();
    setting.ledger.verdict = verdict;
    let is_sent_on = std::cell::Cell::new(false);
    story_of(&setting, |stage| {
        let Two { sender, channel, hearer } = two(stage);
        stage.says(sender, channel, &gossip(9, 1, data));
        is_sent_on.set(stage.is_told(hearer) == [data.clone()]);
        assert!(stage.is_told(sender).is_empty(), "nobody hears what it said");
    });
    is_sent_on.get()
}

#[test]
fn what_the_ledger_takes_is_sent_on_and_what_it_does_not_is_not() {
    for data in [make::block(), make::transactions(), make::snark_work()] {
        assert!(judged(Verdict::Accept, &data));
        assert!(judged(Verdict::Unverified, &data), "this network has no proofs");
        assert!(!judged(Verdict::Ignore, &data));
        assert!(!judged(Verdict::Reject, &data));
    }
}

#[test]
fn row_16_a_block_comes_to_the_ledger_with_its_hash_and_its_bytes() {
    story(|stage| {
        let Two { sender, channel, .. } = two(stage);
        stage.says(sender, channel, &gossip(9, 1, &make::block()));
        let asked = stage.all_asked.iter().find_map(|request| match request {
            Request::Block { hash, block, header_end, origin, .. } => {
                Some((*hash, block.clone(), *header_end, *origin))
            }
            _ => None,
        });
        let (hash, block, header_end, origin) = asked.expect("the ledger is asked");
        assert_eq!(text::state_hash(&hash), "3NK56ZbCS31qb8SvCtCCYza4beRDtKgXA2JL6s3evKouG2KkKtiy");
        assert_eq!(block, make::fixture("v2-current/derived/block-devnet-357934.bin"));
        assert_eq!((header_end, origin), (12_719, Origin::Gossip));
    });
}

#[test]
fn row_17_commands_and_work_come_to_the_ledger_without_their_nonces() {
    story(|stage| {
        let Two { sender, channel, .. } = two(stage);
        stage.says(sender, channel, &gossip(9, 1, &make::transactions()));
        stage.says(sender, channel, &gossip(9, 2, &make::snark_work()));
        let commands = stage.all_asked.iter().find_map(|request| match request {
            Request::Commands { commands, .. } => Some(commands.clone()),
            _ => None,
        });
        let payment = make::fixture("v2-current/derived/user-command-payment.bin");
        let zkapp = make::fixture("v2-current/derived/user-command-zkapp.bin");
        let commands = commands.expect("the ledger is asked");
        assert_eq!(commands.len(), 1 + payment.len() + zkapp.len());
        assert_eq!(commands[0], 2);
        let is_empty = |request: &Request| matches!(request, Request::SnarkWork { diff, .. } if diff[..] == [1]);
        assert!(stage.all_asked.iter().any(is_empty));
    });
}

#[test]
fn row_12_the_signed_vector_is_delivered_and_forged_or_unsigned_ones_are_not() {
    let mut setting = setting();
    setting.config.peer_id = make::peer_id(2);
    setting.ledger.signer = Some(2);
    story_of(&setting, |stage| {
        let Two { sender, channel, hearer } = two(stage);
        let vector = make::signed_vector("rpc_frame");
        let mut forged = vector.to_vec();
        *forged.last_mut().expect("a signature") ^= 1;
        stage.says(sender, channel, &forged);
        assert_eq!(stage.faults(sender), ["mesh_bad_signature"]);
        // It is right, and its data is no message of this network's.
        stage.says(sender, channel, &vector);
        assert_eq!(stage.faults(sender)[1..], ["malformed_message"]);
        assert!(stage.is_told(hearer).is_empty());
        assert_eq!(stage.engine.protocol().mesh().counts().delivered, 1);
    });
}

#[test]
fn row_14_the_same_from_two_authors_within_two_minutes_is_judged_once() {
    story(|stage| {
        let Two { sender, channel, hearer } = two(stage);
        stage.says(sender, channel, &gossip(9, 1, &make::transactions()));
        stage.says(sender, channel, &gossip(10, 1, &make::transactions()));
        assert_eq!(stage.is_told(hearer).len(), 1);
        assert_eq!(stage.all_asked.iter().filter(|request| matches!(request, Request::Commands { .. })).count(), 1);
    });
}

/// Tells a story of a message that is refused without asking the ledger: what its sender is blamed for.
fn refused(data: &[u8], faults: &[&str], severity: Option<Severity>) {
    story(|stage| {
        let Two { sender, channel, hearer } = two(stage);
        stage.says(sender, channel, &gossip(9, 1, data));
        assert!(stage.is_told(hearer).is_empty(), "it goes nowhere");
        assert_eq!(stage.faults(sender), faults);
        assert_eq!(stage.severity(SENDER), severity);
        assert_eq!(stage.is_open(sender), severity.is_none());
        assert!(stage.all_asked.iter().all(|request| matches!(request, Request::Tip)));
        assert!(stage.is_open(hearer) && stage.faults(hearer).is_empty());
    });
}

#[test]
fn row_15_what_does_not_decode_to_its_last_byte_is_refused_and_borne() {
    let slip = |data: &[u8]| refused(data, &["malformed_message"], None);
    slip(&[]);
    slip(&[0; 8]);
    let mut tag = make::snark_work().to_vec();
    tag[8] = 3;
    slip(&tag);
    for data in [make::block(), make::transactions(), make::snark_work()] {
        // The count is off by one, there is a byte too many, one is missing.
        let mut count = data.to_vec();
        count[0] = count[0].wrapping_add(1);
        slip(&count);
        let mut trailing = data.to_vec();
        trailing.push(0);
        let length = trailing.len() as u64 - 8;
        trailing[..8].copy_from_slice(&length.to_le_bytes());
        slip(&trailing);
        slip(&data[..data.len() - 1]);
    }
}

#[test]
fn row_18_legacy_and_stale_messages_are_refused_cleanly() {
    let stale = ["gossip-new_state", "gossip-snark_pool_diff", "gossip-transaction_pool_diff"];
    for name in stale {
        let data = make::fixture(&format!("v2-prerelease-stale/{name}.bin"));
        refused(&data, &["malformed_message"], None);
    }
}

// The fixture's block with another byte at this place of its protocol state.
fn block_with(at: usize, byte: u8) -> Vec<u8> {
    let mut data = make::block().to_vec();
    assert_ne!(data[9 + at], byte);
    data[9 + at] = byte;
    data
}

#[test]
fn a_block_of_another_chain_bans_whoever_sent_it() {
    refused(&block_with(32, 1), &["other_genesis"], Some(Severity::Banned));
    // k is 290.
    refused(&block_with(1_525, 0x23), &["other_constants"], Some(Severity::Banned));
}

#[test]
fn a_block_of_another_transaction_version_counts_five_times() {
    let mut data = make::block().to_vec();
    data[9 + 12_719 - 4] = 2;
    refused(&data, &["other_protocol_version"; 5], None);
}

#[test]
fn a_block_that_breaks_a_rule_which_all_check_bans_whoever_sent_it() {
    // The time is a second late; the body is another; the delta proof begins elsewhere.
    let timestamp = 1_729_191_061_000_u64.to_le_bytes();
    let mut late = make::block().to_vec();
    assert_eq!(late[9 + 1_025], 0xfc);
    late[9 + 1_026..9 + 1_034].copy_from_slice(&timestamp);
    refused(&late, &["wrong_timestamp"], Some(Severity::Banned));
    refused(&block_with(1_036, 7), &["wrong_body"], Some(Severity::Banned));
    let mut delta = make::block().to_vec();
    delta[9 + 12_719 - 37] ^= 1;
    refused(&delta, &["wrong_delta_proof"], Some(Severity::Banned));
}

#[test]
fn a_block_that_is_early_or_late_is_of_no_use_and_nobody_s_fault() {
    for clock_ms in [1_729_191_060_000 - 190_000, 1_729_191_060_000 + 180_000] {
        story(|stage| {
            stage.now.unix_ms = clock_ms;
            let Two { sender, channel, hearer } = two(stage);
            stage.says(sender, channel, &gossip(9, 1, &make::block()));
            assert!(stage.is_told(hearer).is_empty() && stage.faults(sender).is_empty());
            assert_eq!(stage.engine.protocol().lane(Kind::Block).ignored, 1);
        });
    }
}

#[test]
fn whoever_sent_what_the_ledger_refuses_pays_and_so_do_all_who_sent_it_meanwhile() {
    let mut setting = setting();
    setting.ledger.verdict = Verdict::Reject;
    setting.is_asleep = true;
    story_of(&setting, |stage| {
        let (first, one) = stage.gossip(SENDER, 7);
        let (second, other) = stage.gossip(HEARER, 8);
        let (third, _) = stage.gossip("10.3.0.9:40000", 9);
        stage.says(first, one, &gossip(10, 1, &make::block()));
        stage.says(second, other, &gossip(10, 1, &make::block()));
        stage.awakes();
        for (peer, place) in [(first, SENDER), (second, HEARER)] {
            assert_eq!(stage.faults(peer), ["refused_block"]);
            assert!(!stage.is_open(peer));
            assert_eq!(stage.severity(place), Some(Severity::Discouraged), "it may not have been able to know");
        }
        assert!(stage.is_open(third) && stage.faults(third).is_empty());
    });
}

#[test]
fn an_answer_that_nobody_asked_for_changes_nothing() {
    story(|stage| {
        let Two { hearer, .. } = two(stage);
        let answer = polypeer_mina::ledger::Answer::Judged { id: Hash([7; 32]), verdict: Verdict::Accept, wants: None };
        stage.ledger_says(answer);
        assert!(stage.is_told(hearer).is_empty());
    });
}

#[test]
fn other_topics_are_nobody_s_business() {
    story(|stage| {
        let Two { sender, channel, hearer } = two(stage);
        for topic in ["mina/block/1.0.0", "mina/tx/1.0.0", "made/up"] {
            stage.says(sender, channel, &make::gossip_on(topic, 9, 1, &make::transactions()));
        }
        assert!(stage.is_told(hearer).is_empty() && stage.faults(sender).is_empty());
    });
}

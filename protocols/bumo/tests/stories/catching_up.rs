//! Stories of catching up: BUMO spec, sections 6.2 and 6.3, and row 30 of the checklist in 10.3.

use crate::greeting::PEER;
use crate::make::{self, Closed, answer, data_of, hundred};
use crate::stage::*;
use crate::toy::Toy;
use bytes::Bytes;
use polypeer_bumo::ledger::CloseError;
use polypeer_bumo::proof::ProofFault;
use polypeer_bumo::wire::{ConsensusValue, Kind, Ledgers, Message as _};
use polypeer_engine::shell::bans::Severity;
use polypeer_engine::{ConnectionId, Event};
use std::collections::BTreeMap;

const OTHERS: [&str; 3] = ["10.0.0.6:40000", "10.0.0.7:40000", "10.0.0.8:40000"];

/// How a source answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Honest,
    /// It says what it has, and brings nothing more.
    Silent,
    /// It brings values whose last proof is another ledger's.
    Lying,
}

/// Everyone answers what it was asked, until nobody is asked any more. Who brought how many ranges.
fn serve(stage: &mut Stage, line: &[Closed], sources: &[(ConnectionId, Manner)]) -> BTreeMap<ConnectionId, usize> {
    let mut brought = BTreeMap::new();
    loop {
        let mut is_over = true;
        for (source, manner) in sources {
            for (begin, end) in stage.asked_ranges(*source) {
                if end > line.len() as i64 + 1 {
                    continue;
                }
                let honest = answer(line, begin, end);
                let data = match manner {
                    Manner::Honest => honest,
                    Manner::Silent if brought.contains_key(source) => continue,
                    Manner::Silent => honest,
                    Manner::Lying if brought.contains_key(source) => lie(&honest),
                    Manner::Lying => honest,
                };
                *brought.entry(*source).or_default() += 1;
                stage.answers(*source, Kind::Ledgers, &data);
                is_over = false;
            }
        }
        if is_over {
            return brought;
        }
    }
}

/// The same ledgers, whose last has another's proof.
fn lie(honest: &Bytes) -> Bytes {
    let mut ledgers = Ledgers::decode(honest).expect("ledgers");
    let values = ledgers.values.clone();
    ledgers.proof = ConsensusValue::decode(values[0]).expect("a value").previous_proof;
    ledgers.encode()
}

#[test]
fn row_30_a_follower_with_nothing_asks_everyone_for_the_first_and_then_for_ranges_of_five() {
    story_of(&holding(0), |stage| {
        let peer = stage.guest(PEER);
        stage.wait(millis(999));
        stage.hears(peer);
        stage.wait(millis(1));
        stage.is_asked_for(peer, 2, 2);
        stage.answers(peer, Kind::Ledgers, &answer(hundred(), 2, 2));
        stage.is_asked_for(peer, 3, 7);
        stage.answers(peer, Kind::Ledgers, &answer(hundred(), 3, 7));
        stage.is_asked_for(peer, 8, 12);
        assert_eq!(stage.tip(), 7);
        assert!(stage.ledger.is_catching_up, "no validator proposes now");
        stage.answers(peer, Kind::Ledgers, &answer(hundred(), 8, 12));
        serve(stage, hundred(), &[(peer, Manner::Honest)]);
        assert_eq!(stage.tip(), 101);
        assert!(!stage.ledger.is_catching_up);
        stage.hears_nothing(peer);
        assert_eq!(stage.slips(peer), 0);
    });
}

#[test]
fn a_captured_chain_is_followed() {
    let setting = Setting { ledger: Toy::with(&[], 4), ..holding(0) };
    story_of(&setting, |stage| {
        let peer = stage.guest(PEER);
        stage.wait(seconds(1));
        stage.hears(peer);
        for (begin, end) in [(2, 2), (3, 7), (8, 12), (13, 17), (18, 18)] {
            stage.answers(peer, Kind::Ledgers, &data_of(&format!("ledgers_{begin}_{end}.hex")));
            assert_eq!(stage.tip(), end);
        }
        assert_eq!((stage.slips(peer), stage.severity(PEER)), (0, None));
        // What was learned is served on.
        stage.hears(peer);
        stage.asks_for_ledgers(peer, 3, 7);
        let ours = stage.hears_one(peer, Kind::Ledgers, false).data;
        let theirs = data_of("ledgers_3_7.hex");
        assert_eq!(Ledgers::decode(&ours).expect("ledgers").values, Ledgers::decode(&theirs).expect("ledgers").values);
    });
}

#[test]
fn a_captured_request_is_what_we_ask() {
    let captured = data_of("getledgers_3_7.hex");
    let captured = polypeer_bumo::wire::GetLedgers::decode(&captured).expect("a request");
    story_of(&holding(1), |stage| {
        let peer = stage.guest(PEER);
        stage.wait(seconds(1));
        stage.hears(peer);
        stage.answers(peer, Kind::Ledgers, &answer(hundred(), 3, 3));
        stage.is_asked_for(peer, 4, 8);
        assert_eq!((captured.begin, captured.end, captured.chain_id), (3, 7, 0));
    });
}

#[test]
fn several_sources_share_the_work() {
    story_of(&holding(0), |stage| {
        let sources: Vec<_> = OTHERS.iter().map(|peer| (stage.guest(peer), Manner::Honest)).collect();
        stage.wait(seconds(1));
        let brought = serve(stage, hundred(), &sources);
        assert_eq!(stage.tip(), 101);
        assert!(brought.values().all(|ranges| *ranges >= 5), "{brought:?}");
    });
}

#[test]
fn whoever_lies_pays_alone_and_the_others_bring_it() {
    story_of(&holding(0), |stage| {
        let honest: Vec<_> = OTHERS.iter().map(|peer| (stage.guest(peer), Manner::Honest)).collect();
        let liar = stage.guest(PEER);
        stage.wait(seconds(1));
        let sources: Vec<_> = honest.iter().copied().chain([(liar, Manner::Lying)]).collect();
        serve(stage, hundred(), &sources);
        assert_eq!(stage.tip(), 101);
        assert!(!stage.is_open(liar));
        assert_eq!(stage.severity(PEER), Some(Severity::Discouraged));
        for ((peer, _), remote) in honest.iter().zip(OTHERS) {
            assert_eq!((stage.slips(*peer), stage.severity(remote)), (0, None));
        }
    });
}

#[test]
fn what_nobody_brings_in_time_is_asked_of_another_and_the_silent_one_rests_for_a_minute() {
    story_of(&holding(0), |stage| {
        let silent = stage.guest(PEER);
        stage.wait(seconds(1));
        stage.hears(silent);
        stage.answers(silent, Kind::Ledgers, &answer(hundred(), 2, 2));
        stage.is_asked_for(silent, 3, 7);
        let other = stage.guest(OTHERS[0]);
        stage.lively = vec![silent, other];
        stage.wait(seconds(1));
        stage.hears(other);
        stage.answers(other, Kind::Ledgers, &answer(hundred(), 3, 3));
        // Both hold what comes next up; the second peer is asked for what comes behind it, and soon for the front.
        assert_eq!(stage.tip(), 2, "the range whose turn it is is on its way from the silent one");
        stage.is_asked_for(other, 8, 12);
        stage.answers(other, Kind::Ledgers, &answer(hundred(), 8, 12));
        stage.wait(seconds(2));
        serve(stage, hundred(), &[(other, Manner::Honest)]);
        stage.wait(seconds(5));
        serve(stage, hundred(), &[(other, Manner::Honest)]);
        assert_eq!(stage.tip(), 101);
        stage.hears(silent);
        assert_eq!((stage.slips(silent), stage.severity(PEER)), (0, None));
        // Nobody is ahead any more; in its probation the silent one is not even asked.
        stage.wait(seconds(50));
        assert_eq!(stage.asked_ranges(silent), []);
        stage.wait(seconds(40));
        assert_eq!(stage.asked_ranges(silent), [(102, 102)]);
        assert!(stage.asked_ranges(other).len() > 1);
    });
}

#[test]
fn a_single_silent_source_is_asked_again_after_its_probation_and_for_less() {
    story_of(&holding(0), |stage| {
        let peer = stage.guest(PEER);
        stage.lively = vec![peer];
        stage.wait(seconds(1));
        stage.hears(peer);
        stage.answers(peer, Kind::Ledgers, &answer(hundred(), 2, 2));
        stage.is_asked_for(peer, 3, 7);
        stage.wait(seconds(66));
        assert_eq!(stage.asked_ranges(peer), []);
        stage.wait(seconds(30));
        assert_eq!(stage.asked_ranges(peer), [(3, 3)]);
        stage.answers(peer, Kind::Ledgers, &answer(hundred(), 3, 3));
        serve(stage, hundred(), &[(peer, Manner::Honest)]);
        assert_eq!(stage.tip(), 101);
    });
}

#[test]
fn whoever_is_not_ahead_is_silent_without_blame() {
    story(|stage| {
        let peer = stage.guest(PEER);
        stage.lively = vec![peer];
        stage.wait(seconds(1));
        assert_eq!(stage.asked_ranges(peer), [(22, 22)]);
        stage.wait(seconds(300));
        let asked = stage.asked_ranges(peer);
        assert!(asked.len() == 10 && asked.iter().all(|range| *range == (22, 22)), "{asked:?}");
        assert_eq!(stage.slips(peer), 0);
    });
}

#[test]
fn answers_that_come_too_late_are_borne() {
    story_of(&holding(0), |stage| {
        let peer = stage.guest(PEER);
        stage.lively = vec![peer];
        stage.wait(seconds(9));
        stage.hears(peer);
        stage.answers(peer, Kind::Ledgers, &answer(hundred(), 2, 2));
        assert_eq!((stage.slips(peer), stage.tip()), (0, 1), "it was given up");
        stage.answers(peer, Kind::Ledgers, &answer(hundred(), 2, 2));
        assert_eq!(stage.slips(peer), 1, "and this one nobody asked for");
    });
}

#[test]
fn ledgers_that_nobody_asked_for_are_a_slip_each() {
    story(|stage| {
        let [honest, peer] = [OTHERS[0], PEER].map(|peer| stage.guest(peer));
        for count in 1..20 {
            stage.answers(peer, Kind::Ledgers, &answer(hundred(), 22, 26));
            assert_eq!((stage.slips(peer), stage.tip()), (count, 21));
        }
        stage.answers(peer, Kind::Ledgers, &answer(hundred(), 22, 26));
        assert!(!stage.is_open(peer));
        stage.is_well(honest);
    });
}

#[test]
fn other_ledgers_than_those_asked_for_are_a_slip_and_a_minute_of_rest() {
    let swapped = {
        let honest = answer(hundred(), 23, 27);
        let mut ledgers = Ledgers::decode(&honest).expect("ledgers");
        ledgers.values.swap(1, 2);
        ledgers.encode()
    };
    let answers = [answer(hundred(), 24, 28), answer(hundred(), 23, 26), answer(hundred(), 22, 26), swapped];
    for other in &answers {
        story(|stage| {
            let peer = stage.guest(PEER);
            stage.wait(seconds(1));
            stage.hears(peer);
            stage.answers(peer, Kind::Ledgers, &answer(hundred(), 22, 22));
            stage.is_asked_for(peer, 23, 27);
            stage.answers(peer, Kind::Ledgers, other);
            assert_eq!((stage.slips(peer), stage.tip()), (1, 22));
            stage.wait(seconds(50));
            assert_eq!(stage.asked_ranges(peer), []);
            stage.is_well(peer);
        });
    }
}

#[test]
fn what_says_nothing_is_passed_over_and_the_question_stays_open() {
    story(|stage| {
        let peer = stage.guest(PEER);
        stage.wait(seconds(1));
        stage.hears(peer);
        stage.answers(peer, Kind::Ledgers, &[]);
        stage.answers(peer, Kind::Ledgers, &Ledgers { max_seq: 1_000, ..Ledgers::default() }.encode());
        let honest = answer(hundred(), 22, 22);
        let other_chain = Ledgers { chain_id: 1, ..Ledgers::decode(&honest).expect("ledgers") }.encode();
        stage.answers(peer, Kind::Ledgers, &other_chain);
        assert_eq!((stage.slips(peer), stage.tip()), (0, 21));
        stage.answers(peer, Kind::Ledgers, &[0xff]);
        assert_eq!(stage.slips(peer), 1);
        stage.answers(peer, Kind::Ledgers, &honest);
        assert_eq!(stage.tip(), 22);
    });
}

#[test]
fn a_value_that_does_not_decode_ends_the_connection() {
    for spoiled in [&[0xff][..], &[], &[0x10, 0x00], &[0x0a, 0x00, 0x10, 0x80, 0x00]] {
        story(|stage| {
            let [honest, peer] = [OTHERS[0], PEER].map(|peer| stage.guest(peer));
            stage.wait(seconds(1));
            let ledgers = Ledgers { values: vec![spoiled], max_seq: 30, ..Ledgers::default() };
            stage.answers(peer, Kind::Ledgers, &ledgers.encode());
            // An empty value is one of ledger 0.
            assert_eq!(stage.is_open(peer), spoiled.is_empty());
            stage.is_well(honest);
        });
    }
}

#[test]
fn a_peer_that_promises_the_moon_costs_nobody_anything() {
    story(|stage| {
        let [honest, peer] = [OTHERS[0], PEER].map(|peer| stage.guest(peer));
        stage.lively = vec![honest, peer];
        stage.wait(seconds(1));
        stage.hears(peer);
        let first = answer(hundred(), 22, 22);
        let boast = Ledgers { max_seq: i64::MAX, ..Ledgers::decode(&first).expect("ledgers") }.encode();
        stage.answers(peer, Kind::Ledgers, &boast);
        stage.is_asked_for(peer, 23, 27);
        assert!(stage.ledger.is_catching_up, "one ledger came and was right");
        stage.hears(honest);
        stage.answers(honest, Kind::Ledgers, &answer(&hundred()[..30], 22, 22));
        serve(stage, &hundred()[..30], &[(honest, Manner::Honest)]);
        assert_eq!(stage.tip(), 22, "what comes next is on its way");
        stage.wait(seconds(3));
        serve(stage, &hundred()[..30], &[(honest, Manner::Honest)]);
        assert_eq!(stage.tip(), 31);
        assert_eq!((stage.slips(peer), stage.slips(honest)), (0, 0));
        let negative = Ledgers { max_seq: i64::MIN, ..Ledgers::decode(&first).expect("ledgers") }.encode();
        stage.answers(peer, Kind::Ledgers, &negative);
        stage.is_well(honest);
    });
}

#[test]
fn a_source_that_goes_leaves_its_range_to_others() {
    story_of(&holding(0), |stage| {
        let [a, b] = [OTHERS[0], OTHERS[1]].map(|peer| stage.guest(peer));
        stage.wait(seconds(1));
        [a, b].into_iter().for_each(|peer| drop(stage.hears(peer)));
        [a, b].into_iter().for_each(|peer| stage.answers(peer, Kind::Ledgers, &answer(hundred(), 2, 2)));
        stage.is_asked_for(a, 3, 7);
        stage.is_asked_for(b, 8, 12);
        stage.answers(b, Kind::Ledgers, &answer(hundred(), 8, 12));
        stage.is_asked_for(b, 13, 17);
        stage.hang_up(a);
        stage.answers(b, Kind::Ledgers, &answer(hundred(), 13, 17));
        stage.is_asked_for(b, 3, 7);
        stage.answers(b, Kind::Ledgers, &answer(hundred(), 3, 7));
        assert_eq!(stage.tip(), 17);
        serve(stage, hundred(), &[(b, Manner::Honest)]);
        assert_eq!(stage.tip(), 101);
    });
}

#[test]
fn a_node_that_starts_again_goes_on_where_it_stopped() {
    story_of(&holding(37), |stage| {
        let peer = stage.guest(PEER);
        stage.wait(seconds(1));
        assert_eq!(stage.asked_ranges(peer), [(39, 39)]);
        stage.answers(peer, Kind::Ledgers, &answer(hundred(), 39, 39));
        serve(stage, hundred(), &[(peer, Manner::Honest)]);
        assert_eq!(stage.tip(), 101);
    });
}

#[test]
fn another_chain_or_newer_rules_are_a_slip_and_a_minute_of_rest() {
    for error in [CloseError::PreviousHash, CloseError::Upgrade] {
        let mut setting = holding(20);
        setting.ledger.refuses.insert(24, error);
        story_of(&setting, |stage| {
            let peer = stage.guest(PEER);
            stage.wait(seconds(1));
            stage.hears(peer);
            stage.answers(peer, Kind::Ledgers, &answer(hundred(), 22, 22));
            stage.answers(peer, Kind::Ledgers, &answer(hundred(), 23, 27));
            assert_eq!((stage.tip(), stage.slips(peer), stage.severity(PEER)), (23, 1, None));
            stage.hears(peer);
            stage.wait(seconds(50));
            assert_eq!(stage.asked_ranges(peer), []);
        });
    }
}

#[test]
fn what_the_proof_does_not_prove_ends_the_connection() {
    let errors = [
        CloseError::Malformed,
        CloseError::TooLarge,
        CloseError::Proof(ProofFault::Signature),
        CloseError::PreviousProof(ProofFault::TooFew),
    ];
    for error in errors {
        let mut setting = holding(20);
        setting.ledger.refuses.insert(24, error);
        story_of(&setting, |stage| {
            let [honest, peer] = [OTHERS[0], PEER].map(|peer| stage.guest(peer));
            stage.wait(seconds(1));
            stage.answers(peer, Kind::Ledgers, &answer(hundred(), 22, 22));
            stage.answers(peer, Kind::Ledgers, &answer(hundred(), 23, 27));
            assert!(!stage.is_open(peer) && stage.severity(PEER) == Some(Severity::Discouraged));
            assert_eq!(stage.tip(), 23);
            stage.is_well(honest);
        });
    }
}

#[test]
fn validators_that_cannot_be_verified_stop_the_node_with_a_word() {
    let mut setting = holding(20);
    setting.ledger.refuses.insert(24, CloseError::Validators);
    story_of(&setting, |stage| {
        let [peer, other] = [PEER, OTHERS[0]].map(|peer| stage.guest(peer));
        stage.lively = vec![peer, other];
        stage.wait(seconds(1));
        stage.answers(peer, Kind::Ledgers, &answer(hundred(), 22, 22));
        stage.hears(peer);
        stage.hears(other);
        stage.answers(peer, Kind::Ledgers, &answer(hundred(), 23, 27));
        let notes: Vec<_> = stage
            .events
            .iter()
            .filter_map(|event| match event {
                Event::Note(text) => Some(&**text),
                _ => None,
            })
            .collect();
        assert_eq!(notes, ["stopped before ledger 24: it changes the validators in a way that cannot be verified"]);
        assert_eq!((stage.slips(peer), stage.severity(PEER)), (0, None));
        stage.hears(peer);
        stage.wait(seconds(120));
        assert_eq!((stage.asked_ranges(peer), stage.asked_ranges(other)), (vec![], vec![]));
        // What it has it still serves.
        stage.asks_for_ledgers(peer, 2, 6);
        stage.is_served(peer, 2, 6);
    });
}

#[test]
fn ten_thousand_ledgers_come_from_four_sources_one_of_them_lying_and_one_silent() {
    let line = make::line(10_000, 4);
    let mut stage = Stage::new(holding(0));
    let silent = stage.guest(PEER);
    let liar = stage.guest("10.0.0.5:40000");
    let honest = [OTHERS[0], OTHERS[1]].map(|peer| stage.guest(peer));
    stage.lively = vec![silent, honest[0], honest[1]];
    let mut sources = vec![(silent, Manner::Silent), (liar, Manner::Lying)];
    sources.extend(honest.map(|peer| (peer, Manner::Honest)));
    let began = stage.now.monotonic;
    while stage.tip() < 10_001 {
        stage.wait(millis(500));
        serve(&mut stage, &line, &sources);
        assert!(stage.now.monotonic.since(began) < seconds(60), "it stands at {}", stage.tip());
    }
    assert!(!stage.is_open(liar) && stage.severity("10.0.0.5:1") == Some(Severity::Discouraged));
    assert!(stage.is_open(silent) && stage.severity(PEER).is_none());
    assert_eq!(honest.map(|peer| stage.slips(peer)), [0, 0]);
    stage.ends();
}

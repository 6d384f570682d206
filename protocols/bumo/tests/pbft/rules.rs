//! Each rule by a short story of one machine.

use crate::message::{self, COMMIT, NEW_VIEW, PRE_PREPARE, PREPARE, RAW_VIEW_CHANGE};
use crate::stage::{INTERVAL, Stage, tip};
use bytes::Bytes;
use polypeer_bumo::pbft::{Ignored, Seen, Timers};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const VIEW: Duration = Duration::from_secs(30);
const ONE: &[u8] = b"one value";
const TWO: &[u8] = b"another value";

/// Of four: ledger 5 was closed in view 3, so view 4 with primary 0 is to close ledger 6.
fn stage(own: usize) -> Stage {
    Stage::new(Some(own), tip(4, 5, 3, &[0, 1, 2]))
}

fn propose(view: u64, value: &[u8]) -> Bytes {
    message::pre_prepare((view % 4) as usize, 1, view, 6, value)
}

fn prepare(by: usize, view: u64, value: &[u8]) -> Bytes {
    message::vote(by, PREPARE, 1, view, 6, &message::digest(value))
}

fn commit(by: usize, view: u64, value: &[u8]) -> Bytes {
    message::vote(by, COMMIT, 1, view, 6, &message::digest(value))
}

fn kinds(stage: &mut Stage) -> Vec<u64> {
    stage.said().iter().map(|read| read.kind).collect()
}

fn change(by: usize, target: u64, last: u64, set: Option<&message::Set>) -> Bytes {
    let digest = set.map(|(proposal, _)| message::read(proposal).digest).unwrap_or_default();
    message::raw_view_change(by, 0, &message::view_change(by, target, last, &digest), set)
}

/// A new view whose list says this: sender, last ledger, prepared value.
fn opened(target: u64, list: &[(usize, u64, Option<&[u8]>)]) -> Bytes {
    let changes: Vec<Bytes> = list
        .iter()
        .map(|(by, last, value)| {
            message::view_change(*by, target, *last, &value.map(message::digest).unwrap_or_default())
        })
        .collect();
    message::new_view((target % 4) as usize, 0, target, 5, &changes, None)
}

/// Prepared in this view: a proposal and two prepares that are not its primary's.
fn set(view: u64, value: &[u8]) -> message::Set {
    let primary = (view % 4) as usize;
    let others = (0..4).filter(|by| *by != primary).take(2).map(|by| prepare(by, view, value)).collect();
    (propose(view, value), others)
}

/// Validator 3, which committed to the first value in view 4.
fn committed() -> Stage {
    let mut stage = stage(3);
    stage.hear(&propose(4, ONE)).expect("it is right");
    stage.hear(&prepare(1, 4, ONE)).expect("it is right");
    assert_eq!(kinds(&mut stage), [PREPARE, COMMIT]);
    stage
}

// ---- Within a view.

#[test]
fn only_the_primary_proposes_and_its_digest_is_right() {
    let mut stage = stage(3);
    let by_1 = message::pre_prepare(1, 1, 4, 6, ONE);
    assert_eq!(stage.hear(&by_1), Err(Ignored::NotPrimary));
    let wrong = message::pre_prepare_as(0, 1, 4, 6, ONE, &message::digest(TWO));
    assert_eq!(stage.hear(&wrong), Err(Ignored::Digest));
    assert_eq!(stage.hear(&propose(4, ONE)), Ok(Seen::Fresh));
    assert_eq!(stage.hear(&propose(4, ONE)), Err(Ignored::Duplicate));
    assert_eq!(stage.hear(&propose(4, TWO)), Err(Ignored::Equivocation));
    assert_eq!((kinds(&mut stage), stage.equivocators), (vec![PREPARE], vec![0]));
}

#[test]
fn strangers_other_chains_and_forged_names_are_ignored() {
    let mut stage = stage(3);
    let stranger = message::vote(7, PREPARE, 1, 4, 6, &message::digest(ONE));
    assert_eq!(stage.hear(&stranger), Err(Ignored::Stranger));
    let mut content = message::read(&prepare(1, 4, ONE)).signed;
    content.extend_from_slice(&[9 << 3, 1]);
    assert_eq!(stage.hear(&message::seal(1, &content)), Err(Ignored::ChainId));
    let in_the_name_of_1 = message::seal(2, &message::read(&prepare(1, 4, ONE)).signed);
    assert_eq!(stage.hear(&in_the_name_of_1), Err(Ignored::Stranger));
    assert_eq!(stage.hear(&prepare(3, 4, ONE)), Err(Ignored::Own));
    assert_eq!(stage.hear(&message::view_change(1, 5, 5, &[])), Err(Ignored::Malformed), "it travels in others only");
    assert_eq!(stage.hear(&Bytes::from_static(b"\xff")), Err(Ignored::Malformed));
}

#[test]
fn what_is_over_or_far_away_is_ignored() {
    let mut stage = stage(3);
    let vote = |kind, view, sequence| message::vote(1, kind, 1, view, sequence, &[1; 32]);
    assert_eq!(stage.hear(&vote(PREPARE, 3, 6)), Err(Ignored::Old));
    assert_eq!(stage.hear(&vote(PREPARE, 4, 5)), Err(Ignored::Old));
    assert_eq!(stage.hear(&vote(COMMIT, 3, 5)), Err(Ignored::Old));
    assert_eq!(stage.hear(&vote(PREPARE, 4, 16)), Err(Ignored::Beyond));
    assert_eq!(stage.hear(&vote(PREPARE, 4, 15)), Ok(Seen::Fresh));
    assert_eq!(stage.hear(&vote(PREPARE, 1 << 63, 6)), Err(Ignored::Malformed));
    assert_eq!(stage.hear(&vote(PREPARE, 1 << 62, 6)), Err(Ignored::Beyond));
}

#[test]
fn a_doubtful_value_gets_no_vote_and_is_closed_when_others_commit_it() {
    let mut stage = stage(3);
    stage.doubts = true;
    stage.hear(&propose(4, ONE)).unwrap();
    (1..3).for_each(|by| assert!(stage.hear(&prepare(by, 4, ONE)).is_ok()));
    (0..3).for_each(|by| assert!(stage.hear(&commit(by, 4, ONE)).is_ok()));
    assert_eq!((kinds(&mut stage), stage.closed), (vec![], vec![Bytes::from(ONE)]));
}

#[test]
fn prepares_of_the_primary_do_not_count() {
    let mut stage = stage(3);
    stage.hear(&propose(4, ONE)).unwrap();
    stage.hear(&prepare(0, 4, ONE)).unwrap();
    assert_eq!(kinds(&mut stage), [PREPARE]);
    stage.hear(&prepare(2, 4, ONE)).unwrap();
    assert_eq!(kinds(&mut stage), [COMMIT]);
}

#[test]
fn each_validator_has_one_vote() {
    let mut stage = stage(3);
    stage.hear(&propose(4, ONE)).unwrap();
    stage.take();
    stage.hear(&prepare(1, 4, TWO)).unwrap();
    assert_eq!(stage.hear(&prepare(1, 4, ONE)), Err(Ignored::Equivocation));
    stage.hear(&commit(0, 4, TWO)).unwrap();
    assert_eq!(stage.hear(&commit(0, 4, ONE)), Err(Ignored::Equivocation));
    (1..3).for_each(|by| assert!(stage.hear(&commit(by, 4, ONE)).is_ok()));
    assert_eq!((stage.closed.len(), kinds(&mut stage).len(), stage.equivocators), (0, 0, vec![1, 0]));
}

#[test]
fn a_repeated_proposal_gets_a_prepare_of_its_round_and_that_a_commit_not_too_often() {
    let mut stage = committed();
    let again = |round| message::pre_prepare(0, round, 4, 6, ONE);
    assert_eq!(stage.hear(&again(2)), Err(Ignored::Duplicate), "too soon");
    stage.pass(Duration::from_millis(7_500));
    assert_eq!(stage.hear(&again(2)), Ok(Seen::Fresh));
    let said: Vec<_> = stage.said().iter().map(|read| (read.kind, read.round)).collect();
    assert_eq!(said, [(PREPARE, 2), (COMMIT, 2)]);
    (3..1000).for_each(|round| assert_eq!(stage.hear(&again(round)), Err(Ignored::Duplicate)));
}

#[test]
fn a_commit_is_repeated_after_fifteen_seconds() {
    let mut stage = committed();
    stage.pass(15 * SECOND);
    let said: Vec<_> = stage.said().iter().map(|read| (read.kind, read.round)).collect();
    assert_eq!(said, [(COMMIT, 2)]);
}

#[test]
fn what_comes_before_its_turn_waits_for_it() {
    let mut stage = stage(3);
    let next = message::pre_prepare(1, 1, 5, 7, TWO);
    stage.hear(&next).unwrap();
    stage.hear(&message::vote(2, PREPARE, 1, 5, 7, &message::digest(TWO))).unwrap();
    stage.hear(&propose(4, ONE)).unwrap();
    (0..3).for_each(|by| assert!(stage.hear(&commit(by, 4, ONE)).is_ok()));
    let said: Vec<_> = stage.said().iter().map(|read| (read.kind, read.sequence)).collect();
    assert_eq!(said, [(PREPARE, 6), (PREPARE, 7), (COMMIT, 7)]);
}

#[test]
fn one_validator_alone_says_all_it_would_say_to_others() {
    let mut stage = Stage::new(Some(0), tip(1, 1, 0, &[]));
    stage.pass(3 * SECOND);
    assert_eq!(kinds(&mut stage), [PRE_PREPARE, PREPARE, COMMIT]);
    stage.pass(10 * SECOND);
    assert_eq!((stage.closed.len(), stage.machine.view()), (2, (2, true)));
}

#[test]
fn without_a_pause_the_next_is_proposed_when_the_last_is_closed() {
    let timers = Timers::without_pause(INTERVAL);
    let mut stage = Stage::with(Some(1), tip(4, 5, 3, &[0, 1, 2]), timers);
    stage.hear(&propose(4, ONE)).unwrap();
    (0..4).filter(|by| *by != 1).for_each(|by| assert!(stage.hear(&commit(by, 4, ONE)).is_ok()));
    let last = stage.said().pop().unwrap();
    assert_eq!((last.kind, last.view, last.sequence), (PRE_PREPARE, 5, 7));
}

#[test]
fn whoever_may_only_follow_says_nothing() {
    let mut stage = stage(3);
    let only_follows =
        |height: polypeer_bumo::ledger::Tip| polypeer_bumo::ledger::Tip { follow_only: Some(5), ..height };
    stage.moves(only_follows(tip(4, 5, 3, &[0, 1, 2])));
    stage.hear(&propose(4, ONE)).unwrap();
    (0..3).for_each(|by| assert!(stage.hear(&commit(by, 4, ONE)).is_ok()));
    stage.pass(100 * SECOND);
    assert_eq!((stage.take().len(), stage.closed.len()), (0, 1));
}

#[test]
fn whoever_may_no_longer_vote_forgets_the_view_that_it_asked_for_and_follows() {
    let mut stage = stage(3);
    stage.pass(VIEW);
    assert_eq!(stage.machine.view(), (4, false));
    stage.take();
    stage.moves(polypeer_bumo::ledger::Tip { follow_only: Some(5), ..tip(4, 5, 3, &[0, 1, 2]) });
    stage.pass(10 * VIEW);
    assert_eq!((stage.machine.view(), stage.machine.replica(), stage.take().len()), ((4, true), None, 0));
}

// ---- Across views.

#[test]
fn no_other_value_is_prepared_after_a_commit() {
    let mut stage = committed();
    stage.hear(&opened(5, &[(0, 5, None), (1, 5, None), (2, 5, Some(ONE))])).unwrap();
    stage.hear(&propose(5, TWO)).unwrap();
    assert_eq!((stage.machine.view(), kinds(&mut stage)), ((5, true), vec![]));
}

#[test]
fn the_same_value_is() {
    let mut stage = committed();
    stage.hear(&opened(5, &[(0, 5, None), (1, 5, None), (2, 5, Some(ONE))])).unwrap();
    stage.hear(&propose(5, ONE)).unwrap();
    assert_eq!(kinds(&mut stage), [PREPARE]);
}

#[test]
fn another_is_when_a_majority_shows_that_the_first_cannot_be_final() {
    let mut stage = committed();
    stage.hear(&opened(5, &[(0, 5, None), (1, 5, None), (2, 5, Some(TWO))])).unwrap();
    stage.hear(&propose(5, TWO)).unwrap();
    assert_eq!(kinds(&mut stage), [PREPARE]);
}

#[test]
fn who_has_the_ledger_or_lacks_the_one_before_refutes_nothing() {
    for last in [4, 6] {
        let mut stage = committed();
        stage.hear(&opened(5, &[(0, 5, None), (1, last, None), (2, 5, None)])).unwrap();
        stage.hear(&propose(5, TWO)).unwrap();
        assert_eq!(kinds(&mut stage), [], "last {last}");
    }
}

#[test]
fn a_value_prepared_later_takes_the_first_ones_place() {
    let mut stage = committed();
    stage.hear(&change(0, 7, 5, Some(&set(5, TWO)))).unwrap();
    stage.hear(&opened(6, &[(0, 5, Some(TWO)), (1, 5, None), (2, 5, Some(ONE))])).unwrap();
    stage.hear(&propose(6, TWO)).unwrap();
    assert_eq!(kinds(&mut stage), [PREPARE]);
}

#[test]
fn a_value_prepared_earlier_does_not() {
    let mut stage = stage(3);
    stage.hear(&opened(5, &[(0, 5, None), (1, 5, None), (2, 5, None)])).unwrap();
    stage.hear(&propose(5, ONE)).unwrap();
    stage.hear(&prepare(0, 5, ONE)).unwrap();
    stage.hear(&change(0, 7, 5, Some(&set(4, TWO)))).unwrap();
    stage.hear(&opened(6, &[(0, 5, Some(TWO)), (1, 5, None), (2, 5, Some(ONE))])).unwrap();
    stage.take();
    stage.hear(&propose(6, TWO)).unwrap();
    assert_eq!(kinds(&mut stage), []);
}

#[test]
fn a_new_primary_proposes_what_was_prepared_last() {
    for order in [[4, 5], [5, 4]] {
        // Of view 6 replica 2 is the primary. One value was prepared in view 4, another in view 5.
        let mut stage = stage(2);
        for view in order {
            let value = if view == 4 { ONE } else { TWO };
            stage.hear(&change((view % 4) as usize, 6, 5, Some(&set(view, value)))).unwrap();
        }
        stage.hear(&change(3, 6, 5, None)).unwrap();
        let proposal = stage.said().into_iter().find(|read| read.kind == PRE_PREPARE).unwrap();
        assert_eq!((proposal.view, &proposal.value[..]), (6, TWO), "{order:?}");
    }
}

#[test]
fn a_prepared_set_shows_a_majority_of_one_value_without_its_primarys_vote() {
    let good = set(4, ONE);
    let (proposal, prepares) = good.clone();
    let bad: Vec<(message::Set, Ignored)> = vec![
        ((proposal.clone(), prepares[..1].to_vec()), Ignored::PreparedSet),
        ((proposal.clone(), vec![prepares[0].clone(); 5]), Ignored::PreparedSet),
        ((proposal.clone(), vec![prepares[0].clone(), prepare(0, 4, ONE)]), Ignored::PreparedSet),
        ((proposal.clone(), vec![prepares[0].clone(), prepare(2, 4, TWO)]), Ignored::PreparedSet),
        ((proposal.clone(), vec![prepares[0].clone(), prepare(2, 5, ONE)]), Ignored::PreparedSet),
        ((proposal.clone(), vec![prepares[0].clone(), commit(2, 4, ONE)]), Ignored::PreparedSet),
        ((prepares[0].clone(), prepares.clone()), Ignored::PreparedSet),
        ((message::pre_prepare(1, 1, 4, 6, ONE), prepares.clone()), Ignored::NotPrimary),
        ((proposal.clone(), vec![prepares[0].clone(), forged(&prepares[1])]), Ignored::Signature),
        ((forged(&proposal), prepares.clone()), Ignored::Signature),
        ((proposal, vec![prepares[0].clone(); 1000]), Ignored::PreparedSet),
    ];
    for (index, (set, expected)) in bad.into_iter().enumerate() {
        let raw = message::raw_view_change(2, 0, &message::view_change(2, 6, 5, &message::digest(ONE)), Some(&set));
        assert_eq!(stage(3).hear(&raw), Err(expected), "{index}");
    }
    let other_digest =
        message::raw_view_change(2, 0, &message::view_change(2, 6, 5, &message::digest(TWO)), Some(&good));
    assert_eq!(stage(3).hear(&other_digest), Err(Ignored::PreparedSet));
    let without = message::raw_view_change(2, 0, &message::view_change(2, 6, 5, &message::digest(ONE)), None);
    assert_eq!(stage(3).hear(&without), Err(Ignored::PreparedSet));
    assert_eq!(stage(3).hear(&change(2, 6, 5, Some(&good))), Ok(Seen::Fresh));
}

/// The same with another signature.
fn forged(envelope: &Bytes) -> Bytes {
    let mut forged = envelope.to_vec();
    *forged.last_mut().expect("it is there") ^= 1;
    forged.into()
}

#[test]
fn a_new_view_is_its_primarys_and_has_a_majority_of_genuine_view_changes() {
    let list = |senders: &[usize]| senders.iter().map(|by| message::view_change(*by, 5, 5, &[])).collect::<Vec<_>>();
    let open = |by, changes: &[Bytes], kept: Option<&Bytes>| message::new_view(by, 0, 5, 5, changes, kept);
    let mut with_forged = list(&[0, 1, 2]);
    with_forged[2] = forged(&with_forged[2]);
    let mut of_other_view = list(&[0, 1]);
    of_other_view.push(message::view_change(2, 6, 5, &[]));
    let later = message::pre_prepare(1, 1, 5, 6, ONE);
    let not_primarys = message::pre_prepare(2, 1, 4, 6, ONE);
    for (opened, expected) in [
        (open(2, &list(&[0, 1, 2]), None), Ignored::NotPrimary),
        (open(1, &with_forged, None), Ignored::Signature),
        (open(1, &list(&[0, 1]), None), Ignored::ViewChanges),
        (open(1, &list(&[0, 1, 1, 1]), None), Ignored::ViewChanges),
        (open(1, &of_other_view, None), Ignored::ViewChanges),
        (open(1, &list(&[0, 1, 2, 0, 1, 2, 0, 1, 2]), None), Ignored::ViewChanges),
        (open(1, &list(&[0, 1, 2]), Some(&later)), Ignored::ViewChanges),
        (open(1, &list(&[0, 1, 2]), Some(&not_primarys)), Ignored::ViewChanges),
        (open(1, &list(&[0, 1, 2]), Some(&forged(&propose(4, ONE)))), Ignored::Signature),
        (forged(&open(1, &list(&[0, 1, 2]), None)), Ignored::Signature),
    ] {
        let mut stage = stage(3);
        assert_eq!(stage.hear(&opened), Err(expected));
        assert_eq!(stage.machine.view(), (4, true));
    }
    let mut stage = stage(3);
    assert_eq!(stage.hear(&open(1, &list(&[0, 1, 2]), Some(&propose(4, ONE)))), Ok(Seen::Fresh));
    assert_eq!(stage.machine.view(), (5, true));
}

#[test]
fn it_moves_on_with_two_others_of_four_and_not_with_one() {
    let mut stage = stage(3);
    stage.hear(&change(0, 9, 5, None)).unwrap();
    assert_eq!(kinds(&mut stage), []);
    stage.hear(&change(1, 7, 5, None)).unwrap();
    let said = stage.said();
    assert_eq!((said[0].kind, said[0].view), (RAW_VIEW_CHANGE, 7));
    assert_eq!((stage.machine.view(), stage.machine.wanted_view()), ((4, false), Some(7)));
}

#[test]
fn nobody_votes_or_enters_below_the_view_that_it_asked_for() {
    let mut stage = committed();
    (0..2).for_each(|by| assert!(stage.hear(&change(by, 6, 5, None)).is_ok()));
    stage.take();
    stage.hear(&opened(5, &[(0, 5, None), (1, 5, None), (2, 5, None)])).unwrap();
    stage.hear(&propose(5, ONE)).unwrap();
    assert_eq!((stage.machine.view(), kinds(&mut stage)), ((4, false), vec![]));
    // What others commit there is closed all the same.
    (0..3).for_each(|by| assert!(stage.hear(&commit(by, 5, ONE)).is_ok()));
    assert_eq!((stage.closed.len(), stage.machine.view()), (1, (6, true)));
}

#[test]
fn a_primary_that_does_not_open_its_view_is_passed_over() {
    let mut stage = stage(3);
    (1..3).for_each(|by| assert!(stage.hear(&change(by, 6, 5, None)).is_ok()));
    assert_eq!(stage.said().len(), 1);
    stage.pass(VIEW);
    let targets: Vec<_> = stage.said().iter().map(|read| (read.view, read.round)).collect();
    assert_eq!(targets, [(6, 1), (7, 0)], "repeated once, then the next");
}

#[test]
fn a_view_that_the_others_left_is_left() {
    let mut stage = stage(3);
    stage.pass(VIEW);
    assert_eq!(stage.machine.wanted_view(), Some(5));
    stage.hear(&change(0, 6, 5, None)).unwrap();
    stage.hear(&change(1, 5, 5, None)).unwrap();
    stage.take();
    stage.pass(Duration::from_millis(7_500));
    assert_eq!(stage.machine.wanted_view(), Some(6));
}

#[test]
fn the_view_of_a_proof_is_one_that_an_honest_validator_was_in() {
    let mut tip = tip(4, 5, 3, &[0, 1]);
    let liar = message::vote(2, COMMIT, 1, 1 << 61, 5, &[5; 32]);
    let mut proof = Vec::new();
    message::part(&mut proof, 1, &liar);
    proof.extend_from_slice(&tip.proof);
    tip.proof = proof.into();
    assert_eq!(Stage::new(Some(3), tip).machine.view(), (4, true));
}

#[test]
fn whoever_closed_the_same_ledger_in_a_later_view_is_followed() {
    let mut stage = stage(3);
    let at_5 = |by| message::vote(by, COMMIT, 1, 6, 5, &[5; 32]);
    (0..2).for_each(|by| assert_eq!(stage.hear(&at_5(by)), Ok(Seen::Fresh)));
    assert_eq!(stage.machine.view(), (4, true));
    stage.hear(&at_5(2)).unwrap();
    assert_eq!(stage.machine.view(), (7, true));
}

#[test]
fn commits_of_later_ledgers_tell_that_it_is_behind() {
    let mut stage = stage(3);
    (0..3).for_each(|by| assert!(stage.hear(&message::vote(by, COMMIT, 1, 30, 40, &[4; 32])).is_ok()));
    assert_eq!(stage.behind, [40]);
    assert_eq!(stage.machine.last(), 5, "the ledger says what is executed");
}

#[test]
fn who_repeats_what_is_over_is_shown_what_ended_it_now_and_then() {
    let mut stage = stage(3);
    stage.hear(&opened(5, &[(0, 5, None), (1, 5, None), (2, 5, None)])).unwrap();
    for round in 0..100 {
        let late = message::raw_view_change(0, round, &message::view_change(0, 4, 4, &[]), None);
        assert_eq!(stage.hear(&late), Err(Ignored::Old));
    }
    assert_eq!(kinds(&mut stage), [COMMIT, COMMIT, COMMIT, NEW_VIEW]);
    assert_eq!(stage.repeated, 4);
}

// ---- What is remembered.

#[test]
fn nothing_is_sent_before_it_is_durable_and_nothing_after_its_view_was_left() {
    let mut stage = stage(3);
    stage.holds_signatures = true;
    stage.hear(&propose(4, ONE)).unwrap();
    assert_eq!((stage.unsigned.len(), stage.take().len()), (1, 0));
    assert!(!stage.unsigned[0].2.is_empty(), "it has a record");
    stage.sign_held();
    assert_eq!(kinds(&mut stage), [PREPARE]);
    stage.hear(&prepare(1, 4, ONE)).unwrap();
    stage.holds_signatures = false;
    stage.hear(&opened(5, &[(0, 5, None), (1, 5, None), (2, 5, None)])).unwrap();
    stage.take();
    stage.sign_held();
    assert_eq!(kinds(&mut stage), [COMMIT], "it is in the log, and others may need it");
}

#[test]
fn whoever_comes_back_repeats_its_votes_and_contradicts_nothing() {
    let mut stage = committed();
    let before = stage.tip.kept.clone();
    stage.restart();
    assert_eq!(kinds(&mut stage), [PREPARE, COMMIT]);
    assert_eq!(stage.tip.kept, before, "it is in the log");
    assert_eq!(stage.hear(&propose(4, TWO)), Err(Ignored::Equivocation));
    stage.hear(&opened(5, &[(0, 5, None), (1, 5, None), (2, 5, Some(ONE))])).unwrap();
    stage.hear(&propose(5, TWO)).unwrap();
    assert_eq!(kinds(&mut stage), []);
}

#[test]
fn whoever_comes_back_reports_what_it_committed_to() {
    let mut stage = committed();
    stage.restart();
    stage.take();
    stage.pass(VIEW);
    let change = stage.said().into_iter().find(|read| read.kind == RAW_VIEW_CHANGE).unwrap();
    assert_eq!((change.view, change.digest), (5, message::digest(ONE)));
    let first = change.inner;
    // And asks for the same view in the same words after another crash.
    stage.restart();
    let again = stage.said().into_iter().find(|read| read.kind == RAW_VIEW_CHANGE).unwrap();
    assert_eq!((again.inner, again.set.is_some()), (first, true));
    assert_eq!(stage.machine.view(), (4, false));
}

#[test]
fn a_prepare_binds_across_a_crash() {
    let mut stage = stage(3);
    stage.hear(&propose(4, ONE)).unwrap();
    stage.restart();
    stage.take();
    stage.hear(&propose(4, TWO)).unwrap();
    assert_eq!(kinds(&mut stage), []);
}

#[test]
fn a_primary_that_lost_its_proposal_gives_the_view_up() {
    let mut stage = Stage::new(Some(0), tip(4, 5, 3, &[0, 1, 2]));
    stage.pass(10 * SECOND);
    assert_eq!(kinds(&mut stage), [PRE_PREPARE]);
    stage.value = TWO.to_vec();
    stage.restart();
    stage.pass(4 * SECOND);
    let said = stage.said();
    assert_eq!((said.len(), said[0].kind, said[0].view), (1, RAW_VIEW_CHANGE, 5));
}

// ---- Floods.

#[test]
fn whatever_a_validator_sends_little_of_it_is_kept() {
    let mut stage = stage(3);
    for number in 0..3_000 {
        let digest = [number as u8; 32];
        for by in 0..3 {
            let _ = stage.hear(&message::vote(by, PREPARE, number, 4 + number, 6 + number % 10, &digest));
            let _ = stage.hear(&message::vote(by, COMMIT, number, number, 6 + number, &digest));
        }
        let _ = stage.hear(&message::pre_prepare((number % 3) as usize, 1, 4 * number + number % 3, 7, &digest));
        let _ = stage.hear(&change(1, 5 + number, number % 10, None));
    }
    assert!(stage.machine.kept_messages() <= 28 * 4, "{} are kept", stage.machine.kept_messages());
    assert!(stage.machine.kept_messages() > 40, "{} are kept", stage.machine.kept_messages());
    assert_eq!(stage.machine.view(), (4, true));
}

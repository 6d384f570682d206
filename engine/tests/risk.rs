//! What the eclipse gauge says of pictures, and of a running engine.

mod word;

use polypeer_engine::shell::risk::{Cause, HIGH, Known, NOTABLE, Picture, Tie, assess};
use polypeer_engine::{Effect, NetworkGroup, P2pAction, P2pConfig, Target};
use proptest::prelude::*;
use std::time::Duration;
use word::{Story, at};

const HOUR: Duration = Duration::from_secs(3600);

fn group(a: usize, b: usize) -> Option<NetworkGroup> {
    Some(NetworkGroup::V4([a as u8, b as u8]))
}

fn tie(group: Option<NetworkGroup>, source: Option<NetworkGroup>) -> Tie {
    Tie { group, source, age: HOUR }
}

fn known(n: usize, source: Option<NetworkGroup>) -> Known {
    Known { group: group(20 + n / 200, n % 200), source, since_success: Some(HOUR) }
}

/// A node as it should be: eight peers of eight groups, named from eight groups, and a book from everywhere.
fn healthy() -> Picture {
    Picture {
        outbound_target: 8,
        outbound: (0..8).map(|n| tie(group(20, n), group(40, n))).collect(),
        inbound: (0..20).map(|n| group(60, n)).collect(),
        book_size: 400,
        book: (0..400).map(|n| known(n, group(80 + n / 200, n % 200))).collect(),
        ..Picture::default()
    }
}

fn names(picture: &Picture) -> Vec<&'static str> {
    assess(picture).findings.iter().map(|finding| finding.what.name()).collect()
}

#[test]
fn a_healthy_node_has_no_finding() {
    let risk = assess(&healthy());
    assert_eq!((risk.score, risk.findings.len()), (0, 0), "{risk:?}");
}

#[test]
fn each_lack_has_its_finding() {
    type Row = (&'static str, fn(&mut Picture));
    let rows: [Row; 10] = [
        ("outbound_missing", |p| p.outbound.truncate(4)),
        ("outbound_one_group", |p| (0..4).for_each(|n| p.outbound[n].group = group(66, 6))),
        ("outbound_one_source", |p| (0..4).for_each(|n| p.outbound[n].source = p.outbound[0].source)),
        ("outbound_young", |p| p.outbound.iter_mut().for_each(|tie| tie.age = Duration::from_secs(9))),
        ("inbound_one_group", |p| (0..10).for_each(|n| p.inbound[n] = group(66, 6))),
        ("book_small", |p| p.book_size = 3),
        ("book_one_group", |p| (0..200).for_each(|n| p.book[n].group = group(66, 6))),
        ("book_one_source", |p| (0..200).for_each(|n| p.book[n].source = p.book[0].source)),
        ("book_unproven", |p| (0..200).for_each(|n| p.book[n].since_success = None)),
        ("book_stale", |p| p.book.iter_mut().for_each(|known| known.since_success = Some(HOUR * 24 * 8))),
    ];
    for (name, change) in rows {
        let mut picture = healthy();
        change(&mut picture);
        assert_eq!(names(&picture), [name]);
    }
}

#[test]
fn a_captured_node_scores_high_and_a_named_peer_bounds_it() {
    let mut picture = healthy();
    picture.outbound = (0..8).map(|_| tie(group(66, 6), group(66, 6))).collect();
    picture.book = (0..400).map(|n| known(n, group(66, 6))).collect();
    let risk = assess(&picture);
    assert!(risk.score >= HIGH, "{risk:?}");
    assert!(risk.findings.is_sorted_by_key(|finding| std::cmp::Reverse(finding.points)), "heaviest first");
    picture.reserved = 1;
    assert!((NOTABLE..HIGH).contains(&assess(&picture).score));
}

#[test]
fn without_an_outbound_peer_it_is_high() {
    let mut picture = healthy();
    picture.outbound.clear();
    let risk = assess(&picture);
    assert!(risk.score >= HIGH);
    assert_eq!(risk.findings[0].what, Cause::OutboundMissing { have: 0, want: 8 });
}

#[test]
fn a_private_network_on_one_machine_says_nothing() {
    let alone = (0..3).map(|_| tie(None, None)).collect();
    let picture = Picture { outbound_target: 8, is_local: true, outbound: alone, book_size: 3, ..Picture::default() };
    assert_eq!(assess(&picture).score, 0);
    let picture = Picture { is_local: false, ..picture };
    assert_eq!(names(&picture), ["outbound_missing", "book_small"], "elsewhere it has too few");
}

#[test]
fn an_engine_is_gauged_by_its_own_peers() {
    let named = at("50.5.5.5:1");
    let config = P2pConfig { add_peers: vec![Target::Address(named)], outbound_target: 1, ..P2pConfig::default() };
    let mut story = Story::new(config);
    let risk = |story: &Story| story.engine.state().risk(story.now);
    assert!(risk(&story).score >= HIGH, "nobody is there yet: {:?}", risk(&story));
    let effects = story.wait(0);
    let dial = effects.iter().find_map(|effect| match effect {
        Effect::Dial { connection, address } => Some((*connection, *address)),
        _ => None,
    });
    let (connection, address) = dial.expect("the named peer is dialled");
    story.stand(connection, address);
    let now = risk(&story);
    assert_eq!(now.reserved, 1);
    assert!(now.score < NOTABLE, "{now:?}");
    story.act(P2pAction::Disconnect { connection });
    assert!(risk(&story).score >= HIGH);
}

fn any_picture() -> impl Strategy<Value = Picture> {
    let any_group =
        |first: usize| prop::option::of((0..4usize).prop_map(move |n| NetworkGroup::V4([first as u8, n as u8])));
    let age = (0..1_000_000u64).prop_map(Duration::from_secs);
    let tie = (any_group(20), any_group(40), age.clone());
    let tie = tie.prop_map(|(group, source, age)| Tie { group, source, age });
    let known = (any_group(20), any_group(40), prop::option::of(age));
    let known = known.prop_map(|(group, source, since_success)| Known { group, source, since_success });
    let lists = (
        prop::collection::vec(tie, 0..12),
        prop::collection::vec(any_group(20), 0..30),
        prop::collection::vec(known, 0..60),
    );
    let flags = (any::<bool>(), any::<bool>());
    (0..12usize, flags, 0..3usize, lists).prop_map(|(target, (named_only, is_local), reserved, lists)| {
        let (outbound, inbound, book) = lists;
        let book_size = book.len();
        Picture { outbound_target: target, named_only, is_local, outbound, reserved, inbound, book_size, book }
    })
}

proptest! {
    #[test]
    fn the_score_is_what_the_findings_add_up_to(picture in any_picture()) {
        let risk = assess(&picture);
        let sum: u32 = risk.findings.iter().map(|finding| u32::from(finding.points)).sum();
        let most = if picture.reserved > 0 { u32::from(HIGH) - 1 } else { 100 };
        prop_assert_eq!(u32::from(risk.score), sum.min(most));
        prop_assert!(risk.findings.iter().all(|finding| finding.points > 0));
        // One more outbound peer, of a group and a source of its own, is never a worse place to be.
        let mut better = picture.clone();
        better.outbound.push(tie(group(200, 200), group(201, 201)));
        prop_assert!(assess(&better).score <= risk.score, "{:?} {:?}", risk, assess(&better));
    }
}

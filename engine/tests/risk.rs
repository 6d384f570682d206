//! What the eclipse gauge says of pictures, and of a running engine.

#[expect(dead_code, reason = "the stage is every story's: nobody is accepted here")]
mod word;

use polypeer_engine::shell::risk::{Cause, HIGH, Known, NOTABLE, Picture, Tie, assess};
use polypeer_engine::{Effect, P2pAction, P2pConfig, Target};
use proptest::prelude::*;
use std::time::Duration;
use word::{Story, at};

const HOUR: Duration = Duration::from_secs(3600);

fn tie(address: &str, source: Option<&str>) -> Tie {
    Tie { address: at(address), source: source.map(|ip| ip.parse().expect("an IP address")), age: HOUR }
}

fn known(n: usize, source: Option<String>) -> Known {
    let address = at(&format!("{}.{}.1.1:1", 20 + n / 200, n % 200));
    Known { address, source: source.map(|ip| ip.parse().expect("an IP address")), since_success: Some(HOUR) }
}

/// A node as it should be: eight peers of eight groups, named from eight groups, and a book from everywhere.
fn healthy() -> Picture {
    Picture {
        outbound_target: 8,
        spare_loopback: true,
        outbound: (0..8).map(|n| tie(&format!("20.{n}.1.1:1"), Some(&format!("40.{n}.1.1")))).collect(),
        inbound: (0..20).map(|n| at(&format!("60.{n}.1.1:1"))).collect(),
        book_size: 400,
        book: (0..400).map(|n| known(n, Some(format!("{}.{}.1.1", 80 + n / 200, n % 200)))).collect(),
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
        ("outbound_one_group", |p| (0..4).for_each(|n| p.outbound[n].address = at(&format!("66.6.1.{n}:1")))),
        ("outbound_one_source", |p| (0..4).for_each(|n| p.outbound[n].source = p.outbound[0].source)),
        ("outbound_young", |p| p.outbound.iter_mut().for_each(|tie| tie.age = Duration::from_secs(9))),
        ("inbound_one_group", |p| (0..10).for_each(|n| p.inbound[n] = at(&format!("66.6.1.{n}:1")))),
        ("book_small", |p| p.book_size = 3),
        ("book_one_group", |p| (0..200).for_each(|n| p.book[n].address = at(&format!("66.6.1.{n}:1")))),
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
    picture.outbound = (0..8).map(|n| tie(&format!("66.6.{n}.1:1"), Some("66.6.6.6"))).collect();
    picture.book = (0..400).map(|n| known(n, Some("66.6.6.6".into()))).collect();
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
    let picture = Picture {
        outbound_target: 8,
        spare_loopback: true,
        outbound: (0..3).map(|n| tie(&format!("127.0.0.1:{}", 100 + n), None)).collect(),
        inbound: (0..20).map(|n| at(&format!("127.0.0.1:{}", 1_000 + n))).collect(),
        book_size: 3,
        ..Picture::default()
    };
    assert_eq!(assess(&picture).score, 0);
    let picture = Picture { spare_loopback: false, ..picture };
    assert!(assess(&picture).score >= NOTABLE, "the operator says that loopback is like any other");
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
    let address = (0..4u8, 0..4u8, 1..4u16).prop_map(|(a, b, port)| at(&format!("{}.{b}.1.1:{port}", 20 + a)));
    let source = prop::option::of((0..3u8).prop_map(|a| format!("40.{a}.1.1").parse().expect("an IP address")));
    let age = (0..1_000_000u64).prop_map(Duration::from_secs);
    let tie = (address.clone(), source.clone(), age.clone());
    let tie = tie.prop_map(|(address, source, age)| Tie { address, source, age });
    let known = (address.clone(), source, prop::option::of(age));
    let known = known.prop_map(|(address, source, since_success)| Known { address, source, since_success });
    let lists = (
        prop::collection::vec(tie, 0..12),
        prop::collection::vec(address, 0..30),
        prop::collection::vec(known, 0..60),
    );
    (0..12usize, any::<bool>(), 0..3usize, lists).prop_map(|(target, named_only, reserved, (outbound, inbound, book))| {
        let book_size = book.len();
        let spare_loopback = true;
        Picture { outbound_target: target, named_only, spare_loopback, outbound, reserved, inbound, book_size, book }
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
        better.outbound.push(tie("200.200.1.1:1", Some("201.201.1.1")));
        prop_assert!(assess(&better).score <= risk.score, "{:?} {:?}", risk, assess(&better));
    }
}

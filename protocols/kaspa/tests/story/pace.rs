//! Sources that bring something now and then: they may, while nobody else waits (Kaspa spec, section 4.6).

use crate::catching_up::{ahead, behind, everything};
use crate::importing::{Source, fresh};
use crate::recorded::relay_block;
use crate::stage::*;
use crate::syncer::Syncer;
use polypeer_engine::ConnectionId;
use polypeer_kaspa::wire::Kind;

const A: &str = "10.0.0.9:40000";
const B: &str = "10.0.0.8:40000";

/// One header a message, and nothing but what must be said before two minutes are over.
fn drips(stage: &mut Stage, peer: ConnectionId, source: &mut Syncer, times: usize) {
    for _ in 0..times {
        let is_about_headers = |kind| matches!(kind, Kind::RequestHeaders | Kind::RequestNextHeaders);
        let Some(request) = source.serves_until(stage, peer, |it| is_about_headers(it.kind)) else { return };
        stage.wait(seconds(100));
        for (kind, body, id) in source.answer(&request) {
            stage.answers(peer, kind, &body, id);
        }
    }
}

#[test]
fn a_source_that_drips_makes_way_for_one_that_waits() {
    story_of(&behind(300), |stage| {
        let mut slow = Syncer { headers_a_message: 1, ..everything() };
        let mut other = everything();
        let [a, b] = [A, B].map(|remote| ahead(stage, remote, &slow));
        stage.lively = vec![a, b];
        drips(stage, a, &mut slow, 3);
        stage.is_rejected(a, "timeout expired after 60s");
        assert_eq!(stage.severity(A), None, "being slow is no fault");
        other.serves(stage, b);
        assert_eq!(stage.ledger.dag.sink(), other.dag.sink());
        assert_eq!(other.headers_given, 1_081 - 301, "what the slow one brought is not asked for again");
    });
}

#[test]
fn a_source_may_drip_while_nobody_waits() {
    story_of(&behind(1_070), |stage| {
        let mut slow = Syncer { headers_a_message: 1, ..everything() };
        let a = ahead(stage, A, &slow);
        stage.lively = vec![a];
        drips(stage, a, &mut slow, 20);
        slow.serves(stage, a);
        assert_eq!(stage.ledger.dag.sink(), slow.dag.sink());
    });
}

/// The time that the ledger takes is not the source's.
#[test]
fn a_slow_ledger_is_not_the_sources_fault() {
    story_of(&behind(300), |stage| {
        let mut source = Syncer { headers_a_message: 20, ..everything() };
        let [a, b] = [A, B].map(|remote| ahead(stage, remote, &source));
        stage.lively = vec![a, b];
        for _ in 0..30 {
            stage.is_asleep = true;
            source.serves(stage, a);
            stage.wait(seconds(50));
            stage.awakes();
        }
        assert!(stage.is_open(a), "{:?}", stage.reasons(A));
        source.serves(stage, a);
        assert_eq!(stage.ledger.dag.sink(), source.dag.sink());
    });
}

/// A proof as a whole, and all trusted blocks, have a time of their own, however regular their pieces are.
#[test]
fn whole_streams_have_their_time() {
    let parts = [
        (Kind::RequestPruningPointProof, Kind::PruningPointProofChunk, "timeout expired after 900s"),
        (Kind::RequestPruningPointAndItsAnticone, Kind::TrustedDataChunk, "timeout expired after 240s"),
    ];
    for (request, piece, text) in parts {
        story_of(&fresh(), |stage| {
            let mut source = Source::new();
            let peer = stage.guest(A);
            stage.announces(peer, relay_block());
            stage.lively = vec![peer];
            let request = source.serves_until(stage, peer, |it| it.kind == request).expect("it is asked");
            let words = source.answer(&request);
            let before = words.iter().take_while(|(kind, _)| *kind != piece);
            before.for_each(|(kind, body)| stage.says(peer, *kind, body));
            let (_, body) = words.iter().find(|(kind, _)| *kind == piece).expect("there are some");
            while stage.is_open(peer) {
                stage.says(peer, piece, body);
                stage.wait(seconds(100));
            }
            stage.is_rejected(peer, text);
            assert_eq!(stage.severity(A), None);
        });
    }
}

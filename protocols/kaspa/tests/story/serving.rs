//! What peers ask of us: blocks, locators, headers, bodies, and what belongs to a pruning point (Kaspa spec, sections
//! 4.3 to 4.7).

use crate::dag::{body_of, hash_of, header_bytes};
use crate::make;
use crate::pings::is_banned;
use crate::stage::*;
use bytes::Bytes;
use polypeer_engine::{ConnectionId, P2pConfig};
use polypeer_kaspa::ledger::Hash;
use polypeer_kaspa::wire::{
    Envelope, Hashes, Header, Items, Kind, OneHash, OptionalHashes, ProofChunk, RequestBlockLocator, TwoHashes, Version,
};
use polypeer_kaspa::{Bans, Config};
use std::collections::BTreeSet;

const PEER: &str = "127.0.0.1:40000";

fn block(at: usize) -> &'static Bytes {
    &make::dag()[at]
}

fn last() -> Hash {
    hash_of(block(make::dag().len() - 1))
}

fn genesis() -> Hash {
    hash_of(make::genesis())
}

fn asked(tell: impl Fn(&mut Stage, ConnectionId)) {
    story(|stage| {
        let peer = stage.guest(PEER);
        tell(stage, peer);
    });
}

fn in_list(envelope: &Envelope) -> Vec<Hash> {
    Hashes::decode(&envelope.body, 99).expect("hashes").iter().collect()
}

#[test]
fn blocks_go_out_until_one_is_unknown() {
    asked(|stage, peer| {
        let wanted = [hash_of(block(7)), hash_of(block(3)), make::hash(1), hash_of(block(4))];
        stage.asks(peer, Kind::RequestRelayBlocks, &make::hashes(wanted), 77);
        let heard = stage.hears(peer);
        let given: Vec<_> = heard.iter().map(|it| (it.kind, it.response_id)).collect();
        assert_eq!(given, [(Kind::Block, 77), (Kind::Block, 77), (Kind::Reject, 0)]);
        assert_eq!([&heard[0].body, &heard[1].body], [block(7), block(3)]);
        stage.has_not_heard(peer, &heard);
        stage.is_rejected(peer, &format!("cannot find full block {}", make::hash(1)));
        let again = stage.guest(PEER);
        stage.is_well(again);
    });
}

#[test]
fn asking_for_an_unknown_block_is_banned_for_where_the_operator_wants_it() {
    let setting = holding(10);
    let bans = Bans { unknown_block: true, ..Bans::default() };
    let p2p = P2pConfig { spare_loopback: false, ..setting.p2p };
    story_of(&Setting { config: Config { bans, ..setting.config }, p2p, ..setting }, |stage| {
        let peer = stage.guest(PEER);
        stage.asks(peer, Kind::RequestRelayBlocks, &make::hashes([make::hash(1)]), 77);
        stage.is_rejected(peer, &format!("cannot find full block {}", make::hash(1)));
        is_banned(stage, "unknown_block");
    });
}

#[test]
fn many_blocks_go_out_in_order_whatever_they_are_asked_as() {
    let wanted: Vec<Hash> = (100..400).map(|at| hash_of(block(at))).collect();
    let forms = [
        (Kind::RequestRelayBlocks, Kind::Block),
        (Kind::RequestIbdBlocks, Kind::IbdBlock),
        (Kind::RequestBlockBodies, Kind::BlockBody),
    ];
    for (request, answer) in forms {
        asked(|stage, peer| {
            stage.asks(peer, request, &make::hashes(wanted.clone()), 9);
            let heard = stage.hears(peer);
            assert_eq!(heard.len(), 300);
            for (it, at) in heard.iter().zip(100..) {
                let body = if answer == Kind::BlockBody { body_of(block(at)) } else { block(at).clone() };
                assert_eq!((it.kind, it.response_id, it.request_id, &it.body), (answer, 9, 0, &body));
            }
            stage.asks(peer, request, &[], 9);
            stage.hears_nothing(peer);
            stage.asks(peer, request, &make::hashes([make::hash(5)]), 9);
            stage.is_rejected(peer, &format!("cannot find full block {}", make::hash(5)));
        });
    }
}

#[test]
fn who_does_not_read_is_not_written_to() {
    asked(|stage, peer| {
        stage.reads = false;
        let wanted: Vec<Hash> = (0..1_024).map(|at| hash_of(block(at))).collect();
        for _ in 0..4 {
            stage.asks(peer, Kind::RequestBlockBodies, &make::hashes(wanted.clone()), 9);
        }
        let first = stage.hears(peer).len();
        assert!(first < 4_096, "{first}");
        let mut given = first;
        while given < 4_096 {
            stage.reads_all(peer);
            stage.awakes();
            let more = stage.hears(peer).len();
            assert!(more > 0, "{given} were given");
            given += more;
        }
        assert_eq!(given, 4_096);
    });
}

#[test]
fn two_hundred_and_fifty_six_requests_wait_and_one_more_ends_the_connection() {
    asked(|stage, peer| {
        stage.is_asleep = true;
        for _ in 0..256 {
            stage.asks(peer, Kind::RequestRelayBlocks, &make::hashes([genesis()]), 1);
        }
        assert!(stage.is_open(peer));
        stage.awakes();
        assert_eq!(stage.hears(peer).len(), 256);
        stage.is_asleep = true;
        for _ in 0..257 {
            assert!(stage.is_open(peer));
            stage.asks(peer, Kind::RequestRelayBlocks, &make::hashes([genesis()]), 1);
        }
        stage.is_cut(peer);
    });
}

#[test]
fn a_request_has_at_most_1_024_blocks() {
    asked(|stage, peer| {
        stage.asks(peer, Kind::RequestBlockBodies, &make::hashes((0..1_025).map(make::hash)), 1);
        stage.is_rejected(peer, "Number of entries is over the limit");
    });
}

#[test]
fn a_block_locator_goes_down_in_doubling_steps() {
    asked(|stage, peer| {
        let ask = |high, limit| RequestBlockLocator { high, limit }.encode();
        stage.asks(peer, Kind::RequestBlockLocator, &ask(last(), 9), 12);
        let locator = stage.hears_one(peer, Kind::BlockLocator);
        assert_eq!(locator.response_id, 12);
        assert_eq!(in_list(&locator), stage.ledger.dag.locator(&last(), 9).expect("it is held"));
        stage.asks(peer, Kind::RequestBlockLocator, &ask(last(), 0), 13);
        assert_eq!(in_list(&stage.hears_one(peer, Kind::BlockLocator)).last(), Some(&genesis()));
        stage.asks(peer, Kind::RequestBlockLocator, &ask(make::hash(1), 9), 14);
        stage.is_rejected(peer, &format!("cannot find header {}", make::hash(1)));
    });
}

fn chain_locator(low: Option<Hash>, high: Option<Hash>) -> Bytes {
    OptionalHashes { low, high }.encode()
}

#[test]
fn a_chain_locator_goes_from_the_sink_to_the_pruning_point() {
    asked(|stage, peer| {
        let ask = Kind::RequestIbdChainBlockLocator;
        stage.asks(peer, ask, &chain_locator(None, None), 5);
        let heard = stage.hears_one(peer, Kind::IbdChainBlockLocator);
        let locator = in_list(&heard);
        assert_eq!((heard.response_id, locator.first(), locator.last()), (5, Some(&last()), Some(&genesis())));
        stage.says(peer, ask, &chain_locator(Some(last()), Some(last())));
        let heard = stage.hears_one(peer, Kind::IbdChainBlockLocator);
        assert_eq!((heard.response_id, in_list(&heard)), (0, vec![last()]));
        let chain: BTreeSet<Hash> = stage.ledger.dag.chain(&last()).into_iter().collect();
        let off = make::dag().iter().map(|block| hash_of(block)).find(|hash| !chain.contains(hash)).expect("a DAG");
        stage.says(peer, ask, &chain_locator(Some(off), None));
        assert_eq!(in_list(&stage.hears_one(peer, Kind::IbdChainBlockLocator)), [], "known and off the chain: empty");
        stage.says(peer, ask, &chain_locator(Some(last()), Some(genesis())));
        let text = format!("sync manager error: low hash {} is higher than high hash {}", last(), genesis());
        stage.is_rejected(peer, &text);
    });
    asked(|stage, peer| {
        stage.says(peer, Kind::RequestIbdChainBlockLocator, &chain_locator(Some(make::hash(1)), None));
        stage.is_rejected(peer, &format!("cannot find header {}", make::hash(1)));
    });
}

fn between(low: Hash, high: Hash) -> Bytes {
    TwoHashes { low, high }.encode()
}

fn headers_in(envelope: &Envelope) -> Vec<Hash> {
    let items = Items::decode(&envelope.body, 10_000).expect("headers");
    items.iter().map(|header| Header::decode(&header).expect("a header").hash()).collect()
}

#[test]
fn headers_come_with_a_word_after_each_message() {
    // Of 1 MiB each: the toy's are fewer, so the second message ends it.
    asked(|stage, peer| {
        let low = stage.ledger.dag.chain(&last())[800];
        stage.asks(peer, Kind::RequestHeaders, &between(low, last()), 6);
        let heard = stage.hears_one(peer, Kind::BlockHeaders);
        assert_eq!(heard.response_id, 6);
        let given = headers_in(&heard);
        let wanted: BTreeSet<Hash> =
            stage.ledger.dag.past(&last()).difference(&stage.ledger.dag.past(&low)).copied().collect();
        assert_eq!((given.last(), given.iter().copied().collect::<BTreeSet<_>>()), (Some(&last()), wanted));
        stage.wait(seconds(100));
        assert!(stage.hears_kinds(peer).iter().all(|kind| *kind != Kind::DoneHeaders), "not before its word");
        stage.says(peer, Kind::RequestNextHeaders, &[]);
        let done = stage.hears_one(peer, Kind::DoneHeaders);
        assert_eq!(done.response_id, 6);
        // And once more from the start.
        stage.asks(peer, Kind::RequestHeaders, &between(low, last()), 8);
        assert_eq!(stage.hears_one(peer, Kind::BlockHeaders).response_id, 8);
    });
}

#[test]
fn headers_from_a_block_to_itself_are_none() {
    asked(|stage, peer| {
        stage.asks(peer, Kind::RequestHeaders, &between(last(), last()), 6);
        assert_eq!(stage.hears_one(peer, Kind::DoneHeaders).response_id, 6);
        stage.is_well(peer);
    });
}

#[test]
fn headers_that_cannot_be_given_are_refused() {
    asked(|stage, peer| {
        stage.says(peer, Kind::RequestHeaders, &between(make::hash(1), last()));
        stage.is_rejected(peer, &format!("cannot find header {}", make::hash(1)));
    });
    asked(|stage, peer| {
        let below = hash_of(block(5));
        stage.says(peer, Kind::RequestHeaders, &between(last(), below));
        let text = format!("get_hashes_between's low hash {} is not a chain ancestor of {below}", last());
        stage.is_rejected(peer, &text);
    });
    asked(|stage, peer| {
        stage.says(peer, Kind::RequestNextHeaders, &[]);
        stage.is_rejected(peer, "expected message type/s Payload::RequestHeaders but got Some(RequestNextHeaders)");
    });
    asked(|stage, peer| {
        stage.says(peer, Kind::RequestHeaders, &between(genesis(), last()));
        stage.says(peer, Kind::RequestHeaders, &between(genesis(), last()));
        stage.is_rejected(peer, "expected message type/s Payload::RequestNextHeaders but got Some(RequestHeaders)");
    });
}

#[test]
fn an_antipast_is_one_message_and_its_end() {
    asked(|stage, peer| {
        let below = stage.ledger.dag.chain(&last())[50];
        stage.asks(peer, Kind::RequestAntipast, &between(below, last()), 3);
        let heard = stage.hears(peer);
        let form: Vec<_> = heard.iter().map(|it| (it.kind, it.response_id)).collect();
        assert_eq!(form, [(Kind::BlockHeaders, 3), (Kind::DoneHeaders, 3)]);
        assert_eq!(headers_in(&heard[0]).last(), Some(&last()));
        stage.says(peer, Kind::RequestAntipast, &between(last(), below));
        let heard = stage.hears(peer);
        assert_eq!((heard.len(), headers_in(&heard[0])), (2, Vec::new()));
        stage.says(peer, Kind::RequestAntipast, &between(genesis(), last()));
        stage.is_rejected(peer, "traversal error: passed max allowed traversal (993 > 992)");
    });
}

/// While nothing is pruned the outputs at the pruning point are none.
#[test]
fn the_outputs_at_genesis_are_none() {
    asked(|stage, peer| {
        stage.asks(peer, Kind::RequestPruningPointUtxoSet, &OneHash(genesis()).encode(), 4);
        let heard = stage.hears(peer);
        let form: Vec<_> = heard.iter().map(|it| (it.kind, it.response_id, it.body.len())).collect();
        assert_eq!(form, [(Kind::PruningPointUtxoSetChunk, 0, 0), (Kind::DonePruningPointUtxoSetChunks, 0, 0)]);
        stage.says(peer, Kind::RequestPruningPointUtxoSet, &OneHash(last()).encode());
        assert_eq!(stage.hears_one(peer, Kind::UnexpectedPruningPoint).response_id, 0);
        stage.is_well(peer);
    });
}

#[test]
fn there_are_no_lanes_and_no_anticone_at_genesis() {
    asked(|stage, peer| {
        stage.says(peer, Kind::RequestPruningPointSmtState, &OneHash(last()).encode());
        stage.hears_one(peer, Kind::UnexpectedPruningPoint);
        stage.says(peer, Kind::RequestPruningPointSmtState, &OneHash(genesis()).encode());
        stage.is_rejected(peer, "cannot export SMT metadata: pruning point is genesis");
    });
    asked(|stage, peer| {
        stage.asks(peer, Kind::RequestPruningPointAndItsAnticone, &[], 8);
        let heard = stage.hears(peer);
        assert_eq!((heard[0].kind, heard[0].response_id), (Kind::PruningPoints, 8));
        assert_eq!(headers_in(&heard[0]), [genesis()]);
        stage.has_not_heard(peer, &heard);
        stage.is_rejected(peer, "local pruning point is genesis: there is no anticone to send");
    });
}

#[test]
fn words_for_more_of_a_stream_that_there_is_not_are_refused() {
    let words = [
        (Kind::RequestNextPruningPointUtxoSetChunk, "RequestPruningPointUtxoSet"),
        (Kind::RequestNextPruningPointSmtChunk, "RequestPruningPointSmtState"),
        (Kind::RequestNextPruningPointAndItsAnticoneBlocks, "RequestPruningPointAndItsAnticone"),
    ];
    for (kind, expected) in words {
        asked(|stage, peer| {
            stage.says(peer, kind, &[]);
            let text = format!("expected message type/s Payload::{expected} but got Some({})", kind.name());
            stage.is_rejected(peer, &text);
        });
    }
}

#[test]
fn the_proof_is_genesis_on_every_level_in_the_form_of_the_version() {
    let header = header_bytes(make::genesis());
    asked(|stage, peer| {
        stage.asks(peer, Kind::RequestPruningPointProof, &[], 2);
        let heard = stage.hears(peer);
        assert_eq!(heard.len(), 252);
        for (chunk, level) in heard.iter().zip((0..=250).rev()) {
            assert_eq!((chunk.kind, chunk.response_id), (Kind::PruningPointProofChunk, 2));
            let chunk = ProofChunk::decode(&chunk.body).expect("a chunk");
            assert_eq!((chunk.level, chunk.headers.iter().collect::<Vec<_>>()), (level, vec![header.clone()]));
        }
        assert_eq!((heard[251].kind, heard[251].response_id), (Kind::PruningPointProofChunksEnd, 2));
    });
    story(|stage| {
        let version = Version { protocol_version: 10, ..stage.new_version() };
        let peer = stage.guest_as(PEER, &version);
        stage.asks(peer, Kind::RequestPruningPointProof, &[], 2);
        let proof = stage.hears_one(peer, Kind::PruningPointProof);
        assert_eq!(proof.response_id, 2);
        let levels = Items::decode(&proof.body, 251).expect("levels");
        assert_eq!(levels.len(), 251);
        assert!(
            levels.iter().all(|level| Items::decode(&level, 1).is_ok_and(|level| level.iter().eq([header.clone()])))
        );
    });
}

/// Long answers go with gzip to whoever takes it, unless the operator does not want it; short ones never do.
#[test]
fn long_answers_are_compressed_for_those_who_take_it() {
    for (takes, wants) in [(true, true), (true, false), (false, true)] {
        let setting = holding(make::dag().len());
        let config = Config { compress: wants, ..setting.config };
        story_of(&Setting { config, ..setting }, |stage| {
            stage.takes_compressed = takes;
            let peer = stage.guest(PEER);
            stage.asks(peer, Kind::RequestHeaders, &between(genesis(), last()), 6);
            stage.asks(peer, Kind::RequestRelayBlocks, &make::hashes([last()]), 7);
            let flags: Vec<u8> = stage.sent[&peer].iter().map(|frame| frame[0]).collect();
            assert_eq!(flags, [u8::from(takes && wants), 0]);
            let heard = stage.hears(peer);
            assert_eq!((heard[0].response_id, headers_in(&heard[0]).len()), (6, 1_080));
            assert_eq!(&heard[1].body, block(make::dag().len() - 1));
        });
    }
}

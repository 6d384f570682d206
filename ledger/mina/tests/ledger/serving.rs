//! What is served to peers, byte for byte as the methods have it.

use crate::made::{CONSTANTS, Draft, Made};
use crate::world::World;
use bytes::Bytes;
use polypeer_ledger_mina::{Config, Identity};
use polypeer_mina::binprot::{Fp, Reader as Input};
use polypeer_mina::hash::state_hash_above;
use polypeer_mina::ledger::{Answer, Hash, Request};

const K: usize = CONSTANTS.k as usize;

/// A list of hashes, taken apart by hand.
fn hashes(input: &mut Input<'_>) -> Vec<Fp> {
    let count = input.nat0().unwrap();
    (0..count).map(|_| Fp(*input.array().unwrap())).collect()
}

/// A block, body hashes, a block: what `get_best_tip` and `get_ancestry` have behind the option byte.
fn check_proven(served: &Bytes, tip: &Made, root: &Made) {
    let rest = served.strip_prefix(&tip.bytes[..]).unwrap();
    let mut input = Input::new(rest);
    let bodies = hashes(&mut input);
    assert_eq!(input.rest(), &root.bytes[..]);
    let folded = bodies.iter().fold(Fp(root.hash.0), |hash, body| state_hash_above(&hash, body));
    assert_eq!(folded.0, tip.hash.0, "the path leads from the root to the tip");
    assert_eq!(bodies.len() as u32, tip.length() - root.length());
}

#[test]
fn the_best_tip_comes_with_its_path_from_the_root() {
    let mut world = World::new();
    let all = [vec![world.first()], world.first().line(12, 1)].concat();
    check_proven(&world.served(Request::BestTip).unwrap(), &all[0], &all[0]);
    for place in 1..all.len() {
        world.take_all(&all[place..=place]);
        let served = world.served(Request::BestTip).unwrap();
        check_proven(&served, &all[place], &all[place.saturating_sub(K)]);
        assert_eq!(world.served(Request::BestTip).unwrap().as_ptr(), served.as_ptr(), "it is encoded once");
    }
}

#[test]
fn ancestry_chains_proofs_and_knowledge_are_of_what_is_kept() {
    let mut world = World::new();
    let all = [vec![world.first()], world.first().line(10, 1)].concat();
    world.take_all(&all[1..]);
    let side = all[9].next(&Draft { slot: 40, drawn: 9, ..Draft::default() });
    world.judge(&side);
    let root = &all[10 - K];
    let ancestry = |hash| Request::Ancestry { consensus_state: Bytes::new(), hash };
    for block in [root, &all[7], &all[10], &side] {
        check_proven(&world.served(ancestry(block.hash)).unwrap(), block, root);
        let proof = world.served(Request::ChainProof { hash: block.hash }).unwrap();
        let mut input = Input::new(&proof);
        let from = Fp(*input.array().unwrap());
        let bodies = hashes(&mut input);
        assert_eq!((from.0, input.rest()), (root.hash.0, &[][..]));
        let folded = bodies.iter().fold(from, |hash, body| state_hash_above(&hash, body));
        assert_eq!(folded.0, block.hash.0);
    }
    for unknown in [Hash([5; 32]), all[0].hash] {
        assert_eq!(world.served(ancestry(unknown)), None);
        assert_eq!(world.served(Request::ChainProof { hash: unknown }), None);
        assert_eq!(world.served(Request::TransitionChain { hashes: vec![root.hash, unknown] }), None);
    }
    let wanted = [&all[8], &side, root];
    let chain = world.served(Request::TransitionChain { hashes: wanted.map(|block| block.hash).to_vec() }).unwrap();
    assert_eq!(chain, [&[3], &wanted[0].bytes[..], &wanted[1].bytes[..], &wanted[2].bytes[..]].concat());
    assert_eq!(world.served(Request::TransitionChain { hashes: Vec::new() }), Some(Bytes::from_static(&[0])));
    let known = world.served(Request::Knowledge).unwrap();
    let mut input = Input::new(&known);
    let mut known: Vec<_> = hashes(&mut input).iter().map(|hash| hash.0).collect();
    let mut expected: Vec<_> = all[10 - K..].iter().chain([&side]).map(|block| block.hash.0).collect();
    known.sort_unstable();
    expected.sort_unstable();
    assert_eq!(known, expected);
}

#[test]
fn what_came_in_the_same_batch_is_not_served_before_it_is_durable() {
    let mut world = World::new();
    let block = world.first().line(1, 1).remove(0);
    let take = crate::world::asks(block.hash, &block.bytes);
    let (answers, _) = world.batch(vec![take, Request::TransitionChain { hashes: vec![block.hash] }]);
    assert_eq!(answers[1], Answer::Served(None));
    assert!(world.served(Request::TransitionChain { hashes: vec![block.hash] }).is_some());
}

#[test]
fn gossip_is_signed_with_the_nodes_key() {
    let bytes = Bytes::from_static(b"libp2p-pubsub:what is signed");
    assert_eq!(World::new().ask(Request::Sign { bytes: bytes.clone() }), Answer::Signed(None));
    // The seed of 32 times 1 has a known key (Mina spec, section 1.6).
    let identity = Identity::of_seed(&[1; 32]);
    assert_eq!(identity.peer_id().to_string(), "12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5");
    let config = Config::in_memory(crate::made::rules());
    let mut world = World::open(Config { identity: Some(identity.clone()), ..config });
    let Answer::Signed(Some(signature)) = world.ask(Request::Sign { bytes: bytes.clone() }) else { panic!("signed") };
    let key = ed25519_dalek::VerifyingKey::from_bytes(identity.peer_id().key()).unwrap();
    let signature = ed25519_dalek::Signature::from_slice(&signature).unwrap();
    assert!(key.verify_strict(&bytes, &signature).is_ok());
}

#[test]
fn a_question_that_is_not_answered_is_one_of_time() {
    let mut world = World::new();
    assert_eq!(world.batch(vec![Request::CatchingUp(true), Request::CatchingUp(false)]), (vec![], vec![]));
}

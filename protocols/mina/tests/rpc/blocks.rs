//! Answers with blocks in them, and proofs of best tips (Mina spec, section 5.5, step 2).

use crate::chain::{UNIX_MS, best_tip, chain, now, real, rules};
use bytes::Bytes;
use polypeer_mina::checks::Objection;
use polypeer_mina::hash::Hash;
use polypeer_mina::rpc::{ChainProof, HASHES_MAX, ProvenBlock, read_blocks};
use polypeer_mina::sync::{Unproven, prove};

fn list(blocks: &[Bytes]) -> Bytes {
    [&[blocks.len() as u8][..], &blocks.concat()].concat().into()
}

#[test]
fn a_best_tip_is_read_as_it_was_written_and_its_blocks_share_the_bytes() {
    let tip = best_tip(&chain(1, 3));
    let bytes = tip.encode();
    let read = ProvenBlock::decode(&bytes).expect("a best tip");
    assert_eq!(read, tip);
    assert!(bytes.as_ptr_range().contains(&read.root.as_ptr()));
}

#[test]
fn a_tip_that_follows_from_its_root_is_proven_and_its_path_is_known() {
    for count in [0, 1, 7] {
        let chain = chain(1, count);
        let proven = prove(&best_tip(&chain).encode(), &rules(), UNIX_MS).expect("it follows");
        let path: Vec<Hash> = chain[1..].iter().map(|block| block.hash).collect();
        assert_eq!((proven.path, proven.hash), (path, chain.last().expect("a tip").hash));
        assert_eq!(proven.length, 357_934 + count);
    }
}

#[test]
fn a_tip_that_does_not_follow_is_not_believed() {
    let chain = chain(1, 4);
    let good = best_tip(&chain);
    let mut swapped = good.clone();
    swapped.bodies.swap(0, 3);
    let mut altered = good.clone();
    altered.bodies[2].0[5] ^= 1;
    let mut shorter = good.clone();
    shorter.bodies.pop();
    let mut longer = good.clone();
    longer.bodies.push(good.bodies[0]);
    let other_root = ProvenBlock { root: crate::chain::chain(2, 0)[0].bytes.clone(), ..good.clone() };
    let other_tip = ProvenBlock { block: chain[3].bytes.clone(), ..good.clone() };
    let long = ProvenBlock { bodies: vec![good.bodies[0]; 291], ..good.clone() };
    for (name, wrong) in [
        ("swapped", swapped),
        ("altered", altered),
        ("shorter", shorter),
        ("longer", longer),
        ("other root", other_root),
        ("other tip", other_tip),
        ("longer than blocks take to be final", long),
    ] {
        assert_eq!(prove(&wrong.encode(), &rules(), UNIX_MS), Err(Unproven::Broken), "{name}");
    }
    let no_element = ProvenBlock { bodies: vec![Hash([0xff; 32])], ..good.clone() };
    assert!(matches!(prove(&no_element.encode(), &rules(), UNIX_MS), Err(Unproven::Malformed(_))));
}

#[test]
fn a_tip_of_another_network_or_of_the_future_is_not_believed() {
    let answer = best_tip(&chain(1, 1)).encode();
    let mut other = rules();
    other.genesis = Hash([3; 32]);
    assert_eq!(prove(&answer, &other, UNIX_MS), Err(Unproven::Rule(Objection::Genesis)));
    assert_eq!(prove(&answer, &rules(), UNIX_MS - 10 * 86_400_000), Err(Unproven::NotYet));
    assert_eq!(now().unix_ms, UNIX_MS);
}

#[test]
fn lists_of_blocks_have_a_limit_and_no_byte_too_many() {
    let block = Bytes::from(real());
    assert_eq!(read_blocks(&list(&[])).map(|blocks| blocks.len()), Ok(0));
    let twenty = list(&vec![block.clone(); HASHES_MAX]);
    assert_eq!(read_blocks(&twenty).map(|blocks| blocks.len()), Ok(HASHES_MAX));
    assert!(read_blocks(&list(&vec![block.clone(); HASHES_MAX + 1])).is_err());
    assert!(read_blocks(&[&twenty[..], &[0]].concat().into()).is_err());
    assert!(read_blocks(&twenty.slice(..twenty.len() - 1)).is_err());
    assert!(read_blocks(&Bytes::from_static(&[0xfc, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff])).is_err());
}

#[test]
fn a_chain_proof_is_read_as_it_was_written() {
    let chain = chain(1, 3);
    let bodies = chain[1..].iter().map(|block| block.body_hash).collect();
    let proof = ChainProof { ancestor: chain[0].hash, bodies };
    assert_eq!(ChainProof::decode(&proof.encode()), Ok(proof));
}

//! Checks the trie beside one that is made from scratch each time.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

const SHA: HashType = HashType::Sha256;

type Leaves = BTreeMap<Vec<u8>, [u8; 32]>;

/// The root as the spec says it, from scratch and without a thought of speed: nibbles are bytes here.
fn naive_root(leaves: &Leaves) -> Hash {
    let paths: Vec<(Vec<u8>, [u8; 32])> = leaves
        .iter()
        .map(|(key, hash)| (key.iter().flat_map(|byte| [byte >> 4, byte & 15]).collect(), *hash))
        .collect();
    naive_node(&[], &paths)
}

fn naive_node(prefix: &[u8], paths: &[(Vec<u8>, [u8; 32])]) -> Hash {
    let mut bytes = Vec::new();
    for branch in 0..=16 {
        let below: Vec<_> = paths
            .iter()
            .filter(|(path, _)| path.get(prefix.len()).map_or(branch == 16, |nibble| *nibble == branch))
            .cloned()
            .collect();
        let mut child = Vec::new();
        match &below[..] {
            [] => {}
            [(path, hash)] => naive_child(&mut child, path, hash, 2),
            many => {
                let length =
                    (0..).find(|length| many.iter().any(|(path, _)| path.get(*length) != many[0].0.get(*length)));
                let path = &many[0].0[..length.unwrap()];
                naive_child(&mut child, path, &naive_node(path, many).0, 1);
            }
        }
        bytes.push(0x0a);
        naive_varint(&mut bytes, child.len());
        bytes.extend(child);
    }
    SHA.hash(&bytes)
}

fn naive_child(out: &mut Vec<u8>, path: &[u8], hash: &[u8; 32], kind: u8) {
    let mut location = vec![(path.len() % 2) as u8];
    location.extend(path.chunks(2).map(|pair| pair[0] << 4 | pair.get(1).unwrap_or(&0)));
    out.push(0x0a);
    naive_varint(out, location.len());
    out.extend(location);
    out.extend([0x12, 32]);
    out.extend(hash);
    out.extend([0x18, kind]);
}

fn naive_varint(out: &mut Vec<u8>, mut value: usize) {
    while value >= 128 {
        out.push((value % 128) as u8 + 128);
        value /= 128;
    }
    out.push(value as u8);
}

fn put(trie: &mut Scratch, changes: &Leaves) -> Hash {
    let changes: Vec<Change<'_>> = changes.iter().map(|(key, value)| Change { key, value: Hash(*value) }).collect();
    update(trie, SHA, &changes).unwrap()
}

#[test]
fn a_trie_without_leaves_has_the_networks_root() {
    let hex = "ad67d57ae19de8068dbcd47282146bd553fe9f684c57c8c114453863ee41abc3";
    assert_eq!(empty_root(SHA).to_string(), hex);
    assert_eq!(put(&mut Scratch::default(), &Leaves::new()).to_string(), hex);
    assert_eq!(naive_root(&Leaves::new()).to_string(), hex);
}

#[test]
fn a_thousand_keys_each_the_next_ones_beginning_fit_a_threads_stack() {
    // A transaction of a mebibyte has room for so many, and a thread that is not told otherwise has two of stack.
    let leaves: Leaves = (1..=1_024).map(|length| (vec![b'a'; length], [1; 32])).collect();
    let deep = std::thread::Builder::new().stack_size(1 << 20).spawn(move || put(&mut Scratch::default(), &leaves));
    assert_ne!(deep.unwrap().join().unwrap(), Hash([0; 32]));
}

#[test]
fn a_node_that_is_not_one_is_an_error() {
    let mut trie = Scratch::default();
    let leaves: Leaves = [(vec![0x12, 0x34], [1; 32]), (vec![0x12, 0x35], [2; 32])].into();
    put(&mut trie, &leaves);
    let root = trie.0[ROOT].clone();
    for length in 0..root.len() {
        assert!(Node::decode(&root[..length]).is_err(), "{length}");
    }
    trie.0.remove(&vec![1, 0x12, 0x30]).unwrap();
    let change = Change { key: &[0x12, 0x36], value: Hash([3; 32]) };
    assert!(update(&mut trie, SHA, &[change]).is_err());
}

fn keys(length: impl Into<proptest::collection::SizeRange>) -> impl Strategy<Value = Vec<u8>> {
    // Few different bytes, so that beginnings are shared at every nibble.
    proptest::collection::vec(prop::sample::select(&[0x00_u8, 0x01, 0x10, 0x11, 0xf1][..]), length)
}

fn batches(key: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<Leaves>> {
    let leaves = proptest::collection::btree_map(key, any::<[u8; 32]>(), 0..12);
    proptest::collection::vec(leaves, 0..8)
}

proptest! {
    #[test]
    fn changes_in_any_batches_give_the_root_of_a_trie_made_anew(batches in batches(keys(3))) {
        check(&batches)?;
    }

    #[test]
    fn so_do_keys_that_begin_with_other_keys(batches in batches(keys(1..6))) {
        check(&batches)?;
    }
}

fn check(batches: &[Leaves]) -> Result<(), TestCaseError> {
    let (mut trie, mut all) = (Scratch::default(), Leaves::new());
    for batch in batches {
        all.extend(batch.clone());
        prop_assert_eq!(put(&mut trie, batch), naive_root(&all));
    }
    for node in trie.0.values() {
        prop_assert_eq!(&Node::decode(node).unwrap().encode(), node);
    }
    Ok(())
}

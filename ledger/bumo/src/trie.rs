//! Hashes accounts and metadata into 16-way Patricia tries (BUMO spec, section 9.4).
//!
//! A node is kept as its canonical bytes under its location, so that what is hashed is what is stored. Only nodes above
//! a change are read, and each of them is hashed once, however many changes are below it.

use crate::tables::{Result, torn};
use bytes::{BufMut, Bytes, BytesMut};
use polypeer_bumo::hash::{Hash, HashType};

/// Branches of a node: one for each next nibble, and its own leaf.
const BRANCHES: usize = 17;
/// The branch of a node's own leaf.
const OWN: usize = 16;
/// Where the root stands.
const ROOT: &[u8] = &[0];

const INNER: u8 = 1;
const LEAF: u8 = 2;

/// Where a trie's nodes are kept.
pub(crate) trait Nodes {
    /// The node at a location.
    fn node(&self, location: &[u8]) -> Result<Option<Bytes>>;

    /// Keeps a node.
    fn put(&mut self, location: Vec<u8>, node: Bytes);
}

/// What becomes of one key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change<'c> {
    pub(crate) key: &'c [u8],
    /// The hash of its value.
    pub(crate) value: Hash,
}

/// The root of a trie without leaves.
pub(crate) fn empty_root(hash_type: HashType) -> Hash {
    hash_type.hash(&Node::default().encode())
}

/// Puts values under their keys, and says what the root is then. The keys ascend, each there once.
pub(crate) fn update(nodes: &mut impl Nodes, hash_type: HashType, changes: &[Change<'_>]) -> Result<Hash> {
    debug_assert!(changes.is_sorted_by(|one, other| one.key < other.key), "keys ascend");
    let root = nodes.node(ROOT)?;
    if changes.is_empty() {
        return Ok(root.map_or_else(|| empty_root(hash_type), |root| hash_type.hash(&root)));
    }
    let root = root.map_or_else(|| Ok(Node::default()), |root| Node::decode(&root))?;
    Ok(Trie { nodes, hash_type }.fill(root, ROOT.to_vec(), 0, changes)?.hash)
}

struct Trie<'n, N> {
    nodes: &'n mut N,
    hash_type: HashType,
}

impl<N: Nodes> Trie<'_, N> {
    /// What stands for a branch after the changes below it, of which there is at least one.
    fn join(&mut self, branch: Option<Child>, changes: &[Change<'_>]) -> Result<Child> {
        let (Some(first), Some(last)) = (changes.first(), changes.last()) else { return Err(torn("a change")) };
        match branch {
            None if changes.len() == 1 => Ok(Child::leaf(first)),
            None => {
                let depth = common(first.key, last.key);
                self.fill(Node::default(), location(first.key, depth), depth, changes)
            }
            Some(leaf) if leaf.is_leaf() => {
                if changes.len() == 1 && leaf.key() == first.key {
                    return Ok(Child::leaf(first));
                }
                self.join(None, &with(changes, Change { key: leaf.key(), value: leaf.hash }))
            }
            Some(inner) => {
                let depth = inner.depth();
                let shared = common(inner.key(), first.key).min(common(inner.key(), last.key));
                if shared >= depth {
                    let node = self.nodes.node(&inner.location)?.ok_or_else(|| torn("a node"))?;
                    return self.fill(Node::decode(&node)?, inner.location, depth, changes);
                }
                let mut above = Node::default();
                let location = location(first.key, shared);
                let slot = nibble(inner.key(), shared);
                above.put(slot, inner);
                self.fill(above, location, shared, changes)
            }
        }
    }

    /// Makes changes below a node, keeps it, and says what stands for it.
    fn fill(&mut self, mut node: Node, location: Vec<u8>, depth: usize, changes: &[Change<'_>]) -> Result<Child> {
        for group in changes.chunk_by(|one, other| slot(one.key, depth) == slot(other.key, depth)) {
            let slot = slot(group[0].key, depth);
            let child = self.join(node.take(slot), group)?;
            node.put(slot, child);
        }
        let bytes = node.encode();
        let hash = self.hash_type.hash(&bytes);
        self.nodes.put(location.clone(), bytes);
        Ok(Child { location, hash, kind: INNER })
    }
}

/// The changes and one more, unless its key is among them.
fn with<'c>(changes: &[Change<'c>], one: Change<'c>) -> Vec<Change<'c>> {
    let mut all = Vec::with_capacity(changes.len() + 1);
    all.extend_from_slice(changes);
    if let Err(place) = all.binary_search_by(|change| change.key.cmp(one.key)) {
        all.insert(place, one);
    }
    all
}

fn nibble(key: &[u8], at: usize) -> usize {
    let byte = key.get(at / 2).copied().unwrap_or_default();
    usize::from(if at.is_multiple_of(2) { byte >> 4 } else { byte & 15 })
}

/// The branch of a node at this depth in which a key is.
fn slot(key: &[u8], depth: usize) -> usize {
    if depth >= 2 * key.len() { OWN } else { nibble(key, depth) }
}

/// How many nibbles two keys begin with alike.
fn common(one: &[u8], other: &[u8]) -> usize {
    let bytes = one.iter().zip(other).take_while(|(one, other)| one == other).count();
    let halves = one.get(bytes).zip(other.get(bytes)).is_some_and(|(one, other)| one >> 4 == other >> 4);
    2 * bytes + usize::from(halves)
}

/// Whether the count of nibbles is odd, then the nibbles, packed.
fn location(key: &[u8], depth: usize) -> Vec<u8> {
    let mut location = Vec::with_capacity(2 + depth / 2);
    location.push((depth % 2) as u8);
    location.extend_from_slice(key.get(..depth / 2).unwrap_or(key));
    if !depth.is_multiple_of(2) {
        location.push((nibble(key, depth - 1) as u8) << 4);
    }
    location
}

/// What a node knows of a node or leaf below it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Child {
    location: Vec<u8>,
    hash: Hash,
    kind: u8,
}

impl Child {
    fn leaf(change: &Change<'_>) -> Self {
        Self { location: location(change.key, 2 * change.key.len()), hash: change.value, kind: LEAF }
    }

    fn is_leaf(&self) -> bool {
        self.kind == LEAF
    }

    /// A leaf's key; of a node its nibbles, the last byte half used when they are odd.
    fn key(&self) -> &[u8] {
        self.location.get(1..).unwrap_or_default()
    }

    /// How many nibbles a node's location has.
    fn depth(&self) -> usize {
        let odd = usize::from(self.location.first().copied().unwrap_or_default());
        (2 * self.key().len()).saturating_sub(odd)
    }

    fn encoded_len(&self) -> usize {
        1 + varint_len(self.location.len()) + self.location.len() + 2 + 32 + 2
    }

    fn encode(&self, out: &mut BytesMut) {
        out.put_u8(0x0a);
        put_varint(out, self.location.len());
        out.put_slice(&self.location);
        out.put_slice(&[0x12, 32]);
        out.put_slice(&self.hash.0);
        out.put_slice(&[0x18, self.kind]);
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(&[0x0a])?;
        let (length, rest) = take_varint(rest)?;
        let (location, rest) = rest.split_at_checked(length)?;
        let (hash, rest) = rest.strip_prefix(&[0x12, 32])?.split_first_chunk()?;
        let [0x18, kind @ (INNER | LEAF)] = *rest else { return None };
        location.first().filter(|odd| **odd <= 1)?;
        Some(Self { location: location.to_vec(), hash: Hash(*hash), kind })
    }
}

/// A node of the trie. On the heap, as a trie can be a thousand nodes deep.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Node(Box<[Option<Child>; BRANCHES]>);

impl Node {
    fn take(&mut self, slot: usize) -> Option<Child> {
        self.0.get_mut(slot).and_then(Option::take)
    }

    fn put(&mut self, slot: usize, child: Child) {
        if let Some(place) = self.0.get_mut(slot) {
            *place = Some(child);
        }
    }

    fn encode(&self) -> Bytes {
        let length = self.0.iter().map(|child| child.as_ref().map_or(2, |child| 4 + child.encoded_len())).sum();
        let mut out = BytesMut::with_capacity(length);
        for child in &*self.0 {
            out.put_u8(0x0a);
            put_varint(&mut out, child.as_ref().map_or(0, Child::encoded_len));
            if let Some(child) = child {
                child.encode(&mut out);
            }
        }
        out.freeze()
    }

    fn decode(bytes: &[u8]) -> Result<Self> {
        Self::read(bytes).ok_or_else(|| torn("a node"))
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (mut node, mut rest) = (Self::default(), bytes);
        for place in &mut *node.0 {
            let (length, after) = take_varint(rest.strip_prefix(&[0x0a])?)?;
            let (child, after) = after.split_at_checked(length)?;
            if !child.is_empty() {
                *place = Some(Child::decode(child)?);
            }
            rest = after;
        }
        rest.is_empty().then_some(node)
    }
}

fn varint_len(value: usize) -> usize {
    if value < 1 << 7 { 1 } else { 2 }
}

/// Of a length below 2^14: a location has at most 1,025 bytes.
fn put_varint(out: &mut BytesMut, value: usize) {
    if value < 1 << 7 {
        out.put_u8(value as u8);
    } else {
        out.put_slice(&[(value & 127) as u8 | 128, (value >> 7) as u8]);
    }
}

fn take_varint(bytes: &[u8]) -> Option<(usize, &[u8])> {
    match *bytes {
        [low @ 0..=127, ref rest @ ..] => Some((usize::from(low), rest)),
        [low, high @ 0..=127, ref rest @ ..] => Some((usize::from(low & 127) | usize::from(high) << 7, rest)),
        _ => None,
    }
}

/// Nodes in memory: a trie that is made once and of which only the root is wanted.
#[derive(Debug, Default)]
pub(crate) struct Scratch(std::collections::BTreeMap<Vec<u8>, Bytes>);

impl Scratch {
    pub(crate) fn into_nodes(self) -> impl Iterator<Item = (Vec<u8>, Bytes)> {
        self.0.into_iter()
    }
}

impl Nodes for Scratch {
    fn node(&self, location: &[u8]) -> Result<Option<Bytes>> {
        Ok(self.0.get(location).cloned())
    }

    fn put(&mut self, location: Vec<u8>, node: Bytes) {
        self.0.insert(location, node);
    }
}

#[cfg(test)]
mod tests;

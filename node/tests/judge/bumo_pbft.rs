//! Messages of section 7, by hand.

use super::bumo::{Draft, Fields, Key, sha256, verifies};

/// Types (section 3.4).
pub(crate) const PRE_PREPARE: i64 = 0;
pub(crate) const PREPARE: i64 = 1;
pub(crate) const COMMIT: i64 = 2;
pub(crate) const VIEW_CHANGE: i64 = 3;
pub(crate) const NEW_VIEW: i64 = 4;
pub(crate) const RAW_VIEW_CHANGE: i64 = 5;

/// A prepared proposal and the prepares for it, as envelopes.
pub(crate) type Set = (Vec<u8>, Vec<Vec<u8>>);

/// A `Pbft` around a body, signed by `key`.
pub(crate) fn signed(key: &Key, round: i64, kind: i64, body: &[u8]) -> Vec<u8> {
    let field = [3, 4, 5, 6, 7, 8][usize::try_from(kind).expect("a type")];
    let pbft = Draft::new().number(1, round).number(2, kind).part(field, body).done();
    Draft::new().part(1, &pbft).part(2, &key.signature(&pbft)).done()
}

pub(crate) fn pre_prepare(key: &Key, round: i64, view: i64, sequence: i64, replica: i64, value: &[u8]) -> Vec<u8> {
    let body = Draft::new().number(1, view).number(2, sequence).number(3, replica).bytes(4, value);
    signed(key, round, PRE_PREPARE, &body.bytes(5, &sha256(value)).done())
}

pub(crate) fn vote(key: &Key, kind: i64, view: i64, sequence: i64, replica: i64, digest: &[u8]) -> Vec<u8> {
    let body = Draft::new().number(1, view).number(2, sequence).number(3, replica).bytes(4, digest).done();
    signed(key, 1, kind, &body)
}

/// The inner and the outer part of a view change.
pub(crate) fn view_change(key: &Key, view: i64, last: i64, replica: i64, set: Option<&Set>) -> (Vec<u8>, Vec<u8>) {
    let digest = set.map(|(proposal, _)| Pbft::read(proposal).digest).unwrap_or_default();
    let body = Draft::new().number(1, view).number(2, last).bytes(3, &digest).number(4, replica).done();
    let inner = signed(key, 0, VIEW_CHANGE, &body);
    let mut outer = Draft::new().part(1, &inner);
    if let Some((proposal, prepares)) = set {
        let prepared = Draft::new().part(1, proposal);
        outer = outer.part(2, &prepares.iter().fold(prepared, |draft, prepare| draft.part(2, prepare)).done());
    }
    let outer = signed(key, 0, RAW_VIEW_CHANGE, &outer.done());
    (inner, outer)
}

pub(crate) fn new_view(
    key: &Key,
    view: i64,
    sequence: i64,
    replica: i64,
    changes: &[Vec<u8>],
    kept: Option<&[u8]>,
) -> Vec<u8> {
    let body = Draft::new().number(1, view).number(2, sequence).number(3, replica);
    let body = changes.iter().fold(body, |draft, change| draft.part(4, change));
    let body = kept.iter().fold(body, |draft, kept| draft.part(5, kept));
    signed(key, 0, NEW_VIEW, &body.done())
}

/// A `PbftEnv` that was read and checked as section 7.3 says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pbft {
    pub(crate) round: i64,
    pub(crate) kind: i64,
    pub(crate) view: i64,
    pub(crate) sequence: i64,
    pub(crate) replica: i64,
    pub(crate) value: Vec<u8>,
    pub(crate) digest: Vec<u8>,
    /// Of a view change of type 5.
    pub(crate) inner: Vec<u8>,
    pub(crate) set: Option<Set>,
    /// Of a new view.
    pub(crate) changes: Vec<Vec<u8>>,
    pub(crate) kept: Option<Vec<u8>>,
}

impl Pbft {
    /// Reads it; whoever is not the validator that it names is a fault of the node under judgment.
    pub(crate) fn read(envelope: &[u8]) -> Self {
        let envelope = Fields::read(envelope);
        let (signed, signature) = (envelope.bytes(1), Fields::read(envelope.bytes(2)));
        assert!(verifies(&signature, signed), "each signature is over the canonical bytes");
        let pbft = Fields::read(signed);
        let kind = pbft.number(2);
        let body = Fields::read(pbft.bytes([3, 4, 5, 6, 7, 8][usize::try_from(kind).expect("a type")]));
        let common = Self {
            round: pbft.number(1),
            kind,
            view: body.number(1),
            sequence: body.number(2),
            replica: body.number(3),
            ..Self::default()
        };
        let read = match kind {
            PRE_PREPARE => Self { value: body.bytes(4).to_vec(), digest: body.bytes(5).to_vec(), ..common },
            PREPARE | COMMIT => Self { digest: body.bytes(4).to_vec(), ..common },
            VIEW_CHANGE => Self { digest: body.bytes(3).to_vec(), replica: body.number(4), ..common },
            NEW_VIEW => {
                let changes = body.all(4).map(<[u8]>::to_vec).collect();
                Self { changes, kept: body.has(5).then(|| body.bytes(5).to_vec()), ..common }
            }
            _ => {
                let inner = Self::read(body.bytes(1));
                assert_eq!(inner.kind, VIEW_CHANGE);
                let set = body.has(2).then(|| {
                    let set = Fields::read(body.bytes(2));
                    (set.bytes(1).to_vec(), set.all(2).map(<[u8]>::to_vec).collect())
                });
                Self { inner: body.bytes(1).to_vec(), set, round: common.round, kind, ..inner }
            }
        };
        let public = Key::validator(usize::try_from(read.replica).expect("a replica")).public;
        assert_eq!(signature.text(1), public, "the replica id is the signer's");
        read
    }
}

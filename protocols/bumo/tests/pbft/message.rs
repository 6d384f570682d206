//! Writes and reads PBFT messages by the field numbers of the spec (sections 3.4 and 7.2), with none of the node's code.

use crate::keys;
use bytes::Bytes;
use sha2::{Digest as _, Sha256};

pub(crate) const PRE_PREPARE: u64 = 0;
pub(crate) const PREPARE: u64 = 1;
pub(crate) const COMMIT: u64 = 2;
pub(crate) const VIEW_CHANGE: u64 = 3;
pub(crate) const NEW_VIEW: u64 = 4;
pub(crate) const RAW_VIEW_CHANGE: u64 = 5;

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A number, unless it is 0.
pub(crate) fn number(out: &mut Vec<u8>, field: u64, value: u64) {
    if value != 0 {
        varint(out, field << 3);
        varint(out, value);
    }
}

/// Bytes or a message that is there, empty or not.
pub(crate) fn part(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    varint(out, field << 3 | 2);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Bytes, unless they are none.
fn bytes(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    if !bytes.is_empty() {
        part(out, field, bytes);
    }
}

/// SHA-256.
pub(crate) fn digest(value: &[u8]) -> Vec<u8> {
    Sha256::digest(value).to_vec()
}

/// A `PbftEnv` of these signed bytes.
pub(crate) fn seal(signer: usize, pbft: &[u8]) -> Bytes {
    seal_as(signer, pbft, &keys::sign(signer, pbft))
}

/// With this signature.
pub(crate) fn seal_as(signer: usize, pbft: &[u8], sign_data: &[u8]) -> Bytes {
    let mut signature = Vec::new();
    bytes(&mut signature, 1, keys::key(signer).public.as_bytes());
    bytes(&mut signature, 2, sign_data);
    let mut envelope = Vec::new();
    part(&mut envelope, 1, pbft);
    part(&mut envelope, 2, &signature);
    envelope.into()
}

/// A `Pbft`: fields 3 to 8 belong to types 0 to 5.
pub(crate) fn pbft(round: u64, kind: u64, content: &[u8]) -> Vec<u8> {
    let mut pbft = Vec::new();
    number(&mut pbft, 1, round);
    number(&mut pbft, 2, kind);
    part(&mut pbft, kind + 3, content);
    pbft
}

/// Of a validator, a proposal.
pub(crate) fn pre_prepare(signer: usize, round: u64, view: u64, sequence: u64, value: &[u8]) -> Bytes {
    pre_prepare_as(signer, round, view, sequence, value, &digest(value))
}

/// A proposal that says its value has this digest.
pub(crate) fn pre_prepare_as(
    signer: usize,
    round: u64,
    view: u64,
    sequence: u64,
    value: &[u8],
    digest: &[u8],
) -> Bytes {
    let mut content = Vec::new();
    number(&mut content, 1, view);
    number(&mut content, 2, sequence);
    number(&mut content, 3, signer as u64);
    bytes(&mut content, 4, value);
    bytes(&mut content, 5, digest);
    seal(signer, &pbft(round, PRE_PREPARE, &content))
}

/// A prepare or commit.
pub(crate) fn vote(signer: usize, kind: u64, round: u64, view: u64, sequence: u64, digest: &[u8]) -> Bytes {
    let mut content = Vec::new();
    number(&mut content, 1, view);
    number(&mut content, 2, sequence);
    number(&mut content, 3, signer as u64);
    bytes(&mut content, 4, digest);
    seal(signer, &pbft(round, kind, &content))
}

/// The inner part of a view change.
pub(crate) fn view_change(signer: usize, target: u64, last: u64, prepared: &[u8]) -> Bytes {
    let mut content = Vec::new();
    number(&mut content, 1, target);
    number(&mut content, 2, last);
    bytes(&mut content, 3, prepared);
    number(&mut content, 4, signer as u64);
    seal(signer, &pbft(0, VIEW_CHANGE, &content))
}

/// A proposal's envelope and those of its prepares.
pub(crate) type Set = (Bytes, Vec<Bytes>);

/// A view change with what is prepared.
pub(crate) fn raw_view_change(signer: usize, round: u64, inner: &[u8], set: Option<&Set>) -> Bytes {
    let mut content = Vec::new();
    part(&mut content, 1, inner);
    if let Some((proposal, prepares)) = set {
        let mut prepared = Vec::new();
        part(&mut prepared, 1, proposal);
        prepares.iter().for_each(|prepare| part(&mut prepared, 2, prepare));
        part(&mut content, 2, &prepared);
    }
    seal(signer, &pbft(round, RAW_VIEW_CHANGE, &content))
}

/// A new view.
pub(crate) fn new_view(
    signer: usize,
    round: u64,
    target: u64,
    last: u64,
    changes: &[Bytes],
    kept: Option<&Bytes>,
) -> Bytes {
    let mut content = Vec::new();
    number(&mut content, 1, target);
    number(&mut content, 2, last);
    number(&mut content, 3, signer as u64);
    changes.iter().for_each(|change| part(&mut content, 4, change));
    if let Some(kept) = kept {
        part(&mut content, 5, kept);
    }
    seal(signer, &pbft(round, NEW_VIEW, &content))
}

/// What a message says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Read {
    pub(crate) kind: u64,
    pub(crate) round: u64,
    pub(crate) replica: usize,
    pub(crate) view: u64,
    pub(crate) sequence: u64,
    pub(crate) digest: Vec<u8>,
    pub(crate) value: Vec<u8>,
    /// A view change's inner envelope.
    pub(crate) inner: Bytes,
    /// What it reports.
    pub(crate) set: Option<Set>,
    /// A new view's list.
    pub(crate) changes: Vec<Bytes>,
    /// And its proposal.
    pub(crate) kept: Option<Bytes>,
    /// What was signed, by whom and how.
    pub(crate) signed: Vec<u8>,
    pub(crate) public: String,
    pub(crate) signature: Vec<u8>,
}

/// A message taken apart.
pub(crate) fn read(envelope: &[u8]) -> Read {
    let mut read = Read::default();
    for (field, value) in fields(envelope) {
        match (field, value) {
            (1, Value::Bytes(pbft)) => read.signed = pbft,
            (2, Value::Bytes(signature)) => {
                for (field, value) in fields(&signature) {
                    match (field, value) {
                        (1, Value::Bytes(public)) => read.public = String::from_utf8(public).expect("it is right"),
                        (2, Value::Bytes(signature)) => read.signature = signature,
                        other => panic!("unknown field {other:?}"),
                    }
                }
            }
            other => panic!("unknown field {other:?}"),
        }
    }
    let mut content = Vec::new();
    for (field, value) in fields(&read.signed) {
        match (field, value) {
            (1, Value::Number(round)) => read.round = round,
            (2, Value::Number(kind)) => read.kind = kind,
            (field @ 3..=8, Value::Bytes(bytes)) if field == read.kind + 3 => content = bytes,
            other => panic!("unknown field {other:?}"),
        }
    }
    read_content(&mut read, &content);
    read
}

fn read_content(read: &mut Read, content: &[u8]) {
    for (field, value) in fields(content) {
        match (read.kind, field, value) {
            (RAW_VIEW_CHANGE, 1, Value::Bytes(inner)) => {
                let change = self::read(&inner);
                (read.view, read.sequence) = (change.view, change.sequence);
                (read.replica, read.digest) = (change.replica, change.digest);
                read.inner = inner.into();
            }
            (RAW_VIEW_CHANGE, 2, Value::Bytes(set)) => {
                let mut parts = fields(&set).into_iter().map(|(_, value)| match value {
                    Value::Bytes(bytes) => Bytes::from(bytes),
                    Value::Number(_) => panic!("no envelope"),
                });
                read.set = Some((parts.next().expect("it is there"), parts.collect()));
            }
            (NEW_VIEW, 4, Value::Bytes(change)) => read.changes.push(change.into()),
            (NEW_VIEW, 5, Value::Bytes(kept)) => read.kept = Some(kept.into()),
            (VIEW_CHANGE, 3, Value::Bytes(digest)) => read.digest = digest,
            (VIEW_CHANGE, 4, Value::Number(replica)) => read.replica = replica as usize,
            (_, 1, Value::Number(view)) => read.view = view,
            (_, 2, Value::Number(sequence)) => read.sequence = sequence,
            (_, 3, Value::Number(replica)) => read.replica = replica as usize,
            (PRE_PREPARE, 4, Value::Bytes(value)) => read.value = value,
            (PRE_PREPARE, 5, Value::Bytes(digest)) | (PREPARE | COMMIT, 4, Value::Bytes(digest)) => {
                read.digest = digest
            }
            other => panic!("unknown field {other:?}"),
        }
    }
}

/// A field's value.
#[derive(Debug)]
pub(crate) enum Value {
    Number(u64),
    Bytes(Vec<u8>),
}

/// The fields of a message.
pub(crate) fn fields(mut message: &[u8]) -> Vec<(u64, Value)> {
    let mut fields = Vec::new();
    while !message.is_empty() {
        let key = take(&mut message);
        let value = take(&mut message);
        if key & 7 == 0 {
            fields.push((key >> 3, Value::Number(value)));
        } else {
            let (bytes, rest) = message.split_at(value as usize);
            fields.push((key >> 3, Value::Bytes(bytes.to_vec())));
            message = rest;
        }
    }
    fields
}

fn take(message: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let (byte, rest) = message.split_first().expect("a whole number");
        *message = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if *byte < 0x80 {
            break;
        }
    }
    value
}

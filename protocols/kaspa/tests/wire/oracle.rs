//! The same messages as a stock protobuf library knows them: what it writes we read, what it refuses we refuse.

use super::fixtures::all;
use super::reread::reread;
use bytes::Bytes;
use polypeer_kaspa::wire::{Addresses, Hashes, Kind, WireError};
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message;

#[derive(Clone, PartialEq, Message)]
struct HashMessage {
    #[prost(bytes = "vec", tag = "1")]
    bytes: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct NetAddressMessage {
    #[prost(int64, tag = "1")]
    timestamp: i64,
    #[prost(bytes = "vec", tag = "3")]
    ip: Vec<u8>,
    #[prost(uint32, tag = "4")]
    port: u32,
}

#[derive(Clone, PartialEq, Message)]
struct AddressesMessage {
    #[prost(message, repeated, tag = "1")]
    list: Vec<NetAddressMessage>,
}

#[derive(Clone, PartialEq, Message)]
struct VersionMessage {
    #[prost(uint32, tag = "1")]
    protocol_version: u32,
    #[prost(uint64, tag = "2")]
    services: u64,
    #[prost(int64, tag = "3")]
    timestamp: i64,
    #[prost(message, optional, tag = "4")]
    address: Option<NetAddressMessage>,
    #[prost(bytes = "vec", tag = "5")]
    id: Vec<u8>,
    #[prost(string, tag = "6")]
    user_agent: String,
    #[prost(bool, tag = "8")]
    disable_relay_tx: bool,
    #[prost(message, optional, tag = "9")]
    subnetwork_id: Option<HashMessage>,
    #[prost(string, tag = "10")]
    network: String,
}

#[derive(Clone, PartialEq, Message)]
struct HashesMessage {
    #[prost(message, repeated, tag = "1")]
    list: Vec<HashMessage>,
}

#[derive(Clone, PartialEq, Message)]
struct OutpointMessage {
    #[prost(message, optional, tag = "1")]
    transaction_id: Option<HashMessage>,
    #[prost(uint32, tag = "2")]
    index: u32,
}

#[derive(Clone, PartialEq, Message)]
struct InputMessage {
    #[prost(message, optional, tag = "1")]
    previous: Option<OutpointMessage>,
    #[prost(bytes = "vec", tag = "2")]
    signature_script: Vec<u8>,
    #[prost(uint64, tag = "3")]
    sequence: u64,
    #[prost(uint32, tag = "4")]
    compute_commit: u32,
}

#[derive(Clone, PartialEq, Message)]
struct ScriptMessage {
    #[prost(bytes = "vec", tag = "1")]
    script: Vec<u8>,
    #[prost(uint32, tag = "2")]
    version: u32,
}

#[derive(Clone, PartialEq, Message)]
struct CovenantMessage {
    #[prost(uint32, tag = "1")]
    authorizing_input: u32,
    #[prost(message, optional, tag = "2")]
    id: Option<HashMessage>,
}

#[derive(Clone, PartialEq, Message)]
struct OutputMessage {
    #[prost(uint64, tag = "1")]
    value: u64,
    #[prost(message, optional, tag = "2")]
    script: Option<ScriptMessage>,
    #[prost(message, optional, tag = "3")]
    covenant: Option<CovenantMessage>,
}

#[derive(Clone, PartialEq, Message)]
struct TransactionMessage {
    #[prost(uint32, tag = "1")]
    version: u32,
    #[prost(message, repeated, tag = "2")]
    inputs: Vec<InputMessage>,
    #[prost(message, repeated, tag = "3")]
    outputs: Vec<OutputMessage>,
    #[prost(uint64, tag = "4")]
    lock_time: u64,
    #[prost(message, optional, tag = "5")]
    subnetwork_id: Option<HashMessage>,
    #[prost(uint64, tag = "6")]
    gas: u64,
    #[prost(bytes = "vec", tag = "8")]
    payload: Vec<u8>,
    #[prost(uint64, tag = "9")]
    storage_mass: u64,
}

#[derive(Clone, PartialEq, Message)]
struct ParentsMessage {
    #[prost(message, repeated, tag = "1")]
    hashes: Vec<HashMessage>,
    #[prost(uint32, tag = "2")]
    cumulative_level: u32,
}

#[derive(Clone, PartialEq, Message)]
struct HeaderMessage {
    #[prost(uint32, tag = "1")]
    version: u32,
    #[prost(message, optional, tag = "3")]
    hash_merkle_root: Option<HashMessage>,
    #[prost(message, optional, tag = "4")]
    accepted_id_merkle_root: Option<HashMessage>,
    #[prost(message, optional, tag = "5")]
    utxo_commitment: Option<HashMessage>,
    #[prost(int64, tag = "6")]
    timestamp: i64,
    #[prost(uint32, tag = "7")]
    bits: u32,
    #[prost(uint64, tag = "8")]
    nonce: u64,
    #[prost(uint64, tag = "9")]
    daa_score: u64,
    #[prost(bytes = "vec", tag = "10")]
    blue_work: Vec<u8>,
    #[prost(message, repeated, tag = "12")]
    parents: Vec<ParentsMessage>,
    #[prost(uint64, tag = "13")]
    blue_score: u64,
    #[prost(message, optional, tag = "14")]
    pruning_point: Option<HashMessage>,
}

#[derive(Clone, PartialEq, Message)]
struct HeadersMessage {
    #[prost(message, repeated, tag = "1")]
    list: Vec<HeaderMessage>,
}

#[derive(Clone, PartialEq, Message)]
struct BlockMessage {
    #[prost(message, optional, tag = "1")]
    header: Option<HeaderMessage>,
    #[prost(message, repeated, tag = "2")]
    transactions: Vec<TransactionMessage>,
}

/// Whether a message that the library reads is one of section 2 too: required fields, lengths and ranges.
trait Judge {
    fn is_right(&self) -> bool;
}

fn is_hash(hash: &Option<HashMessage>) -> bool {
    hash.as_ref().is_some_and(|hash| hash.bytes.len() == 32)
}

fn fits(number: u32) -> bool {
    number <= u32::from(u16::MAX)
}

impl Judge for HashesMessage {
    fn is_right(&self) -> bool {
        self.list.iter().all(|hash| hash.bytes.len() == 32)
    }
}

impl Judge for NetAddressMessage {
    fn is_right(&self) -> bool {
        [4, 16].contains(&self.ip.len()) && fits(self.port)
    }
}

impl Judge for AddressesMessage {
    fn is_right(&self) -> bool {
        self.list.iter().all(Judge::is_right)
    }
}

impl Judge for VersionMessage {
    fn is_right(&self) -> bool {
        let subnetwork = self.subnetwork_id.as_ref().is_none_or(|id| id.bytes.len() == 20);
        self.id.len() == 16 && subnetwork && self.address.as_ref().is_none_or(Judge::is_right)
    }
}

impl Judge for TransactionMessage {
    fn is_right(&self) -> bool {
        let commit_max = if self.version == 0 { 255 } else { 65_535 };
        let is_input = |input: &InputMessage| {
            let previous = input.previous.as_ref().is_some_and(|outpoint| is_hash(&outpoint.transaction_id));
            previous && input.compute_commit <= commit_max
        };
        let is_output = |output: &OutputMessage| {
            let covenant = |covenant: &CovenantMessage| fits(covenant.authorizing_input) && is_hash(&covenant.id);
            output.script.as_ref().is_some_and(|script| fits(script.version))
                && output.covenant.as_ref().is_none_or(covenant)
        };
        fits(self.version)
            && self.inputs.iter().all(is_input)
            && self.outputs.iter().all(is_output)
            && self.subnetwork_id.as_ref().is_some_and(|id| id.bytes.len() == 20)
    }
}

impl Judge for HeaderMessage {
    fn is_right(&self) -> bool {
        let hashes =
            [&self.hash_merkle_root, &self.accepted_id_merkle_root, &self.utxo_commitment, &self.pruning_point];
        let levels: Vec<u32> = self.parents.iter().map(|run| run.cumulative_level).collect();
        fits(self.version)
            && hashes.into_iter().all(is_hash)
            && self.timestamp >= 0
            && self.blue_work.len() <= 24
            && levels.first().is_none_or(|first| *first > 0)
            && levels.iter().all(|level| *level <= 255)
            && levels.is_sorted_by(|one, next| one < next)
            && self.parents.windows(2).all(|pair| pair[0].hashes != pair[1].hashes)
            && self.parents.iter().flat_map(|run| &run.hashes).all(|hash| hash.bytes.len() == 32)
    }
}

impl Judge for HeadersMessage {
    fn is_right(&self) -> bool {
        self.list.iter().all(Judge::is_right)
    }
}

impl Judge for BlockMessage {
    fn is_right(&self) -> bool {
        self.header.as_ref().is_some_and(Judge::is_right) && self.transactions.iter().all(Judge::is_right)
    }
}

// What the library and the rules say of a body: the bytes that it writes, or nothing. Blue work is written without
// its leading zeros, and texts are cut, so that both are compared after another reading.
fn judge<M: Message + Judge + Default>(body: &[u8]) -> Option<Vec<u8>> {
    M::decode(body).ok().filter(Judge::is_right).map(|message| message.encode_to_vec())
}

fn judgement(kind: Kind, body: &[u8]) -> Option<Option<Vec<u8>>> {
    Some(match kind {
        Kind::Version => judge::<VersionMessage>(body),
        Kind::Addresses => judge::<AddressesMessage>(body),
        Kind::InvTransactions | Kind::RequestTransactions | Kind::BlockLocator => judge::<HashesMessage>(body),
        Kind::Transaction => judge::<TransactionMessage>(body),
        Kind::BlockHeaders | Kind::PruningPoints => judge::<HeadersMessage>(body),
        Kind::Block | Kind::IbdBlock => judge::<BlockMessage>(body),
        _ => return None,
    })
}

#[track_caller]
fn check(kind: Kind, body: Vec<u8>) {
    let expected = judgement(kind, &body).expect("one of ours");
    match (reread(kind, &body.into()), expected) {
        (Ok(ours), Some(theirs)) => assert_eq!(reread(kind, &theirs.into()), Ok(ours)),
        // Ours alone: a single message that comes twice, see there.
        (Err(WireError::Repeated), _) | (Err(_), None) => {}
        (ours, theirs) => panic!("{kind:?}: {ours:?}, {}", theirs.is_some()),
    }
}

#[test]
fn the_library_writes_the_fixtures_alike() {
    let mut compared = 0;
    for fixture in all() {
        let envelope = fixture.envelope();
        if let Some(theirs) = judgement(envelope.kind, &envelope.body) {
            assert_eq!(theirs.expect("right"), envelope.body, "{}", fixture.name);
            compared += 1;
        }
    }
    assert_eq!(compared, 24);
}

fn hash() -> impl Strategy<Value = HashMessage> {
    any::<[u8; 32]>().prop_map(|bytes| HashMessage { bytes: bytes.into() })
}

fn some_hash() -> impl Strategy<Value = Option<HashMessage>> {
    hash().prop_map(Some)
}

fn bytes(max: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..max)
}

// Zero often: it is what is left out.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 0..300_u64, any::<u64>()]
}

prop_compose! {
    fn address()(timestamp in any::<i64>(), v6 in any::<[u8; 16]>(), is_v4 in any::<bool>(), port in any::<u16>())
        -> NetAddressMessage
    {
        NetAddressMessage { timestamp, ip: if is_v4 { v6[..4].into() } else { v6.into() }, port: port.into() }
    }
}

prop_compose! {
    fn version()(
        protocol_version in any::<u32>(), services in number(), timestamp in any::<i64>(),
        address in proptest::option::of(address()), id in any::<[u8; 16]>(), user_agent in "\\PC{0,40}",
        disable_relay_tx in any::<bool>(), subnetwork_id in proptest::option::of(any::<[u8; 20]>()),
        network in "[a-z-]{0,20}",
    ) -> VersionMessage {
        let subnetwork_id = subnetwork_id.map(|id| HashMessage { bytes: id.into() });
        VersionMessage {
            protocol_version, services, timestamp, address, id: id.into(), user_agent, disable_relay_tx,
            subnetwork_id, network,
        }
    }
}

prop_compose! {
    fn input()(transaction_id in some_hash(), index in any::<u32>(), signature_script in bytes(70),
        sequence in number(), compute_commit in 0..256_u32) -> InputMessage
    {
        let previous = Some(OutpointMessage { transaction_id, index });
        InputMessage { previous, signature_script, sequence, compute_commit }
    }
}

prop_compose! {
    fn output()(value in number(), script in bytes(40), version in any::<u16>(), authorizing_input in any::<u16>(),
        id in proptest::option::of(hash())) -> OutputMessage
    {
        let covenant = id.map(|id| CovenantMessage { authorizing_input: authorizing_input.into(), id: Some(id) });
        OutputMessage { value, script: Some(ScriptMessage { script, version: version.into() }), covenant }
    }
}

prop_compose! {
    fn transaction()(
        version in 0..3_u32, inputs in vec(input(), 0..4), outputs in vec(output(), 0..4), lock_time in number(),
        subnetwork in any::<[u8; 20]>(), gas in number(), payload in bytes(60), storage_mass in number(),
    ) -> TransactionMessage {
        let subnetwork_id = Some(HashMessage { bytes: subnetwork.into() });
        TransactionMessage { version, inputs, outputs, lock_time, subnetwork_id, gas, payload, storage_mass }
    }
}

prop_compose! {
    fn parents()(runs in vec((vec(hash(), 1..4), 1..4_u32), 0..6)) -> Vec<ParentsMessage> {
        let mut cumulative_level = 0;
        let run = |(hashes, count)| {
            cumulative_level += count;
            ParentsMessage { hashes, cumulative_level }
        };
        runs.into_iter().map(run).collect()
    }
}

prop_compose! {
    fn header()(
        (version, timestamp, bits) in (any::<u16>(), 0..=i64::MAX, any::<u32>()),
        (nonce, daa_score, blue_score) in (number(), number(), number()),
        hash_merkle_root in some_hash(), accepted_id_merkle_root in some_hash(), utxo_commitment in some_hash(),
        pruning_point in some_hash(), blue_work in bytes(25), parents in parents(),
    ) -> HeaderMessage {
        let blue_work = blue_work.into_iter().skip_while(|byte| *byte == 0).collect();
        HeaderMessage {
            version: version.into(), hash_merkle_root, accepted_id_merkle_root, utxo_commitment, timestamp, bits,
            nonce, daa_score, blue_work, parents, blue_score, pruning_point,
        }
    }
}

prop_compose! {
    fn block()(header in header(), transactions in vec(transaction(), 0..4)) -> BlockMessage {
        BlockMessage { header: Some(header), transactions }
    }
}

// A message that is right is read and written again as the library writes it.
#[track_caller]
fn check_right(kind: Kind, message: &impl Message) {
    let bytes = Bytes::from(message.encode_to_vec());
    assert_eq!(reread(kind, &bytes), Ok(bytes));
}

proptest! {
    #[test]
    fn versions_are_written_alike(version in version()) {
        check_right(Kind::Version, &version);
    }

    #[test]
    fn transactions_are_written_alike(transaction in transaction()) {
        check_right(Kind::Transaction, &transaction);
    }

    #[test]
    fn headers_are_written_alike(list in vec(header(), 0..4)) {
        check_right(Kind::BlockHeaders, &HeadersMessage { list });
    }

    #[test]
    fn blocks_are_written_alike(block in block()) {
        check_right(Kind::Block, &block);
    }

    #[test]
    fn lists_are_written_alike(list in vec(hash(), 0..40), addresses in vec(address(), 0..40)) {
        let list = HashesMessage { list };
        check_right(Kind::InvTransactions, &list);
        check_right(Kind::RequestTransactions, &list);
        let read = Hashes::read(Kind::InvTransactions, &list.encode_to_vec().into()).expect("right");
        assert!(read.iter().map(|hash| hash.0.to_vec()).eq(list.list.iter().map(|hash| hash.bytes.clone())));
        let message = AddressesMessage { list: addresses };
        check_right(Kind::Addresses, &message);
        prop_assert_eq!(Addresses::decode(&message.encode_to_vec(), 40).map(|read| read.0.len()), Ok(message.list.len()));
    }

    #[test]
    fn what_is_changed_is_judged_alike(
        block in block(), version in version(), list in vec(hash(), 0..4),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4), cut in any::<prop::sample::Index>(),
    ) {
        let messages = [
            (Kind::Block, block.encode_to_vec()),
            (Kind::Version, version.encode_to_vec()),
            (Kind::InvTransactions, HashesMessage { list }.encode_to_vec()),
            (Kind::Transaction, block.transactions.first().map(Message::encode_to_vec).unwrap_or_default()),
            (Kind::BlockHeaders, HeadersMessage { list: block.header.into_iter().collect() }.encode_to_vec()),
        ];
        for (kind, mut bytes) in messages {
            if bytes.is_empty() {
                continue;
            }
            check(kind, bytes[..cut.index(bytes.len())].to_vec());
            for (at, byte) in &changes {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            check(kind, bytes);
        }
    }
}

#[test]
fn changed_fixtures_are_judged_alike() {
    for fixture in all() {
        let envelope = fixture.envelope();
        if envelope.body.len() > 2000 || judgement(envelope.kind, &envelope.body).is_none() {
            continue;
        }
        for at in 0..envelope.body.len() {
            for byte in [0x00, 0x01, 0x0a, 0x80, 0xff] {
                let mut bytes = envelope.body.to_vec();
                bytes[at] = byte;
                check(envelope.kind, bytes);
            }
        }
    }
}

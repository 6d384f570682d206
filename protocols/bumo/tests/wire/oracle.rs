//! The same messages as a stock protobuf library knows them, written down from the spec's tables.

use bytes::Bytes;
use prost::Message;

/// Chance for messages: a seed, and how deep they may still go.
pub(crate) struct Dice {
    state: u64,
    depth: u32,
}

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed, depth: 9 }
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}

/// Makes any value of a field.
pub(crate) trait Any: Sized {
    fn any(dice: &mut Dice) -> Self;
}

impl Any for i64 {
    fn any(dice: &mut Dice) -> Self {
        let edges = [0, 0, 1, 2, 5, 127, 128, 16_383, 16_384, -1, i64::MAX, i64::MIN];
        match dice.below(16) {
            edge @ 0..12 => edges[edge],
            _ => dice.next() as i64 >> dice.below(64),
        }
    }
}

impl Any for i32 {
    fn any(dice: &mut Dice) -> Self {
        match dice.below(4) {
            0 => i64::any(dice) as i32,
            _ => dice.below(11) as i32,
        }
    }
}

impl Any for bool {
    fn any(dice: &mut Dice) -> Self {
        dice.below(2) == 0
    }
}

impl Any for Bytes {
    fn any(dice: &mut Dice) -> Self {
        let length = [0, 0, 1, 3, 32, 64, 127, 128, 200][dice.below(9)];
        (0..length).map(|_| dice.next() as u8).collect()
    }
}

impl Any for String {
    fn any(dice: &mut Dice) -> Self {
        let length = [0, 0, 1, 5, 36, 76, 130][dice.below(7)];
        (0..length).map(|_| ['b', 'U', '0', 'é', '話', '🜁'][dice.below(6)]).collect()
    }
}

impl<T: Any> Any for Option<T> {
    fn any(dice: &mut Dice) -> Self {
        if dice.depth == 0 || dice.below(3) == 0 {
            return None;
        }
        dice.depth -= 1;
        let inner = T::any(dice);
        dice.depth += 1;
        Some(inner)
    }
}

impl<T: Any> Any for Box<T> {
    fn any(dice: &mut Dice) -> Self {
        Box::new(T::any(dice))
    }
}

impl<T: Any> Any for Vec<T> {
    fn any(dice: &mut Dice) -> Self {
        if dice.depth == 0 {
            return Self::new();
        }
        dice.depth -= 1;
        let items = (0..[0, 1, 1, 2, 4][dice.below(5)]).map(|_| T::any(dice)).collect();
        dice.depth += 1;
        items
    }
}

macro_rules! messages {
    ($($name:ident { $([$($form:tt)*] $number:tt $field:ident: $kind:ty,)* })*) => {$(
        #[derive(Clone, PartialEq, Message)]
        pub(crate) struct $name { $(#[prost($($form)*, tag = $number)] pub(crate) $field: $kind,)* }

        impl Any for $name {
            fn any(dice: &mut Dice) -> Self {
                Self { $($field: Any::any(dice),)* }
            }
        }
    )*};
}

messages! {
    WsMessage {
        [int64] 1 kind: i64,
        [bool] 2 request: bool,
        [int64] 3 sequence: i64,
        [bytes = "bytes"] 4 data: Bytes,
    }
    Ping {
        [int64] 1 nonce: i64,
    }
    Hello {
        [int64] 1 network_id: i64,
        [int64] 2 ledger_version: i64,
        [int64] 3 overlay_version: i64,
        [string] 4 bumo_version: String,
        [int64] 5 listening_port: i64,
        [string] 6 node_address: String,
        [string] 7 node_rand: String,
    }
    HelloResponse {
        [int32] 1 error_code: i32,
        [string] 2 error_desc: String,
    }
    Peer {
        [string] 1 ip: String,
        [int64] 2 port: i64,
        [int64] 3 num_failures: i64,
        [int64] 4 next_attempt_time: i64,
        [int64] 5 active_time: i64,
        [int64] 6 connection_id: i64,
    }
    Peers {
        [message, repeated] 1 peers: Vec<Peer>,
    }
    GetLedgers {
        [int64] 1 begin: i64,
        [int64] 2 end: i64,
        [int64] 3 timestamp: i64,
        [int64] 4 chain_id: i64,
    }
    // The values are left as they lie.
    Ledgers {
        [bytes = "bytes", repeated] 1 values: Vec<Bytes>,
        [int32] 2 sync_code: i32,
        [int64] 3 max_seq: i64,
        [bytes = "bytes"] 4 proof: Bytes,
        [int64] 5 chain_id: i64,
    }
    Signature {
        [string] 1 public_key: String,
        [bytes = "bytes"] 2 sign_data: Bytes,
    }
    LedgerUpgrade {
        [int64] 1 new_ledger_version: i64,
        [string] 2 new_validator: String,
        [int64] 3 chain_id: i64,
    }
    LedgerUpgradeNotify {
        [int64] 1 nonce: i64,
        [message, optional] 2 upgrade: Option<LedgerUpgrade>,
        [message, optional] 3 signature: Option<Signature>,
    }
    DontHave {
        [int64] 1 kind: i64,
        [bytes = "bytes"] 2 hash: Bytes,
    }
    EntryList {
        [bytes = "bytes", repeated] 1 entry: Vec<Bytes>,
    }
    KeyPair {
        [string] 1 key: String,
        [string] 2 value: String,
        [int64] 3 version: i64,
    }
    // The transactions are left as they lie.
    TransactionEnvSet {
        [bytes = "bytes", repeated] 2 txs: Vec<Bytes>,
    }
    Validation {
        [int32, repeated] 1 expire_tx_ids: Vec<i32>,
        [int32, repeated] 2 error_tx_ids: Vec<i32>,
    }
    ConsensusValue {
        [message, optional] 1 txset: Option<TransactionEnvSet>,
        [int64] 2 close_time: i64,
        [bytes = "bytes"] 3 previous_proof: Bytes,
        [int64] 4 ledger_seq: i64,
        [bytes = "bytes"] 5 previous_ledger_hash: Bytes,
        [message, optional] 6 ledger_upgrade: Option<LedgerUpgrade>,
        [message, optional] 7 validation: Option<Validation>,
    }
    OperationTrigger {
        [bytes = "bytes"] 1 hash: Bytes,
        [int64] 2 index: i64,
    }
    Trigger {
        [int32] 1 transaction_type: i32,
        [int64] 2 ledger_seq: i64,
        [message, optional] 3 transaction: Option<OperationTrigger>,
    }
    TransactionEnv {
        [message, optional] 1 transaction: Option<Transaction>,
        [message, repeated] 2 signatures: Vec<Signature>,
        [message, optional] 3 trigger: Option<Trigger>,
    }
    Transaction {
        [string] 1 source_address: String,
        [int64] 2 nonce: i64,
        [int64] 3 fee_limit: i64,
        [int64] 4 gas_price: i64,
        [int64] 5 ceil_ledger_seq: i64,
        [bytes = "bytes"] 6 metadata: Bytes,
        [message, repeated] 7 operations: Vec<Operation>,
        [int64] 8 chain_id: i64,
    }
    Operation {
        [int32] 1 kind: i32,
        [string] 2 source_address: String,
        [bytes = "bytes"] 3 metadata: Bytes,
        [message, optional] 4 create_account: Option<CreateAccount>,
        [message, optional] 5 issue_asset: Option<IssueAsset>,
        [message, optional] 6 pay_asset: Option<PayAsset>,
        [message, optional] 7 set_metadata: Option<SetMetadata>,
        [message, optional] 8 set_signer_weight: Option<SetSignerWeight>,
        [message, optional] 9 set_threshold: Option<SetThreshold>,
        [message, optional] 10 pay_coin: Option<PayCoin>,
        [message, optional] 11 log: Option<Log>,
        [message, optional] 12 set_privilege: Option<SetPrivilege>,
    }
    CreateAccount {
        [string] 1 dest_address: String,
        [message, optional] 2 contract: Option<Contract>,
        [message, optional] 3 privilege: Option<AccountPrivilege>,
        [message, repeated] 4 metadatas: Vec<KeyPair>,
        [int64] 5 init_balance: i64,
        [string] 6 init_input: String,
    }
    IssueAsset {
        [string] 1 code: String,
        [int64] 2 amount: i64,
    }
    PayAsset {
        [string] 1 dest_address: String,
        [message, optional] 2 asset: Option<Asset>,
        [string] 3 input: String,
    }
    SetMetadata {
        [string] 1 key: String,
        [string] 2 value: String,
        [int64] 3 version: i64,
        [bool] 4 delete_flag: bool,
    }
    SetSignerWeight {
        [int64] 1 master_weight: i64,
        [message, repeated] 2 signers: Vec<Signer>,
    }
    SetThreshold {
        [int64] 1 tx_threshold: i64,
        [message, repeated] 2 type_thresholds: Vec<TypeThreshold>,
    }
    PayCoin {
        [string] 1 dest_address: String,
        [int64] 2 amount: i64,
        [string] 3 input: String,
    }
    Log {
        [string] 1 topic: String,
        [string, repeated] 2 datas: Vec<String>,
    }
    SetPrivilege {
        [string] 1 master_weight: String,
        [message, repeated] 2 signers: Vec<Signer>,
        [string] 3 tx_threshold: String,
        [message, repeated] 4 type_thresholds: Vec<TypeThreshold>,
    }
    TypeThreshold {
        [int32] 1 kind: i32,
        [int64] 2 threshold: i64,
    }
    Signer {
        [string] 1 address: String,
        [int64] 2 weight: i64,
    }
    AccountThreshold {
        [int64] 1 tx_threshold: i64,
        [message, repeated] 2 type_thresholds: Vec<TypeThreshold>,
    }
    AccountPrivilege {
        [int64] 1 master_weight: i64,
        [message, repeated] 2 signers: Vec<Signer>,
        [message, optional] 3 thresholds: Option<AccountThreshold>,
    }
    Contract {
        [int32] 1 kind: i32,
        [string] 2 payload: String,
    }
    Asset {
        [message, optional] 1 key: Option<AssetKey>,
        [int64] 2 amount: i64,
    }
    AssetKey {
        [string] 1 issuer: String,
        [string] 2 code: String,
        [int32] 3 kind: i32,
    }
    AssetProperty {
        [int32] 1 decimal: i32,
        [string] 2 description: String,
        [int64] 3 max_supply: i64,
        [int64] 4 issued_amount: i64,
        [int32] 5 fee_percent: i32,
    }
    AssetStore {
        [message, optional] 1 key: Option<AssetKey>,
        [int64] 2 amount: i64,
        [message, optional] 3 property: Option<AssetProperty>,
    }
    Account {
        [string] 1 address: String,
        [int64] 2 nonce: i64,
        [message, optional] 3 privilege: Option<AccountPrivilege>,
        [bytes = "bytes"] 4 metadatas_hash: Bytes,
        [bytes = "bytes"] 5 assets_hash: Bytes,
        [message, optional] 6 contract: Option<Contract>,
        [int64] 7 balance: i64,
    }
    TransactionEnvStore {
        [message, optional] 1 transaction_env: Option<TransactionEnv>,
        [int32] 2 error_code: i32,
        [string] 3 error_desc: String,
        [int64] 4 ledger_seq: i64,
        [int64] 5 close_time: i64,
        [bytes = "bytes"] 6 hash: Bytes,
        [int64] 7 actual_fee: i64,
        [bytes = "bytes", repeated] 8 contract_tx_hashes: Vec<Bytes>,
    }
    LedgerHeader {
        [int64] 1 seq: i64,
        [bytes = "bytes"] 2 hash: Bytes,
        [bytes = "bytes"] 3 previous_hash: Bytes,
        [bytes = "bytes"] 4 account_tree_hash: Bytes,
        [int64] 5 close_time: i64,
        [bytes = "bytes"] 6 consensus_value_hash: Bytes,
        [int64] 7 version: i64,
        [int64] 8 tx_count: i64,
        [bytes = "bytes"] 9 validators_hash: Bytes,
        [bytes = "bytes"] 10 fees_hash: Bytes,
        [string] 11 reserve: String,
        [int64] 12 chain_id: i64,
    }
    // The transactions are left as they lie.
    Ledger {
        [message, optional] 1 header: Option<LedgerHeader>,
        [bytes = "bytes", repeated] 2 transaction_envs: Vec<Bytes>,
    }
    PbftEnv {
        [message, optional, boxed] 1 pbft: Option<Box<Pbft>>,
        [message, optional] 2 signature: Option<Signature>,
    }
    Pbft {
        [int64] 1 round_number: i64,
        [int32] 2 kind: i32,
        [message, optional] 3 pre_prepare: Option<PrePrepare>,
        [message, optional] 4 prepare: Option<Vote>,
        [message, optional] 5 commit: Option<Vote>,
        [message, optional] 6 view_change: Option<ViewChange>,
        [message, optional] 7 new_view: Option<NewView>,
        [message, optional] 8 view_change_with_rawvalue: Option<RawViewChange>,
        [int64] 9 chain_id: i64,
    }
    PrePrepare {
        [int64] 1 view_number: i64,
        [int64] 2 sequence: i64,
        [int64] 3 replica_id: i64,
        [bytes = "bytes"] 4 value: Bytes,
        [bytes = "bytes"] 5 value_digest: Bytes,
    }
    Vote {
        [int64] 1 view_number: i64,
        [int64] 2 sequence: i64,
        [int64] 3 replica_id: i64,
        [bytes = "bytes"] 4 value_digest: Bytes,
    }
    ViewChange {
        [int64] 1 view_number: i64,
        [int64] 2 sequence: i64,
        [bytes = "bytes"] 3 prepred_value_digest: Bytes,
        [int64] 4 replica_id: i64,
    }
    PreparedSet {
        [message, optional, boxed] 1 pre_prepare: Option<Box<PbftEnv>>,
        [message, repeated] 2 prepare: Vec<PbftEnv>,
    }
    RawViewChange {
        [message, optional, boxed] 1 view_change_env: Option<Box<PbftEnv>>,
        [message, optional, boxed] 2 prepared_set: Option<Box<PreparedSet>>,
    }
    NewView {
        [int64] 1 view_number: i64,
        [int64] 2 sequence: i64,
        [int64] 3 replica_id: i64,
        [message, repeated] 4 view_changes: Vec<PbftEnv>,
        [message, optional, boxed] 5 pre_prepare: Option<Box<PbftEnv>>,
    }
    PbftProof {
        [message, repeated] 1 commits: Vec<PbftEnv>,
    }
    Validator {
        [string] 1 address: String,
        [int64] 2 pledge_coin_amount: i64,
    }
    ValidatorSet {
        [message, repeated] 1 validators: Vec<Validator>,
    }
    FeeConfig {
        [int64] 1 gas_price: i64,
        [int64] 2 base_reserve: i64,
    }
}

impl Pbft {
    /// Without the sub-messages of other types.
    pub(crate) fn trimmed(mut self) -> Self {
        let kind = self.kind;
        self.pre_prepare = self.pre_prepare.filter(|_| kind == 0);
        self.prepare = self.prepare.filter(|_| kind == 1);
        self.commit = self.commit.filter(|_| kind == 2);
        self.view_change = self.view_change.filter(|_| kind == 3);
        self.new_view = self.new_view.filter(|_| kind == 4);
        self.view_change_with_rawvalue = self.view_change_with_rawvalue.filter(|_| kind == 5);
        self
    }
}

impl Operation {
    /// Without the sub-messages of other types.
    pub(crate) fn trimmed(mut self) -> Self {
        let kind = self.kind;
        self.create_account = self.create_account.filter(|_| kind == 1);
        self.issue_asset = self.issue_asset.filter(|_| kind == 2);
        self.pay_asset = self.pay_asset.filter(|_| kind == 3);
        self.set_metadata = self.set_metadata.filter(|_| kind == 4);
        self.set_signer_weight = self.set_signer_weight.filter(|_| kind == 5);
        self.set_threshold = self.set_threshold.filter(|_| kind == 6);
        self.pay_coin = self.pay_coin.filter(|_| kind == 7);
        self.log = self.log.filter(|_| kind == 8);
        self.set_privilege = self.set_privilege.filter(|_| kind == 9);
        self
    }
}

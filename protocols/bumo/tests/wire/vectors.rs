//! The spec's own vectors (section 11 of the BUMO spec).

use super::fixtures::{digits, facts, hash, hex, one, validators};
use polypeer_bumo::hash::{HashType, sha256, sm3};
use polypeer_bumo::keys::{PrivateKey, PublicKey};
use polypeer_bumo::wire::{
    Account, AccountPrivilege, AccountThreshold, Body, ConsensusValue, Envelope, FeeConfig, Hello, Kind, Ledger,
    LedgerHeader, LedgerUpgrade, LedgerUpgradeNotify, List, Message as _, OperationBody, Pbft, Signature, Transaction,
    TransactionEnv, Validator, ValidatorSet, ViewChange, Vote,
};

const TRANSACTION: &str = "0a24627551566b5555424b70444b526d48595777314d553855376e676f5165686e6f31363569109f0818c0843d20e80\
    732146275696c642073696d706c65206163636f756e743a5f08011224627551566b5555424b70444b526d48595777314d553855376e676f5165\
    686e6f3136356922350a246275516e6936794752574d4d454376585850673854334b35615a557551456351523670691a0608011a02080128c7a\
    3889bab20";

#[test]
fn hello_of_a_node() {
    let bytes = hex("08021001226108b0ea0110eb0718e8072205312e332e3328ab990232246275517253\
        4e75764836707359474659736d53644534783754326675676877534a4361353a246e6f64652d72616e642d313739353137323232323531\
        343633312d373334373536303337");
    let hello = Hello {
        network_id: 30000,
        ledger_version: 1003,
        overlay_version: 1000,
        bumo_version: "1.3.3",
        listening_port: 36011,
        node_address: "buQrSNuvH6psYGFYsmSdE4x7T2fughwSJCa5",
        node_rand: "node-rand-1795172222514631-734756037",
    };
    let envelope = Envelope { number: Kind::Hello.number(), is_request: true, sequence: 0, data: &hello.encode() };
    assert_eq!(envelope.encode(), bytes);
    let read = Envelope::decode(&bytes).expect("an envelope");
    assert_eq!((read.kind(), Hello::decode(read.data)), (Some(Kind::Hello), Ok(hello)));
}

#[test]
fn the_shortest_messages() {
    let success = Envelope { number: 2, ..Envelope::default() };
    assert_eq!(success.encode(), hex("0802"));
    let peers = Envelope { number: 3, is_request: true, sequence: 1, data: &[] };
    assert_eq!(peers.encode(), hex("080310011801"));
    let largest = Envelope { number: -1, is_request: true, sequence: i64::MIN, data: &[7] };
    assert_eq!(Envelope::decode(&largest.encode()), Ok(largest));
}

#[test]
fn a_transaction_is_hashed_and_signed() {
    let bytes = hex(TRANSACTION);
    let key = PrivateKey::parse("privbsGZFUoRv8aXZbSGd3bwzZWFn3L5QKq74RXAQYcmfXhhZ54CLr9z").expect("a key");
    let signature = hex("a46ee590a84abdeb8cc38ade1ae8e8a2c71bb69bdc4cd7dc0de1b74b37e2cbd1\
        696229687f80dff4276b1a3dd3f95a9bc1d569943b337fe170317430f36d6401");
    assert_eq!(key.sign(&bytes).as_slice(), signature);
    assert!(key.public().verify(&bytes, &signature));
    let hash = "1d01f8ff14e99e1efd2e8b8b8c3e79c4919aafa9e609984eedfbf489c45d60db";
    assert_eq!(HashType::Sha256.hash(&bytes).to_string(), hash);
    let read = Transaction::decode(&bytes).expect("a transaction");
    assert_eq!((read.nonce, read.fee_limit, read.gas_price), (1055, 1_000_000, 1000));
    assert_eq!(read.metadata, b"build simple account");
    let operation = read.operations.iter().next().expect("an operation");
    let OperationBody::CreateAccount(account) = operation.body else { panic!("creates an account") };
    assert_eq!(account.dest_address, "buQni6yGRWMMECvXXPg8T3K5aZUuQEcQR6pi");
    assert_eq!(read.encode(), bytes);
}

#[test]
fn the_captured_transaction_has_its_hash() {
    let fixture = one("transaction_pay_coin");
    let transaction = TransactionEnv::decode(fixture.data()).expect("an envelope").transaction.expect("a transaction");
    let hash = "2363db9ec5a5c6f30b31e5105de6b6fb4dc62b9a6a18d9b68fee0da822c2b27a";
    assert_eq!(sha256(transaction.bytes).to_string(), hash);
}

#[test]
fn what_genesis_is_made_of() {
    let facts = facts("chain_vectors.json");
    for network in ["single", "net4"] {
        let told = &facts[network];
        let upgrade = LedgerUpgrade { new_ledger_version: 1000, ..LedgerUpgrade::default() };
        let value = ConsensusValue { ledger_upgrade: Some(upgrade), ..ConsensusValue::default() }.encode();
        assert_eq!(value, digits(&told["genesis_consensus_value"]));
        assert_eq!(sha256(&value), hash(&told["genesis_consensus_value_hash"]));
        let addresses = validators(network);
        let set: Vec<_> =
            addresses.addresses().iter().map(|address| Validator { address, pledge_coin_amount: 0 }).collect();
        let set = ValidatorSet { validators: List::of(&set) }.encode();
        assert_eq!(set, digits(&told["validator_set"]));
        assert_eq!(sha256(&set), hash(&told["validators_hash"]));
        let fees = FeeConfig { gas_price: 1000, base_reserve: 10_000_000 }.encode();
        assert_eq!(fees, digits(&told["fee_config"]));
        let header = LedgerHeader {
            seq: 1,
            account_tree_hash: &digits(&told["account_tree_root"]),
            consensus_value_hash: &sha256(&value).0,
            version: 1000,
            validators_hash: &sha256(&set).0,
            fees_hash: &sha256(&fees).0,
            reserve: "a new era of value",
            ..LedgerHeader::default()
        };
        let ledger = Ledger { header: Some(header), transaction_envs: List::default() }.encode();
        assert_eq!(ledger, digits(&told["genesis_ledger_bytes"]));
        assert_eq!(sha256(&ledger), hash(&told["genesis_ledger_hash"]));
    }
}

#[test]
fn accounts_as_leaves() {
    let facts = facts("chain_vectors.json");
    let thresholds = Some(AccountThreshold { tx_threshold: 1, ..AccountThreshold::default() });
    let privilege = Some(AccountPrivilege { master_weight: 1, thresholds, ..AccountPrivilege::default() });
    let address = facts["single"]["genesis_account"].as_str().expect("an address");
    let account = Account { address, privilege, balance: 100_000_000_000_000_000, ..Account::default() };
    assert_eq!(account.encode(), digits(&facts["single"]["genesis_account_leaf"]));
    let leaves = super::fixtures::facts("tx_chain_vectors.json");
    for (address, leaf) in leaves["final_account_bytes"].as_object().expect("leaves") {
        let leaf = digits(leaf);
        let account = Account::decode(&leaf).expect("an account");
        assert_eq!(account.address, address);
        assert_eq!(account.encode(), leaf);
    }
}

#[test]
fn a_commit_is_signed_over_its_bytes() {
    let digest = hex("143e682497655fa1f68163ee950b20ee9517cae82911d04b2725c29e834922c3");
    let vote = Vote { view_number: 0, sequence: 2, replica_id: 0, value_digest: &digest };
    let signed = Pbft { round_number: 1, body: Body::Commit(vote), chain_id: 0 }.encode();
    let told = "080110022a2410022220143e682497655fa1f68163ee950b20ee9517cae82911d04b2725c29e834922c3";
    assert_eq!(signed, hex(told));
    let key = PublicKey::parse("b0013dbca26f0b86f1f56a77ddc7267162eb14525f70232ef9338c810a28b180a118f456c693");
    let signature = hex("27290f481441b47b1299fd139ebaf824db775fd8f332448ca3ea31add2aaf06a\
        5c80141ff0eae7cdcd1a44d3b39b4a4af45f0e5ecba519af7076d14fa420d80c");
    assert!(key.expect("a key").verify(&signed, &signature));
    let value = hex("0a0010f4c7c1d6b196980320022a20b4ddb1a4e018e4c35d7601c1a325ceac032b8a83e66a4973ede2fcc526758c58");
    assert_eq!(sha256(&value).0, *digest);
}

#[test]
fn a_view_change_is_signed_over_its_bytes() {
    let change = ViewChange { view_number: 2, sequence: 2, ..ViewChange::default() };
    let pbft = Pbft { round_number: 0, body: Body::ViewChange(change), chain_id: 0 };
    assert_eq!(pbft.encode(), hex("1003320408021002"));
}

#[test]
fn an_upgrade_notice_is_signed_over_its_upgrade_and_nonce() {
    let fixture = one("ledger_upgrade_notify_r0");
    let notice = LedgerUpgradeNotify::decode(fixture.data()).expect("a notice");
    assert_eq!(notice.nonce, 1_795_172_252_535_553);
    assert_eq!(notice.signed(), hex("08eb0731373935313732323532353335353533"));
    let signature = "4e9ecd57e4679732f40799bc0a31390f6e8cb5ef2ca0e7f5fbcb3645e1fbdc0d\
        e7f1382b61cfe4c5ab6f5d6bd366e97954df67774af65babbca9d86e27b03406";
    let Signature { sign_data, .. } = notice.signature.expect("a signature");
    assert_eq!(sign_data, hex(signature));
    // Made again with the key that made it.
    let secret = sha256(b"bumo-test-validator-0").0;
    let key = PrivateKey::new(polypeer_bumo::keys::Scheme::Ed25519, secret).expect("a key");
    assert_eq!(key.sign(&notice.signed()).as_slice(), sign_data);
}

#[test]
fn sm3_of_abc() {
    let told = "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0";
    assert_eq!(sm3(b"abc").to_string(), told);
    assert_eq!(HashType::from_number(1).expect("SM3").hash(b"abc").to_string(), told);
    assert_eq!(HashType::from_number(0), Some(HashType::Sha256));
    assert_eq!(HashType::from_number(2), None);
}

//! The spec's vectors: encodings (2.9), transactions (5.3), merkle roots (5.4) and headers (5.6).

use bytes::Bytes;
use polypeer_engine::kit::chain::Hash;
use polypeer_kaspa::hash;
use polypeer_kaspa::ledger::BlueWork;
use polypeer_kaspa::wire::{
    Hashes, Header, Input, Kind, Nonce, Outpoint, Output, PREFIX_BYTES, Parents, SUBNETWORK_COINBASE,
    SUBNETWORK_REGISTRY, Script, Transaction, TransactionView, Version, pack,
};
use sha2::Digest as _;

const EMPTY_MUHASH: &str = "544eb3142c000f0ad2c76ac41f4222abbababed830eeafee4b6dc56b52d5cac0";
const DEVNET_GENESIS: &str = "4cb48d0b2073b802360145a15ad1abdc01d89b5c2fe4722630ab9b5fe9dfc4f2";
const ZERO: &str = "0000000000000000000000000000000000000000000000000000000000000000";

fn hash_of(hex: &str) -> Hash {
    Hash(const_hex::decode_to_array(hex).expect("64 digits"))
}

#[track_caller]
fn check_payload(frame: &Bytes, hex: &str) {
    let (prefix, payload) = frame.split_at(PREFIX_BYTES);
    assert_eq!(const_hex::encode(payload), hex);
    assert_eq!(prefix, [&[0][..], &(payload.len() as u32).to_be_bytes()].concat());
}

#[test]
fn messages_are_encoded_as_the_spec_says() {
    check_payload(&pack(Kind::Ping, &Nonce(1).encode(), 0, 0), "8201020801");
    check_payload(&pack(Kind::Verack, &[], 0, 0), "9a0100");
    check_payload(&pack(Kind::Ready, &[], 0, 0), "920300");
    let asked = Hashes::from_iter([Hash([0xab; 32])]).encode();
    let hex = format!("52240a220a20{}b00607", "ab".repeat(32));
    check_payload(&pack(Kind::RequestRelayBlocks, &asked, 7, 0), &hex);
    let version = Version {
        protocol_version: 11,
        timestamp: 1_700_000_000_000,
        id: core::array::from_fn(|index| index as u8 + 1),
        user_agent: "/x:1.0.0/".into(),
        network: "kaspa-simnet".into(),
        ..Version::default()
    };
    check_payload(
        &pack(Kind::Version, &version.encode(), 0, 0),
        "a20134080b1880d095ffbc312a100102030405060708090a0b0c0d0e0f1032092f783a312e302e302f520c6b617370612d73696d6e6574",
    );
}

#[track_caller]
fn check_transaction(transaction: &Transaction<'_>, id: &str, hash: &str) {
    let bytes = transaction.encode();
    let view = TransactionView::decode(&bytes).expect("ours");
    assert_eq!(view.parts(), *transaction);
    assert_eq!((view.id(), view.hash()), (hash_of(id), hash_of(hash)));
}

#[test]
fn transactions_have_the_ids_and_hashes_of_the_spec() {
    let previous = Outpoint { transaction_id: Hash::ZERO, index: 2 };
    let input = Input { previous, signature_script: &[1, 2], sequence: 7, compute_commit: 5 };
    let script = Script { version: 7, bytes: &[1, 2, 3, 4, 5] };
    let output = Output { value: 1564, script, covenant: None };
    let mut transaction = Transaction::default();
    check_transaction(
        &transaction,
        "2c18d5e59ca8fc4c23d9560da3bf738a8f40935c11c162017fbf2c907b7e665c",
        "c9e29784564c269ce2faaffd3487cb4684383018ace11133de082dce4bb88b0b",
    );
    transaction.inputs = vec![input];
    check_transaction(
        &transaction,
        "b2d65ae36e123eb73f253176d7234a57656b84d0d60b9fc746ab0d0f085c9cc7",
        "7d9f7cfdd77f236a41895ac5cdda2fa42f7122964ba995fdfacebce54efad7e8",
    );
    transaction.outputs = vec![output];
    check_transaction(
        &transaction,
        "67289b12146d1b5ef384332137399791a5cfe89506ff31688b0d95ae821d0a0c",
        "492279c0ed5018aa00b0b2d42c1c42350285f2e689236a81829edaf818e30fdb",
    );
}

#[test]
fn mass_is_in_the_hash_and_not_in_the_id() {
    let id = "59b3d6dc6cdc660c389c3fdb5704c48c598d279cdf1bab54182db586a4c95dd5";
    let previous = Outpoint { transaction_id: hash_of(id), index: 2 };
    let input = Input { previous, signature_script: &[1, 2], sequence: 7, compute_commit: 5 };
    let script = Script { version: 7, bytes: &[1, 2, 3, 4, 5] };
    let mut transaction = Transaction {
        inputs: vec![input],
        outputs: vec![Output { value: 1564, script, covenant: None }],
        lock_time: 54,
        subnetwork_id: SUBNETWORK_REGISTRY,
        gas: 3,
        payload: &[1, 2, 3],
        ..Transaction::default()
    };
    let id = "4acda997dfb31c6518224c9ac00d0777fc7cbecdab461be3c0816b1cba19a056";
    check_transaction(&transaction, id, "f0bb137ed71a91445ddf9224c76f755153a296eeb4fdc29b8393ddd81bf34ce6");
    transaction.storage_mass = 5;
    check_transaction(&transaction, id, "ced89bbf642cda42d29d9518d16e35cbbf85d10e1ab106b7dc2e0a821308ac91");
    transaction.storage_mass = 0;
    transaction.version = 1;
    transaction.inputs[0].compute_commit = 0;
    check_transaction(
        &transaction,
        "a08a500b21be3e692c080b14e399fcfa2cfa01b25c08f2f8e7414d1c116e8d18",
        "773f5582d847a1c48947eb4e6e6ac569f90f0f9d979b4c939b72ef008f025e02",
    );
}

#[test]
fn the_compute_budget_is_in_the_hash_and_not_in_the_id() {
    let previous = Outpoint::default();
    let mut input = Input { previous, signature_script: &[], sequence: 0, compute_commit: 111 };
    let transaction = |input| Transaction { version: 1, inputs: vec![input], ..Transaction::default() };
    let id = "5978e7aa1a9ba8fdf12dae6aa39aa198a91985e91192b291e207d4d6246349e6";
    check_transaction(&transaction(input), id, "c41c18964aab2abe309a79de3dcf0353eee216e29ab83448cbec0c4c5792056c");
    input.compute_commit = 222;
    check_transaction(&transaction(input), id, "415dfbc5b38e5805e20831d43a49bc770f4f591b00964ac922d108f6a224c590");
}

#[test]
fn an_empty_payload_has_the_digest_of_the_spec() {
    let digest = "9c0ca2acb45e92ffe6ceb4ae29188b35c82d9676cdd3ce067fd6ccc30a9c4a38";
    assert_eq!(hash::blake3("PayloadDigest", &[]), hash_of(digest));
}

#[test]
fn merkle_roots_are_those_of_the_spec() {
    let root = |count: u8| hash::merkle_root((1..=count).map(|byte| Hash([byte; 32])));
    assert_eq!(root(0), Hash::ZERO);
    assert_eq!(root(1), Hash([1; 32]));
    assert_eq!(root(2), hash_of("c46dab3a891a57d2c71c84187595b756134df28011990a526c1c0416b7231c2e"));
    assert_eq!(root(3), hash_of("36457e2a09aafae4a142eb100f90b96112f75f8187fd0ee00df0b33df7754cb0"));
}

// Section 5.4 taken literally: rows of a power of two, in which whole pairs may be missing.
fn root_by_rows(leaves: &[Hash]) -> Hash {
    let mut row: Vec<Option<Hash>> = leaves.iter().copied().map(Some).collect();
    row.resize(leaves.len().next_power_of_two(), None);
    while row.len() > 1 {
        let parent = |pair: &[Option<Hash>]| {
            let right = pair[1].unwrap_or(Hash::ZERO);
            pair[0].map(|left| hash::blake2b("MerkleBranchHash", &[&left.0, &right.0]))
        };
        row = row.chunks(2).map(parent).collect();
    }
    row[0].unwrap_or(Hash::ZERO)
}

#[test]
fn a_tree_that_grows_has_the_root_of_its_rows() {
    let leaves: Vec<Hash> = (0..70).map(|byte| Hash([byte; 32])).collect();
    for count in 1..leaves.len() {
        assert_eq!(hash::merkle_root(leaves[..count].iter().copied()), root_by_rows(&leaves[..count]), "{count}");
    }
}

struct Genesis {
    timestamp: u64,
    bits: u32,
    nonce: u64,
    daa_score: u64,
    merkle_root: &'static str,
    commitment: &'static str,
    hash: &'static str,
}

const GENESIS: [Genesis; 4] = [
    Genesis {
        timestamp: 1_637_609_671_037,
        bits: 0x1d02_ca33,
        nonce: 211_244,
        daa_score: 1_312_860,
        merkle_root: "8ec898568c6801d13df4ee6e2a1b54b7e6236f671f20954f05306410518eeb32",
        commitment: "710f27df423e63aa6cdb72b89ea5a06cffa399d66f167704455b5af59def8e20",
        hash: "58c2d4199e21f910d1571d114969cecef48f09f934d42ccb6a281a15868f2999",
    },
    Genesis {
        timestamp: 1_633_687_894_966,
        bits: 0x1e7f_ffff,
        nonce: 83_330,
        daa_score: 0,
        merkle_root: "17341408a5724556504df4d6cf515cbfbb220430dc451c743c22d5e911720c2a",
        commitment: EMPTY_MUHASH,
        hash: "f896a3034873be1739fc4359236899fd3d65d2bc94f9780df0d0da3eb1cc4370",
    },
    Genesis {
        timestamp: 1_633_687_894_966,
        bits: 0x207f_ffff,
        nonce: 2,
        daa_score: 0,
        merkle_root: "1946d629f7e922a7bced59190521c3771f73d352ddbbb686564ad7fd56857c1b",
        commitment: EMPTY_MUHASH,
        hash: "411f8cd26f3d41aea39e78573927da24d23995705b579f30959b9127e96b79e3",
    },
    Genesis {
        timestamp: 1_231_006_505_000,
        bits: 0x1e21_bc1c,
        nonce: 298_590,
        daa_score: 0,
        merkle_root: "58abf20321d70716162b6bf8d9f589ca33ae6e32b3b19abb7fa65d1141a3f94d",
        commitment: EMPTY_MUHASH,
        hash: DEVNET_GENESIS,
    },
];

#[test]
fn genesis_blocks_have_their_hashes() {
    for genesis in &GENESIS {
        let header = Header {
            hash_merkle_root: hash_of(genesis.merkle_root),
            utxo_commitment: hash_of(genesis.commitment),
            timestamp: genesis.timestamp,
            bits: genesis.bits,
            nonce: genesis.nonce,
            daa_score: genesis.daa_score,
            ..Header::default()
        };
        assert_eq!(header.hash(), hash_of(genesis.hash));
        assert_eq!(Header::decode(&header.encode()), Ok(header));
    }
}

#[test]
fn the_coinbase_of_simnet_has_its_id() {
    let payload = const_hex::decode("000000000000000000e1f50500000000000001006b617370612d73696d6e6574").expect("hex");
    let coinbase = Transaction { subnetwork_id: SUBNETWORK_COINBASE, payload: &payload, ..Transaction::default() };
    let id = "880eb9819a31821d9d2399e2f35e2433b72637e393d71ecc9b8d0250f49153c3";
    check_transaction(&coinbase, id, GENESIS[2].merkle_root);
    let bytes = coinbase.encode();
    assert!(TransactionView::decode(&bytes).expect("ours").is_coinbase());
}

fn work(digits: &[u8]) -> BlueWork {
    let mut work = BlueWork::default();
    work.0[24 - digits.len()..].copy_from_slice(digits);
    work
}

fn block_b() -> Header {
    Header {
        version: 2,
        parents: Parents::of_levels([&[hash_of(DEVNET_GENESIS)][..]]).expect("one"),
        hash_merkle_root: hash_of("2254a71368184ec8bfcd973c0ba2504fdcdd5868902854bcf04e00c5b4c72a62"),
        accepted_id_merkle_root: hash_of("842b7647a9583f793a618deb97f25cb0807fcecf6f8454ab38bbda7141145684"),
        utxo_commitment: hash_of(EMPTY_MUHASH),
        timestamp: 1_231_006_505_548,
        bits: 505_527_324,
        nonce: 0,
        daa_score: 0,
        blue_work: work(&[0x07, 0x96, 0xae]),
        blue_score: 1,
        pruning_point: hash_of(DEVNET_GENESIS),
    }
}

fn block_c() -> Header {
    let p = hash_of("5728cb1d93610b9d74b5edc767e01018cf01db4f05adc9fbf63ea4f305952642");
    let level_0 = [
        hash_of("fb73a28b138713edb53905771d9f1e10faeef72b27ebe1aa8ce533ae807b1f31"),
        hash_of("acfee9d6d725afa9b8b05c71dcb9502842b296ebdc7cd4b955fa6fd7af6ee18b"),
        p,
    ];
    Header {
        parents: Parents::of_levels([&level_0[..], &[p], &[p]]).expect("three"),
        hash_merkle_root: hash_of("2b3d1357d131d2afaaadd42d91704681a1d78488467667974030be949387bd62"),
        accepted_id_merkle_root: hash_of("16815737269ee04a0d3bfea68e99eecc549d72290c8c81c32e4a6c2ad47d3f2c"),
        timestamp: 1_231_006_510_828,
        daa_score: 3,
        blue_work: work(&[0x1e, 0x5a, 0xb8]),
        blue_score: 4,
        ..block_b()
    }
}

#[test]
fn blocks_of_the_node_project_have_their_hashes() {
    assert_eq!(block_b().hash(), hash_of("8caf7a5390c9995bac81848617dd06fd93cfff9a70f97aad7d78c1e52b5d4310"));
    assert_eq!(block_c().hash(), hash_of("6d26930e94e4726e711e5e2061bceaef73b48391409ef44c56abe84395510352"));
    let neither = Header { timestamp: 0, nonce: 0, ..block_c() };
    assert_eq!(hash::pre_pow_hash(&Header { nonce: 77, ..block_c() }), neither.hash());
}

#[test]
fn the_coinbase_of_block_b_is_its_merkle_root() {
    let payload = "010000000000000000b89a3e0a00000000002220e63b898663154e30b07da88a2a715908d05334b8565d6573e0313dc3\
                   eda9738cac";
    let payload = const_hex::decode(payload).expect("hex");
    let coinbase =
        Transaction { version: 1, subnetwork_id: SUBNETWORK_COINBASE, payload: &payload, ..Transaction::default() };
    let bytes = coinbase.encode();
    assert_eq!(TransactionView::decode(&bytes).expect("ours").hash(), block_b().hash_merkle_root);
}

#[test]
fn a_header_is_encoded_as_the_spec_says() {
    let bytes = block_c().encode();
    let digest = "35940236b8c9866ade5693ad326a45d0da560d7274409bbdaf18e1bd8a543b16";
    assert_eq!((bytes.len(), const_hex::encode(sha2::Sha256::digest(&bytes))), (320, digest.to_owned()));
    let header = Header::decode(&bytes).expect("ours");
    assert_eq!(header, block_c());
    let p = &header.direct_parents()[2..];
    assert_eq!(
        header.parents.runs().map(|(levels, hashes)| (levels, hashes.len())).collect::<Vec<_>>(),
        [(1, 3), (3, 1)]
    );
    assert_eq!(header.parents.levels().collect::<Vec<_>>(), [header.direct_parents(), p, p]);
    assert_eq!((header.parents.level(2), header.parents.level(3)), (p, &[][..]));
    assert_eq!(hash_of(ZERO), Hash::ZERO);
}

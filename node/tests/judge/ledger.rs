//! Writes blocks and transactions of the reference ledger, from the ledger spec alone.

use ed25519_dalek::{Signer, SigningKey};

/// The fixed time of the private networks' genesis, in milliseconds since 1970.
pub(crate) const GENESIS_TIME: u64 = 1_767_225_600_000;
/// Their target, and what it stands for as a big-endian integer.
const TARGET: [u8; 4] = [0x20, 0x00, 0xff, 0xff];
const TARGET_NUMBER: [u8; 3] = [0x00, 0xff, 0xff];
/// Where the nonce stands in a header.
const NONCE_AT: usize = 117;
/// What each of the 16 public accounts holds.
const BALANCE: u64 = 1_000_000_000;

/// 32 bytes that name something.
pub(crate) type Hash = [u8; 32];

/// The key of a public account, 1 to 16.
pub(crate) fn account(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[number; 32])
}

/// The public key of a public account.
pub(crate) fn public(number: u8) -> Hash {
    account(number).verifying_key().to_bytes()
}

/// A hash of several pieces.
pub(crate) fn hash(pieces: &[&[u8]]) -> Hash {
    let mut hasher = blake3::Hasher::new();
    for piece in pieces {
        hasher.update(piece);
    }
    *hasher.finalize().as_bytes()
}

/// A network's identifier on the wire and in hashes.
pub(crate) fn network_id(name: &str) -> [u8; 16] {
    let mut id = [0; 16];
    id[..name.len()].copy_from_slice(name.as_bytes());
    id
}

/// A transaction before it is signed.
#[derive(Clone)]
pub(crate) struct Payment {
    /// The version, 1.
    pub(crate) version: u8,
    /// Number of the paying account.
    pub(crate) from: u8,
    /// Whom it pays.
    pub(crate) to: Hash,
    /// How much.
    pub(crate) amount: u64,
    /// What the producer gets.
    pub(crate) fee: u64,
    /// The number of the sender's earlier transactions.
    pub(crate) sequence: u64,
}

impl Payment {
    /// A valid payment of 1 with a fee of 1 between public accounts.
    pub(crate) fn new(from: u8, to: u8, sequence: u64) -> Self {
        Self { version: 1, from, to: public(to), amount: 1, fee: 1, sequence }
    }

    /// The 153 bytes, signed for the network.
    pub(crate) fn sign(&self, network: &str) -> Vec<u8> {
        let mut bytes = vec![self.version];
        bytes.extend(public(self.from));
        bytes.extend(self.to);
        for number in [self.amount, self.fee, self.sequence] {
            bytes.extend(number.to_be_bytes());
        }
        let mut signed = b"polypeer/tx/v1\0\0".to_vec();
        signed.extend(network_id(network));
        signed.extend(&bytes);
        bytes.extend(account(self.from).sign(&signed).to_bytes());
        bytes
    }
}

/// A transaction's identifier.
pub(crate) fn id(transaction: &[u8]) -> Hash {
    hash(&[transaction])
}

/// The Merkle root over the identifiers of these transactions.
pub(crate) fn root(transactions: &[Vec<u8>]) -> Hash {
    let mut level: Vec<Hash> = transactions.iter().map(|bytes| hash(&[&[0], &id(bytes)])).collect();
    while level.len() > 1 {
        let pair = |pair: &[Hash]| if let [left, right] = pair { hash(&[&[1], left, right]) } else { pair[0] };
        level = level.chunks(2).map(pair).collect();
    }
    level.first().copied().unwrap_or_default()
}

/// A block, with every field open to be wrong.
#[derive(Clone)]
pub(crate) struct Block {
    /// 1.
    pub(crate) version: u8,
    /// The hash of the block below.
    pub(crate) parent: Hash,
    /// The number of blocks below.
    pub(crate) height: u64,
    /// Milliseconds since 1970.
    pub(crate) time: u64,
    /// What the transactions hash to.
    pub(crate) root: Hash,
    /// Who is paid.
    pub(crate) producer: Hash,
    /// The target in compact form.
    pub(crate) target: [u8; 4],
    /// What makes the proof of work.
    pub(crate) nonce: u64,
    /// Zero.
    pub(crate) reserved: u32,
    /// The transactions' bytes.
    pub(crate) transactions: Vec<Vec<u8>>,
}

impl Block {
    /// The first block of a private network, with its 16 accounts.
    pub(crate) fn genesis(network: &str) -> Self {
        let mut accounts: Vec<Hash> = (1..=16).map(public).collect();
        accounts.sort_unstable();
        let mut pieces = network_id(network).to_vec();
        for key in accounts {
            pieces.extend(key);
            pieces.extend(BALANCE.to_be_bytes());
        }
        Self {
            version: 1,
            parent: [0; 32],
            height: 0,
            time: GENESIS_TIME,
            root: hash(&[&pieces]),
            producer: [0; 32],
            target: TARGET,
            nonce: 0,
            reserved: 0,
            transactions: Vec::new(),
        }
    }

    /// A valid child one second later, without proof of work yet.
    pub(crate) fn draft(&self, transactions: Vec<Vec<u8>>) -> Self {
        Self {
            parent: self.hash(),
            height: self.height + 1,
            time: self.time + 1000,
            root: root(&transactions),
            producer: public(3),
            transactions,
            ..self.clone()
        }
    }

    /// A valid child.
    pub(crate) fn child(&self, transactions: Vec<Vec<u8>>) -> Self {
        self.draft(transactions).mined()
    }

    /// The same with the smallest nonce that makes a proof of work.
    pub(crate) fn mined(mut self) -> Self {
        self.nonce = 0;
        let mut header = self.header();
        while !is_low(&hash(&[&header])) {
            self.nonce += 1;
            header[NONCE_AT..NONCE_AT + 8].copy_from_slice(&self.nonce.to_be_bytes());
        }
        self
    }

    /// The same with a nonce that makes none.
    pub(crate) fn unproven(mut self) -> Self {
        while self.is_proven() {
            self.nonce += 1;
        }
        self
    }

    fn is_proven(&self) -> bool {
        is_low(&self.hash())
    }

    /// The 129 bytes of the header.
    pub(crate) fn header(&self) -> Vec<u8> {
        let mut bytes = vec![self.version];
        bytes.extend(self.parent);
        bytes.extend(self.height.to_be_bytes());
        bytes.extend(self.time.to_be_bytes());
        bytes.extend(self.root);
        bytes.extend(self.producer);
        bytes.extend(self.target);
        bytes.extend(self.nonce.to_be_bytes());
        bytes.extend(self.reserved.to_be_bytes());
        bytes
    }

    /// The block's name.
    pub(crate) fn hash(&self) -> Hash {
        hash(&[&self.header()])
    }

    /// The whole block.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.header();
        bytes.extend(u32::try_from(self.transactions.len()).expect("few").to_be_bytes());
        self.transactions.iter().for_each(|transaction| bytes.extend(transaction));
        bytes
    }
}

// Whether the hash of a block proves its work.
fn is_low(hash: &Hash) -> bool {
    let mut target = [0; 32];
    target[..3].copy_from_slice(&TARGET_NUMBER);
    *hash <= target
}

/// A valid chain of empty blocks above `from`, which is not in it.
pub(crate) fn chain(from: &Block, length: usize) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::with_capacity(length);
    for _ in 0..length {
        let child = blocks.last().unwrap_or(from).child(Vec::new());
        blocks.push(child);
    }
    blocks
}

/// A way to break a valid block that some rule forbids, whatever comes after it on the chain.
pub(crate) struct Breakage {
    /// What is wrong.
    pub(crate) name: &'static str,
    /// The whole block's bytes, from its valid parent.
    pub(crate) bytes: fn(network: &str, parent: &Block) -> Vec<u8>,
}

fn breakage(name: &'static str, bytes: fn(&str, &Block) -> Vec<u8>) -> Breakage {
    Breakage { name, bytes }
}

/// Every rule of a block, broken alone; the proof of work is right except where it is the rule.
pub(crate) fn breakages() -> Vec<Breakage> {
    vec![
        breakage("version 2", |_, parent| Block { version: 2, ..parent.draft(vec![]) }.mined().bytes()),
        breakage("reserved 1", |_, parent| Block { reserved: 1, ..parent.draft(vec![]) }.mined().bytes()),
        breakage("another root", |_, parent| Block { root: [7; 32], ..parent.draft(vec![]) }.mined().bytes()),
        breakage("height skipped", |_, parent| {
            Block { height: parent.height + 2, ..parent.draft(vec![]) }.mined().bytes()
        }),
        breakage("an easier target", |_, parent| {
            Block { target: [0x20, 0x01, 0xff, 0xff], ..parent.draft(vec![]) }.mined().bytes()
        }),
        breakage("not later than the median", |_, parent| {
            Block { time: GENESIS_TIME, ..parent.draft(vec![]) }.mined().bytes()
        }),
        breakage("no proof of work", |_, parent| parent.draft(vec![]).unproven().bytes()),
        breakage("a byte left over", |_, parent| [parent.child(vec![]).bytes(), vec![0]].concat()),
        breakage("a byte missing", |_, parent| {
            let mut bytes = parent.child(vec![]).bytes();
            bytes.pop();
            bytes
        }),
        breakage("nothing", |_, _| Vec::new()),
        breakage("20,001 transactions announced", |_, parent| {
            let mut bytes = parent.child(vec![]).bytes();
            bytes.truncate(129);
            bytes.extend(20_001u32.to_be_bytes());
            bytes
        }),
        breakage("2^32 - 1 transactions announced", |_, parent| {
            let mut bytes = parent.child(vec![]).bytes();
            bytes.truncate(129);
            bytes.extend(u32::MAX.to_be_bytes());
            bytes
        }),
        breakage("a signature broken", |network, parent| {
            let mut transaction = Payment::new(1, 2, 0).sign(network);
            transaction[152] ^= 1;
            parent.child(vec![transaction]).bytes()
        }),
        breakage("a signature for another network", |_, parent| {
            parent.child(vec![Payment::new(1, 2, 0).sign("elsewhere")]).bytes()
        }),
        breakage("a sequence skipped", |network, parent| {
            parent.child(vec![Payment::new(1, 2, 1).sign(network)]).bytes()
        }),
        breakage("a transaction twice", |network, parent| {
            let transaction = Payment::new(1, 2, 0).sign(network);
            parent.child(vec![transaction.clone(), transaction]).bytes()
        }),
        breakage("more than the sender has", |network, parent| {
            let payment = Payment { amount: BALANCE, ..Payment::new(1, 2, 0) };
            parent.child(vec![payment.sign(network)]).bytes()
        }),
        breakage("amount and fee above 2^64 - 1", |network, parent| {
            let payment = Payment { amount: u64::MAX, fee: 2, ..Payment::new(1, 2, 0) };
            parent.child(vec![payment.sign(network)]).bytes()
        }),
    ]
}

/// Transactions that are never valid, each for one reason.
pub(crate) fn never_valid(network: &str) -> Vec<(&'static str, Vec<u8>)> {
    let good = Payment::new(5, 6, 0).sign(network);
    let changed = |at: usize, to: u8| {
        let mut bytes = good.clone();
        bytes[at] = to;
        bytes
    };
    vec![
        ("a byte missing", good[..152].to_vec()),
        ("a byte left over", [&good[..], &[0]].concat()),
        ("nothing", Vec::new()),
        ("version 0", Payment { version: 0, ..Payment::new(5, 6, 0) }.sign(network)),
        ("version 2", Payment { version: 2, ..Payment::new(5, 6, 0) }.sign(network)),
        ("to oneself", Payment::new(5, 5, 0).sign(network)),
        ("another network's signature", Payment::new(5, 6, 0).sign("elsewhere")),
        ("a signature's first byte changed", changed(89, good[89] ^ 1)),
        ("a signature's S above the group order", changed(152, 0xff)),
        ("a sender that is no key", changed(32, good[32] ^ 0x55)),
        ("an amount changed after signing", changed(72, 9)),
    ]
}

/// Transactions that are right but not in this state: nobody is to blame.
pub(crate) fn not_now(network: &str) -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("a sequence too far ahead", Payment::new(7, 8, 64).sign(network)),
        ("more than the balance", Payment { amount: BALANCE, ..Payment::new(7, 8, 0) }.sign(network)),
        ("a sum above 2^64 - 1", Payment { amount: u64::MAX, ..Payment::new(7, 8, 0) }.sign(network)),
        ("no fee", Payment { fee: 0, ..Payment::new(7, 8, 0) }.sign(network)),
    ]
}

/// The spec's own vectors hold for what is written here.
pub(crate) fn vectors_hold() {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let genesis = Block::genesis("anya-devnet");
    assert_eq!(hex(&public(1)), "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c");
    assert_eq!(hex(&genesis.hash()), "4ed57f057009f653e3584bd189c3da2f4721fa07edd7cb3eb63fe2e17cf42bc6");
    let hello = Block::genesis("hello-devnet");
    assert_eq!(hex(&hello.hash()), "2a7c14b53d5cc4b45bf6a4036e03518b09e439d18decd1df41b915691151144c");
    let transaction = Payment::new(1, 2, 0).sign("anya-devnet");
    assert_eq!(hex(&id(&transaction)), "da730e15b07d45a832f78c0e0fd548fadc07fc28e265e64d0d60e9235686c279");
    let block = genesis.child(vec![transaction]);
    assert_eq!(hex(&block.root), "2c497595cc429edf062ae1f3b07c67b277dcecd22d9d4a3d5ac5ba17985250d5");
    assert_eq!(block.nonce, 25);
    assert_eq!(hex(&block.hash()), "0020c78a1ce2dd0b0ab79854bff0a378fe718cf702df63a3f8bea44365d10e3c");
}

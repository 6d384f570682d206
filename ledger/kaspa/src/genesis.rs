//! Knows the networks' first blocks (Kaspa spec, section 5.6).

use polypeer_engine::kit::chain::Hash;

/// A first block. It has no parents, and one coinbase transaction of version 0 without inputs and outputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Genesis {
    /// Its hash.
    pub hash: Hash,
    /// The hash of its transaction.
    pub merkle_root: Hash,
    /// What the set of unspent outputs hashes to.
    pub utxo_commitment: Hash,
    /// Milliseconds since 1970.
    pub timestamp: u64,
    /// The compact target.
    pub bits: u32,
    /// The nonce.
    pub nonce: u64,
    /// The difficulty-adjustment score: that of the chain before, on the main network.
    pub daa_score: u64,
    /// What the coinbase says after score, subsidy and script.
    pub message: &'static [u8],
}

/// Score 0, one coin of subsidy, and a script of one byte that can never be met.
const PAYLOAD_HEAD: [u8; 20] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0xe1, 0xf5, 0x05, 0, 0, 0, 0, 0, 0, 1, 0];

impl Genesis {
    /// Its coinbase's payload.
    pub(crate) fn payload(&self) -> Vec<u8> {
        [&PAYLOAD_HEAD, self.message].concat()
    }
}

/// What an empty set of unspent outputs hashes to.
pub(crate) const NO_OUTPUTS: Hash = hash(b"544eb3142c000f0ad2c76ac41f4222abbababed830eeafee4b6dc56b52d5cac0");

pub(crate) const MAINNET: Genesis = Genesis {
    hash: hash(b"58c2d4199e21f910d1571d114969cecef48f09f934d42ccb6a281a15868f2999"),
    merkle_root: hash(b"8ec898568c6801d13df4ee6e2a1b54b7e6236f671f20954f05306410518eeb32"),
    utxo_commitment: hash(b"710f27df423e63aa6cdb72b89ea5a06cffa399d66f167704455b5af59def8e20"),
    timestamp: 1_637_609_671_037,
    bits: 0x1d02_ca33,
    nonce: 211_244,
    daa_score: 1_312_860,
    message: &bytes::<184>(
        b"d795d79ed79420d793d79920d7a2d79cd799d79a20d795d7a2d79c20d790d797d799d79a20d799d799d798d79120d791d7a9d790d7a8\
          20d79bd7a1d7a4d79020d795d793d794d791d79420d79cd79ed7a2d791d79320d79bd7a8d7a2d795d7aa20d790d79cd794d79bd79d20\
          d7aad7a2d791d793d795d79f0000000000000000000b1f8e1c17b0133d439174e52efbb0c41c3583a8aa66b00fca37ca667c2d550a6c\
          4416dad9717e50927128c424fa4edbebc436ab13aeef",
    ),
};

pub(crate) const TESTNET: Genesis = Genesis {
    hash: hash(b"f896a3034873be1739fc4359236899fd3d65d2bc94f9780df0d0da3eb1cc4370"),
    merkle_root: hash(b"17341408a5724556504df4d6cf515cbfbb220430dc451c743c22d5e911720c2a"),
    utxo_commitment: NO_OUTPUTS,
    timestamp: 1_633_687_894_966,
    bits: 0x1e7f_ffff,
    nonce: 83_330,
    daa_score: 0,
    message: b"kaspa-testnet",
};

pub(crate) const SIMNET: Genesis = Genesis {
    hash: hash(b"411f8cd26f3d41aea39e78573927da24d23995705b579f30959b9127e96b79e3"),
    merkle_root: hash(b"1946d629f7e922a7bced59190521c3771f73d352ddbbb686564ad7fd56857c1b"),
    utxo_commitment: NO_OUTPUTS,
    timestamp: 1_633_687_894_966,
    bits: 0x207f_ffff,
    nonce: 2,
    daa_score: 0,
    message: b"kaspa-simnet",
};

pub(crate) const DEVNET: Genesis = Genesis {
    hash: hash(b"4cb48d0b2073b802360145a15ad1abdc01d89b5c2fe4722630ab9b5fe9dfc4f2"),
    merkle_root: hash(b"58abf20321d70716162b6bf8d9f589ca33ae6e32b3b19abb7fa65d1141a3f94d"),
    utxo_commitment: NO_OUTPUTS,
    timestamp: 1_231_006_505_000,
    bits: 0x1e21_bc1c,
    nonce: 298_590,
    daa_score: 0,
    message: b"kaspa-devnet",
};

const fn hash(hex: &[u8; 64]) -> Hash {
    Hash(bytes(hex))
}

/// The bytes that the digits stand for; a number of digits that does not fit does not compile.
const fn bytes<const N: usize>(hex: &[u8]) -> [u8; N] {
    assert!(hex.len() == 2 * N);
    let mut bytes = [0; N];
    let mut at = 0;
    while at < N {
        bytes[at] = digit(hex[2 * at]) << 4 | digit(hex[2 * at + 1]);
        at += 1;
    }
    bytes
}

const fn digit(hex: u8) -> u8 {
    match hex {
        b'0'..=b'9' => hex - b'0',
        b'a'..=b'f' => hex - b'a' + 10,
        _ => panic!("a digit of a hash is 0 to 9 or a to f"),
    }
}

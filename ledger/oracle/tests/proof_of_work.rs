//! Compares hash, value, level and verdict of random headers with what `kaspa-pow` makes of them.

use kaspa_consensus_core::header::Header as TheirHeader;
use kaspa_hashes::Hash as TheirHash;
use kaspa_math::{Uint192, Uint256};
use polypeer_engine::kit::chain::Hash;
use polypeer_kaspa::ledger::BlueWork;
use polypeer_kaspa::wire::{Header, Parents};
use polypeer_ledger_kaspa::{ProofOfWork, proof_of_work};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// Headers, each with a matrix of its own.
const HEADERS: usize = 2_000;
/// Nonces of each.
const NONCES: usize = 4;
/// The highest levels that networks have had.
const LEVELS_MAX: [u8; 3] = [225, 250, 255];

struct Chance(ChaCha8Rng);

impl Chance {
    fn number(&mut self) -> u64 {
        self.0.next_u64()
    }

    fn below(&mut self, end: u64) -> u64 {
        self.number() % end
    }

    fn hash(&mut self) -> Hash {
        let mut bytes = [0; 32];
        self.0.fill_bytes(&mut bytes);
        Hash(bytes)
    }

    /// Any bits, those that are negative, too large or zero too; and often some that a value may meet.
    fn bits(&mut self) -> u32 {
        match self.below(4) {
            0 => self.number() as u32,
            1 => (self.below(0x21) as u32) << 24 | self.number() as u32 & 0x00ff_ffff,
            _ => 0x2000_0000 | self.number() as u32 & 0x007f_ffff,
        }
    }

    /// A header with anything in it, as long as it has a parent.
    fn header(&mut self) -> Header {
        let mut levels: Vec<Vec<Hash>> = Vec::new();
        for _ in 0..=self.below(12) {
            let list = (0..=self.below(3)).map(|_| self.hash()).collect();
            let again = levels.last().cloned().filter(|_| self.below(2) == 0);
            levels.push(again.unwrap_or(list));
        }
        let mut blue_work = [0; 24];
        let zeros = self.below(25) as usize;
        self.0.fill_bytes(&mut blue_work[zeros..]);
        Header {
            version: self.number() as u16,
            parents: Parents::of_levels(levels.iter().map(Vec::as_slice)).expect("few levels"),
            hash_merkle_root: self.hash(),
            accepted_id_merkle_root: self.hash(),
            utxo_commitment: self.hash(),
            timestamp: self.number(),
            bits: self.bits(),
            nonce: self.number(),
            daa_score: self.number(),
            blue_work: BlueWork(blue_work),
            blue_score: self.number(),
            pruning_point: self.hash(),
        }
    }
}

fn theirs(header: &Header) -> TheirHeader {
    let hash = |hash: &Hash| TheirHash::from_bytes(hash.0);
    let levels: Vec<Vec<TheirHash>> = header.parents.levels().map(|level| level.iter().map(hash).collect()).collect();
    TheirHeader::new_finalized(
        header.version,
        levels.try_into().expect("few levels"),
        hash(&header.hash_merkle_root),
        hash(&header.accepted_id_merkle_root),
        hash(&header.utxo_commitment),
        header.timestamp,
        header.bits,
        header.nonce,
        header.daa_score,
        Uint192::from_be_bytes(header.blue_work.0),
        header.blue_score,
        hash(&header.pruning_point),
    )
}

/// What kaspa-pow says of a header.
///
/// Where a target has nothing left within its 256 bits it begins again from below, as its shift happens to do (and in a
/// debug build it panics). No block of a network has such bits; to ours their target is zero, and nothing is enough.
fn judged(header: &TheirHeader, level_max: u8) -> ProofOfWork {
    let (is_enough, value) = kaspa_pow::State::new(header).check_pow(header.nonce);
    let (level, passed) = kaspa_pow::calc_block_level_check_pow(header, level_max);
    assert_eq!((level, passed), (kaspa_pow::calc_level_from_pow(value, level_max), is_enough));
    let is_beyond = 8 * (header.bits >> 24).saturating_sub(3) >= Uint256::BITS;
    ProofOfWork { value: value.to_le_bytes(), is_enough: is_enough && !is_beyond, level }
}

#[test]
fn random_headers_are_judged_alike() {
    let mut chance = Chance(ChaCha8Rng::seed_from_u64(21));
    let (mut enough, mut levels) = (0, 0);
    for number in 0..HEADERS {
        let mut header = chance.header();
        for _ in 0..NONCES {
            header.nonce = chance.number();
            let level_max = LEVELS_MAX[number % LEVELS_MAX.len()];
            let (own, oracle) = (proof_of_work(&header, level_max), theirs(&header));
            assert_eq!(header.hash().0, oracle.hash.as_bytes(), "{header:?}");
            assert_eq!(own, judged(&oracle, level_max), "{header:?}");
            enough += usize::from(own.is_enough);
            levels += usize::from(own.level > 0);
        }
    }
    // Neither verdict is rare, and not every block is of the lowest level.
    let all = HEADERS * NONCES;
    assert!((all / 10..all * 9 / 10).contains(&enough), "{enough} of {all} are enough");
    assert!(levels > 20, "{levels} of {all} are above the lowest level");
}

#[test]
fn the_verdict_turns_where_theirs_does() {
    let mut chance = Chance(ChaCha8Rng::seed_from_u64(22));
    for _ in 0..HEADERS / 10 {
        let mut header = chance.header();
        // The bits are part of what is hashed, so that the value is another one each time.
        for _ in 0..NONCES {
            let value = Uint256::from_le_bytes(proof_of_work(&header, 250).value);
            let near = value.compact_target_bits();
            header.bits = [near - 1, near, near + 1][chance.below(3) as usize];
            assert_eq!(proof_of_work(&header, 250), judged(&theirs(&header), 250), "{header:?}");
        }
    }
}

//! Says which rules a network has (Kaspa spec, sections 1.5, 5.6 and 7.3).

use crate::genesis::{DEVNET, Genesis, MAINNET, SIMNET, TESTNET};
use thiserror::Error;

/// Blocks that the networks make a second.
const BLOCKS_PER_SECOND: u64 = 10;
/// Seconds that a timestamp may be ahead of the clock.
const TIME_AHEAD_S: u64 = 132;
/// Seconds between two samples of the median time's window, and of the difficulty's.
const MEDIAN_SAMPLE_S: u64 = 10;
const DIFFICULTY_SAMPLE_S: u64 = 4;
/// Half a year without the three days that the first network stood still, in seconds: before it the subsidy is flat.
const FLAT_SUBSIDY_S: u64 = 15_778_800 - 259_200;
/// The flat subsidy of a second, in sompi.
const FLAT_SUBSIDY: u64 = 50_000_000_000;

/// A network's rules. Two nodes with different ones are on different networks, and nothing in the handshake says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Params {
    /// The network as Version names it.
    pub network: &'static str,
    /// The port that nodes listen on.
    pub port: u16,
    /// Names that resolve to nodes.
    pub seeds: &'static [&'static str],
    /// The first block.
    pub genesis: Genesis,
    /// Milliseconds that a block's time may be ahead of this node's clock.
    pub time_ahead_ms_max: u64,
    /// Samples of the window for the median time.
    pub median_samples: usize,
    /// Samples of the window for the difficulty.
    pub difficulty_samples: usize,
    /// Samples below which the difficulty stays as it is.
    pub difficulty_samples_min: usize,
    /// The longest script in a coinbase payload.
    pub coinbase_script_bytes_max: usize,
    /// The longest coinbase payload.
    pub coinbase_payload_bytes_max: usize,
    /// What transactions may have.
    pub transaction: TransactionLimits,
    /// What blocks may have.
    pub block: BlockLimits,
    /// The score at which the subsidy begins to fall.
    pub subsidy_falls_at: u64,
    /// The subsidy of each block before that.
    pub subsidy_flat: u64,
    /// Whether blocks count without proof of work.
    pub skips_proof_of_work: bool,
    /// The highest level a block can have.
    pub level_max: u8,
    /// Headers that a proof has at least on each level.
    pub proof_headers: u64,
    /// What depends on the rate of blocks.
    pub rate: Rate,
    /// Blocks a second before the rate was raised, and the score at which it was: 0 for always.
    pub raised: (u64, u64),
}

/// What a transaction may have on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionLimits {
    /// Inputs.
    pub inputs_max: usize,
    /// Outputs.
    pub outputs_max: usize,
    /// Bytes of an input's script.
    pub signature_script_bytes_max: usize,
    /// Bytes of an output's script.
    pub script_bytes_max: usize,
    /// Compute mass of a byte.
    pub mass_per_byte: u64,
    /// Compute mass of a byte of an output's script.
    pub mass_per_script_byte: u64,
}

/// What all transactions of a block may have together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockLimits {
    /// Mass for computing.
    pub compute_mass_max: u64,
    /// Mass for storing.
    pub storage_mass_max: u64,
    /// Mass for keeping blocks for a while.
    pub transient_mass_max: u64,
    /// Different lanes.
    pub lanes_max: usize,
    /// Gas in one lane.
    pub lane_gas_max: u64,
}

/// What depends on the rate of blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Milliseconds between two blocks.
    pub block_ms: u64,
    /// How many blue blocks may be parallel to a blue one.
    pub k: u16,
    /// One of so many blocks is in the window for the median time.
    pub median_sample_rate: u64,
    /// One of so many blocks is in the window for the difficulty.
    pub difficulty_sample_rate: u64,
    /// Parents of a block.
    pub parents_max: usize,
    /// Blocks that one may merge, its selected parent counted.
    pub merge_set_max: usize,
    /// Blue score below which nothing may be merged any more.
    pub merge_depth: u64,
    /// Blue score below which the chain is final.
    pub finality_depth: u64,
    /// Blue score below which bodies may be forgotten.
    pub pruning_depth: u64,
    /// Score after which a coinbase's outputs may be spent.
    pub coinbase_maturity: u64,
}

const RATE: Rate = Rate {
    block_ms: 1_000 / BLOCKS_PER_SECOND,
    k: 124,
    median_sample_rate: BLOCKS_PER_SECOND * MEDIAN_SAMPLE_S,
    difficulty_sample_rate: BLOCKS_PER_SECOND * DIFFICULTY_SAMPLE_S,
    parents_max: 16,
    merge_set_max: 248,
    merge_depth: BLOCKS_PER_SECOND * 3_600,
    finality_depth: BLOCKS_PER_SECOND * 43_200,
    pruning_depth: BLOCKS_PER_SECOND * 108_000,
    coinbase_maturity: BLOCKS_PER_SECOND * 100,
};

const TRANSACTION: TransactionLimits = TransactionLimits {
    inputs_max: 1_000,
    outputs_max: 1_000,
    signature_script_bytes_max: 250_000,
    script_bytes_max: 10_000,
    mass_per_byte: 1,
    mass_per_script_byte: 10,
};

const BLOCK: BlockLimits = BlockLimits {
    compute_mass_max: 500_000,
    storage_mass_max: 500_000,
    transient_mass_max: 1_000_000,
    lanes_max: 50,
    lane_gas_max: 1_000_000_000,
};

impl Params {
    /// The network with the value.
    pub fn mainnet() -> Self {
        Self {
            network: "kaspa-mainnet",
            port: 16_111,
            seeds: &[
                "mainnet-dnsseed-1.kaspanet.org",
                "mainnet-dnsseed-2.kaspanet.org",
                "seeder1.kaspad.net",
                "seeder2.kaspad.net",
                "seeder3.kaspad.net",
                "seeder4.kaspad.net",
                "kaspadns.kaspacalc.net",
                "n-mainnet.kaspa.ws",
                "dnsseeder-kaspa-mainnet.x-con.at",
            ],
            level_max: 225,
            subsidy_falls_at: FLAT_SUBSIDY_S,
            subsidy_flat: FLAT_SUBSIDY,
            raised: (1, 110_165_000),
            ..Self::of(MAINNET)
        }
    }

    /// The public network for tests.
    pub fn testnet_10() -> Self {
        Self {
            network: "kaspa-testnet-10",
            port: 16_211,
            seeds: &["seeder1-tn.kaspad.net", "dnsseeder-kaspa-testnet.x-con.at", "n-testnet-10.kaspa.ws"],
            subsidy_falls_at: FLAT_SUBSIDY_S,
            subsidy_flat: FLAT_SUBSIDY,
            raised: (1, 88_657_000),
            ..Self::of(TESTNET)
        }
    }

    /// Private networks without proof of work.
    pub fn simnet() -> Self {
        Self {
            network: "kaspa-simnet",
            port: 16_511,
            skips_proof_of_work: true,
            rate: Rate { parents_max: 64, ..RATE },
            ..Self::of(SIMNET)
        }
    }

    /// Private networks with proof of work.
    pub fn devnet() -> Self {
        Self { network: "kaspa-devnet", port: 16_611, subsidy_falls_at: 0, ..Self::of(DEVNET) }
    }

    /// What most networks have in common.
    fn of(genesis: Genesis) -> Self {
        Self {
            network: "",
            port: 0,
            seeds: &[],
            genesis,
            time_ahead_ms_max: 1_000 * TIME_AHEAD_S,
            median_samples: 27,
            difficulty_samples: 661,
            difficulty_samples_min: 150,
            coinbase_script_bytes_max: 150,
            coinbase_payload_bytes_max: 204,
            transaction: TRANSACTION,
            block: BLOCK,
            subsidy_falls_at: BLOCKS_PER_SECOND * FLAT_SUBSIDY_S,
            subsidy_flat: FLAT_SUBSIDY / BLOCKS_PER_SECOND,
            skips_proof_of_work: false,
            level_max: 250,
            proof_headers: 1_000,
            rate: RATE,
            raised: (BLOCKS_PER_SECOND, 0),
        }
    }

    /// Whether anyone may make blocks on it without disturbing others.
    pub fn is_private(&self) -> bool {
        self.network == "kaspa-simnet" || self.network == "kaspa-devnet"
    }

    /// Blocks a second.
    pub fn blocks_per_second(&self) -> u64 {
        1_000_u64.checked_div(self.rate.block_ms).unwrap_or(1).max(1)
    }

    /// Blue score that the window for the difficulty reaches back; what is below it does not count.
    pub(crate) fn difficulty_reach(&self) -> u64 {
        (self.difficulty_samples as u64).saturating_mul(self.rate.difficulty_sample_rate)
    }

    /// Whether a ledger can count by these rules.
    pub(crate) fn check(&self) -> Result<(), ParamsError> {
        let rate = &self.rate;
        let within = |value: u64, least: u64, most: u64, name| {
            if (least..=most).contains(&value) { Ok(()) } else { Err(ParamsError::OutOfRange(name)) }
        };
        within(rate.block_ms, 1, 60_000, "target_time_per_block")?;
        within(u64::from(rate.k), 1, 4_096, "ghostdag_k")?;
        within(rate.median_sample_rate, 1, 1 << 20, "past_median_time_sample_rate")?;
        within(rate.difficulty_sample_rate, 1, 1 << 20, "difficulty_sample_rate")?;
        within(rate.parents_max as u64, 1, 255, "max_block_parents")?;
        within(rate.merge_set_max as u64, 1, 4_096, "mergeset_size_limit")?;
        within(self.median_samples as u64, 1, 4_096, "past_median_time_window_size")?;
        within(self.difficulty_samples as u64, 2, 1 << 16, "difficulty_window_size")?;
        // The oldest sample only begins the time that is measured.
        within(self.difficulty_samples_min as u64, 2, 1 << 16, "min_difficulty_window_size")?;
        within(self.time_ahead_ms_max, 1, 1 << 40, "timestamp_deviation_tolerance")
    }
}

/// Why rules cannot be used.
#[derive(Debug, Error)]
pub enum ParamsError {
    /// A value with which nothing can be counted.
    #[error("{0} is out of range")]
    OutOfRange(&'static str),
    /// The main network has rules of its own.
    #[error("the rules of {0} cannot be overridden")]
    Fixed(&'static str),
    /// The file is not one of overrides.
    #[error("the overrides cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
}

//! Reads the file with which kaspad's `--override-params-file` makes small networks (Kaspa spec, section 7.3).

use crate::params::{BlockLimits, Params, ParamsError, Rate};
use serde::Deserialize;

/// What may stand in the file; an unknown key is an error, as it is to kaspad.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Overrides {
    timestamp_deviation_tolerance: Option<u64>,
    past_median_time_window_size: Option<usize>,
    difficulty_window_size: Option<usize>,
    min_difficulty_window_size: Option<usize>,
    coinbase_payload_script_public_key_max_len: Option<u8>,
    max_coinbase_payload_len: Option<usize>,
    max_tx_inputs: Option<usize>,
    max_tx_outputs: Option<usize>,
    max_signature_script_len: Option<usize>,
    max_script_public_key_len: Option<usize>,
    mass_per_tx_byte: Option<u64>,
    mass_per_script_pub_key_byte: Option<u64>,
    #[serde(rename = "mass_per_sig_op")]
    _mass_per_sig_op: Option<u64>,
    block_mass_limits: Option<MassLimits>,
    block_lane_limits: Option<LaneLimits>,
    #[serde(rename = "storage_mass_parameter")]
    _storage_mass_parameter: Option<u64>,
    deflationary_phase_daa_score: Option<u64>,
    pre_deflationary_phase_base_subsidy: Option<u64>,
    skip_proof_of_work: Option<bool>,
    max_block_level: Option<u8>,
    pruning_proof_m: Option<u64>,
    blockrate: Option<Blockrate>,
    pre_crescendo_target_time_per_block: Option<u64>,
    crescendo_activation: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MassLimits {
    compute: u64,
    storage: u64,
    transient: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LaneLimits {
    lanes_per_block: usize,
    gas_per_lane: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Blockrate {
    target_time_per_block: u64,
    ghostdag_k: u16,
    past_median_time_sample_rate: u64,
    difficulty_sample_rate: u64,
    max_block_parents: u8,
    mergeset_size_limit: u64,
    merge_depth: u64,
    finality_depth: u64,
    pruning_depth: u64,
    coinbase_maturity: u64,
}

impl From<Blockrate> for Rate {
    fn from(rate: Blockrate) -> Self {
        Self {
            block_ms: rate.target_time_per_block,
            k: rate.ghostdag_k,
            median_sample_rate: rate.past_median_time_sample_rate,
            difficulty_sample_rate: rate.difficulty_sample_rate,
            parents_max: usize::from(rate.max_block_parents),
            merge_set_max: usize::try_from(rate.mergeset_size_limit).unwrap_or(usize::MAX),
            merge_depth: rate.merge_depth,
            finality_depth: rate.finality_depth,
            pruning_depth: rate.pruning_depth,
            coinbase_maturity: rate.coinbase_maturity,
        }
    }
}

impl Params {
    /// These rules with what the file's text says instead. Every node of the network must use the same file.
    ///
    /// # Errors
    /// See [`ParamsError`].
    pub fn with_overrides(mut self, json: &str) -> Result<Self, ParamsError> {
        if self.network == "kaspa-mainnet" {
            return Err(ParamsError::Fixed(self.network));
        }
        let it: Overrides = serde_json::from_str(json)?;
        let tolerance = it.timestamp_deviation_tolerance;
        put(&mut self.time_ahead_ms_max, tolerance.map(|seconds| seconds.saturating_mul(1_000)));
        put(&mut self.median_samples, it.past_median_time_window_size);
        put(&mut self.difficulty_samples, it.difficulty_window_size);
        put(&mut self.difficulty_samples_min, it.min_difficulty_window_size);
        put(&mut self.coinbase_script_bytes_max, it.coinbase_payload_script_public_key_max_len.map(usize::from));
        put(&mut self.coinbase_payload_bytes_max, it.max_coinbase_payload_len);
        put(&mut self.transaction.inputs_max, it.max_tx_inputs);
        put(&mut self.transaction.outputs_max, it.max_tx_outputs);
        put(&mut self.transaction.signature_script_bytes_max, it.max_signature_script_len);
        put(&mut self.transaction.script_bytes_max, it.max_script_public_key_len);
        put(&mut self.transaction.mass_per_byte, it.mass_per_tx_byte);
        put(&mut self.transaction.mass_per_script_byte, it.mass_per_script_pub_key_byte);
        let (mass, lanes) = (it.block_mass_limits, it.block_lane_limits);
        self.block = block_limits(self.block, mass, lanes);
        put(&mut self.subsidy_falls_at, it.deflationary_phase_daa_score);
        put(&mut self.subsidy_flat, it.pre_deflationary_phase_base_subsidy);
        put(&mut self.skips_proof_of_work, it.skip_proof_of_work);
        put(&mut self.level_max, it.max_block_level);
        put(&mut self.proof_headers, it.pruning_proof_m);
        put(&mut self.rate, it.blockrate.map(Rate::from));
        let earlier = it.pre_crescendo_target_time_per_block.and_then(|ms| 1_000_u64.checked_div(ms));
        put(&mut self.raised.0, earlier);
        put(&mut self.raised.1, it.crescendo_activation);
        // Never fewer samples than the window has.
        self.difficulty_samples_min = self.difficulty_samples_min.min(self.difficulty_samples);
        self.check()?;
        Ok(self)
    }
}

fn put<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

fn block_limits(now: BlockLimits, mass: Option<MassLimits>, lanes: Option<LaneLimits>) -> BlockLimits {
    let mut limits = now;
    if let Some(mass) = mass {
        limits.compute_mass_max = mass.compute;
        limits.storage_mass_max = mass.storage;
        limits.transient_mass_max = mass.transient;
    }
    if let Some(lanes) = lanes {
        limits.lanes_max = lanes.lanes_per_block;
        limits.lane_gas_max = lanes.gas_per_lane;
    }
    limits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_network_is_read() {
        let json = r#"{
            "timestamp_deviation_tolerance": 16, "difficulty_window_size": 32, "min_difficulty_window_size": 16,
            "pruning_proof_m": 16, "skip_proof_of_work": true,
            "blockrate": { "target_time_per_block": 100, "ghostdag_k": 10, "past_median_time_sample_rate": 1,
                "difficulty_sample_rate": 1, "max_block_parents": 10, "mergeset_size_limit": 32, "merge_depth": 64,
                "finality_depth": 100, "pruning_depth": 200, "coinbase_maturity": 10 } }"#;
        let params = Params::devnet().with_overrides(json).unwrap();
        assert_eq!((params.time_ahead_ms_max, params.difficulty_samples, params.proof_headers), (16_000, 32, 16));
        assert_eq!((params.rate.k, params.rate.parents_max, params.rate.pruning_depth), (10, 10, 200));
        assert_eq!((params.difficulty_samples_min, params.skips_proof_of_work), (16, true));
        assert_eq!((params.median_samples, params.level_max), (27, 250));
    }

    #[test]
    fn what_cannot_be_used_is_refused() {
        let refused = |params: Params, json| params.with_overrides(json).unwrap_err().to_string();
        assert_eq!(refused(Params::mainnet(), "{}"), "the rules of kaspa-mainnet cannot be overridden");
        assert!(refused(Params::simnet(), r#"{"toccata_activation": 42}"#).contains("unknown field"));
        assert!(refused(Params::simnet(), r#"{"blockrate": {"ghostdag_k": 10}}"#).contains("missing field"));
        assert_eq!(
            refused(Params::simnet(), r#"{"difficulty_window_size": 1}"#),
            "difficulty_window_size is out of range"
        );
        assert_eq!(Params::simnet().with_overrides("{}").unwrap(), Params::simnet());
    }
}

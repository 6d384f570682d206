//! Judges transactions by what they are on their own: form, sizes, masses (Kaspa spec, sections 2.5 and 5.3). Whether
//! the outputs that they spend exist, and what their scripts say, is not known here.

use crate::params::{Params, TransactionLimits};
use polypeer_kaspa::wire::{Input, Outpoint, Output, SUBNETWORK_COINBASE, SUBNETWORK_NATIVE, TransactionView};
use std::collections::BTreeSet;

/// The newest version.
const VERSION_MAX: u16 = 1;
/// All coins that there can be, in sompi.
const SOMPI_MAX: u64 = 29_000_000_000 * 100_000_000;
/// Lock times below this are scores, from it on milliseconds since 1970.
const LOCK_TIME_IS_TIME: u64 = 500_000_000_000;
/// Transient mass of a byte.
const TRANSIENT_MASS_PER_BYTE: u64 = 4;
/// Compute mass of a signature operation, and of a unit of a compute budget.
const MASS_PER_OPERATION: u64 = 1_000;
const MASS_PER_BUDGET: u64 = 100;
/// Bytes of the parts that have one length: version, three counts, lock time, subnetwork, gas, the payload's hash.
const FIXED_BYTES: u64 = 2 + 8 + 8 + 8 + 20 + 8 + 32 + 8;

/// What it costs the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Masses {
    pub(crate) compute: u64,
    pub(crate) transient: u64,
    pub(crate) storage: u64,
}

/// Whether a transaction is right on its own.
pub(crate) fn is_formed(view: &TransactionView<'_>, params: &Params) -> bool {
    let limits = &params.transaction;
    let counts = if view.is_coinbase() {
        // An output for each blue block that is merged, and one for the red ones.
        view.input_count == 0 && view.storage_mass == 0 && view.output_count <= usize::from(params.rate.k) + 2
    } else {
        (1..=limits.inputs_max).contains(&view.input_count) && view.output_count <= limits.outputs_max
    };
    let script_bytes_max = if view.is_coinbase() { params.coinbase_script_bytes_max } else { limits.script_bytes_max };
    counts
        && view.version <= VERSION_MAX
        && is_in_a_lane(view)
        && view.inputs().all(|input| input.signature_script.len() <= limits.signature_script_bytes_max)
        && view.outputs().all(|output| output.script.bytes.len() <= script_bytes_max)
        && (view.version > 0 || view.outputs().all(|output| output.covenant.is_none()))
        && pays_what_exists(view)
        && spends_each_once(view)
}

/// Whether subnetwork, version and gas go together: lanes have four bytes of name, of which not only the first is set,
/// and only they use gas.
fn is_in_a_lane(view: &TransactionView<'_>) -> bool {
    let is_of_system = view.subnetwork_id.iter().skip(1).all(|byte| *byte == 0);
    if is_of_system {
        return view.gas == 0 && [SUBNETWORK_NATIVE, SUBNETWORK_COINBASE].contains(&view.subnetwork_id);
    }
    view.version > 0 && view.subnetwork_id.iter().skip(4).all(|byte| *byte == 0)
}

fn pays_what_exists(view: &TransactionView<'_>) -> bool {
    let mut total = 0_u64;
    view.outputs().all(|output| {
        total = total.saturating_add(output.value);
        output.value > 0 && total <= SOMPI_MAX
    })
}

fn spends_each_once(view: &TransactionView<'_>) -> bool {
    let mut spent = BTreeSet::new();
    view.inputs().all(|input| spent.insert(input.previous))
}

/// Whether it may stand in a block of this score, with this median time.
pub(crate) fn is_final(view: &TransactionView<'_>, daa_score: u64, median_time: u64) -> bool {
    let reached = match view.lock_time {
        0 => return true,
        score if score < LOCK_TIME_IS_TIME => daa_score,
        _ => median_time,
    };
    view.lock_time < reached || view.inputs().all(|input| input.sequence == u64::MAX)
}

/// Its masses. The one for storage is what it claims.
pub(crate) fn masses(view: &TransactionView<'_>, limits: &TransactionLimits) -> Masses {
    if view.is_coinbase() {
        return Masses { storage: view.storage_mass, ..Masses::default() };
    }
    let inputs = view.inputs().map(|input| input_bytes(&input, view.version));
    let outputs = view.outputs().map(|output| output_bytes(&output));
    let bytes = FIXED_BYTES + inputs.sum::<u64>() + outputs.sum::<u64>() + view.payload.len() as u64;
    let scripts: u64 = view.outputs().map(|output| 2 + output.script.bytes.len() as u64).sum();
    let commits: u64 = view.inputs().map(|input| u64::from(input.compute_commit)).sum();
    let per_commit = if view.version > 0 { MASS_PER_BUDGET } else { MASS_PER_OPERATION };
    let of_bytes = bytes.saturating_mul(limits.mass_per_byte);
    let of_scripts = scripts.saturating_mul(limits.mass_per_script_byte);
    Masses {
        compute: of_bytes.saturating_add(of_scripts).saturating_add(commits * per_commit),
        transient: bytes * TRANSIENT_MASS_PER_BYTE,
        storage: view.storage_mass,
    }
}

/// Bytes as the network estimates them: outpoint, the script and its length, sequence, the budget.
fn input_bytes(input: &Input<'_>, version: u16) -> u64 {
    let budget = if version > 0 { 2 } else { 0 };
    32 + 4 + 8 + input.signature_script.len() as u64 + 8 + budget
}

/// Value, the script with version and length, the covenant.
fn output_bytes(output: &Output<'_>) -> u64 {
    let covenant = if output.covenant.is_some() { 2 + 32 } else { 0 };
    8 + 2 + 8 + output.script.bytes.len() as u64 + covenant
}

/// The outputs that it spends.
pub(crate) fn spent(view: &TransactionView<'_>) -> impl Iterator<Item = Outpoint> {
    view.inputs().map(|input| input.previous)
}

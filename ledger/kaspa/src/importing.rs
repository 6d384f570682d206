//! Refuses the state of a pruned network: this ledger's base is the first block.

use polypeer_kaspa::ledger::{BlockOutcome, Import, ImportFault, Imported, Status};

/// There is no room for it here, whoever sends it.
pub(crate) fn refuse(import: &Import) -> Imported {
    let fault = ImportFault::NoRoom;
    match import {
        Import::ProofEnd => Imported::Proof(Err(fault)),
        Import::Headers(_) => Imported::HeadersTaken(Some(BlockOutcome::NoRoom)),
        Import::Statuses(hashes) => Imported::Statuses(vec![Status::Unknown; hashes.len()]),
        Import::MissingBodies { .. } => Imported::MissingBodies(Vec::new()),
        Import::Bodies(_) => Imported::BodiesTaken(Some(BlockOutcome::NoRoom)),
        Import::Finish => Imported::Finished(Err(fault)),
        _ => Imported::Taken(Err(fault)),
    }
}

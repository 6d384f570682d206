//! Remembers the operator's transactions over a restart, until they are in a block or not valid any more (ledger spec,
//! section "Limits on what is kept").

use crate::tables::{Look, Result};
use crate::transaction::{self, TransactionBytes};
use crate::writing::Writing;
use polypeer_engine::kit::chain::Hash;
use redb::{ReadableTable, ReadableTableMetadata};
use std::collections::HashMap;

/// For how many blocks a confirmed one is remembered, in case a reorganisation puts it back.
const CONFIRMED_BLOCKS: u64 = 1_000;

impl Writing<'_> {
    /// Stores one; nothing when there is no room.
    pub(crate) fn add_operator(&mut self, bytes: &TransactionBytes) -> Result<Option<u64>> {
        if self.operator.len()? >= self.operator_max {
            return Ok(None);
        }
        let place = self.counters.operator;
        self.counters.operator += 1;
        self.operator.insert(place, bytes)?;
        self.changed = true;
        Ok(Some(place))
    }

    /// Lets go of one that does not wait any more: for good, or for as long as its block is young.
    pub(crate) fn retire_operator(&mut self, place: u64, id: &Hash) -> Result<()> {
        let Some(bytes) = self.operator.remove(place)?.map(|row| *row.value()) else { return Ok(()) };
        if let Some((height, _)) = self.confirmed(id)? {
            self.confirmed.insert((height, place), &bytes)?;
        }
        self.changed = true;
        Ok(())
    }

    /// Stores those again that stood in the block at this height, which is leaving the main chain.
    pub(crate) fn return_operators(&mut self, height: u64, returned: &mut HashMap<Hash, u64>) -> Result<()> {
        if self.confirmed.is_empty()? {
            return Ok(());
        }
        let rows = self.confirmed.extract_from_if((height, 0)..=(height, u64::MAX), |_, _| true)?;
        for row in rows {
            let (key, bytes) = row?;
            let (_, place) = key.value();
            self.operator.insert(place, bytes.value())?;
            returned.insert(transaction::id(bytes.value()), place);
        }
        Ok(())
    }

    /// Forgets those whose blocks are old, now that the tip is at this height.
    pub(crate) fn forget_confirmed(&mut self, height: u64) -> Result<()> {
        loop {
            let oldest = self.confirmed.first()?.map(|(key, _)| key.value());
            match oldest {
                Some(key) if key.0.saturating_add(CONFIRMED_BLOCKS) < height => self.confirmed.remove(key)?,
                _ => return Ok(()),
            };
        }
    }

    /// All that are stored, in the order of their arrival.
    pub(crate) fn operators(&self) -> Result<Vec<(u64, TransactionBytes)>> {
        self.operator
            .iter()?
            .map(|row| row.map(|(place, bytes)| (place.value(), *bytes.value())).map_err(Into::into))
            .collect()
    }
}

//! Pays from account to account at a steady rate: the accounts are shared out, each node has its own hand.

use crate::networks::{Refused, RunningNetwork};
use crate::purses::{Draft, Payer};
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout_at};

/// A pause when every account waits for blocks.
const FULL_PAUSE: Duration = Duration::from_millis(50);
/// How often the accounts' counts are read.
const COUNT_EVERY: Duration = Duration::from_millis(500);
/// Wallets that are behind do not catch up more than this.
const BURST_MAX: Duration = Duration::from_millis(250);

/// The wallets at one node: their transactions arrive there in order.
pub(super) struct Wallets<'a> {
    pub(super) node: &'a Arc<dyn RunningNetwork>,
    pub(super) purses: Box<dyn Payer>,
    pub(super) sent: &'a AtomicU64,
}

impl Wallets<'_> {
    /// Pays until it is told to stop. The identifiers of all transactions that a node took.
    pub(super) async fn pay(
        mut self,
        rate: f64,
        mut stopped: watch::Receiver<bool>,
    ) -> anyhow::Result<HashSet<[u8; 32]>> {
        let mut ids = HashSet::new();
        if rate <= 0.0 {
            let _ = stopped.wait_for(|stop| *stop).await;
            return Ok(ids);
        }
        let gap = Duration::from_secs_f64(1.0 / rate);
        let (mut due, mut count_due) = (Instant::now(), Instant::now());
        loop {
            // The sender lives as long as the wallets do.
            if timeout_at(due, stopped.wait_for(|stop| *stop)).await.is_ok() {
                return Ok(ids);
            }
            if Instant::now() >= count_due {
                count_due = Instant::now() + COUNT_EVERY;
                self.count().await?;
            }
            match self.purses.draft() {
                Some(draft) => self.send(draft, &mut ids).await?,
                None => sleep_until(Instant::now() + FULL_PAUSE).await,
            }
            due = (due + gap).max(Instant::now().checked_sub(BURST_MAX).unwrap_or(due));
        }
    }

    async fn send(&mut self, draft: Draft, ids: &mut HashSet<[u8; 32]>) -> anyhow::Result<()> {
        match self.node.submit(draft.bytes).await {
            Ok(id) => {
                let mut bytes = [0; 32];
                const_hex::decode_to_slice(&id, &mut bytes)?;
                ids.insert(bytes);
                self.purses.taken(draft.purse);
                self.sent.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            // Only somebody else with the same public accounts can be the reason: the next sequence may be free.
            Err(Refused::ByLedger { reason: "sequence" | "replacement_fee_too_low", .. }) => {
                self.purses.collided(draft.purse);
                Ok(())
            }
            Err(Refused::ByLedger { .. } | Refused::Overdrawn) => Ok(()),
            Err(Refused::Stopped(stopped)) => Err(stopped.into()),
        }
    }

    async fn count(&mut self) -> anyhow::Result<()> {
        for (purse, key) in self.purses.keys().into_iter().enumerate() {
            let account = self.node.account(key).await?;
            self.purses.confirmed(purse, account.map_or(0, |account| account.sequence));
        }
        Ok(())
    }
}

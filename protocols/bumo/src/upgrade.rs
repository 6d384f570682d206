//! Passes on who wishes for another ledger version, and wishes itself (BUMO spec, section 8).
//!
//! ```text
//!   LEDGER_UPGRADE_NOTIFY ─► of a validator? ─► broadcast before? ─► its signature ─► remembered, sent to the others
//! ```
//!
//! Today's node sends on first and looks at the signature afterwards, so that whoever relays a forged one may be honest
//! and is not to blame: of what is new a peer has so much looked at, and the rest is passed over. But a stranger's nobody
//! sends on, so that whoever brings many of those made them.

use crate::handshake::LEDGER_VERSION;
use crate::hash::Hash;
use crate::ledger::{Request, SignError};
use crate::ping::unix_micros;
use crate::questions::Asked;
use crate::wire::{Kind, LedgerUpgrade, LedgerUpgradeNotify, Message as _, WireError, is_protobuf};
use crate::{Alarm, Bumo, Cx, Misbehavior};
use alloc::collections::BTreeMap;
use bytes::Bytes;
use core::time::Duration;
use polypeer_engine::kit::bucket::Bucket;
use polypeer_engine::kit::cost::Class;
use polypeer_engine::{ConnectionId, Stock, Stocks, Time};

/// A wish counts for this long.
const WISH_KEPT_FOR: Duration = Duration::from_secs(300);
/// Bytes of a notice: real ones have 170, with room for an address.
const NOTICE_BYTES_MAX: usize = 1 << 10;
/// Validators whose wishes are remembered; networks have a few dozen.
const WISHES_MAX: usize = 1_024;

/// New notices of one peer that are looked at when they come at once, and over the time after which wishes are repeated:
/// one of each validator. More are passed over, so that they cost no signatures and no credit that its other words need.
const NOTICES_MAX: u32 = WISHES_MAX as u32;
const NOTICE_EVERY: Duration = Duration::from_micros(30_000_000 / WISHES_MAX as u64);
/// Notices of strangers that make a slip; twenty slips within a minute end the connection. A peer that knows of validators
/// that are still unknown here brings two a minute of each.
const STRANGERS_A_SLIP: u32 = 32;

/// What one peer brought.
#[derive(Debug)]
pub(crate) struct Notices {
    new: Bucket,
    // Strangers' since the last slip.
    strangers: u32,
}

impl Default for Notices {
    fn default() -> Self {
        Self { new: Bucket::new(NOTICES_MAX, NOTICE_EVERY), strangers: 0 }
    }
}

/// Who wishes for what.
#[derive(Debug, Default)]
pub(crate) struct Upgrades {
    // By the validator's place. Cleared with every change of the validators.
    wishes: BTreeMap<usize, Wish>,
}

#[derive(Debug)]
struct Wish {
    upgrade: Bytes,
    nonce: i64,
    until: Time,
}

impl Upgrades {
    pub(crate) fn stock(&self, stocks: &mut Stocks) {
        stocks.push(Stock::kept("wishes to upgrade", self.wishes.len(), WISHES_MAX));
    }

    /// A ledger brought an upgrade, or other validators: every wish is over.
    pub(crate) fn clear(&mut self) {
        self.wishes.clear();
    }

    fn remember(&mut self, now: Time, index: usize, nonce: i64, upgrade: &[u8]) {
        self.wishes.retain(|_, wish| wish.until > now);
        let is_newer = self.wishes.get(&index).is_none_or(|wish| wish.nonce < nonce);
        if is_newer && self.wishes.len() < WISHES_MAX {
            let upgrade = Bytes::copy_from_slice(upgrade);
            self.wishes.insert(index, Wish { upgrade, nonce, until: now + WISH_KEPT_FOR });
        }
    }
}

impl Bumo {
    /// LEDGER_UPGRADE_NOTIFY.
    pub(crate) fn on_upgrade_notice(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        notices: &mut Notices,
        data: &[u8],
    ) -> Result<(), Misbehavior> {
        let notice = match LedgerUpgradeNotify::decode(data) {
            Ok(notice) if data.len() <= NOTICE_BYTES_MAX => notice,
            Err(error) if error != WireError::NotCanonical || !is_protobuf(data) => {
                return Err(Misbehavior::MalformedUpgrade);
            }
            _ => {
                cx.slip(connection, Misbehavior::NotCanonical(Kind::LedgerUpgradeNotify));
                return Ok(());
            }
        };
        let (Some(tip), Some(signature), Some(upgrade)) = (&self.tip, notice.signature, notice.upgrade) else {
            return Ok(());
        };
        let digest = self.config.hash.hash(data);
        if self.broadcasts.is_known(&digest) {
            return Ok(());
        }
        if !notices.new.take(cx.time()) {
            self.pass_over(cx, connection);
            return Ok(());
        }
        let price = Class::TransactionCheck.price(data.len());
        if !self.pays(cx, connection, Class::TransactionCheck, price) {
            return Ok(());
        }
        // A stranger's costs reading its key, and is paid for.
        let Some((index, key)) = tip.validators.signer(signature.public_key) else {
            notices.strangers = (notices.strangers + 1) % STRANGERS_A_SLIP;
            if notices.strangers == 0 {
                cx.slip(connection, Misbehavior::StrangersNotices);
            }
            return Ok(());
        };
        if upgrade.message.chain_id != self.config.chain_id || !key.verify(&notice.signed(), signature.sign_data) {
            return Ok(());
        }
        cx.refund(connection, price);
        self.upgrades.remember(cx.time(), index, notice.nonce, upgrade.bytes);
        self.broadcast(cx, Kind::LedgerUpgradeNotify, data, digest, &[connection]);
        Ok(())
    }

    /// The upgrade that enough validators wish for now, a `LedgerUpgrade`; one that is no upgrade, or one beyond our
    /// rules, is none.
    pub(crate) fn agreed_upgrade(&self, now: Time) -> Option<Bytes> {
        let tip = self.tip.as_ref()?;
        let mut counts: BTreeMap<&Bytes, usize> = BTreeMap::new();
        for (_, wish) in self.upgrades.wishes.iter().filter(|(_, wish)| wish.until > now) {
            *counts.entry(&wish.upgrade).or_default() += 1;
        }
        let is_agreed = |upgrade: &Bytes, count: usize| {
            let version = LedgerUpgrade::decode(upgrade).map_or(0, |upgrade| upgrade.new_ledger_version);
            count > tip.validators.quorum() && version > tip.version && version <= LEDGER_VERSION
        };
        let agreed = counts.into_iter().find(|(upgrade, count)| is_agreed(upgrade, *count));
        agreed.map(|(upgrade, _)| upgrade.clone())
    }

    /// Our own wish, as long as the ledger's version is older than the rules that we know: at once and every three
    /// intervals.
    pub(crate) fn wish(&mut self, cx: &mut Cx<'_>) {
        let Some(tip) = &self.tip else { return };
        if tip.version >= LEDGER_VERSION || self.own_place().is_none() || tip.follow_only.is_some() {
            return;
        }
        let chain_id = self.config.chain_id;
        let upgrade = LedgerUpgrade { new_ledger_version: LEDGER_VERSION, new_validator: "", chain_id }.encode();
        let nonce = unix_micros(cx);
        self.ask_ledger(cx, Request::SignUpgrade { nonce, upgrade }, Asked::Wish);
        let again = cx.time() + self.config.wish_interval();
        cx.alarm(Alarm::Wish, again);
    }

    /// Our wish is signed: it goes to everyone, and counts here too.
    pub(crate) fn on_wish_signed(&mut self, cx: &mut Cx<'_>, notice: Result<Bytes, SignError>) {
        let (Ok(data), Some(index)) = (notice, self.own_place()) else { return };
        let Ok(LedgerUpgradeNotify { nonce, upgrade: Some(upgrade), .. }) = LedgerUpgradeNotify::decode(&data) else {
            return;
        };
        self.upgrades.remember(cx.time(), index, nonce, upgrade.bytes);
        let digest: Hash = self.config.hash.hash(&data);
        self.broadcast(cx, Kind::LedgerUpgradeNotify, &data, digest, &[]);
    }

    // Our place among the validators of the next ledger.
    fn own_place(&self) -> Option<usize> {
        let tip = self.tip.as_ref()?;
        tip.validators.position(tip.signer.as_deref()?)
    }
}

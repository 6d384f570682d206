//! The envelope: one to each WebSocket message (BUMO spec, section 2).

use super::loose::Fields;
use super::proto::{Message, Reader, Writer};
use super::{PBFT_BYTES_MAX, TRANSACTION_DATA_BYTES_MAX, WireError};
use bytes::Bytes;

/// `WsMessage`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// The number of a [`Kind`], or one that nobody handles.
    pub number: i64,
    /// A request or a push; else an answer.
    pub is_request: bool,
    /// The sender's counter of its requests on this connection; in answers to PING and HELLO the request's, in answers
    /// to LEDGERS 0. Nobody checks it.
    pub sequence: i64,
    /// The message inside.
    pub data: &'a [u8],
}

impl<'a> Envelope<'a> {
    /// What is inside, unless nobody handles it.
    pub fn kind(&self) -> Option<Kind> {
        Kind::from_number(self.number)
    }

    /// The bytes before those of `data`: who sends one message to many writes these for each and shares the rest.
    pub fn head(&self) -> Bytes {
        let mut writer = Writer::with_capacity(HEAD_BYTES_MAX);
        self.write_head(&mut writer);
        writer.finish()
    }

    /// The envelope in the form that all nodes write, which is read in the same time however long the message is.
    #[inline]
    pub fn canonical(message: &'a [u8]) -> Result<Self, WireError> {
        let mut reader = Reader::of(message, 0);
        let envelope = Self {
            number: reader.field(1)?,
            is_request: reader.field(2)?,
            sequence: reader.field(3)?,
            data: reader.field(4)?,
        };
        reader.end()?;
        Ok(envelope)
    }

    fn read_loose(message: &'a [u8]) -> Result<Self, WireError> {
        let mut envelope = Self::default();
        let mut fields = Fields::of(message);
        while let Some((number, value)) = fields.next()? {
            match number {
                1 => envelope.number = value.i64()?,
                2 => envelope.is_request = value.bool()?,
                3 => envelope.sequence = value.i64()?,
                4 => envelope.data = value.bytes()?,
                _ => {}
            }
        }
        Ok(envelope)
    }

    fn write_head(&self, writer: &mut Writer) {
        writer.field(1, &self.number);
        writer.field(2, &self.is_request);
        writer.field(3, &self.sequence);
        if !self.data.is_empty() {
            writer.announce(4, self.data.len());
        }
    }
}

/// Keys, a type, a flag, a sequence and a length at their longest.
const HEAD_BYTES_MAX: usize = 11 + 2 + 11 + 11;

impl<'a> Message<'a> for Envelope<'a> {
    #[inline]
    fn read(message: &'a [u8], _: u32) -> Result<Self, WireError> {
        // As all nodes write it, and if not, as it may be too.
        Self::canonical(message).or_else(|_| Self::read_loose(message))
    }

    fn write(&self, writer: &mut Writer) {
        self.write_head(writer);
        writer.raw(self.data);
    }

    fn encode(&self) -> Bytes {
        let mut writer = Writer::with_capacity(HEAD_BYTES_MAX + self.data.len());
        self.write(&mut writer);
        writer.finish()
    }
}

/// What an envelope holds: its `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// 1: [`super::Ping`], answered with the same.
    Ping,
    /// 2: [`super::Hello`], answered with [`super::HelloResponse`].
    Hello,
    /// 3, `OVERLAY_MSGTYPE_PEERS`: [`super::Peers`], pushed once.
    Peers,
    /// 4, `OVERLAY_MSGTYPE_TRANSACTION`: [`super::TransactionEnv`], flooded.
    Transaction,
    /// 5, `OVERLAY_MSGTYPE_LEDGERS`: [`super::GetLedgers`], answered with [`super::Ledgers`].
    Ledgers,
    /// 6, `OVERLAY_MSGTYPE_PBFT`: [`super::PbftEnv`], flooded.
    Pbft,
    /// 7, `OVERLAY_MSGTYPE_LEDGER_UPGRADE_NOTIFY`: [`super::LedgerUpgradeNotify`], flooded.
    LedgerUpgradeNotify,
}

impl Kind {
    /// All of them, by their numbers.
    pub const ALL: [Self; 7] =
        [Self::Ping, Self::Hello, Self::Peers, Self::Transaction, Self::Ledgers, Self::Pbft, Self::LedgerUpgradeNotify];

    /// The one of this number.
    pub fn from_number(number: i64) -> Option<Self> {
        let place = usize::try_from(number).ok()?.checked_sub(1)?;
        Self::ALL.get(place).copied()
    }

    /// Its number.
    pub fn number(self) -> i64 {
        self as i64 + 1
    }

    /// Its name in the original's overlay.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ping => "OVERLAY_MSGTYPE_PING",
            Self::Hello => "OVERLAY_MSGTYPE_HELLO",
            Self::Peers => "OVERLAY_MSGTYPE_PEERS",
            Self::Transaction => "OVERLAY_MSGTYPE_TRANSACTION",
            Self::Ledgers => "OVERLAY_MSGTYPE_LEDGERS",
            Self::Pbft => "OVERLAY_MSGTYPE_PBFT",
            Self::LedgerUpgradeNotify => "OVERLAY_MSGTYPE_LEDGER_UPGRADE_NOTIFY",
        }
    }

    /// Whether it goes from peer to peer until all have it (section 5.3); else to one peer.
    pub fn is_broadcast(self) -> bool {
        matches!(self, Self::Transaction | Self::Pbft | Self::LedgerUpgradeNotify)
    }

    /// The bytes of `data` beyond which whoever sent it is disconnected, where there is such a limit.
    pub fn data_bytes_max(self) -> Option<usize> {
        match self {
            Self::Transaction => Some(TRANSACTION_DATA_BYTES_MAX),
            Self::Pbft => Some(PBFT_BYTES_MAX),
            _ => None,
        }
    }
}

//! Prices every way in which an AnYa peer can be wrong: its weight and our last word (AnYa spec, section 5).
//!
//! README.md of this crate shows the same as a table; a test compares the two.

use crate::wire::{self, Kind, NO_NAME, Name, code};
use bytes::Bytes;
use polypeer_engine::Weight;

/// A peer's fault. Kept ones (a slip that is borne) leave the connection open; all others end it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misbehavior {
    /// A header whose type is not well-formed.
    MalformedType,
    /// Another message where the handshake's should be; its type.
    NotGreeting(Name),
    /// An `error` where the handshake's message should be.
    ErrorFirst,
    /// The handshake was not finished in time.
    HandshakeTimeout,
    /// A handshake's message of the wrong length.
    GreetingPayload(Kind),
    /// A handshake's message with an address at which nobody can be.
    GreetingAddress(Kind),
    /// A payload over the limit.
    PayloadTooLong(Kind),
    /// An `error` over its limit; errors are never answered.
    ErrorTooLong,
    /// An unknown type with more payload than is skipped; its type.
    UnknownTooLong(Name),
    /// A `block` that is not even the shape of one.
    BlockUnreadable,
    /// A block that breaks a rule.
    BlockInvalid,
    /// More requests waiting than any use needs.
    TooManyRequests,
    /// No whole frame, not even after a ping.
    Silent,
    /// Another network or genesis.
    OtherNetwork,
    /// A payload, other than a block's, that does not parse or is too short.
    PayloadUnreadable(Kind),
    /// `peers` with an address at which nobody can be.
    PeersAddress,
    /// `connect` or `connection_accepted` on an open connection.
    GreetingAgain(Kind),
    /// `disconnect_ack` that nobody asked for.
    AckUnasked,
    /// A transaction that is never valid.
    TransactionInvalid,
    /// A transaction that is never valid, in a `mempool`.
    PoolTransactionInvalid,
    /// Seconds of work wanted that it had no credit for. It gets no word: the spec has no code for it.
    TooMuchWork,
}

impl Misbehavior {
    // What the farewell says: the offending type and the code.
    fn blame(&self) -> Option<(Name, Name)> {
        match *self {
            Self::MalformedType => Some((NO_NAME, code::INVALID_MESSAGE)),
            Self::NotGreeting(name) => Some((name, code::INVALID_MESSAGE)),
            Self::GreetingAgain(kind) => Some((kind.name(), code::INVALID_MESSAGE)),
            Self::AckUnasked => Some((Kind::DisconnectAck.name(), code::INVALID_MESSAGE)),
            Self::GreetingPayload(kind) | Self::PayloadTooLong(kind) | Self::PayloadUnreadable(kind) => {
                Some((kind.name(), code::INVALID_PAYLOAD))
            }
            Self::BlockUnreadable | Self::BlockInvalid => Some((Kind::Block.name(), code::INVALID_PAYLOAD)),
            Self::TransactionInvalid => Some((Kind::Tx.name(), code::INVALID_PAYLOAD)),
            Self::PoolTransactionInvalid => Some((Kind::Mempool.name(), code::INVALID_PAYLOAD)),
            Self::GreetingAddress(kind) => Some((kind.name(), code::INVALID_NETWORK_ADDRESS)),
            Self::PeersAddress => Some((Kind::Peers.name(), code::INVALID_NETWORK_ADDRESS)),
            Self::UnknownTooLong(name) => Some((name, code::UNKNOWN_MESSAGE_TYPE)),
            Self::ErrorFirst
            | Self::HandshakeTimeout
            | Self::ErrorTooLong
            | Self::TooManyRequests
            | Self::Silent
            | Self::TooMuchWork
            | Self::OtherNetwork => None,
        }
    }
}

impl polypeer_engine::Misbehavior for Misbehavior {
    fn name(&self) -> &'static str {
        match self {
            Self::MalformedType => "malformed_type",
            Self::NotGreeting(_) => "not_greeting",
            Self::ErrorFirst => "error_first",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::GreetingPayload(_) => "greeting_payload",
            Self::GreetingAddress(_) => "greeting_address",
            Self::PayloadTooLong(_) => "payload_too_long",
            Self::ErrorTooLong => "error_too_long",
            Self::UnknownTooLong(_) => "unknown_too_long",
            Self::BlockUnreadable => "block_unreadable",
            Self::BlockInvalid => "block_invalid",
            Self::TooManyRequests => "too_many_requests",
            Self::Silent => "silent",
            Self::OtherNetwork => "other_network",
            Self::PayloadUnreadable(_) => "payload_unreadable",
            Self::PeersAddress => "peers_address",
            Self::GreetingAgain(_) => "greeting_again",
            Self::AckUnasked => "ack_unasked",
            Self::TransactionInvalid => "transaction_invalid",
            Self::PoolTransactionInvalid => "pool_transaction_invalid",
            Self::TooMuchWork => "too_much_work",
        }
    }

    fn weight(&self) -> Weight {
        match self {
            Self::OtherNetwork => Weight::Stranger,
            // Closed without blame: a port scan, a peer that went away.
            Self::ErrorFirst | Self::HandshakeTimeout | Self::Silent => Weight::Slip,
            Self::PayloadUnreadable(_)
            | Self::PeersAddress
            | Self::GreetingAgain(_)
            | Self::AckUnasked
            | Self::TransactionInvalid
            | Self::PoolTransactionInvalid
            | Self::TooMuchWork => Weight::Slip,
            Self::MalformedType
            | Self::NotGreeting(_)
            | Self::GreetingPayload(_)
            | Self::GreetingAddress(_)
            | Self::PayloadTooLong(_)
            | Self::ErrorTooLong
            | Self::UnknownTooLong(_)
            | Self::BlockUnreadable
            | Self::BlockInvalid
            | Self::TooManyRequests => Weight::Breach,
        }
    }

    fn farewell(&self) -> Option<Bytes> {
        self.blame().map(|(offending, code)| wire::error(&offending, &code))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::String;
    use polypeer_engine::Misbehavior as _;

    const KIND: Kind = Kind::GetBlock;
    const ALL: [Misbehavior; 21] = [
        Misbehavior::MalformedType,
        Misbehavior::NotGreeting(NO_NAME),
        Misbehavior::ErrorFirst,
        Misbehavior::HandshakeTimeout,
        Misbehavior::GreetingPayload(KIND),
        Misbehavior::GreetingAddress(KIND),
        Misbehavior::PayloadTooLong(KIND),
        Misbehavior::ErrorTooLong,
        Misbehavior::UnknownTooLong(NO_NAME),
        Misbehavior::BlockUnreadable,
        Misbehavior::BlockInvalid,
        Misbehavior::TooManyRequests,
        Misbehavior::Silent,
        Misbehavior::OtherNetwork,
        Misbehavior::PayloadUnreadable(KIND),
        Misbehavior::PeersAddress,
        Misbehavior::GreetingAgain(KIND),
        Misbehavior::AckUnasked,
        Misbehavior::TransactionInvalid,
        Misbehavior::PoolTransactionInvalid,
        Misbehavior::TooMuchWork,
    ];

    fn row(fault: &Misbehavior) -> String {
        let weight = match fault.weight() {
            Weight::Stranger => "stranger",
            Weight::Slip => "slip",
            Weight::Breach => "breach",
            Weight::Attack => "attack",
        };
        let code = fault.blame().map(|(_, code)| code);
        let code = code.map(|code| code.iter().take_while(|b| **b != 0).map(|b| char::from(*b)).collect::<String>());
        let code = code.map_or(String::from("no word"), |code| format!("`{code}`"));
        format!("| `{}` | {weight} | {code} |", fault.name())
    }

    #[test]
    fn the_documentation_shows_every_price() {
        let readme = include_str!("../README.md");
        for fault in &ALL {
            assert!(readme.contains(&row(fault)), "README.md lacks: {}", row(fault));
        }
    }
}

//! Lists every way in which a peer can be wrong, and its price (Hello spec, sections 1 to 5).

use crate::wire::{self, Method};
use bytes::Bytes;
use polypeer_engine::kit::chain::{BlockFault, TransactionFault};
use polypeer_engine::{BadFrame, Weight};

/// What a peer did wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misbehavior {
    /// A line that is not a JSON object.
    NotAnObject,
    /// An object that has no entry, or more than one.
    NotOneEntry,
    /// A key twice in the message or in its payload.
    DuplicateKey(Method),
    /// Nested deeper than 16.
    TooDeep(Method),
    /// A method that there is not.
    UnknownMethod(Method),
    /// A payload of the wrong form.
    WrongForm(Method),
    /// A REJECT of the wrong form; it is not answered.
    MalformedReject,
    /// More GETBLOCKs unanswered than allowed.
    TooManyQuestions,
    /// A second GETLISTOFBLOCKS before the first was answered.
    SecondListQuestion,
    /// HELLO more often than once a second.
    HelloTooOften,
    /// GETADDR more often than once a second.
    GetaddrTooOften,
    /// A BLOCK that nobody asked for; it is not answered.
    UnaskedBlock,
    /// A LISTOFBLOCKS that nobody asked for; it is not answered.
    UnaskedList,
    /// A transaction that no state can make valid.
    NeverValid(TransactionFault),
    /// A line longer than its phase allows.
    LineTooLong,
    /// Something else than the handshake's next message.
    OutOfOrder(Method),
    /// A BLOCK other than those asked for.
    OtherBlock,
    /// A BLOCK whose data is not the shape of a block.
    NotABlock,
    /// A BLOCK whose number is not its height.
    WrongNumber,
    /// A block that the ledger found wrong.
    InvalidBlock(BlockFault),
    /// A HELLO of another chain.
    OtherGenesis,
    /// A list whose first block is another chain's.
    OtherGenesisListed,
    /// It rejected our handshake.
    RejectedUs,
    /// A line that took too long to end.
    LineTooSlow,
    /// The longest line in the making when there was no room for more.
    LineOverBudget,
    /// Seconds of work wanted that it had no credit for; it is not answered.
    TooMuchWork,
}

impl Misbehavior {
    /// What a frame that cannot be read says of the peer.
    pub fn of(bad: &BadFrame) -> Self {
        match bad.reason {
            BadFrame::TOO_SLOW => Self::LineTooSlow,
            BadFrame::OVER_BUDGET => Self::LineOverBudget,
            _ => Self::LineTooLong,
        }
    }

    /// The same fault in the handshake, where nothing is borne: REJECT and close, and a REJECT just closes.
    pub fn in_greeting(self) -> Self {
        match self {
            Self::MalformedReject => Self::RejectedUs,
            other => Self::OutOfOrder(other.method()),
        }
    }

    /// The key that a REJECT repeats.
    pub fn method(&self) -> Method {
        match self {
            Self::DuplicateKey(method)
            | Self::TooDeep(method)
            | Self::UnknownMethod(method)
            | Self::WrongForm(method)
            | Self::OutOfOrder(method) => *method,
            Self::TooManyQuestions => Method::from("GETBLOCK"),
            Self::SecondListQuestion => Method::from("GETLISTOFBLOCKS"),
            Self::HelloTooOften | Self::OtherGenesis => Method::from("HELLO"),
            Self::GetaddrTooOften => Method::from("GETADDR"),
            Self::NeverValid(_) => Method::from("PUSHTRANSACTION"),
            Self::OtherBlock | Self::NotABlock | Self::WrongNumber | Self::InvalidBlock(_) | Self::UnaskedBlock => {
                Method::from("BLOCK")
            }
            Self::UnaskedList | Self::OtherGenesisListed => Method::from("LISTOFBLOCKS"),
            Self::MalformedReject | Self::RejectedUs => Method::from("REJECT"),
            Self::NotAnObject
            | Self::NotOneEntry
            | Self::LineTooLong
            | Self::LineTooSlow
            | Self::LineOverBudget
            | Self::TooMuchWork => Method::NONE,
        }
    }

    // For people: printable ASCII, at most 128 characters.
    fn reason(&self) -> &'static str {
        match self {
            Self::NotAnObject => "not a JSON object",
            Self::NotOneEntry => "a message has exactly one entry",
            Self::DuplicateKey(_) => "a key is there twice",
            Self::TooDeep(_) => "nested deeper than 16",
            Self::UnknownMethod(_) => "unknown method",
            Self::WrongForm(_) => "payload of the wrong form",
            Self::MalformedReject => "malformed REJECT",
            Self::TooManyQuestions => "more than 128 GETBLOCKs unanswered",
            Self::SecondListQuestion => "the last GETLISTOFBLOCKS is not answered yet",
            Self::HelloTooOften | Self::GetaddrTooOften => "more often than once a second",
            Self::UnaskedBlock | Self::UnaskedList => "nobody asked for it",
            Self::NeverValid(fault) => match fault {
                TransactionFault::Length => "a transaction of the wrong length",
                TransactionFault::Version => "a transaction of an unknown version",
                TransactionFault::Signature => "a transaction whose signature does not verify",
                TransactionFault::ToSelf => "a transaction to its own sender",
                _ => "a transaction that is never valid",
            },
            Self::LineTooLong => "line too long",
            Self::OutOfOrder(_) => "not the handshake's next message",
            Self::OtherBlock => "not a block that was asked for",
            Self::NotABlock => "not a block",
            Self::WrongNumber => "the number is not the block's height",
            Self::InvalidBlock(fault) => match fault {
                BlockFault::Body => "a block whose body does not fit its header",
                BlockFault::Header => "a block whose header breaks a rule",
                BlockFault::State => "a block that is invalid on its parent",
            },
            Self::OtherGenesis | Self::OtherGenesisListed => "another genesis",
            Self::RejectedUs => "rejected us",
            Self::LineTooSlow => "a line must end within 30 s",
            Self::LineOverBudget => "no room for so long a line now",
            Self::TooMuchWork => "too much work",
        }
    }

    fn is_answered(&self) -> bool {
        !matches!(
            self,
            Self::MalformedReject
                | Self::RejectedUs
                | Self::UnaskedBlock
                | Self::UnaskedList
                | Self::OtherGenesisListed
                | Self::TooMuchWork
        )
    }

    /// The REJECT that says so.
    pub fn reject(&self) -> Bytes {
        wire::reject(&self.method(), self.reason())
    }
}

impl polypeer_engine::Misbehavior for Misbehavior {
    fn name(&self) -> &'static str {
        match self {
            Self::NotAnObject => "not_an_object",
            Self::NotOneEntry => "not_one_entry",
            Self::DuplicateKey(_) => "duplicate_key",
            Self::TooDeep(_) => "too_deep",
            Self::UnknownMethod(_) => "unknown_method",
            Self::WrongForm(_) => "wrong_form",
            Self::MalformedReject => "malformed_reject",
            Self::TooManyQuestions => "too_many_questions",
            Self::SecondListQuestion => "second_list_question",
            Self::HelloTooOften => "hello_too_often",
            Self::GetaddrTooOften => "getaddr_too_often",
            Self::UnaskedBlock => "unasked_block",
            Self::UnaskedList => "unasked_list",
            Self::NeverValid(_) => "transaction_never_valid",
            Self::LineTooLong => "line_too_long",
            Self::OutOfOrder(_) => "out_of_order",
            Self::OtherBlock => "other_block",
            Self::NotABlock => "not_a_block",
            Self::WrongNumber => "wrong_number",
            Self::InvalidBlock(_) => "invalid_block",
            Self::OtherGenesis => "other_genesis",
            Self::OtherGenesisListed => "other_genesis_listed",
            Self::RejectedUs => "rejected_us",
            Self::LineTooSlow => "line_too_slow",
            Self::LineOverBudget => "line_over_budget",
            Self::TooMuchWork => "too_much_work",
        }
    }

    fn weight(&self) -> Weight {
        match self {
            Self::OtherGenesis | Self::OtherGenesisListed => Weight::Stranger,
            Self::LineTooLong
            | Self::OutOfOrder(_)
            | Self::OtherBlock
            | Self::NotABlock
            | Self::WrongNumber
            | Self::InvalidBlock(_) => Weight::Breach,
            // Borne on an open connection. What is not, a slow line for one, ends it without blame.
            _ => Weight::Slip,
        }
    }

    fn farewell(&self) -> Option<Bytes> {
        self.is_answered().then(|| self.reject())
    }
}

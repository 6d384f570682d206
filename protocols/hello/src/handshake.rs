//! Shakes hands: one struct for each expected message, consumed on the way (Hello spec, section 3).

use crate::Misbehavior;
use crate::wire::{Hello, Message, Method};
use alloc::vec::Vec;
use polypeer_engine::{Address, Close, ConnectionId, Context, Protocol};

/// A connection whose handshake is under way.
///
/// ```text
/// we dialled:    ExpectHey ──HEY──► ExpectHello ──HELLO──► open, we answer HEY
/// they dialled:  ExpectFirst ──HELLO──► we answer HEY, HELLO ──► ExpectLast ──HEY──► open
/// ```
/// Anything else is rejected and ends the connection; a REJECT ends it without a word.
#[derive(Clone, Debug)]
pub enum Greeting {
    /// We dialled and said HELLO. May become [`Greeting::Hello`].
    Hey(ExpectHey),
    /// Our HELLO was acknowledged. May become open.
    Hello(ExpectHello),
    /// They dialled. May become [`Greeting::Last`].
    First(ExpectFirst),
    /// We said HEY and HELLO. May become open.
    Last(ExpectLast),
}

/// The dialler waits for the HEY to its HELLO.
#[derive(Clone, Copy, Debug)]
pub struct ExpectHey;
/// The dialler waits for the other side's HELLO.
#[derive(Clone, Copy, Debug)]
pub struct ExpectHello;
/// The acceptor waits for the dialler's HELLO.
#[derive(Clone, Copy, Debug)]
pub struct ExpectFirst;
/// The acceptor waits for the HEY to its own HELLO.
#[derive(Clone, Debug)]
pub struct ExpectLast {
    /// What the dialler said.
    pub theirs: Hello,
}

/// What a message has made of a handshake.
#[derive(Clone, Debug)]
pub enum Step {
    /// Wait for the next one.
    Wait(Greeting),
    /// Judge the dialler's HELLO, answer HEY and HELLO, and wait.
    Answer(ExpectLast),
    /// Judge the acceptor's HELLO, answer HEY; the handshake is complete.
    Finish(Hello),
    /// The handshake is complete.
    Done(Hello),
}

impl Greeting {
    /// Takes the next message.
    ///
    /// # Errors
    /// Any other than the expected one.
    pub fn take(self, message: Message) -> Result<Step, Misbehavior> {
        match self {
            Self::Hey(state) => state.take(&message),
            Self::Hello(state) => state.take(message),
            Self::First(state) => state.take(message),
            Self::Last(state) => state.take(&message),
        }
    }

    /// The nonce of the other side, once it has said it.
    pub fn nonce(&self) -> Option<u64> {
        match self {
            Self::Last(state) if state.theirs.block_count > 0 => state.theirs.nonce,
            _ => None,
        }
    }
}

impl ExpectHey {
    fn take(self, message: &Message) -> Result<Step, Misbehavior> {
        match message {
            Message::Hey { .. } => Ok(Step::Wait(Greeting::Hello(ExpectHello))),
            other => Err(unexpected(other)),
        }
    }
}

impl ExpectHello {
    fn take(self, message: Message) -> Result<Step, Misbehavior> {
        match message {
            Message::Hello(theirs) => Ok(Step::Finish(theirs)),
            other => Err(unexpected(&other)),
        }
    }
}

impl ExpectFirst {
    fn take(self, message: Message) -> Result<Step, Misbehavior> {
        match message {
            Message::Hello(theirs) => Ok(Step::Answer(ExpectLast { theirs })),
            other => Err(unexpected(&other)),
        }
    }
}

impl ExpectLast {
    fn take(self, message: &Message) -> Result<Step, Misbehavior> {
        match message {
            Message::Hey { block_count } => {
                let block_count = if self.theirs.block_count == 0 { 0 } else { *block_count };
                Ok(Step::Done(Hello { block_count, ..self.theirs }))
            }
            other => Err(unexpected(other)),
        }
    }
}

fn unexpected(message: &Message) -> Misbehavior {
    match message {
        Message::Reject => Misbehavior::RejectedUs,
        other => Misbehavior::OutOfOrder(Method::from(other.method())),
    }
}

/// The peer is this node itself: closes without a word, and sees to it that none of its addresses is dialled again.
/// Which those are.
pub(crate) fn meet_self<P: Protocol>(cx: &mut Context<'_, P>, connection: ConnectionId) -> Vec<Address> {
    let own = cx.met_self_over(connection);
    cx.close(connection, Close::Now, "it is this node itself");
    own
}

//! Asks a host what this ledger cannot know: whether proofs and signatures hold, and what accounts there are.

use bytes::Bytes;
use std::fmt;

/// What a host finds out about something that peers sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Finding {
    /// It holds: proofs, signatures, and what else the host knows.
    Holds,
    /// It does not, and whoever sent it could have known.
    Broken,
    /// Nobody here can tell.
    #[default]
    Unknown,
}

/// Whoever verifies proofs and signatures and holds accounts. It is asked on the ledger's thread, once for each thing
/// that is new, after what needs no host was checked: one that takes long makes every answer late.
///
/// What is not overridden is that of a host that knows nothing.
pub trait Host: Send {
    /// Whether this block's proof holds.
    fn block(&mut self, block: &[u8]) -> Finding {
        let _ = block;
        Finding::Unknown
    }

    /// Whether this user command's signatures and proofs hold, and its account can pay.
    fn command(&mut self, command: &[u8]) -> Finding {
        let _ = command;
        Finding::Unknown
    }

    /// Whether the proofs of this diff of SNARK work hold.
    fn work(&mut self, diff: &[u8]) -> Finding {
        let _ = diff;
        Finding::Unknown
    }

    /// The answer's bytes to a question about accounts or pending work (Mina spec, section 5.3); nothing when there is
    /// none, and the peer is told so.
    fn query(&mut self, method: &str, version: u32, payload: &[u8]) -> Option<Bytes> {
        let _ = (method, version, payload);
        None
    }
}

impl fmt::Debug for dyn Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a host")
    }
}

/// A host that knows nothing: nobody checks proofs and signatures.
#[derive(Clone, Copy, Debug)]
pub struct Nobody;

impl Host for Nobody {}

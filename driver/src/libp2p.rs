//! Carries a connection's channels in the streams of libp2p: a private network's cipher, multistream-select, Noise, yamux.
//!
//! ```text
//!   queues ── bytes of each channel ──► yamux ── frames ──► Noise ── messages ──► keystream ──► socket
//!   framers ◄─ bytes of each channel ── yamux ◄─ frames ─── Noise ◄─ messages ─── keystream ◄── socket
//! ```
//!
//! The salsa20, snow, ring and yamux libraries do what they are for. They are driven by the connection's own task, some KiB
//! at a time, like HTTP/2 is: what yamux has taken is received before it takes more. What both ends agree on is said by
//! multistream-select, which is ours, because a name need not begin with a slash here and the library's must.

mod frames;
mod muxer;
mod noise;
mod open;
mod pnet;
#[cfg(test)]
mod recorded;
mod sealed;
mod select;
mod turns;
mod wire;

use crate::identity::Identity;
use bytes::BytesMut;
pub(crate) use muxer::{Muxer, News, Received, Tube};
use noise::Credentials;
pub(crate) use open::{dial, welcome};
use pnet::NONCE_BYTES;
use polypeer_engine::Libp2p;
use std::cell::RefCell;
use std::io;
use std::rc::Rc;

/// What a network that speaks libp2p must know of it, and what all its connections share, so that an idle one owns none.
#[derive(Debug)]
pub(crate) struct Rules {
    net: Libp2p,
    credentials: Credentials,
    // What sockets are read to.
    raw: RefCell<BytesMut>,
    // What is sealed.
    stage: RefCell<BytesMut>,
    chance: Chance,
}

/// Where nonces and keys that are used once come from.
#[derive(Debug)]
enum Chance {
    System,
    /// Known ones, so that a recording comes out again.
    #[cfg(test)]
    Known {
        nonce: [u8; NONCE_BYTES],
        ephemeral: [u8; 32],
    },
}

impl Rules {
    /// An error when there is no entropy.
    pub(crate) fn new(net: Libp2p, identity: &Identity) -> io::Result<Rc<Self>> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret)?;
        Self::with(net, identity, secret, Chance::System)
    }

    fn with(net: Libp2p, identity: &Identity, secret: [u8; 32], chance: Chance) -> io::Result<Rc<Self>> {
        let credentials = Credentials::new(identity, secret, net.offers_muxer_early.then_some(net.muxer))?;
        let (raw, stage) = Default::default();
        Ok(Rc::new(Self { net, credentials, raw, stage, chance }))
    }

    /// The kind of channel that a peer means by this name, if it may open one.
    fn kind(&self, name: &[u8]) -> Option<u16> {
        let mut answered = self.net.channels.iter().filter(|channel| channel.is_answered);
        answered.find(|channel| channel.name.as_bytes() == name).map(|channel| channel.kind)
    }

    /// What a kind of channel is called.
    fn name(&self, kind: u16) -> Option<&'static str> {
        self.net.channels.iter().find(|channel| channel.kind == kind).map(|channel| channel.name)
    }

    fn nonce(&self) -> io::Result<[u8; NONCE_BYTES]> {
        match self.chance {
            Chance::System => {
                let mut nonce = [0; NONCE_BYTES];
                getrandom::fill(&mut nonce)?;
                Ok(nonce)
            }
            #[cfg(test)]
            Chance::Known { nonce, .. } => Ok(nonce),
        }
    }

    // The key that Noise uses once; nothing when it may choose.
    fn ephemeral(&self) -> Option<&[u8; 32]> {
        match &self.chance {
            Chance::System => None,
            #[cfg(test)]
            Chance::Known { ephemeral, .. } => Some(ephemeral),
        }
    }
}

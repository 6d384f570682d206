//! Stands between two nodes, passes their messages on, and knows what passes.

use super::line::{Gzip, Line, dial};
use super::peer::SHORTLY;
use super::service::Listener;
use super::wire::{KaspadMessage, Payload};
use anyhow::{Context, Result};
use bytes::Bytes;
use prost::Message;
use std::net::SocketAddr;

/// A port for one node that is to meet another.
pub(crate) struct Bridgehead {
    listener: Listener,
    to: SocketAddr,
}

impl Bridgehead {
    /// Listens, on behalf of the node at this address.
    pub(crate) async fn open(to: SocketAddr) -> Result<Self> {
        Ok(Self { listener: Listener::open(Gzip::BOTH).await?, to })
    }

    /// Where the other one is to dial.
    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.address
    }

    /// Waits for that, and dials in turn.
    pub(crate) async fn bridge(mut self) -> Result<Bridge> {
        let near = self.listener.accept(SHORTLY).await?;
        let far = dial(self.to, Gzip::BOTH).await?;
        Ok(Bridge { near, far })
    }
}

/// A connection in two halves, the near one to who dialled. Dropping it ends both.
pub(crate) struct Bridge {
    near: Line,
    far: Line,
}

impl Bridge {
    /// Passes messages on until the near one has asked for this many batches of bodies; the last one stays with us.
    pub(crate) async fn carry_bodies(&mut self, batches: usize) -> Result<()> {
        let mut seen = 0;
        self.carry(|message| {
            seen += usize::from(matches!(message.payload, Some(Payload::RequestBlockBodies(_))));
            if seen == batches { Pass::Stop } else { Pass::On }
        })
        .await
    }

    /// Passes messages on for ever, and lets each side believe that the other speaks this version.
    pub(crate) async fn hold_to_version(&mut self, version: u32) -> Result<()> {
        self.carry(|message| match &message.payload {
            Some(Payload::Version(theirs)) => {
                let held = super::wire::Version { protocol_version: version, ..theirs.clone() };
                Pass::Instead(Box::new(Payload::Version(held).into()))
            }
            _ => Pass::On,
        })
        .await
    }

    // What passes on passes as it is, with whatever we do not spell.
    async fn carry(&mut self, mut look: impl FnMut(&KaspadMessage) -> Pass) -> Result<()> {
        loop {
            let (bytes, to) = tokio::select! {
                said = self.near.read_bytes() => (said.map_err(|how| how.context("the near one"))?, &self.far),
                said = self.far.read_bytes() => (said.map_err(|how| how.context("the far one"))?, &self.near),
            };
            let message = KaspadMessage::decode(bytes.clone()).context("what passes is no message")?;
            match look(&message) {
                Pass::On => to.send_raw(bytes),
                Pass::Instead(other) => to.send_raw(Bytes::from(other.encode_to_vec())),
                Pass::Stop => return Ok(()),
            }
        }
    }
}

/// What becomes of a message.
enum Pass {
    On,
    Instead(Box<KaspadMessage>),
    Stop,
}

//! Stands between the target and a node, and knows what passes.

use crate::client::wire::Payload;
use crate::client::{Gzip, Line, Listener, SHORTLY, Said, dial};
use crate::target::Target;
use anyhow::{Result, bail};
use std::net::SocketAddr;

/// A connection in two halves. Dropping it ends both.
pub(super) struct Bridge {
    near: Line,
    far: Line,
}

impl Bridge {
    /// Lets the target dial us, and dials the node.
    pub(super) async fn open(target: &Target, node: SocketAddr) -> Result<Self> {
        let mut listener = Listener::open(Gzip::BOTH).await?;
        target.dial(listener.address).await?;
        let near = listener.accept(SHORTLY).await?;
        let far = dial(node, Gzip::BOTH).await?;
        Ok(Self { near, far })
    }

    /// Passes messages on until the target has asked for this many batches of bodies; the last one stays with us.
    pub(super) async fn carry_bodies(&mut self, batches: usize) -> Result<()> {
        let mut seen = 0;
        loop {
            tokio::select! {
                said = self.near.read() => match said {
                    Said::Message(message) => {
                        seen += usize::from(matches!(message.payload, Some(Payload::RequestBlockBodies(_))));
                        if seen == batches {
                            return Ok(());
                        }
                        self.far.send_message(&message);
                    }
                    other => bail!("the target: {other:?}"),
                },
                said = self.far.read() => match said {
                    Said::Message(message) => self.near.send_message(&message),
                    other => bail!("the node: {other:?}"),
                },
            }
        }
    }
}

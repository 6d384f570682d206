//! Looks on after every step: the place where invariants are checked.

use crate::fault::Fault;
use crate::world::{NodeId, World};
use polypeer_engine::{Effect, P2pAction, Protocol, Time};
use serde::{Deserialize, Serialize};

/// Someone who watches a world. What it returns as an error is a violation: the world stands still from then on.
pub trait Observer<P: Protocol, L> {
    /// An engine took a step. What it wants done is not done yet.
    fn on_step(
        &mut self,
        world: &World<P, L>,
        node: NodeId,
        action: &P2pAction<P::Answer>,
        effects: &[Effect<P::Request>],
    ) -> Result<(), String>;

    /// A fault was injected.
    fn on_fault(&mut self, world: &World<P, L>, fault: &Fault) -> Result<(), String> {
        let _ = (world, fault);
        Ok(())
    }

    /// A node started, died, or could not be started.
    fn on_life(&mut self, world: &World<P, L>, node: NodeId, life: Life) -> Result<(), String> {
        let _ = (world, node, life);
        Ok(())
    }
}

/// What happened to a node's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Life {
    /// It runs.
    Started,
    /// It could not be started; [`crate::Node::failure`] says why.
    Failed,
    /// It died.
    Crashed,
}

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// When, on the world's clock.
    pub at: Time,
    /// After how many steps.
    pub step: u64,
    /// At which node, if at one.
    pub node: Option<NodeId>,
    /// What.
    pub what: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "at {} ms, step {}", self.at.as_micros() / 1_000, self.step)?;
        if let Some(NodeId(node)) = self.node {
            write!(f, ", node {node}")?;
        }
        write!(f, ": {}", self.what)
    }
}

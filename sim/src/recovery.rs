//! Judges whether a network whose blocks are final goes on in time, once all is mended.

use crate::cast::{End, Held};
use crate::check::violated;
use crate::plan::Plan;
use crate::world::{NodeId, World};
use polypeer_engine::{ConnectionId, Ledger, Protocol};
use std::collections::BTreeSet;
use std::time::Duration;

/// How far the honest nodes have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recovery {
    /// Nobody asks: not yet, or not any more.
    Unasked,
    /// All is mended, and they are not all connected yet.
    Connecting,
    /// They were at this time, in milliseconds, when the highest of their chains ended at this height.
    Connected { at_ms: u64, height: u64 },
}

impl Recovery {
    /// Takes a look, which is to come every second: one block more must come to all within `patience`.
    pub(crate) fn look<P, L>(&mut self, world: &World<P, L>, plan: &Plan, patience: Duration) -> Result<(), String>
    where
        P: Protocol,
        L: Held + Ledger<Request = P::Request, Answer = P::Answer>,
    {
        let now_ms = world.now().as_micros() / 1_000;
        match *self {
            Self::Connecting if is_connected(world, plan) => {
                let height = ends(world, plan).map(|end| end.height).max().unwrap_or(0);
                *self = Self::Connected { at_ms: now_ms, height };
            }
            Self::Connected { height, .. } if ends(world, plan).all(|end| end.height > height) => {
                *self = Self::Unasked;
            }
            Self::Connected { at_ms, height } if now_ms > at_ms + patience.as_millis() as u64 => {
                let lowest = ends(world, plan).map(|end| end.height).min().unwrap_or(0);
                let wait = now_ms - at_ms;
                return violated(
                    "liveness",
                    format_args!("all were connected {wait} ms ago at height {height}, and one is still at {lowest}"),
                );
            }
            Self::Unasked | Self::Connecting | Self::Connected { .. } => {}
        }
        Ok(())
    }
}

fn ends<'w, P, L>(world: &'w World<P, L>, plan: &'w Plan) -> impl Iterator<Item = End> + use<'w, P, L>
where
    P: Protocol,
    L: Held + Ledger<Request = P::Request, Answer = P::Answer>,
{
    plan.honest().filter_map(|node| world.node(NodeId(node)).ledger()).map(Held::tip)
}

// Whether all honest nodes are up and reach each other through honest ones, handshakes done on both sides.
fn is_connected<P, L>(world: &World<P, L>, plan: &Plan) -> bool
where
    P: Protocol,
    L: Ledger<Request = P::Request, Answer = P::Answer>,
{
    let honest: BTreeSet<usize> = plan.honest().collect();
    let is_ready = |node: NodeId, connection: &ConnectionId| {
        let engine = world.node(node).engine();
        engine.and_then(|engine| engine.state().peers.get(connection)).is_some_and(|peer| peer.is_ready)
    };
    let (mut reached, mut next) = (BTreeSet::new(), Vec::from_iter(honest.first().copied()));
    while let Some(node) = next.pop() {
        let here = NodeId(node);
        if world.node(here).is_up() && reached.insert(node) {
            let is_good = |line: &crate::world::Connected| {
                is_ready(here, &line.connection) && line.theirs.is_some_and(|theirs| is_ready(line.other, &theirs))
            };
            let others = world.connections(here).filter(is_good).map(|line| line.other.0);
            next.extend(others.filter(|other| honest.contains(other)));
        }
    }
    reached == honest
}

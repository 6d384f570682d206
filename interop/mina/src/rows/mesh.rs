//! Puts ten stock nodes and ten of ours into one mesh.

use super::Scene;
use crate::node::{Node, Options, free_address, wait};
use crate::payments::{Payment, damaged, key};
use crate::stock::{Stock, Wrong};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::PoisonError;

/// Nodes of each side.
const SIDE: usize = 10;
/// In a circle in which the sides take turns, each dials those so many places on: three of the other side, one of its own.
const STEPS: [usize; 4] = [1, 2, 5, 7];
/// Connections that each has then.
const DEGREE: usize = 2 * STEPS.len();
/// Messages of each node.
const EACH: u32 = 100;
/// Of a stock node's messages, one in so many is wrong.
const WRONG_ONE_IN: u32 = 10;
/// Of ten wrong messages of one node nine do not decode, and each is a slip, which nineteen are borne of. Six stock nodes
/// are connected to each of ours.
const SLIPS_MAX: usize = 6 * 9;
/// Messages of each node at once; the next follow when these have arrived everywhere.
const AT_ONCE: u32 = 5;

struct Mesh {
    stock: Vec<Stock>,
    ours: Vec<Node>,
    wrong: Wrong,
}

/// Twenty nodes, 1,000 messages from each side, one in ten of the stock side's wrong.
pub(super) fn twenty(scene: &Scene) -> Result<String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mesh = Mesh::form(scene, &runtime)?;
    let mut right = BTreeSet::new();
    for first in (0..EACH).step_by(AT_ONCE as usize) {
        right.extend(mesh.round(first).with_context(|| format!("from message {first}"))?);
    }
    let wrong_delivered = mesh.hold_stock(&right)?;
    mesh.hold_ours(&right)?;
    let counts = (right.len(), mesh.count_wrong());
    // Nodes first: what they say at their end is nobody's business.
    drop(mesh);
    runtime.shutdown_background();
    let wanted = 2 * SIDE * EACH as usize;
    ensure!(counts.0 + counts.1 == wanted, "{counts:?} messages, and not {wanted}");
    Ok(format!(
        "{} messages delivered once to each of 20, none of {} wrong ones through ours ({wrong_delivered} times straight \
         from stock to stock), all connections stand, no score below 0, no ban, no blame but of who made wrong ones",
        counts.0, counts.1
    ))
}

impl Mesh {
    fn form(scene: &Scene, runtime: &tokio::runtime::Runtime) -> Result<Self> {
        let wrong = Wrong::default();
        let start = |_| Stock::start(runtime.handle(), scene.chain.key(), false, &wrong);
        let stock: Vec<Stock> = (0..SIDE).map(start).collect::<Result<_>>()?;
        let addresses: Vec<SocketAddr> = (0..SIDE).map(|_| free_address()).collect::<Result<_>>()?;
        let at = |place: usize| match place % 2 {
            0 => stock[place / 2].address,
            _ => addresses[place / 2],
        };
        let dials = |place: usize| STEPS.map(|step| at((place + step) % (2 * SIDE)));
        let ours = std::thread::scope(|scope| {
            let starting = (0..SIDE).map(|number| {
                let add_peers = dials(2 * number + 1).to_vec();
                let options = Options { add_peers, address: Some(addresses[number]), ..Options::default() };
                scope.spawn(move || scene.node(&format!("node-{number}"), &options))
            });
            let starting: Vec<_> = starting.collect();
            let joined = starting.into_iter().map(|one| one.join().map_err(|_| anyhow::anyhow!("a panic"))?);
            joined.collect::<Result<Vec<Node>>>()
        })?;
        for (number, node) in stock.iter().enumerate() {
            dials(2 * number).into_iter().try_for_each(|address| node.dial(address))?;
        }
        let mesh = Self { stock, ours, wrong };
        for (number, node) in mesh.stock.iter().enumerate() {
            let is_so = |seen: &crate::stock::Seen| seen.connected.len() == DEGREE && seen.subscribed.len() == DEGREE;
            node.wait("its peers", is_so).with_context(|| format!("stock {number}: {}", node.seen().summary()))?;
        }
        for node in &mesh.ours {
            wait(|| Ok(node.ready()?.len() == DEGREE)).with_context(|| format!("ours has {:?}", node.ready()))?;
        }
        Ok(mesh)
    }

    // Everybody publishes some, and all that are right arrive. Their payments.
    fn round(&self, first: u32) -> Result<Vec<Payment>> {
        let mut right = Vec::new();
        for (number, stock) in (0..).zip(&self.stock) {
            for message in first..first + AT_ONCE {
                let payment = Payment::new(2_000 * number + message);
                let is_wrong = message % WRONG_ONE_IN == WRONG_ONE_IN - 1;
                let data = if is_wrong { self.spoil(payment, message / WRONG_ONE_IN) } else { payment.message() };
                if !is_wrong {
                    right.push(payment);
                }
                stock.publish(data)?;
            }
        }
        std::thread::scope(|scope| {
            let submitting: Vec<_> = (0..)
                .zip(&self.ours)
                .map(|(number, node)| {
                    let payments: Vec<Payment> = (first..first + AT_ONCE)
                        .map(|message| Payment::new(2_000 * number + 1_000 + message))
                        .collect();
                    right.extend(&payments);
                    scope.spawn(move || payments.iter().try_for_each(|payment| node.submit(&payment.bytes()).map(drop)))
                })
                .collect();
            submitting.into_iter().try_for_each(|one| one.join().map_err(|_| anyhow::anyhow!("a panic"))?)
        })?;
        for (number, stock) in (0..).zip(&self.stock) {
            let keys: Vec<Vec<u8>> =
                right.iter().filter(|payment| payment.nonce / 1_000 != 2 * number).map(|one| one.bytes()).collect();
            let lacks = |seen: &crate::stock::Seen| keys.iter().filter(|key| !seen.messages.contains_key(*key)).count();
            let came = stock.wait("all messages", |seen| lacks(seen) == 0);
            came.with_context(|| format!("stock {number} lacks {}", lacks(&stock.seen())))?;
        }
        Ok(right)
    }

    // A message that no node may send on, of another kind each time.
    fn spoil(&self, payment: Payment, turn: u32) -> Vec<u8> {
        let mut kinds: Vec<Vec<u8>> = damaged(payment).into_iter().map(|(_, data)| data).collect();
        // And one that is well formed and of no use: its last slot is over.
        kinds.push(Payment { valid_until: 0, ..payment }.message());
        let data = kinds.swap_remove(turn as usize % kinds.len());
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner).insert(key(&data));
        data
    }

    fn count_wrong(&self) -> usize {
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    // How often a wrong message went from one stock node straight to another.
    fn hold_stock(&self, right: &BTreeSet<Payment>) -> Result<usize> {
        let ours: BTreeSet<_> = self.ours.iter().map(|node| node.peer_id).collect();
        let wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut straight = 0;
        for (number, stock) in (0..).zip(&self.stock) {
            stock.score()?;
            stock.wait("scores", |seen| seen.scores.len() == DEGREE)?;
            let seen = stock.seen();
            for payment in right.iter().filter(|payment| payment.nonce / 1_000 != 2 * number) {
                let came = seen.messages.get(&payment.bytes()).map_or(0, Vec::len);
                ensure!(came == 1, "stock {number} got {payment:?} {came} times");
            }
            for bringers in wrong.iter().filter_map(|key| seen.messages.get(key)) {
                ensure!(bringers.iter().all(|one| !ours.contains(one)), "a wrong message came through ours");
                straight += bringers.len();
            }
            let known = right.len() + wrong.len();
            ensure!(seen.messages.len() <= known, "stock {number} got messages that nobody published");
            ensure!(seen.closed.is_empty(), "stock {number} lost connections: {:?}", seen.closed);
            ensure!(seen.unpublished.is_empty(), "stock {number} could not publish: {:?}", seen.unpublished);
            let low = seen.scores.iter().find(|(peer, score)| ours.contains(*peer) && **score < 0.0);
            ensure!(low.is_none(), "stock {number} scores one of ours below 0: {low:?}");
        }
        Ok(straight)
    }

    fn hold_ours(&self, right: &BTreeSet<Payment>) -> Result<()> {
        let wanted: BTreeSet<String> = right.iter().map(|payment| payment.id()).collect();
        for node in &self.ours {
            wait(|| Ok(node.mempool()?.len() >= wanted.len()))?;
            let pool: BTreeSet<String> = node.mempool()?.into_iter().collect();
            ensure!(pool == wanted, "one of ours has {} transactions, and not {}", pool.len(), wanted.len());
            ensure!(node.ready()?.len() == DEGREE, "one of ours lost connections: {:?}", node.why()?);
            hold_reasons(&node.why()?)?;
            let bans = node.ask("bans")?;
            ensure!(bans.as_array().is_some_and(Vec::is_empty), "one of ours refuses {bans}");
        }
        Ok(())
    }
}

// Nobody pays for anything but for wrong messages that it made itself: ours has passed none on to another of ours.
fn hold_reasons(why: &[Value]) -> Result<()> {
    let is = |one: &Value, what: &str| one["what"] == what;
    let other = why.iter().find(|one| !["dialled", "backed_off", "slip"].iter().any(|what| is(one, what)));
    ensure!(other.is_none(), "one of ours did {other:?}");
    let slips: Vec<&Value> = why.iter().filter(|one| is(one, "slip")).collect();
    let other = slips.iter().find(|slip| slip["text"] != "malformed_message");
    ensure!(other.is_none(), "one of ours blames {other:?}");
    ensure!(
        slips.len() <= SLIPS_MAX,
        "{} wrong messages came to one of ours, and {SLIPS_MAX} were sent to it",
        slips.len()
    );
    Ok(())
}

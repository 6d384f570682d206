//! Runs a network on the driver, and shows what every engine has: peers, addresses, bans, reasons, counters.

use super::holdings::Holdings;
use super::running::{About, Later, Meters, Order, Refused, RunningNetwork, Stopped, Which};
use super::shown;
use crate::view;
use anyhow::Context as _;
use polypeer_driver::{Handle, Network, View};
use polypeer_engine::kit::cost::Class;
use polypeer_engine::shell::serving::Traffic;
use polypeer_engine::{
    Address, Command, Direction, Event, ImportedAddress, Ledger, P2pAction, Protocol, ReasonRecord, Subject,
};
use polypeer_store::Store;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::broadcast;

/// Damaged records that are told one by one. A file with more is damaged as a whole.
const DAMAGED_TOLD_MAX: usize = 16;

/// A network that runs, and what its ledger holds.
pub(super) struct Hosted<P: Protocol> {
    pub(super) handle: Handle<P>,
    pub(super) holdings: Box<dyn Holdings>,
    /// A tracker's members.
    pub(super) members: fn(&P) -> Option<u64>,
}

/// Starts a network whose peers are remembered in `file` of this folder; in memory where there is none.
pub(super) fn start<P, L>(
    network: Network<P>,
    ledger: L,
    folder: Option<&Path>,
    file: &str,
) -> anyhow::Result<Handle<P>>
where
    P: Protocol,
    L: Ledger<Request = P::Request, Answer = P::Answer>,
{
    let store = match folder {
        Some(folder) => Store::open(folder.join(file)),
        None => Store::in_memory(),
    };
    let name = network.name.clone();
    let store = store.with_context(|| match folder {
        Some(folder) => format!("cannot open {} of {name}", folder.join(file).display()),
        None => format!("cannot open {file} of {name}"),
    })?;
    if store.was_repaired() {
        tracing::warn!("{name}: {file} was damaged, and is as it was before its last change");
    }
    let (of, told) = (format!("{name}: {file}"), AtomicUsize::new(0));
    let store = store.on_damage(move |damaged| match told.fetch_add(1, Ordering::Relaxed) {
        0..DAMAGED_TOLD_MAX => tracing::warn!("{of}: a record is damaged and was left out: {damaged}"),
        DAMAGED_TOLD_MAX => tracing::warn!("{of}: more records are damaged and were left out"),
        _ => {}
    });
    polypeer_driver::start(network, ledger, Some(store)).with_context(|| format!("cannot start {name}"))
}

impl<P: Protocol> Hosted<P> {
    async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&View<'_, P>) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        Ok(self.handle.read(look).await?)
    }

    async fn act(&self, action: P2pAction<P::Answer>) -> Result<(), Stopped> {
        Ok(self.handle.act(action).await?)
    }

    async fn carry_out(&self, order: Order) -> Result<bool, Stopped> {
        let exists = match &order {
            Order::Add(_) | Order::Ban(..) => true,
            Order::Drop(connection) => {
                let connection = *connection;
                self.read(move |view| {
                    let state = view.engine.state();
                    state.peers.contains_key(&connection) || state.connecting_peers.contains_key(&connection)
                })
                .await?
            }
            Order::Forget(target) => {
                let target = target.clone();
                self.read(move |view| view.engine.state().discovery.dialer.wanted.contains_key(&target)).await?
            }
            Order::Unban(ip) => {
                let ip = *ip;
                self.read(move |view| view.engine.state().bans.get(view.now, ip).is_some()).await?
            }
        };
        if exists {
            self.act(match order {
                Order::Add(target) => P2pAction::Command(Command::AddPeer(target)),
                Order::Forget(target) => P2pAction::Command(Command::ForgetPeer(target)),
                Order::Drop(connection) => P2pAction::Disconnect { connection },
                Order::Ban(ip, duration) => P2pAction::Command(Command::Ban { ip, duration }),
                Order::Unban(ip) => P2pAction::Command(Command::Unban { ip }),
            })
            .await?;
        }
        Ok(exists)
    }

    async fn count(&self) -> Result<Meters, Stopped> {
        let mut meters = self
            .read(|view| {
                let state = view.engine.state();
                let book = &state.discovery.book;
                let totals = view.meters.totals();
                Meters {
                    peers: peer_count(view),
                    ready: state.peers.values().filter(|peer| peer.is_ready).count() as u64,
                    dialling: state.connecting_peers.len() as u64,
                    addresses: (book.len() as u64, book.proven() as u64),
                    bans: state.bans.all(view.now).count() as u64,
                    bytes: (totals.all.bytes_received, totals.all.bytes_sent),
                    frames: (totals.all.frames_received, totals.all.frames_sent),
                    unsent: vec![
                        ("no_room", totals.all.frames_dropped),
                        ("memory", totals.all.frames_shed),
                        ("upload_cap", state.serving.news_dropped),
                        ("late", totals.all.frames_late),
                        ("lost", totals.all.frames_lost),
                    ],
                    unread: vec![("refused", totals.all.bytes_refused), ("discarded", totals.all.bytes_discarded)],
                    upload: Traffic::ALL.iter().zip(state.serving.sent).map(|(of, sent)| (of.name(), sent)).collect(),
                    refused: Class::ALL.iter().zip(state.costs.refused).map(|(of, count)| (of.name(), count)).collect(),
                    shed: totals.shed,
                    imbalances: view.imbalances().len() as u64,
                    connections: (totals.accepted, totals.dials - totals.dial_failures),
                    eclipse_risk: state.risk(view.now).score,
                    ..Meters::default()
                }
            })
            .await?;
        meters.height = self.holdings.tip().map_or(0, |tip| tip.0);
        meters.mempool = self.holdings.mempool(0).count;
        meters.syncing = self.holdings.is_syncing();
        meters.judged = self.holdings.judged();
        Ok(meters)
    }
}

// Who has finished the handshake.
fn peer_count<P: Protocol>(view: &View<'_, P>) -> view::PeerCount {
    let mut count = view::PeerCount::default();
    for (connection, _) in view.engine.state().peers.iter().filter(|(_, peer)| peer.is_ready) {
        match connection.direction() {
            Direction::Inbound => count.inbound += 1,
            Direction::Outbound => count.outbound += 1,
        }
    }
    count
}

fn is_about<P: Protocol>(view: &View<'_, P>, about: About, record: &ReasonRecord) -> bool {
    match about {
        About::Ip(ip) => record.subject.ip() == ip,
        About::Address(address) => [Subject::Address(address), Subject::Ip(address.ip())].contains(&record.subject),
        About::Connection(connection) => {
            let remote = view.engine.state().peers.get(&connection).map(|peer| peer.ends.remote);
            let is_ban = |remote: Address| record.subject == Subject::Ip(remote.ip());
            record.connection == Some(connection) || remote.is_some_and(is_ban)
        }
    }
}

impl<P: Protocol> RunningNetwork for Hosted<P> {
    fn name(&self) -> &str {
        self.handle.name()
    }

    fn listening(&self) -> Option<SocketAddr> {
        self.handle.listening()
    }

    fn is_syncing(&self) -> bool {
        self.holdings.is_syncing()
    }

    fn is_sound(&self) -> bool {
        self.holdings.is_sound()
    }

    fn status(&self) -> Later<'_, Result<view::Network, Stopped>> {
        Box::pin(async {
            let members = self.members;
            let look = move |view: &View<'_, P>| {
                (peer_count(view), members(view.engine.protocol()), view.engine.state().risk(view.now).score)
            };
            let (peers, members, eclipse_risk) = self.read(look).await?;
            let tip = self.holdings.tip();
            Ok(view::Network {
                name: self.name().to_owned(),
                protocol: P::NAME.to_owned(),
                network_id: self.holdings.network_id(),
                listen: self.listening().map(|address| address.to_string()),
                height: tip.as_ref().map_or(0, |tip| tip.0),
                tip: tip.map(|tip| tip.1),
                blocks: self.holdings.blocks(),
                follow_only: self.holdings.follow_only(),
                syncing: self.holdings.is_syncing(),
                peers,
                mempool: self.holdings.mempool(0).count,
                members,
                eclipse_risk,
            })
        })
    }

    fn peers(&self) -> Later<'_, Result<Vec<view::Peer>, Stopped>> {
        Box::pin(self.read(|view| {
            let peers = view.engine.state().peers.iter();
            peers.map(|(id, state)| shown::peer(view, *id, state)).collect()
        }))
    }

    fn addresses(&self, after: Option<Address>, max: usize) -> Later<'_, Result<Vec<view::KnownAddress>, Stopped>> {
        Box::pin(self.read(move |view| {
            let entries = view.engine.state().discovery.book.after(after);
            entries.take(max).map(|(address, entry)| shown::address(address, &entry)).collect()
        }))
    }

    fn groups(&self) -> Later<'_, Result<view::BookGroups, Stopped>> {
        Box::pin(self.read(|view| shown::groups(&view.engine.state().discovery.book)))
    }

    fn bans(&self, after: Option<IpAddr>, max: usize) -> Later<'_, Result<Vec<view::Ban>, Stopped>> {
        Box::pin(self.read(move |view| {
            let bans = view.engine.state().bans.all(view.now);
            let bans = bans.skip_while(|(ip, _)| after.is_some_and(|after| *ip <= after));
            bans.take(max).map(|(ip, ban)| shown::ban(ip, ban)).collect()
        }))
    }

    fn why(&self, about: About) -> Later<'_, Result<Vec<view::Why>, Stopped>> {
        Box::pin(self.read(move |view| {
            let records = view.engine.state().reasons.all();
            records.filter(|record| is_about(view, about, record)).map(shown::why).collect()
        }))
    }

    fn risk(&self) -> Later<'_, Result<view::Risk, Stopped>> {
        Box::pin(self.read(|view| shown::risk(&view.engine.state().risk(view.now))))
    }

    fn import(&self, addresses: Vec<ImportedAddress>) -> Later<'_, Result<u64, Stopped>> {
        Box::pin(async {
            let count = |view: &View<'_, P>| view.engine.state().discovery.book.len();
            let before = self.read(count).await?;
            self.act(P2pAction::Command(Command::Import(addresses))).await?;
            Ok(self.read(count).await?.saturating_sub(before) as u64)
        })
    }

    fn order(&self, order: Order) -> Later<'_, Result<bool, Stopped>> {
        Box::pin(self.carry_out(order))
    }

    fn block(&self, which: Which) -> Later<'_, Result<Option<view::Block>, Stopped>> {
        Box::pin(async move { Ok(self.holdings.block(which)) })
    }

    fn transaction(&self, id: [u8; 32]) -> Later<'_, Result<Option<view::Transaction>, Stopped>> {
        Box::pin(async move { Ok(self.holdings.transaction(id)) })
    }

    fn mempool(&self, max: usize) -> Later<'_, Result<view::Mempool, Stopped>> {
        Box::pin(async move { Ok(self.holdings.mempool(max)) })
    }

    fn account(&self, key: [u8; 32]) -> Later<'_, Result<Option<view::Account>, Stopped>> {
        Box::pin(async move { Ok(self.holdings.account(key)) })
    }

    fn submit(&self, transaction: Vec<u8>) -> Later<'_, Result<String, Refused>> {
        self.holdings.submit(transaction)
    }

    fn halt(&self) -> Later<'_, ()> {
        self.holdings.halt()
    }

    fn meters(&self) -> Later<'_, Result<Meters, Stopped>> {
        Box::pin(self.count())
    }

    fn events(&self) -> broadcast::Receiver<(u64, Event)> {
        self.handle.events()
    }

    fn ended(&self) -> Later<'_, Result<(), String>> {
        Box::pin(self.handle.ended())
    }

    fn drain(&self, within: Duration) -> Later<'_, ()> {
        Box::pin(self.handle.drain(within))
    }
}

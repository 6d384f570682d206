//! Stock nodes of rust-libp2p, configured as the spec says (Mina spec, section 10.1).

mod muxer;

use anyhow::{Context, Result, bail, ensure};
use libp2p::core::upgrade::Version;
use libp2p::core::{Transport as _, muxing::StreamMuxerBox};
use libp2p::gossipsub::{self, IdentTopic, MessageAcceptance, MessageAuthenticity, MessageId, ValidationMode};
use libp2p::identity::Keypair;
use libp2p::kad::{self, Mode, QueryResult, store::MemoryStore};
use libp2p::pnet::{PnetConfig, PreSharedKey};
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, PeerId, StreamProtocol, Swarm, identify, noise, ping, tcp};
use muxer::CodaYamux;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::client::gossip::{TOPIC, id};
use crate::client::peer::KAD;
use crate::node::ASK;
use crate::payments::key;

/// As long as a loaded machine needs for what is queued; else what is not sent is dropped.
const QUEUED_MAX: Duration = Duration::from_secs(60);
/// How long connections without a stream stay.
const IDLE_MAX: Duration = Duration::from_secs(600);
/// How long one waits for many nodes.
pub(crate) const MANY: Duration = Duration::from_secs(90);

#[derive(NetworkBehaviour)]
struct Behaviour {
    gossipsub: gossipsub::Behaviour,
    kad: kad::Behaviour<MemoryStore>,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
}

/// What a stock node saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Of each message how often it was delivered, and who brought it.
    pub(crate) messages: BTreeMap<Vec<u8>, Vec<PeerId>>,
    pub(crate) connected: BTreeMap<PeerId, Multiaddr>,
    pub(crate) subscribed: BTreeSet<PeerId>,
    /// Connections that ended, and why.
    pub(crate) closed: Vec<String>,
    /// Who says that it speaks what.
    pub(crate) agents: BTreeMap<PeerId, String>,
    /// Whom look-ups found, with whether an address is known.
    pub(crate) found: BTreeMap<PeerId, usize>,
    /// What went wrong with publishing.
    pub(crate) unpublished: Vec<String>,
    /// The lowest score of each peer.
    pub(crate) scores: BTreeMap<PeerId, f64>,
}

impl Seen {
    /// What tells why something did not happen.
    pub(crate) fn summary(&self) -> String {
        let Self { connected, subscribed, closed, unpublished, messages, .. } = self;
        let counts = (connected.len(), subscribed.len(), messages.len());
        format!("{counts:?} peers, subscribers, messages; closed {closed:?}; not published {unpublished:?}")
    }
}

enum Command {
    Dial(SocketAddr),
    Publish(Vec<u8>),
    Find(PeerId),
    Score,
}

/// What messages are wrong, by their keys: a stock node is told, as an application would tell it.
pub(crate) type Wrong = Arc<Mutex<BTreeSet<Vec<u8>>>>;

/// A running stock node.
pub(crate) struct Stock {
    pub(crate) peer_id: PeerId,
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    commands: mpsc::UnboundedSender<Command>,
}

impl Stock {
    /// Starts one on loopback. `looks` says whether what others say of themselves goes into its routing table.
    pub(crate) fn start(runtime: &Handle, network_key: [u8; 32], looks: bool, wrong: &Wrong) -> Result<Self> {
        let keypair = Keypair::generate_ed25519();
        let peer_id = keypair.public().to_peer_id();
        let (seen, (commands, orders)) = (Arc::<Mutex<Seen>>::default(), mpsc::unbounded_channel());
        let (tell, told) = std::sync::mpsc::channel();
        let (watched, wrong) = (Arc::clone(&seen), Arc::clone(wrong));
        runtime.spawn(async move {
            let swarm = swarm(&keypair, network_key, looks);
            let mut swarm = match swarm {
                Ok(swarm) => swarm,
                Err(error) => {
                    watch(&watched).closed.push(format!("{error:#}"));
                    return;
                }
            };
            let watcher = Watcher { seen: watched, wrong, looks };
            watcher.live(&mut swarm, orders, tell).await;
        });
        let address = told.recv_timeout(MANY);
        let address = address.with_context(|| format!("a stock node does not listen: {:?}", watch(&seen).closed))?;
        Ok(Self { peer_id, address, seen, commands })
    }

    /// What it saw so far.
    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        watch(&self.seen)
    }

    /// Waits until it saw something.
    pub(crate) fn wait(&self, what: &str, is_so: impl Fn(&Seen) -> bool) -> Result<()> {
        let until = Instant::now() + MANY;
        while !is_so(&self.seen()) {
            ensure!(Instant::now() < until, "a stock node does not see {what} within {MANY:?}");
            std::thread::sleep(ASK / 4);
        }
        Ok(())
    }

    pub(crate) fn dial(&self, address: SocketAddr) -> Result<()> {
        self.order(Command::Dial(address))
    }

    pub(crate) fn publish(&self, data: Vec<u8>) -> Result<()> {
        self.order(Command::Publish(data))
    }

    /// Looks somebody up.
    pub(crate) fn find(&self, peer_id: PeerId) -> Result<()> {
        self.order(Command::Find(peer_id))
    }

    /// Its scores as they are now, for [`Seen::scores`].
    pub(crate) fn score(&self) -> Result<()> {
        self.order(Command::Score)
    }

    fn order(&self, command: Command) -> Result<()> {
        if self.commands.send(command).is_err() {
            bail!("a stock node has ended");
        }
        Ok(())
    }
}

fn watch(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

fn swarm(keypair: &Keypair, network_key: [u8; 32], looks: bool) -> Result<Swarm<Behaviour>> {
    let pnet = PnetConfig::new(PreSharedKey::new(network_key));
    let transport = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true))
        .and_then(move |socket, _| pnet.handshake(socket))
        .upgrade(Version::V1)
        .authenticate(noise::Config::new(keypair)?)
        .multiplex(CodaYamux::default())
        .map(|(peer_id, muxer), _| (peer_id, StreamMuxerBox::new(muxer)))
        .boxed();
    let peer_id = keypair.public().to_peer_id();
    let mut kad_config = kad::Config::new(StreamProtocol::new(KAD));
    kad_config.set_periodic_bootstrap_interval(None);
    if !looks {
        kad_config.set_kbucket_inserts(kad::BucketInserts::Manual);
    }
    let mut kad = kad::Behaviour::with_config(peer_id, MemoryStore::new(peer_id), kad_config);
    kad.set_mode(Some(Mode::Server));
    let identify = identify::Config::new("ipfs/0.1.0".to_owned(), keypair.public());
    let behaviour = Behaviour {
        gossipsub: gossip(keypair)?,
        kad,
        identify: identify::Behaviour::new(identify.with_agent_version("stock/rust-libp2p".to_owned())),
        ping: ping::Behaviour::default(),
    };
    let config = libp2p::swarm::Config::with_tokio_executor().with_idle_connection_timeout(IDLE_MAX);
    let mut swarm = Swarm::new(transport, behaviour, peer_id, config);
    swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse()?)?;
    Ok(swarm)
}

fn gossip(keypair: &Keypair) -> Result<gossipsub::Behaviour> {
    let config = gossipsub::ConfigBuilder::default()
        .protocol_id("/meshsub/1.1.0", gossipsub::Version::V1_1)
        .message_id_fn(|message| MessageId::from(id(&message.data)))
        .validation_mode(ValidationMode::Strict)
        .validate_messages()
        .max_transmit_size(33_554_432)
        .mesh_n(6)
        .mesh_n_low(5)
        .mesh_n_high(12)
        .duplicate_cache_time(Duration::from_secs(120))
        .publish_queue_duration(QUEUED_MAX)
        .forward_queue_duration(QUEUED_MAX)
        .build()?;
    let error = |text: &str| anyhow::anyhow!("{text}");
    let mut gossip = gossipsub::Behaviour::new(MessageAuthenticity::Signed(keypair.clone()), config).map_err(error)?;
    let topic = IdentTopic::new(TOPIC);
    // All are on one machine, and nobody must bring so many messages in a time: how fast they come is the machine's doing.
    let mut scores = gossipsub::PeerScoreParams { ip_colocation_factor_weight: 0.0, ..Default::default() };
    let scored = gossipsub::TopicScoreParams {
        mesh_message_deliveries_weight: 0.0,
        mesh_failure_penalty_weight: 0.0,
        ..Default::default()
    };
    scores.topics.insert(topic.hash(), scored);
    gossip.with_peer_score(scores, gossipsub::PeerScoreThresholds::default()).map_err(|text| error(&text))?;
    gossip.subscribe(&topic)?;
    Ok(gossip)
}

/// Notes what a node sees, and does for it what an application does.
struct Watcher {
    seen: Arc<Mutex<Seen>>,
    wrong: Wrong,
    looks: bool,
}

impl Watcher {
    async fn live(
        &self,
        swarm: &mut Swarm<Behaviour>,
        mut orders: mpsc::UnboundedReceiver<Command>,
        tell: std::sync::mpsc::Sender<SocketAddr>,
    ) {
        use futures_util::StreamExt as _;
        loop {
            tokio::select! {
                event = swarm.select_next_some() => match event {
                    SwarmEvent::NewListenAddr { address, .. } => {
                        swarm.add_external_address(address.clone());
                        // Whoever asked may have given up.
                        let _ = socket_address(&address).map(|address| tell.send(address));
                    }
                    SwarmEvent::Behaviour(event) => self.on_event(swarm, event),
                    other => self.on_connection(other),
                },
                order = orders.recv() => match order {
                    Some(order) => self.obey(swarm, order),
                    None => return,
                },
            }
        }
    }

    fn on_connection(&self, event: SwarmEvent<BehaviourEvent>) {
        let mut seen = watch(&self.seen);
        match event {
            SwarmEvent::ConnectionEstablished { peer_id, endpoint, .. } => {
                seen.connected.insert(peer_id, endpoint.get_remote_address().clone());
            }
            SwarmEvent::ConnectionClosed { peer_id, cause, num_established, .. } => {
                if num_established == 0 {
                    seen.connected.remove(&peer_id);
                }
                seen.closed.push(format!("{peer_id}: {cause:?}"));
            }
            _ => {}
        }
    }

    fn on_event(&self, swarm: &mut Swarm<Behaviour>, event: BehaviourEvent) {
        let mut seen = watch(&self.seen);
        match event {
            BehaviourEvent::Gossipsub(gossipsub::Event::Message { propagation_source, message_id, message }) => {
                let key = key(&message.data);
                let is_wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner).contains(&key);
                seen.messages.entry(key).or_default().push(propagation_source);
                let verdict = if is_wrong { MessageAcceptance::Reject } else { MessageAcceptance::Accept };
                let gossip = &mut swarm.behaviour_mut().gossipsub;
                gossip.report_message_validation_result(&message_id, &propagation_source, verdict);
            }
            BehaviourEvent::Gossipsub(gossipsub::Event::Subscribed { peer_id, .. }) => {
                seen.subscribed.insert(peer_id);
            }
            BehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. }) => {
                seen.agents.insert(peer_id, info.agent_version);
                let speaks_kad = info.protocols.iter().any(|protocol| protocol.as_ref() == KAD);
                for address in info.listen_addrs.into_iter().filter(|_| self.looks && speaks_kad) {
                    swarm.behaviour_mut().kad.add_address(&peer_id, address);
                }
            }
            BehaviourEvent::Kad(kad::Event::OutboundQueryProgressed {
                result: QueryResult::GetClosestPeers(Ok(closest)),
                ..
            }) => {
                seen.found.extend(closest.peers.into_iter().map(|peer| (peer.peer_id, peer.addrs.len())));
            }
            _ => {}
        }
    }

    fn obey(&self, swarm: &mut Swarm<Behaviour>, command: Command) {
        match command {
            Command::Dial(address) => {
                let dialled = swarm.dial(multiaddr(address));
                watch(&self.seen).closed.extend(dialled.err().map(|error| format!("{address}: {error}")));
            }
            Command::Publish(data) => {
                let published = swarm.behaviour_mut().gossipsub.publish(IdentTopic::new(TOPIC), data);
                watch(&self.seen).unpublished.extend(published.err().map(|error| error.to_string()));
            }
            Command::Find(peer_id) => {
                swarm.behaviour_mut().kad.get_closest_peers(peer_id);
            }
            Command::Score => {
                let mut seen = watch(&self.seen);
                let peers: Vec<PeerId> = seen.connected.keys().copied().collect();
                let gossip = &swarm.behaviour().gossipsub;
                seen.scores = peers.into_iter().filter_map(|peer| Some((peer, gossip.peer_score(&peer)?))).collect();
            }
        }
    }
}

fn multiaddr(address: SocketAddr) -> Multiaddr {
    Multiaddr::from(address.ip()).with(libp2p::multiaddr::Protocol::Tcp(address.port()))
}

/// The socket's address of a multiaddr.
pub(crate) fn socket_address(address: &Multiaddr) -> Option<SocketAddr> {
    use libp2p::multiaddr::Protocol;
    let mut parts = address.iter();
    match (parts.next()?, parts.next()?) {
        (Protocol::Ip4(ip), Protocol::Tcp(port)) => Some((ip, port).into()),
        _ => None,
    }
}

//! Starts a network: its socket, its threads, its engine; and keeps it until it is drained.

use crate::budget::Budget;
use crate::clock::Clock;
use crate::events::Events;
use crate::handle::{Control, Handle, Last, Shared, State};
use crate::host::{Door, Parts};
use crate::identity::Identity;
use crate::ledger::{self, ANSWER_BATCHES_MAX, Answers, Asks, Mailbox};
use crate::opening::Opening;
use crate::recorder::{self, Recorder};
use crate::saver::Saver;
use crate::sockets;
use crate::tls::Tls;
use polypeer_engine::journal::{Head, Holds, Started};
use polypeer_engine::{Address, Command, Engine, Ledger, Now, P2pAction, P2pConfig, Protocol, Record, Transport};
use polypeer_store::{LoadError, Store};
use std::fs::File;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use thiserror::Error;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// Words from handles that may wait; more wait before the door.
const CONTROLS_MAX: usize = 1024;
/// Of them, and of answers, so many are taken before other things have their turn.
const CONTROLS_A_TURN: usize = 64;
const ANSWERS_A_TURN: usize = 256;
/// Threads for looking up names.
const LOOKUP_THREADS: usize = 4;
/// When the last handle is dropped without a drain, peers get so long to hear the goodbye.
const FAREWELL: Duration = Duration::from_secs(3);

/// A network to start.
pub struct Network<P: Protocol> {
    /// Its name, as configuration and metrics show it.
    pub name: String,
    /// What the operator decided. `listen` is overwritten with the address really got.
    pub p2p: P2pConfig,
    /// The network's own section.
    pub protocol: P::Config,
    /// Where to listen; not at all when nothing is said. Port 0 takes a free one, `[::]` takes IPv4 too.
    pub listen: Option<SocketAddr>,
    /// The seed of the engine's chance; from the operating system's entropy when nothing is said.
    pub seed: Option<[u8; 32]>,
    /// Where to record; an existing file is overwritten.
    pub record: Option<PathBuf>,
    /// The memory that queues and unfinished frames may take, shared with other networks by cloning.
    pub queue_budget: Budget,
    /// Encrypts the network's WebSockets, both ways. Only for a network of which every node does; other transports have
    /// none.
    pub tls: Option<Tls>,
    /// With which key this node proves who it is, on transports where it does: libp2p. Others need none.
    pub identity: Option<Identity>,
}

impl<P: Protocol> std::fmt::Debug for Network<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Without the seed, which a log must not hold.
        f.debug_struct("Network").field("name", &self.name).field("p2p", &self.p2p).finish_non_exhaustive()
    }
}

/// Why a network does not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// It cannot listen.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// What was remembered cannot be read.
    #[error("cannot load what was remembered: {0}")]
    Load(#[from] LoadError),
    /// The recording's file cannot be made.
    #[error("cannot record to {path}: {source}")]
    Record {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The operating system gives no entropy.
    #[error("no entropy: {0}")]
    Entropy(getrandom::Error),
    /// No thread or no event loop to be had.
    #[error("no thread: {0}")]
    Thread(#[from] io::Error),
    /// The protocol could not be built.
    #[error("{0}")]
    Protocol(String),
    /// Its transport is not one that TLS encrypts.
    #[error("TLS is for networks that speak WebSocket")]
    NoTls,
    /// Its transport has every node prove who it is, and this one has no key.
    #[error("a network that speaks libp2p needs an identity")]
    NoIdentity,
}

/// Starts a network on a thread of its own, and its ledger on another. It listens when this returns.
pub fn start<P, L>(mut network: Network<P>, ledger: L, store: Option<Store>) -> Result<Handle<P>, StartError>
where
    P: Protocol,
    L: Ledger<Request = P::Request, Answer = P::Answer>,
{
    if network.tls.is_some() && !matches!(P::profile(&network.protocol).transport, Transport::WebSocket { .. }) {
        return Err(StartError::NoTls);
    }
    let listener = network.listen.map(bind).transpose()?;
    let listening = listener.as_ref().and_then(|listener| listener.local_addr().ok());
    network.p2p.listen = listening.map(Address::from);
    let records = store.as_ref().map(Store::load).transpose()?.unwrap_or_default();
    let seed = network.seed.map_or_else(seed, Ok)?;
    let record =
        network.record.take().map(|path| recorder::create(&path).map_err(|source| StartError::Record { path, source }));
    let record = record.transpose()?;

    let events = Events::new();
    let clock = Clock::start();
    let mailbox = Mailbox::new();
    let (control, controls) = mpsc::channel(CONTROLS_MAX);
    let (answer, answers) = mpsc::channel(ANSWER_BATCHES_MAX);
    let (state, watched) = watch::channel(State::Running);
    let name = network.name.clone();

    let (of_ledger, budget) = (mailbox.clone(), network.queue_budget.clone());
    let body = move || ledger::run(ledger, &of_ledger, clock, budget, &answer);
    let ledger_thread = spawn("ledger", &name, body)?;
    let stop_ledger = StopLedger(mailbox.clone(), Some(ledger_thread));

    let (ready, is_ready) = std::sync::mpsc::sync_channel(1);
    let setup = Setup { network, clock, listener, records, seed, record, store, events: events.clone() };
    let inlets = Inlets { controls, answers };
    let (of_network, last) = (mailbox.clone(), Arc::new(OnceLock::new()));
    let last_word = last.clone();
    let body = move || {
        let ended = run(setup, of_network, stop_ledger, inlets, &ready, &last_word);
        state.send_replace(ended.map_or_else(State::Failed, |()| State::Stopped));
    };
    let thread = spawn("net", &name, body)?;
    match is_ready.recv() {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Err(error),
        Err(_) => return Err(StartError::Protocol("the network's thread ended before it began".into())),
    }
    let thread = Some(thread).into();
    Ok(Handle::new(Shared { name, listening, control, mailbox, events, state: watched, last, thread }))
}

fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    sockets::listen(address).map_err(|source| StartError::Listen { address, source })
}

fn seed() -> Result<[u8; 32], StartError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(StartError::Entropy)?;
    Ok(seed)
}

fn spawn(what: &str, name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(format!("{what}:{name}")).spawn(body)
}

/// What the network's thread is built from.
struct Setup<P: Protocol> {
    network: Network<P>,
    clock: Clock,
    listener: Option<TcpListener>,
    records: Vec<Record>,
    seed: [u8; 32],
    record: Option<File>,
    store: Option<Store>,
    events: Events,
}

/// Where words for the engine come in.
struct Inlets<P: Protocol> {
    controls: mpsc::Receiver<Control<P>>,
    answers: mpsc::Receiver<Answers<P::Answer>>,
}

/// Stops the ledger's thread however the network's ends.
struct StopLedger<R, A>(Arc<Mailbox<R, A>>, Option<JoinHandle<()>>);

impl<R, A> Drop for StopLedger<R, A> {
    fn drop(&mut self) {
        self.0.stop();
        if let Some(thread) = self.1.take() {
            // The thread leaves its failure in the mailbox.
            let _ = thread.join();
        }
    }
}

type Ready = std::sync::mpsc::SyncSender<Result<(), StartError>>;

// The network's thread, from start to end. Why it failed, if so.
fn run<P: Protocol>(
    setup: Setup<P>,
    mailbox: Arc<Mailbox<P::Request, P::Answer>>,
    stop_ledger: StopLedger<P::Request, P::Answer>,
    // Dropped before the ledger is joined, which might wait for room in it.
    inlets: Inlets<P>,
    ready: &Ready,
    last_word: &OnceLock<Last>,
) -> Result<(), String> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().max_blocking_threads(LOOKUP_THREADS).build_local(Default::default());
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return refuse(ready, error.into()),
    };
    let built = catch_unwind(AssertUnwindSafe(|| runtime.block_on(async { build(setup, mailbox.clone()) })));
    let (door, listener) = match built {
        Ok(Ok(built)) => built,
        Ok(Err(error)) => return refuse(ready, error),
        Err(panic) => return refuse(ready, StartError::Protocol(crate::failure::text(&*panic))),
    };
    // Whoever waits for the start may have given up; then nobody holds a handle either.
    let _ = ready.send(Ok(()));
    runtime.block_on(keep(&door, listener, inlets, &mailbox));
    // What came before the end is written even when the end was a panic.
    door.enter(|host| host.finish());
    if let Some(last) =
        door.enter(|host| host.look(|view| Last { totals: *view.meters.totals(), imbalances: view.imbalances() }))
    {
        // Nobody else sets it.
        let _ = last_word.set(last);
    }
    let failure = door.failure();
    // A name that is still being looked up must not hold up the end.
    runtime.shutdown_background();
    drop((door, stop_ledger));
    failure.map_or(Ok(()), Err)
}

fn refuse(ready: &Ready, error: StartError) -> Result<(), String> {
    let text = error.to_string();
    let _ = ready.send(Err(error));
    Err(text)
}

type Built<P> = (Rc<Door<P>>, Option<tokio::net::TcpListener>);

fn build<P: Protocol>(setup: Setup<P>, mailbox: Arc<Mailbox<P::Request, P::Answer>>) -> Result<Built<P>, StartError> {
    let Setup { network, clock, listener, records, seed, record, store, events } = setup;
    let Network { name, p2p, protocol, queue_budget, tls, identity, .. } = network;
    let listener = listener.map(tokio::net::TcpListener::from_std).transpose()?;
    let saver = store.map(|store| Saver::start(&name, store, events.clone())).transpose()?;
    let mut recorder = record.map(|file| Recorder::start(&name, file, events.clone())).transpose()?;
    let now = clock.now();
    if let Some(recorder) = &mut recorder {
        recorder.put(&Head::new(P::NAME, Holds::Node));
        recorder.put(&started::<P>(&name, now, &p2p, &protocol, seed, &records));
    }
    let mut effects = Vec::new();
    let engine = Engine::new(now, p2p, protocol.clone(), seed, &records, &mut effects);
    let transport = engine.state().profile.transport;
    let opening = Opening::new(transport, &engine.state().config, tls, identity.as_ref())?;
    let parts = Parts {
        config: protocol,
        clock,
        asks: Asks::new(mailbox),
        saver,
        recorder,
        events,
        account: queue_budget.join(),
        opening,
    };
    Ok((Door::new(engine, effects, now, parts), listener))
}

fn started<P: Protocol>(
    name: &str,
    now: Now,
    p2p: &P2pConfig,
    protocol: &P::Config,
    seed: [u8; 32],
    records: &[Record],
) -> Started<P::Config> {
    Started {
        network: name.into(),
        now,
        config: p2p.clone(),
        protocol_config: protocol.clone(),
        seed,
        records: records.to_vec(),
    }
}

// Feeds the engine what does not come from sockets, until it is drained or has failed.
async fn keep<P: Protocol>(
    door: &Rc<Door<P>>,
    listener: Option<tokio::net::TcpListener>,
    mut inlets: Inlets<P>,
    mailbox: &Mailbox<P::Request, P::Answer>,
) {
    let Some((share, clock)) = door.enter(|host| (host.account.share(), host.clock)) else { return };
    let accepting = listener.map(|listener| tokio::task::spawn_local(sockets::accept(door.clone(), listener)));
    let mut drain_until: Option<Instant> = None;
    let mut controls = Vec::new();
    loop {
        let Some((is_drained, alarm)) = door.enter(|host| (host.is_drained(), host.next_alarm())) else { return };
        if is_drained || drain_until.is_some_and(|until| Instant::now() >= until) {
            return;
        }
        let alarm = alarm.map(|alarm| Instant::from_std(clock.instant(alarm)));
        let wait = alarm.into_iter().chain(drain_until).min();
        tokio::select! {
            count = inlets.controls.recv_many(&mut controls, CONTROLS_A_TURN), if drain_until.is_none() || !inlets.controls.is_closed() => {
                if count == 0 {
                    controls.push(Control::Drain { within: FAREWELL });
                }
                for control in controls.drain(..) {
                    if let Some(within) = take(door, control) {
                        let until = Instant::now() + within;
                        drain_until = Some(drain_until.map_or(until, |earlier| earlier.min(until)));
                        if let Some(accepting) = &accepting {
                            accepting.abort();
                        }
                    }
                }
            }
            batch = inlets.answers.recv() => match batch {
                Some(batch) => answered(door, batch).await,
                None => return door.fail(format!("the ledger ended: {}", mailbox.failure().unwrap_or_default())),
            },
            () = share.rung() => { door.enter(|host| host.shed()); }
            () = door.bell.notified() => {}
            () = sleep_until(wait) => { door.enter(|host| host.wake()); }
        }
    }
}

async fn sleep_until(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

// Takes a handle's word. For how long to drain, if that is what it says.
fn take<P: Protocol>(door: &Door<P>, control: Control<P>) -> Option<Duration> {
    match control {
        Control::Act(action) => {
            door.enter(|host| host.step(action));
            None
        }
        Control::Read(look) => {
            door.enter(|host| host.look(look));
            None
        }
        Control::Drain { within } => {
            door.enter(|host| {
                if !std::mem::replace(&mut host.is_draining, true) {
                    host.step(P2pAction::Command(Command::Drain));
                }
            });
            Some(within)
        }
    }
}

async fn answered<P: Protocol>(door: &Rc<Door<P>>, batch: Answers<P::Answer>) {
    door.enter(|host| {
        host.answered(&batch);
    });
    let Answers { answers, _held, .. } = batch;
    let mut answers = answers.into_iter();
    while answers.len() > 0 {
        door.enter(|host| {
            for (ticket, answer) in answers.by_ref().take(ANSWERS_A_TURN) {
                host.step(P2pAction::LedgerAnswered { ticket, answer });
                host.apply();
            }
        });
        if door.failure().is_some() {
            return;
        }
        tokio::task::yield_now().await;
    }
}

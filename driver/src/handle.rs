//! Reaches a running network from other threads: act on it, look at it, ask its ledger, watch it, drain it.

use crate::events::Events;
use crate::ledger::Mailbox;
use crate::meter::{Imbalance, Meters, Totals};
use polypeer_engine::{Engine, Event, Now, P2pAction, Protocol};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use thiserror::Error;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

/// The network has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the network has ended")]
pub struct Gone;

/// How a network's thread is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It runs. It may become either of the others.
    Running,
    /// It was drained; everything is saved. For good.
    Stopped,
    /// It could not go on: a panic in a protocol or a ledger. For good.
    Failed(String),
}

/// What a network that has ended says of all that passed through it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Last {
    /// The counters.
    pub totals: Totals,
    /// What does not add up: nothing.
    pub imbalances: Vec<Imbalance>,
}

/// What can be seen of a network in one moment.
pub struct View<'a, P: Protocol> {
    /// The engine: shell and protocol.
    pub engine: &'a Engine<P>,
    /// What passed through.
    pub meters: Meters<'a>,
    /// Both clocks.
    pub now: Now,
}

impl<P: Protocol> View<'_, P> {
    /// What does not add up over all connections or at one of them: see [`crate::Meter::imbalances`], and the engine has heard
    /// as many frames as it was handed.
    pub fn imbalances(&self) -> Vec<Imbalance> {
        let state = self.engine.state();
        let mut found = self.meters.totals().imbalances();
        found.extend(state.peers.keys().filter_map(|id| self.meters.connection(*id)).flat_map(|one| one.imbalances()));
        if state.frames.handled + state.frames.unheard != self.meters.totals().all.frames_received {
            found.push(Imbalance::FramesIn);
        }
        found
    }
}

/// A running network. A clone is the same network; when the last one is dropped the network says goodbye and ends.
pub struct Handle<P: Protocol>(Arc<Shared<P>>);

pub(crate) struct Shared<P: Protocol> {
    pub(crate) name: String,
    pub(crate) listening: Option<SocketAddr>,
    pub(crate) control: mpsc::Sender<Control<P>>,
    pub(crate) mailbox: Arc<Mailbox<P::Request, P::Answer>>,
    pub(crate) events: Events,
    pub(crate) state: watch::Receiver<State>,
    pub(crate) last: Arc<OnceLock<Last>>,
    pub(crate) thread: Mutex<Option<JoinHandle<()>>>,
}

type Look<P> = Box<dyn FnOnce(&View<'_, P>) + Send>;

/// A handle's word to the network's thread.
pub(crate) enum Control<P: Protocol> {
    Act(P2pAction<P::Answer>),
    Read(Look<P>),
    Drain { within: Duration },
}

impl<P: Protocol> Handle<P> {
    pub(crate) fn new(shared: Shared<P>) -> Self {
        Self(Arc::new(shared))
    }

    /// The network's name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The address that it listens on, with the port really got.
    pub fn listening(&self) -> Option<SocketAddr> {
        self.0.listening
    }

    /// Tells the engine something: `Connect`, `Disconnect`, a `Command`, a `BroadcastMessage`. It is done, or under
    /// way, soon after this returns; what is said from one task is done in that order.
    pub async fn act(&self, action: P2pAction<P::Answer>) -> Result<(), Gone> {
        self.tell(Control::Act(action)).await
    }

    /// Lets `look` look, on the network's own thread: it must be quick, for meanwhile nothing else happens there.
    /// `Gone` also when `look` panics.
    pub async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&View<'_, P>) -> T + Send + 'static,
    ) -> Result<T, Gone> {
        let (answer, answered) = oneshot::channel();
        let look = move |view: &View<'_, P>| {
            // Looking changes nothing, so a panic in it is only the looker's.
            if let Ok(seen) = catch_unwind(AssertUnwindSafe(|| look(view))) {
                // Whoever asked may have gone away.
                let _ = answer.send(seen);
            }
        };
        self.tell(Control::Read(Box::new(look))).await?;
        answered.await.map_err(|_| Gone)
    }

    /// Puts a question straight to the ledger, past the engine.
    pub async fn ask(&self, request: P::Request) -> Result<P::Answer, Gone> {
        self.0.mailbox.ask(request).await.ok_or(Gone)
    }

    /// Events from now on, numbered without a gap. A watcher that is 4,096 events behind loses the oldest and is
    /// told so.
    pub fn events(&self) -> broadcast::Receiver<(u64, Event)> {
        self.0.events.subscribe()
    }

    /// How the network's thread is.
    pub fn state(&self) -> State {
        self.0.state.borrow().clone()
    }

    /// What it says of all that passed through it, once it has ended without a panic.
    pub fn last(&self) -> Option<Last> {
        self.0.last.get().cloned()
    }

    /// Waits for the network to end. Why, if it failed.
    pub async fn ended(&self) -> Result<(), String> {
        let mut state = self.0.state.clone();
        let ended = state.wait_for(|state| *state != State::Running).await;
        match ended.map(|state| state.clone()) {
            Ok(State::Failed(why)) => Err(why),
            Ok(_) => Ok(()),
            Err(_) => Err("the network's thread ended without a word".into()),
        }
    }

    /// Says goodbye to all peers, waits for them to go but not longer than `within`, and ends the network: the ledger
    /// answers what it was asked, records and recording are written. Then this returns, for every caller.
    pub async fn drain(&self, within: Duration) {
        // It may have ended already.
        let _ = self.tell(Control::Drain { within }).await;
        let _ = self.ended().await;
        let thread = self.0.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // Its last word has been said, so this takes no time.
            let _ = thread.join();
        }
    }

    async fn tell(&self, control: Control<P>) -> Result<(), Gone> {
        self.0.control.send(control).await.map_err(|_| Gone)
    }
}

impl<P: Protocol> Clone for Handle<P> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<P: Protocol> std::fmt::Debug for Handle<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle")
            .field("name", &self.0.name)
            .field("listening", &self.0.listening)
            .finish_non_exhaustive()
    }
}

//! Validates with commonware's simplex: its authenticated TCP, its journal on the disk, on its tokio runtime.
//!
//! What it agrees on is a hash of the view, which everyone makes for itself: nothing is executed, stored or sent beside
//! the votes.

use super::{Arguments, Counts, REPLICAS, Work};
use crate::place::monotonic_ns;
use anyhow::{Context as _, Result};
use commonware_actor::Feedback;
use commonware_consensus::simplex::elector::RoundRobin;
use commonware_consensus::simplex::scheme::ed25519::Scheme;
use commonware_consensus::simplex::types::{Activity, Context};
use commonware_consensus::simplex::{
    Config, Engine, Floor, ForwardPolicy, Plan, SkipBudget, SkipPolicy, max_payload_size,
};
use commonware_consensus::types::{Epoch, Round, TermLength, ViewDelta};
use commonware_consensus::{Automaton, CertifiableAutomaton, Handoff, Relay, Reporter, Viewable as _};
use commonware_cryptography::ed25519::{PrivateKey, PublicKey};
use commonware_cryptography::sha256::Digest;
use commonware_cryptography::{ChaCha20Poly1305, Hasher as _, Sha256, Signer as _};
use commonware_p2p::authenticated::lookup::{self, Network};
use commonware_p2p::{Address, AddressableManager as _, max_message_size};
use commonware_parallel::Sequential;
use commonware_runtime::buffer::paged::{CacheRef, page_size};
use commonware_runtime::{Quota, Runner as _, Supervisor as _, tokio};
use commonware_stream::cups::{self, Cups};
use commonware_stream::sake::{self, Sake};
use commonware_utils::channel::oneshot;
use commonware_utils::ordered::Map;
use commonware_utils::{NZDuration, NZU32, NZUsize, Participant};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

const NAMESPACE: &[u8] = b"measured";
/// Messages a second of one peer on one channel: more than there are.
const QUOTA: Quota = Quota::per_second(NZU32!(16_384));
/// With many at once a leader keeps its place for so many views, and runs so many ahead of what is certified. No
/// other values were tried.
const TERM: TermLength = TermLength::new(NZU32!(64));
const AHEAD: ViewDelta = ViewDelta::new(16);

pub(super) fn run(arguments: Arguments, counts: Arc<Counts>) -> Result<()> {
    let folder = arguments.folder.join(format!("replica{}", arguments.place));
    let config = tokio::Config::new().with_storage_directory(folder);
    tokio::Runner::new(config).start(|context| validate(context, arguments, counts))
}

async fn validate(context: tokio::Context, arguments: Arguments, counts: Arc<Counts>) -> Result<()> {
    let keys: Vec<PrivateKey> = (0..REPLICAS as u64).map(PrivateKey::from_seed).collect();
    let key = keys[arguments.place].clone();
    let addresses =
        keys.iter().zip(&arguments.addresses).map(|(key, address)| (key.public_key(), Address::from(*address)));
    let peers: Map<PublicKey, Address> = Map::from_iter_dedup(addresses);
    let scheme = Scheme::signer(NAMESPACE, peers.keys().clone(), key.clone()).context("a key of none of them")?;
    let own = peers.keys().iter().position(|one| *one == key.public_key()).context("a key of none of them")?;

    let handshake = Sake {
        signer: key,
        synchrony_bound: Duration::from_secs(5),
        max_handshake_age: Duration::from_secs(10),
        version: sake::Version::V1,
    };
    let network = lookup::Config::local(
        Cups::<_, ChaCha20Poly1305>::new(handshake, cups::Version::V1),
        NAMESPACE,
        arguments.addresses[arguments.place],
        NZUsize!(REPLICAS),
        max_message_size(&[max_payload_size::<Scheme, Digest>(REPLICAS as u32)]),
        NZUsize!(1_024),
    );
    let (mut network, mut oracle) = Network::new(context.child("network"), network);
    oracle.track(0, peers);
    let [votes, certificates, resolver] = [0, 1, 2].map(|channel| network.register(channel, QUOTA));
    network.start();

    let application = Application {
        is_pipelined: arguments.work == Work::Many,
        own,
        counts,
        progress: Arc::new(Mutex::new(Progress::default())),
    };
    let engine = Engine::new(context.child("engine"), config(scheme, &application, oracle));
    engine.start(votes, certificates, resolver).await.context("the engine ended")
}

type Oracle = lookup::Oracle<PublicKey>;
type EngineConfig = Config<Scheme, RoundRobin, Oracle, Digest, Application, Application, Application, Sequential>;

// The times are those of its own tests, or longer.
fn config(scheme: Scheme, application: &Application, blocker: Oracle) -> EngineConfig {
    let elector = RoundRobin::<Sha256>::default();
    let elector =
        if application.is_pipelined { elector.with_term(TERM, Duration::from_secs(10), AHEAD) } else { elector };
    Config {
        scheme,
        elector,
        blocker,
        automaton: application.clone(),
        relay: application.clone(),
        reporter: application.clone(),
        strategy: Sequential,
        partition: "measured".to_owned(),
        mailbox_size: NZUsize!(1_024),
        epoch: Epoch::zero(),
        floor: Floor::Genesis(Sha256::hash(&[NAMESPACE])),
        leader_timeout: Duration::from_secs(1),
        certification_timeout: Duration::from_millis(1_500),
        timeout_retry: Duration::from_secs(1),
        fetch_timeout: NZDuration!(Duration::from_secs(1)),
        fetch_retry_delay: Duration::from_millis(100),
        view_retention: ViewDelta::new(256),
        skip: SkipPolicy::Enabled { timeout: Duration::from_secs(5), budget: SkipBudget::Participants },
        replay_buffer: NZUsize!(1 << 20),
        write_buffer: NZUsize!(1 << 20),
        page_cache: CacheRef::new(page_size(4_096), NZUsize!(1_024)),
        forward: ForwardPolicy::Disabled,
        track_historical_votes: false,
    }
}

/// Makes, judges and counts what is agreed on.
#[derive(Clone)]
struct Application {
    is_pipelined: bool,
    /// Its place among the participants.
    own: usize,
    counts: Arc<Counts>,
    progress: Arc<Mutex<Progress>>,
}

#[derive(Default)]
struct Progress {
    /// The last view that is final.
    last: u64,
    /// Views beyond it that were skipped.
    skipped: BTreeSet<u64>,
    /// Views beyond it that were proposed here, and when.
    proposed: BTreeMap<u64, u64>,
}

impl Application {
    fn value(&self, round: Round) -> Digest {
        Sha256::hash(&[NAMESPACE, &round.view().get().to_le_bytes()])
    }

    fn propose_now(&self, round: Round) -> Digest {
        self.lock().proposed.entry(round.view().get()).or_insert_with(monotonic_ns);
        self.value(round)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // A final view makes those before it final that were not skipped.
    fn is_final(&self, view: u64, digest: &Digest) {
        let now = monotonic_ns();
        let mut progress = self.lock();
        if view <= progress.last {
            return;
        }
        let later = progress.skipped.split_off(&(view + 1));
        let skipped = std::mem::replace(&mut progress.skipped, later).len() as u64;
        let later = progress.proposed.split_off(&(view + 1));
        let proposed = std::mem::replace(&mut progress.proposed, later);
        proposed.values().for_each(|at| self.counts.took(now - at));
        let count = (view - progress.last).saturating_sub(skipped);
        progress.last = view;
        self.counts.commit(count, view, digest);
    }
}

fn answered<T>(answer: T) -> oneshot::Receiver<T> {
    let (sender, receiver) = oneshot::channel();
    // The receiver is at hand.
    drop(sender.send(answer));
    receiver
}

impl Automaton for Application {
    type Context = Context<Digest, PublicKey>;
    type Digest = Digest;

    async fn propose(&mut self, context: Self::Context) -> oneshot::Receiver<Digest> {
        answered(self.propose_now(context.round))
    }

    async fn verify(&mut self, context: Self::Context, payload: Digest) -> oneshot::Receiver<bool> {
        answered(self.value(context.round) == payload)
    }
}

impl CertifiableAutomaton for Application {
    async fn prepare(&mut self, context: Self::Context) -> oneshot::Receiver<Handoff<Digest>> {
        let is_early = self.is_pipelined;
        answered(if is_early { Handoff::Vote(self.propose_now(context.round)) } else { Handoff::Wait })
    }
}

impl Relay for Application {
    type Digest = Digest;
    type PublicKey = PublicKey;
    type Plan = Plan<PublicKey>;

    fn broadcast(&mut self, _: Digest, _: Self::Plan) -> Feedback {
        Feedback::Ok
    }
}

impl Reporter for Application {
    type Activity = Activity<Scheme, Digest>;

    fn report(&mut self, activity: Self::Activity) -> Feedback {
        let is_own = |signer: Participant| signer.get() as usize == self.own;
        match activity {
            Activity::Notarize(vote) if is_own(vote.attestation.signer) => self.counts.vote(),
            Activity::Finalize(vote) if is_own(vote.attestation.signer) => self.counts.vote(),
            Activity::Nullify(vote) if is_own(vote.attestation.signer) => self.counts.vote(),
            Activity::Nullification(skipped) => {
                let view = skipped.view().get();
                let mut progress = self.lock();
                if view > progress.last {
                    progress.skipped.insert(view);
                }
            }
            Activity::Finalization(certificate) => {
                self.is_final(certificate.view().get(), &certificate.proposal.payload)
            }
            _ => {}
        }
        Feedback::Ok
    }
}

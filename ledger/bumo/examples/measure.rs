//! Measures four validators' ledgers on one disk, without a network: what a commit costs below the agreement.
//!
//! ```sh
//! cargo run --release -p polypeer-ledger-bumo --example measure -- FOLDER [SECONDS]
//! ```
//! Each commit is one proposal, three judgements, a proposal's, three prepares' and four commits' durable votes, and four
//! closed ledgers, in the order and with the parallelism that PBFT has. Values are empty.

use bytes::Bytes;
use polypeer_bumo::hash::{Hash, sha256};
use polypeer_bumo::keys::{PrivateKey, Scheme};
use polypeer_bumo::ledger::{Answer, Judgement, Request};
use polypeer_bumo::proof;
use polypeer_bumo::wire::{Body, Message, Pbft, PbftEnv, PrePrepare, Signature, Vote};
use polypeer_engine::{Ledger, Now, Ticket, Time};
use polypeer_ledger_bumo::{Bumo, Config, Rules};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::{Barrier, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const VALIDATORS: usize = 4;
/// What a commit's vote rests on: a small proposal and two prepares.
const EVIDENCE_BYTES: usize = 900;

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

fn key(place: usize) -> Outcome<PrivateKey> {
    Ok(PrivateKey::new(Scheme::Ed25519, sha256(format!("measured {place}").as_bytes()).0)?)
}

/// One validator's ledger, and its clock.
struct Replica {
    place: usize,
    ledger: Bumo,
    start: Instant,
    ticket: u64,
}

impl Replica {
    fn open(folder: &Path, place: usize, rules: Rules) -> Outcome<Self> {
        let path = Some(folder.join(format!("ledger{place}")));
        let config = Config { path, signer: Some(Box::new(key(place)?)), ..Config::in_memory(rules) };
        Ok(Self { place, ledger: Bumo::open(config)?.0, start: Instant::now(), ticket: 0 })
    }

    fn ask(&mut self, request: Request) -> Outcome<Answer> {
        let unix_ms = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as u64;
        let now = Now { monotonic: Time::from_micros(self.start.elapsed().as_micros() as u64), unix_ms };
        if self.ledger.next_wake(now).is_some_and(|due| due <= now.monotonic) {
            self.ledger.wake(now, &mut Vec::new());
        }
        let mut answers = Vec::new();
        self.ticket += 1;
        self.ledger.answer(now, vec![(Ticket(self.ticket), request)], &mut answers);
        Ok(answers.pop().ok_or("no answer")?.1)
    }

    fn sign(&mut self, body: Body<'_>, keep: usize) -> Outcome<Bytes> {
        let pbft = Pbft { round_number: 1, body, chain_id: 0 }.encode();
        match self.ask(Request::Sign { pbft: pbft.clone(), keep: vec![7; keep].into() })? {
            Answer::Signed(Ok(signed)) => {
                let signature = Signature { public_key: &signed.public_key, sign_data: &signed.sign_data };
                Ok(PbftEnv::seal(&pbft, signature))
            }
            other => Err(format!("{other:?}").into()),
        }
    }
}

/// What the replicas tell each other.
#[derive(Default)]
struct Round {
    value: Bytes,
    commits: Vec<(usize, Bytes)>,
}

fn run(
    replica: &mut Replica,
    shared: &Mutex<Round>,
    barrier: &Barrier,
    until: Instant,
) -> Outcome<(u64, Vec<Duration>)> {
    let lock = || shared.lock().unwrap_or_else(PoisonError::into_inner);
    let (mut sequence, mut times) = (2_i64, Vec::new());
    loop {
        let begun = Instant::now();
        let primary = sequence as usize % VALIDATORS;
        if replica.place == primary {
            let Answer::Proposed(Ok(proposal)) = replica.ask(Request::Propose { upgrade: None })? else {
                return Err("nothing proposed".into());
            };
            let (view_number, replica_id) = (sequence, primary as i64);
            let (value, value_digest) = (&proposal.value[..], &proposal.digest.0[..]);
            replica.sign(Body::PrePrepare(PrePrepare { view_number, sequence, replica_id, value, value_digest }), 0)?;
            *lock() = Round { value: proposal.value.clone(), commits: Vec::new() };
        }
        barrier.wait();
        let value = lock().value.clone();
        let digest: Hash = sha256(&value);
        let vote = Vote { view_number: sequence, sequence, replica_id: replica.place as i64, value_digest: &digest.0 };
        if replica.place != primary {
            let judged = replica.ask(Request::Judge { value: value.clone() })?;
            if !matches!(judged, Answer::Judged { judgement: Judgement::Valid, .. }) {
                return Err(format!("{judged:?}").into());
            }
            replica.sign(Body::Prepare(vote), 0)?;
        }
        barrier.wait();
        let commit = replica.sign(Body::Commit(vote), EVIDENCE_BYTES)?;
        lock().commits.push((replica.place, commit));
        barrier.wait();
        let mut commits = lock().commits.clone();
        commits.sort_by_key(|(place, _)| *place);
        let proof = proof::build(&commits.iter().take(3).map(|(_, commit)| &commit[..]).collect::<Vec<_>>());
        match replica.ask(Request::CloseAgreed { value, proof })? {
            Answer::Closed(Ok(_)) => {}
            other => return Err(format!("{other:?}").into()),
        }
        times.push(begun.elapsed());
        // All end with the same ledger.
        if barrier.wait().is_leader() {
            lock().value = if Instant::now() > until { Bytes::new() } else { Bytes::from_static(&[1]) };
        }
        barrier.wait();
        if lock().value.is_empty() {
            return Ok((sequence as u64 - 1, times));
        }
        barrier.wait();
        sequence += 1;
    }
}

fn main() -> Outcome {
    let mut arguments = std::env::args().skip(1);
    let folder: PathBuf = arguments.next().ok_or("a folder is needed")?.into();
    let seconds = arguments.next().map_or(Ok(5), |seconds| seconds.parse())?;
    let addresses = (0..VALIDATORS).map(|place| Ok(key(place)?.public().address())).collect::<Outcome<Vec<_>>>()?;
    let genesis = key(9)?.public().address();
    let addresses: Vec<_> = addresses.iter().map(String::as_str).collect();
    let rules = Rules { interval: Duration::ZERO, ..Rules::private(&genesis, &addresses) };
    let mut replicas =
        (0..VALIDATORS).map(|place| Replica::open(&folder, place, rules.clone())).collect::<Outcome<Vec<_>>>()?;
    let (shared, barrier) = (Mutex::default(), Barrier::new(VALIDATORS));
    let begun = Instant::now();
    let until = begun + Duration::from_secs(seconds);
    let mut counts = Vec::new();
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            replicas.iter_mut().map(|replica| scope.spawn(|| run(replica, &shared, &barrier, until))).collect();
        counts.extend(threads.into_iter().map(|thread| thread.join()));
    });
    let took = begun.elapsed();
    for count in counts {
        let (ledgers, mut times) = count.map_err(|_| "a replica panicked")??;
        times.sort_unstable();
        let at = |part: usize| times.get(times.len() * part / 100).copied().unwrap_or_default();
        println!(
            "{ledgers} ledgers, {:.0} a second, p50 {:?}, p99 {:?}",
            ledgers as f64 / took.as_secs_f64(),
            at(50),
            at(99)
        );
    }
    Ok(())
}

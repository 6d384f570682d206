//! Runs the ledger: takes batches, wakes when something comes due, and survives a disk that does not.

use crate::chain::{Chain, Proof, number};
use crate::config::{Config, OpenError};
use crate::envelope::Envelope;
use crate::health::Health;
use crate::log::{LogError, Segments};
use crate::pending::Pending;
use crate::pool::Pool;
use crate::reader::{Reader, Shared, Standing};
use crate::signer::Signer;
use crate::store::Source;
use crate::tables::{OPERATOR, Result};
use crate::votes::Votes;
use crate::writing::Beside;
use bytes::Bytes;
use polypeer_bumo::hash::Hash;
use polypeer_bumo::ledger::{Answer, Origin, ProposeError, Request, Verdict};
use polypeer_bumo::wire::ErrorCode;
use polypeer_engine::{Ledger, Now, Ticket, Time, To};
use redb::backends::{FileBackend, InMemoryBackend};
use redb::{ReadableDatabase, StorageBackend};
use std::fs::OpenOptions;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockWriteGuard};
use std::time::Duration;

/// A ledger that was closed is committed at the latest after so long, which only a network without a pause between ledgers
/// makes it wait. Until then its value and proof are in the vote log, or with those who agreed on it.
const COMMIT_AFTER_MAX: Duration = Duration::from_secs(2);
/// It is committed sooner if no other one is closed for so long.
const COMMIT_AFTER_IDLE: Duration = Duration::from_millis(50);
/// What is pending is committed at once when there is so much of it.
pub(crate) const PENDING_BYTES: usize = 32 << 20;

/// A ledger of BUMO. It belongs to one thread; see [`Reader`] for the others.
pub struct Bumo {
    pub(crate) shared: Arc<Shared>,
    pub(crate) chain: Chain,
    pub(crate) signer: Option<Box<dyn Signer>>,
    pub(crate) votes: Option<Votes>,
    pub(crate) health: Health,
    /// When the first and the last change came that is not committed.
    pub(crate) changed: Option<(Time, Time)>,
    /// Whether the store is written on a thread of its own, and when to look at that.
    pub(crate) beside: Option<Beside>,
    /// Whether the node is behind its peers, and proposes nothing.
    is_behind: bool,
}

impl std::fmt::Debug for Bumo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bumo")
            .field("tip", &self.chain.tip.number)
            .field("health", &self.health)
            .finish_non_exhaustive()
    }
}

impl Bumo {
    /// Opens the ledger where it stopped, or founds its network.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(config: Config) -> Result<(Self, Reader), OpenError> {
        let source = Source::file_or_memory(config.path.clone());
        let bytes = config.limits.votes_bytes;
        let votes = match (&config.signer, &config.path) {
            (None, _) => None,
            (Some(_), None) => Some([Arc::new(InMemoryBackend::new()) as _, Arc::new(InMemoryBackend::new()) as _]),
            (Some(_), Some(path)) => Some([open_votes(path, "votes0")?, open_votes(path, "votes1")?]),
        };
        let is_file = config.path.is_some();
        let (mut ledger, reader) = Self::open_source(source, votes.map(|files| Segments { files, bytes }), config)?;
        ledger.beside = is_file.then(Beside::default);
        Ok((ledger, reader))
    }

    /// Opens the ledger on storages of the caller's, such as the simulator's disks. [`Config::path`] is not used.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open_with_backend(
        storage: impl StorageBackend,
        votes: [Arc<dyn StorageBackend>; 2],
        config: Config,
    ) -> Result<(Self, Reader), OpenError> {
        let segments = Segments { files: votes, bytes: config.limits.votes_bytes };
        let votes = config.signer.is_some().then_some(segments);
        Self::open_source(Source::storage(Arc::new(storage)), votes, config)
    }

    fn open_source(source: Source, segments: Option<Segments>, config: Config) -> Result<(Self, Reader), OpenError> {
        let Config { rules, signer, limits, .. } = config;
        let mut chain = Chain::open(source, rules, limits.cache_bytes, limits.store_bytes)?;
        let votes = segments.map(|segments| open_log(segments, &mut chain)).transpose()?;
        let shared = Arc::new(Shared {
            rules: chain.rules.clone(),
            standing: RwLock::new(standing(&chain)),
            pool: RwLock::new(Pool::new(limits.pool_bytes)),
            leaving: Mutex::default(),
            ails: AtomicBool::new(false),
            signer: signer.as_ref().map(|signer| signer.public_key().address()),
        });
        let reader = Reader { shared: shared.clone(), database: chain.store.shared() };
        let mut ledger =
            Self { shared, chain, signer, votes, health: Health::Sound, changed: None, beside: None, is_behind: false };
        ledger.load_operators()?;
        Ok((ledger, reader))
    }

    /// Whether damage was found in the store when it was opened, and taken back to the commit before it.
    pub fn was_repaired(&self) -> bool {
        self.chain.store.was_repaired()
    }

    /// Lets the operator's stored transactions wait again, as far as they still can.
    fn load_operators(&mut self) -> Result<()> {
        let stored: Vec<(Hash, Bytes)> = self.chain.store.look(|database| {
            let table = database.begin_read()?.open_table(OPERATOR)?;
            let rows = table.range::<&[u8; 32]>(..)?;
            rows.map(|row| row.map(|(id, row)| (Hash(*id.value()), Bytes::copy_from_slice(row.value()))))
                .collect::<Result<_, _>>()
                .map_err(Into::into)
        })?;
        let shared = self.shared.clone();
        let mut pool = lock(&shared);
        for (id, envelope) in stored {
            let (_, verdict) = self.admit(&mut pool, &envelope, Origin::Operator, Time::ZERO);
            if verdict != Verdict::Accepted {
                self.chain.pending.put_operator(id, None);
            }
        }
        Ok(())
    }

    /// Notes that something waits to be committed.
    pub(crate) fn touch(&mut self, now: Now) {
        let first = self.changed.map_or(now.monotonic, |(first, _)| first);
        self.changed = Some((first, now.monotonic));
    }

    /// Lets go of transactions that wait no longer; the operator's are forgotten on disk too.
    pub(crate) fn retire(&mut self, now: Now, gone: impl IntoIterator<Item = (Hash, Origin)>) {
        let operators = gone.into_iter().filter(|(_, origin)| *origin == Origin::Operator);
        for (id, _) in operators {
            self.chain.pending.put_operator(id, None);
            self.touch(now);
        }
    }

    /// When what is pending is to be committed.
    fn commit_due(&self) -> Option<Time> {
        let (first, last) = self.changed.filter(|_| self.health == Health::Sound && self.chain.writing.is_none())?;
        Some((first + COMMIT_AFTER_MAX).min(last + COMMIT_AFTER_IDLE))
    }

    /// Whether what is pending cannot wait.
    fn must_commit(&self) -> bool {
        let votes = self.votes.as_ref().is_some_and(Votes::is_half_full);
        self.changed.is_some() && (votes || self.chain.pending.bytes() > PENDING_BYTES)
    }

    /// Makes all that is pending durable. False when it could not be.
    pub(crate) fn commit(&mut self, now: Now) -> bool {
        self.take_written(now, true);
        if self.health != Health::Sound {
            return false;
        }
        if !self.chain.pending.is_empty() {
            if self.chain.store.commit(&self.chain.pending, &self.chain.row()).is_err() {
                self.fail(now);
                return false;
            }
            self.chain.pending = Pending::default();
        }
        self.changed = None;
        self.show(standing(&self.chain));
        if let Some(votes) = &mut self.votes {
            // If it could not begin anew it goes on as it is, and the next commit tries again.
            drop(votes.forget(number(self.chain.tip.number)));
        }
        true
    }

    /// Shows readers what is durable now.
    pub(crate) fn show(&self, standing: Standing) {
        let number = standing.header.number;
        *self.shared.standing.write().unwrap_or_else(PoisonError::into_inner) = standing;
        self.shared.leaving().stored(number);
    }

    pub(crate) fn set_health(&mut self, health: Health) {
        self.health = health;
        self.shared.ails.store(health != Health::Sound, Ordering::Relaxed);
    }
}

/// A reply that is ready, or waits until what was asked is durable.
enum Reply {
    Nothing,
    Ready(Answer),
    Sign(Bytes),
    Kept,
    /// An operator's transaction, and whether it is in the vote log.
    Operator(Hash, Bytes, bool),
}

impl Ledger for Bumo {
    type Request = Request;
    type Answer = Answer;

    fn answer(&mut self, now: Now, requests: Vec<(Ticket, Request)>, answers: &mut Vec<(To, Answer)>) {
        self.take_written(now, false);
        self.mend(now);
        let shared = self.shared.clone();
        let mut pool = lock(&shared);
        let replies: Vec<_> =
            requests.into_iter().map(|(ticket, request)| (ticket, self.reply(now, &mut pool, request))).collect();
        let needs_sync =
            replies.iter().any(|(_, reply)| matches!(reply, Reply::Sign(_) | Reply::Kept | Reply::Operator(.., true)));
        let is_synced = !needs_sync || self.votes.as_mut().is_some_and(|votes| votes.sync().is_ok());
        let needs_commit = |reply: &Reply| matches!(reply, Reply::Operator(.., is_logged) if !is_logged || !is_synced);
        let needs_commit = replies.iter().any(|(_, reply)| needs_commit(reply));
        let is_committed = needs_commit && self.commit(now);
        if self.must_commit() {
            self.commit_beside(now);
        }
        let mut news = Vec::new();
        for (ticket, reply) in replies {
            let answer = match reply {
                Reply::Nothing => continue,
                Reply::Ready(answer) => answer,
                Reply::Sign(pbft) => Answer::Signed(self.sign(&pbft, is_synced)),
                Reply::Kept => Answer::Kept(self.kept(is_synced)),
                Reply::Operator(hash, envelope, is_logged) if is_committed || is_logged && is_synced => {
                    news.push((To::Engine, Answer::NewTransaction { hash, envelope }));
                    Answer::Submitted { hash, verdict: Verdict::Accepted }
                }
                Reply::Operator(hash, ..) => {
                    pool.remove(&hash);
                    self.chain.pending.put_operator(hash, None);
                    Answer::Submitted { hash, verdict: Verdict::Refused(ErrorCode::INTERNAL_ERROR) }
                }
            };
            answers.push((To::Asker(ticket), answer));
        }
        answers.append(&mut news);
    }

    fn next_wake(&self, now: Now) -> Option<Time> {
        let _ = now;
        let mends = match self.health {
            Health::Full(until) => Some(until),
            Health::Sound | Health::Broken => None,
        };
        let expires = self.shared.pool.read().unwrap_or_else(PoisonError::into_inner).expires();
        [mends, expires, self.commit_due(), self.written_due()].into_iter().flatten().min()
    }

    fn wake(&mut self, now: Now, answers: &mut Vec<(To, Answer)>) {
        let _ = answers;
        self.take_written(now, false);
        self.mend(now);
        let expired = lock(&self.shared.clone()).expire(now.monotonic);
        self.retire(now, expired.into_iter().map(|waiting| (waiting.envelope.id, waiting.origin)));
        if self.commit_due().is_some_and(|due| due <= now.monotonic) {
            self.commit_beside(now);
        }
    }
}

impl Bumo {
    fn reply(&mut self, now: Now, pool: &mut Pool, request: Request) -> Reply {
        let now_us = i64::try_from(now.unix_ms).unwrap_or(i64::MAX).saturating_mul(1_000);
        Reply::Ready(match request {
            Request::Tip => Answer::Tip(self.tip()),
            Request::Submit { envelope, origin } => {
                let (hash, verdict) = self.admit(pool, &envelope, origin, now.monotonic);
                if origin == Origin::Operator && verdict == Verdict::Accepted {
                    self.touch(now);
                    self.chain.pending.put_operator(hash, Some(envelope.clone()));
                    let next = number(self.chain.tip.number + 1);
                    // While the store takes nothing the log would only grow.
                    let votes = self.votes.as_mut().filter(|_| self.health == Health::Sound);
                    let is_logged = votes.is_some_and(|votes| votes.submit(next, &envelope).is_ok());
                    return Reply::Operator(hash, envelope, is_logged);
                }
                Answer::Submitted { hash, verdict }
            }
            Request::Serve { begin, end } => Answer::Served(self.serve(begin, end)),
            Request::Close { value, proof } => {
                Answer::Closed(self.close(now, pool, &value, &Proof { bytes: proof, is_verified: false }))
            }
            Request::CloseAgreed { value, proof } => {
                Answer::Closed(self.close(now, pool, &value, &Proof { bytes: proof, is_verified: true }))
            }
            Request::CatchingUp(is_behind) => {
                self.is_behind = is_behind;
                return Reply::Nothing;
            }
            Request::Propose { .. } if self.is_behind => Answer::Proposed(Err(ProposeError::CatchingUp)),
            Request::Propose { upgrade } => Answer::Proposed(self.propose(now, now_us, pool, upgrade.as_deref())),
            Request::Judge { value } => {
                let (digest, judgement) = self.chain.judge(now_us, &value, pool);
                Answer::Judged { digest, judgement }
            }
            Request::Sign { pbft, keep } => match self.vote(&pbft, &keep) {
                Ok(()) => return Reply::Sign(pbft),
                Err(error) => Answer::Signed(Err(error)),
            },
            Request::Keep { record } => match self.keep(&record) {
                Ok(()) => return Reply::Kept,
                Err(error) => Answer::Kept(Err(error)),
            },
            Request::SignUpgrade { nonce, upgrade } => Answer::UpgradeSigned(self.sign_upgrade(nonce, &upgrade)),
        })
    }
}

impl Drop for Bumo {
    /// Makes durable what is pending, if the disk lets it.
    fn drop(&mut self) {
        if self.changed.is_some() || self.chain.writing.is_some() {
            self.commit(Now::default());
        }
    }
}

pub(crate) fn lock(shared: &Shared) -> RwLockWriteGuard<'_, Pool> {
    shared.pool.write().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn standing(chain: &Chain) -> Standing {
    Standing {
        header: chain.tip.clone(),
        validators: chain.set.validators.clone(),
        follow_only: chain.follow_only,
        strangers: chain.strangers,
    }
}

fn open_votes(path: &Path, ending: &str) -> Result<Arc<dyn StorageBackend>, OpenError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let file = options.open(path.with_extension(ending)).map_err(OpenError::VotesIo)?;
    let backend = FileBackend::new(file).map_err(|error| OpenError::VotesIo(std::io::Error::other(error)))?;
    Ok(Arc::new(backend))
}

/// Opens the vote log, and takes up what it has and the store has not: closes ledgers again, keeps the operator's
/// transactions.
fn open_log(segments: Segments, chain: &mut Chain) -> Result<Votes, OpenError> {
    let opened = Votes::open(segments, number(chain.tip.number));
    let (votes, unstored) = opened.map_err(|error| match error {
        LogError::Damaged(place) => OpenError::Votes(place),
        LogError::Io(error) => OpenError::VotesIo(error),
    })?;
    let pool = Pool::new(0);
    for ledger in unstored.closed {
        let next = chain.tip.number + 1;
        let proof = Proof { bytes: ledger.proof, is_verified: false };
        chain.close(&ledger.value, &proof, &pool).map_err(|_| OpenError::Replay(next))?;
    }
    for envelope in unstored.operator {
        // One that stands in a ledger meanwhile is let go when it is not admitted.
        if let Some(read) = read_submitted(&envelope, chain) {
            chain.pending.put_operator(read.id, Some(envelope));
        }
    }
    if !chain.pending.is_empty() {
        chain.store.commit(&chain.pending, &chain.row())?;
        chain.pending = Pending::default();
    }
    Ok(votes)
}

/// Reads an envelope that somebody submits.
pub(crate) fn read_submitted(envelope: &Bytes, chain: &Chain) -> Option<Envelope> {
    Envelope::read_unsigned(envelope.clone(), chain.rules.hash).ok()
}

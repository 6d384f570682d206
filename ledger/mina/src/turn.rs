//! Works through a batch of requests: what it changes is durable before anybody hears of it.
//!
//! ```text
//!  requests ─► a copy of the blocks ─► changes ─► one commit ─► answers, news
//!                                         └──fails──► the answers of a ledger that has no room
//! ```

use crate::health::Health;
use crate::host::Finding;
use crate::mina::{Mina, is_confirmed, list, offer};
use crate::node::Node;
use crate::pool::{Offer, Offered};
use crate::serving;
use crate::store::{Changes, Held};
use crate::tables::{Reading, Result};
use crate::tree::{Moved, Tree};
use crate::window::Window;
use bytes::Bytes;
use polypeer_engine::{Now, Ticket, To};
use polypeer_mina::binprot::Binable as _;
use polypeer_mina::command::Commands;
use polypeer_mina::ledger::{Answer, Hash, Kind, Refusal, Request, Verdict};
use polypeer_mina::snark::SnarkDiff;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A batch at work.
pub(crate) struct Turn {
    pub(crate) window: Arc<Window>,
    pub(crate) changes: Changes,
    /// How the best chain moved, move by move.
    pub(crate) moved: Vec<Moved>,
    /// Blocks that the best chain is kept without from now on.
    pub(crate) gone: Vec<Arc<Node>>,
    /// Who is answered what, and what instead when nothing can be stored.
    replies: Vec<(To, Answer, Option<Answer>)>,
    /// What the engine is told once it is stored.
    news: Vec<Answer>,
    /// The operator's commands that were taken, and those that they replaced.
    operators: Vec<(Hash, Option<Offer>)>,
    /// Whether anything may be taken.
    writes: bool,
}

/// What became of a block.
struct Judgement {
    verdict: Verdict,
    wants: Option<Hash>,
    /// Whether that holds only if it is stored.
    is_kept: bool,
}

impl Judgement {
    fn of(verdict: Verdict) -> Self {
        Self { verdict, wants: None, is_kept: false }
    }
}

impl Turn {
    fn new(window: Arc<Window>, writes: bool) -> Self {
        Self {
            window,
            changes: Changes::default(),
            moved: Vec::new(),
            gone: Vec::new(),
            replies: Vec::new(),
            news: Vec::new(),
            operators: Vec::new(),
            writes,
        }
    }

    fn reply(&mut self, ticket: Ticket, answer: Answer) {
        self.replies.push((To::Asker(ticket), answer, None));
    }

    /// Blocks that this batch makes final, compared with what was there before.
    pub(crate) fn finals(&self, before: &Window) -> Vec<Arc<Node>> {
        let (Some(now), Some(before)) = (self.window.served(), before.served()) else { return Vec::new() };
        let lengths = before.root().length + 1..=now.root().length;
        lengths.filter_map(|length| now.at(length).cloned()).collect()
    }
}

impl Mina {
    /// Answers a batch, and takes a block of our own.
    pub(crate) fn turn(
        &mut self,
        now: Now,
        requests: &[(Ticket, Request)],
        own: Option<Bytes>,
        answers: &mut Vec<(To, Answer)>,
    ) {
        let before = self.window();
        let mut turn = Turn::new(before.clone(), self.health == Health::Sound);
        if let Some(block) = own {
            self.take_own(&mut turn, now, block);
        }
        for (ticket, request) in requests {
            self.answer_one(&mut turn, now, *ticket, request);
        }
        let is_stored = self.keep(&mut turn, now);
        if !is_stored {
            let mut pool = self.pool_mut();
            turn.operators.drain(..).rev().for_each(|(id, replaced)| pool.withdraw(&id, replaced, now.monotonic));
            drop(pool);
            self.fail(now);
        }
        answers.extend(turn.replies.into_iter().map(|(to, answer, instead)| match instead {
            Some(instead) if !is_stored => (to, instead),
            _ => (to, answer),
        }));
        if is_stored {
            answers.extend(turn.news.into_iter().map(|news| (To::Engine, news)));
            let (old, new) = (Self::tip(&before), Self::tip(&turn.window));
            if old != new {
                answers.push((To::Engine, Answer::TipMoved(new)));
            }
        }
    }

    fn answer_one(&mut self, turn: &mut Turn, now: Now, ticket: Ticket, request: &Request) {
        match request {
            // Told already.
            Request::CatchingUp(_) => {}
            Request::Tip => turn.reply(ticket, Answer::Tip(Self::tip(&self.window()))),
            Request::Block { id, hash, block, .. } => {
                let Judgement { verdict, wants, is_kept } = self.judge(turn, now, hash, block);
                let judged = |verdict, wants| Answer::Judged { id: *id, verdict, wants };
                let instead = is_kept.then(|| judged(Verdict::Ignore, None));
                turn.replies.push((To::Asker(ticket), judged(verdict, wants), instead));
            }
            Request::Commands { id, commands } => {
                let verdict = self.judge_commands(turn, now, commands);
                turn.reply(ticket, Answer::Judged { id: *id, verdict, wants: None });
            }
            Request::SnarkWork { id, diff } => {
                let verdict = self.judge_work(turn, diff);
                turn.reply(ticket, Answer::Judged { id: *id, verdict, wants: None });
            }
            Request::Submit { command } => self.submit(turn, now, ticket, command),
            Request::Candidate { root, tip, path } => {
                let wants = self.compare(turn, now, root, tip, path);
                let instead = Answer::Candidate { wants: Vec::new() };
                turn.replies.push((To::Asker(ticket), Answer::Candidate { wants }, Some(instead)));
            }
            Request::Sign { bytes } => {
                let signature = self.identity.as_ref().map(|identity| identity.sign(bytes));
                turn.reply(ticket, Answer::Signed(signature.map(|signature| Bytes::copy_from_slice(&signature))));
            }
            Request::LedgerQuery { method, version, payload } => {
                turn.reply(ticket, Answer::Served(self.host.query(method, *version, payload)));
            }
            // Of what is durable.
            Request::BestTip => turn.reply(ticket, Answer::Served(self.best_tip())),
            Request::Ancestry { hash, .. } => {
                let found = |tree: &Tree, reading: &Reading| {
                    tree.get(hash).map_or(Ok(None), |node| serving::with_root(tree, reading, node))
                };
                turn.reply(ticket, Answer::Served(self.serve(found)));
            }
            Request::TransitionChain { hashes } => {
                let chain = |tree: &Tree, reading: &Reading| serving::chain(tree, reading, hashes);
                turn.reply(ticket, Answer::Served(self.serve(chain)));
            }
            Request::ChainProof { hash } => {
                let proof = self.window().served().and_then(|tree| serving::chain_proof(tree, hash));
                turn.reply(ticket, Answer::Served(proof));
            }
            Request::Knowledge => {
                let known = self.window().served().map(serving::knowledge);
                // Who has no block knows none.
                turn.reply(ticket, Answer::Served(Some(known.unwrap_or_else(|| Bytes::from_static(&[0])))));
            }
        }
    }

    /// What of the best chain is served. A store that cannot be read serves nothing.
    fn serve(&mut self, find: impl FnOnce(&Tree, &Reading) -> Result<Option<Bytes>>) -> Option<Bytes> {
        let window = self.window();
        let tree = window.served()?;
        find(tree, self.store.reading().ok()?).ok().flatten()
    }

    fn best_tip(&mut self) -> Option<Bytes> {
        let window = self.window();
        let tree = window.served()?;
        let (tip, root) = (tree.tip().hash, tree.root().hash);
        if let Some((.., bytes)) = self.best_tip.as_ref().filter(|(of, from, _)| (of, from) == (&tip, &root)) {
            return Some(bytes.clone());
        }
        let bytes = self.serve(|tree, reading| serving::with_root(tree, reading, tree.tip()))?;
        self.best_tip = Some((tip, root, bytes.clone()));
        Some(bytes)
    }

    fn take_own(&mut self, turn: &mut Turn, now: Now, block: Bytes) {
        let Ok(node) = Node::of(&block) else { return };
        if self.judge(turn, now, &node.hash, &block).is_kept {
            turn.news.push(Answer::Publish { kind: Kind::Block, payload: block });
        }
    }

    /// Judges a block, and takes it if it is worth keeping.
    fn judge(&mut self, turn: &mut Turn, now: Now, hash: &Hash, block: &Bytes) -> Judgement {
        if turn.window.get(hash).is_some() {
            return Judgement::of(Verdict::Ignore);
        }
        if self.orphans.contains(hash) {
            return Judgement { wants: self.orphans.missing(hash), ..Judgement::of(Verdict::Ignore) };
        }
        let Ok(node) = Node::of(block) else { return Judgement::of(Verdict::Reject) };
        if node.hash != *hash {
            return Judgement::of(Verdict::Reject);
        }
        let is_final = |tree: &Tree| node.length <= tree.root().length;
        if turn.window.served().is_some_and(is_final) && turn.window.get(&node.parent).is_none() {
            return Judgement::of(Verdict::Ignore);
        }
        let verdict = match self.host.block(block) {
            Finding::Holds => Verdict::Accept,
            Finding::Unknown => Verdict::Unverified,
            Finding::Broken => return Judgement::of(Verdict::Reject),
        };
        let held = Held { node: Arc::new(node), block: block.clone() };
        let Some(parent) = turn.window.get(&held.node.parent).cloned() else {
            return self.put_off(turn, verdict, held);
        };
        if !self.rules().follows(&parent, &held.node) {
            return Judgement::of(Verdict::Reject);
        }
        if !turn.writes || !turn.window.may_follow(&parent) {
            return Judgement::of(Verdict::Ignore);
        }
        if !self.take(turn, now, held) {
            return Judgement::of(Verdict::Ignore);
        }
        Judgement { verdict, wants: None, is_kept: true }
    }

    /// A block whose parent is not here waits for it, if it is not too far ahead: then a whole chain is wanted.
    fn put_off(&mut self, turn: &Turn, verdict: Verdict, held: Held) -> Judgement {
        let k = self.rules().constants.k;
        let hash = held.node.hash;
        let is_near = turn.window.tip().is_some_and(|tip| held.node.length <= tip.length.saturating_add(k));
        if !is_near {
            return Judgement::of(verdict);
        }
        self.orphans.put(held);
        Judgement { verdict, wants: self.orphans.missing(&hash), is_kept: false }
    }

    /// Takes a block whose parent is here, and those that waited for it. False when there is no room.
    fn take(&mut self, turn: &mut Turn, now: Now, held: Held) -> bool {
        let rules = self.shared.rules.clone();
        let mut open = vec![held];
        let mut is_first = true;
        while let Some(held) = open.pop() {
            let parent = turn.window.get(&held.node.parent).cloned();
            let may = |parent: &Arc<Node>| rules.follows(parent, &held.node) && turn.window.may_follow(parent);
            if !is_first && !parent.as_ref().is_some_and(may) {
                continue;
            }
            let mut gone = Vec::new();
            let window = Arc::make_mut(&mut turn.window);
            if !window.make_room(held.block.len() as u64, self.store_bytes_max, &mut gone) {
                let had_room = !is_first;
                turn.forget(gone);
                return had_room;
            }
            is_first = false;
            let taken = window.take(&held.node, &rules);
            open.extend(self.orphans.children(&held.node.hash));
            turn.changes.put(held);
            turn.moved.extend(taken.moved);
            turn.forget(gone);
            turn.forget(taken.gone);
        }
        let _ = now;
        true
    }

    /// Compares a peer's best chain with ours. The blocks of it that are missing here, when it is better.
    fn compare(&mut self, turn: &mut Turn, now: Now, root: &Bytes, tip: &Bytes, path: &[Hash]) -> Vec<Hash> {
        let (Ok(root_node), Ok(tip_node)) = (Node::of(root), Node::of(tip)) else { return Vec::new() };
        let (root_node, tip_node) = (Arc::new(root_node), Arc::new(tip_node));
        // What was proven leads from the one to the other.
        if path.last().copied().unwrap_or(root_node.hash) != tip_node.hash || !turn.writes {
            return Vec::new();
        }
        let is_here = |window: &Window, hash: &Hash| window.get(hash).is_some();
        let is_better = turn.window.tip().is_none_or(|ours| self.rules().is_better(&tip_node, ours));
        if !is_better || turn.window.served().is_some_and(|tree| tree.get(&tip_node.hash).is_some()) {
            return Vec::new();
        }
        // The newest block of it that ours has, and may still follow on.
        let all = std::iter::once(root_node.hash).chain(path.iter().copied()).collect::<Vec<_>>();
        let may_follow = |hash: &Hash| {
            let tree = turn.window.served()?;
            tree.get(hash).map(|node| tree.may_follow(node))
        };
        let meets = all.iter().rposition(|hash| may_follow(hash) == Some(true));
        if meets.is_none() {
            let held = Held { node: root_node.clone(), block: root.clone() };
            if !self.begin(turn, held, tip_node.hash) {
                return Vec::new();
            }
        }
        let rest = all.get(meets.map_or(1, |place| place + 1)..).unwrap_or_default();
        let mut wants = rest.iter().filter(|hash| !is_here(&turn.window, hash)).copied().collect::<Vec<_>>();
        // Its end came with it.
        if wants == [tip_node.hash] {
            let judged = self.judge(turn, now, &tip_node.hash, tip);
            if judged.is_kept {
                wants.clear();
            }
        }
        wants
    }

    /// Begins to fetch a chain that does not meet ours, or goes on. False when there is no room.
    fn begin(&mut self, turn: &mut Turn, base: Held, tip: Hash) -> bool {
        let mut gone = Vec::new();
        let window = Arc::make_mut(&mut turn.window);
        let has_room = window.make_room(base.block.len() as u64, self.store_bytes_max, &mut gone);
        if has_room {
            let taken = window.fetch(&base.node, tip, &self.shared.rules);
            turn.changes.put(base);
            turn.moved.extend(taken.moved);
            gone.extend(taken.gone);
        }
        turn.forget(gone);
        has_room
    }

    /// Judges gossiped commands, and lets those wait that are new.
    fn judge_commands(&mut self, turn: &Turn, now: Now, commands: &Bytes) -> Verdict {
        let Ok(all) = Commands::decode(commands) else { return Verdict::Reject };
        let global_slot = self.global_slot(&turn.window, now);
        let (mut is_new, mut is_verified) = (false, true);
        for command in all.iter() {
            let Some(offer) = offer(commands.slice_ref(command.bytes())) else { return Verdict::Reject };
            if self.pool().get(&offer.id).is_some() {
                continue;
            }
            match self.host.command(command.bytes()) {
                Finding::Holds => {}
                Finding::Unknown => is_verified = false,
                Finding::Broken => return Verdict::Reject,
            }
            // The pool keeps the command and not the message that it came in.
            let offer = Offer { bytes: Bytes::copy_from_slice(&offer.bytes), ..offer };
            let offered = self.pool_mut().offer(offer, false, global_slot, now.monotonic);
            is_new |= matches!(offered, Offered::Taken(_));
        }
        match (is_new, is_verified) {
            (false, _) => Verdict::Ignore,
            (true, true) => Verdict::Accept,
            (true, false) => Verdict::Unverified,
        }
    }

    /// Judges gossiped work, and lets it wait if it is cheaper than what does.
    fn judge_work(&mut self, turn: &Turn, diff: &Bytes) -> Verdict {
        let work = match SnarkDiff::decode(diff) {
            Ok(SnarkDiff::AddSolvedWork(work)) if work.is_consistent() => work,
            Ok(SnarkDiff::AddSolvedWork(_)) | Err(_) => return Verdict::Reject,
            Ok(SnarkDiff::Empty) => return Verdict::Ignore,
        };
        if !self.works.is_news(&work.id(), work.fee) {
            return Verdict::Ignore;
        }
        let verdict = match self.host.work(diff) {
            Finding::Holds => Verdict::Accept,
            Finding::Unknown => Verdict::Unverified,
            Finding::Broken => return Verdict::Reject,
        };
        let slot = turn.window.tip().map_or(0, |tip| tip.slot());
        self.works.put(&work, Bytes::copy_from_slice(diff), slot);
        self.shared.works.store(self.works.len(), Ordering::Relaxed);
        verdict
    }

    /// The operator's command waits, durable, and is told to all.
    fn submit(&mut self, turn: &mut Turn, now: Now, ticket: Ticket, command: &Bytes) {
        let Some(offer) = offer(command.clone()) else {
            let refused = Answer::Submitted { id: Hash::default(), refused: Some(Refusal::Malformed) };
            return turn.reply(ticket, refused);
        };
        let id = offer.id;
        let submitted = |refused| Answer::Submitted { id, refused };
        let refusal = match self.offer(turn, now, offer) {
            Ok(replaced) => {
                turn.changes.operator.insert(id, Some(command.clone()));
                turn.changes.operator.extend(replaced.iter().map(|replaced| (replaced.id, None)));
                turn.operators.push((id, replaced));
                let payload = list(std::slice::from_ref(command));
                turn.news.push(Answer::Publish { kind: Kind::Transactions, payload });
                let instead = submitted(Some(Refusal::Store));
                turn.replies.push((To::Asker(ticket), submitted(None), Some(instead)));
                return self.tell_later(now);
            }
            Err(refusal) => refusal,
        };
        turn.reply(ticket, submitted(Some(refusal)));
    }

    /// Offers the operator's command to the pool. What it replaced there.
    fn offer(&mut self, turn: &Turn, now: Now, offer: Offer) -> Result<Option<Offer>, Refusal> {
        if !turn.writes {
            return Err(Refusal::Store);
        }
        if self.host.command(&offer.bytes) == Finding::Broken {
            return Err(Refusal::Malformed);
        }
        let window = self.window();
        let is_confirmed = self.store.reading().and_then(|reading| is_confirmed(&window, reading, &offer.id));
        match is_confirmed {
            Ok(true) => return Err(Refusal::Known),
            Ok(false) => {}
            Err(_) => return Err(Refusal::Store),
        }
        let global_slot = self.global_slot(&turn.window, now);
        match self.pool_mut().offer(offer, true, global_slot, now.monotonic) {
            Offered::Taken(replaced) => Ok(replaced),
            Offered::Known => Err(Refusal::Known),
            Offered::Used | Offered::Occupied => Err(Refusal::Nonce),
            Offered::Late => Err(Refusal::Expired),
            Offered::Cheap => Err(Refusal::Fee),
            Offered::Full => Err(Refusal::Full),
        }
    }
}

impl Turn {
    /// Blocks are kept no longer, nor do they tell any more which nonces were used.
    fn forget(&mut self, gone: Vec<Arc<Node>>) {
        let served = self.window.served();
        let is_kept = |node: &Arc<Node>| served.is_some_and(|tree| tree.get(&node.hash).is_some());
        self.gone.extend(gone.iter().filter(|node| !is_kept(node)).cloned());
        self.changes.remove(gone);
    }
}

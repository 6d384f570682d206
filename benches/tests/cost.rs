//! Shows that work grows with what comes and no faster: instructions for n, 2n and 4n items of every flood.
//!
//! Each size runs in a process of its own under valgrind, which counts the same on any machine. Where there is none the
//! processor time of the process stands in, with a wider bound.

use bytes::{Bytes, BytesMut};
use polypeer_engine::kit::chain::{
    Answer, BlockOutcome, Hash, Head, Request, Tip, TransactionFault, TransactionOutcome,
};
use polypeer_engine::{
    Address, ChannelId, ConnectionId, Direction, Effect, Ends, Engine, Framed, Framer, Now, P2pAction, P2pConfig,
    Phase, Protocol, Time,
};
use polypeer_ledger_reference::Format;
use std::process::Command;

/// Says which flood and how many items the child is to do.
const TASK: &str = "POLYPEER_COST_TASK";
/// The smallest number of items. Each further process does twice as many.
const ITEMS: usize = 150;
/// What the second doubling may cost of the first: twice as much, and a little for trees that grow deeper.
const RATIO_MAX: f64 = 2.2;
/// The same for processor time, which varies. Quadratic work would be at 4.
const TIME_RATIO_MAX: f64 = 3.2;

const PEER: ConnectionId = ConnectionId::nth(Direction::Inbound, 0);
const GENESIS: Hash = Hash([9; 32]);

/// An engine with one peer and a ledger that takes nothing.
struct Bed<P: Protocol<Request = Request, Answer = Answer>> {
    engine: Engine<P>,
    framer: P::Framer,
    phase: Phase,
    now: Now,
    buffer: BytesMut,
    sent: usize,
}

impl<P: Protocol<Request = Request, Answer = Answer>> Bed<P> {
    fn new(config: P::Config) -> Self {
        let p2p = P2pConfig { private_addresses: true, outbound_target: 0, ..P2pConfig::default() };
        let now = Now { monotonic: Time::from_micros(1_000_000), unix_ms: 1_800_000_000_000 };
        let framer = P::framer(&config, 0, Direction::Inbound);
        let mut effects = Vec::new();
        let engine = Engine::new(now, p2p, config, [7; 32], &[], &mut effects);
        let mut bed = Self { engine, framer, phase: Phase(0), now, buffer: BytesMut::new(), sent: 0 };
        bed.carry_out(effects);
        let at = |port| Address::new([10, 0, 0, 1].into(), port);
        let ends = Ends {
            direction: Direction::Inbound,
            local: at(1),
            remote: at(2),
            dialled: None,
            identity: None,
            takes_compressed: false,
        };
        bed.step(P2pAction::Connected { connection: PEER, ends });
        bed
    }

    fn step(&mut self, action: P2pAction<Answer>) {
        let mut effects = Vec::new();
        self.engine.step(self.now, action, &mut effects);
        self.carry_out(effects);
    }

    fn carry_out(&mut self, effects: Vec<Effect<Request>>) {
        let mut has_sent = false;
        for effect in effects {
            match effect {
                Effect::Ask { ticket, request } => {
                    let answer = answer(request);
                    if let Some(answer) = answer {
                        self.step(P2pAction::LedgerAnswered { ticket: Some(ticket), answer });
                    }
                }
                Effect::SetPhase { phase, .. } => self.phase = phase,
                Effect::Send { .. } => {
                    self.sent += 1;
                    has_sent = true;
                }
                Effect::Close { .. } => panic!("nothing of this ends a connection"),
                _ => {}
            }
        }
        if has_sent {
            self.step(P2pAction::Writable { connection: PEER, channel: ChannelId::ONLY });
        }
    }

    // A millisecond passes with each piece, as it does at the nominal thousand a second.
    fn hears(&mut self, bytes: &[u8]) {
        self.now = self.now.after(std::time::Duration::from_millis(1));
        self.buffer.extend_from_slice(bytes);
        loop {
            let connection = PEER;
            match self.framer.next(self.phase, &mut self.buffer) {
                Framed::More => return,
                Framed::Frame(frame) => {
                    self.step(P2pAction::MessageReceived { connection, channel: ChannelId::ONLY, frame });
                }
                Framed::Bad(bad) => self.step(P2pAction::BadFrame { connection, channel: ChannelId::ONLY, bad }),
            }
        }
    }
}

// A ledger that holds genesis alone, and can take nothing now.
fn answer(request: Request) -> Option<Answer> {
    let tip = Tip { hash: GENESIS, height: 0, work: 1, genesis: GENESIS };
    Some(match request {
        Request::Tip => Answer::Tip(tip),
        Request::TakeBlock(block) => {
            let hash = head(&block).map_or(GENESIS, |head| head.hash);
            Answer::BlockTaken { hash, outcome: BlockOutcome::ParentUnknown }
        }
        Request::TakeTransactions { transactions, .. } => {
            let outcome = TransactionOutcome::NotNow(TransactionFault::Balance);
            Answer::TransactionsTaken(transactions.iter().map(|_| (GENESIS, outcome)).collect())
        }
        Request::Block(_) => Answer::Block(None),
        Request::Transaction(_) => Answer::Transaction(None),
        Request::Missing(hashes) | Request::MissingTransactions(hashes) => Answer::Missing(hashes),
        Request::HashesAt(heights) => {
            Answer::HashesAt { hashes: heights.into_iter().map(|height| (height, GENESIS)).collect(), tip }
        }
        Request::Hashes { .. } => Answer::Hashes { from: 1, parent: GENESIS, hashes: Vec::new(), tip },
        Request::Waiting { .. } => Answer::Waiting(Vec::new()),
        Request::WaitingIds(_) => Answer::WaitingIds(Vec::new()),
        Request::CatchingUp(_) => return None,
    })
}

fn head(block: &[u8]) -> Option<Head> {
    <Format as polypeer_engine::kit::chain::ChainFormat>::head(block)
}

/// AnYa.
mod anya {
    use super::*;
    use polypeer_anya::wire::{self, Kind};
    use polypeer_anya::{Anya, Config};

    fn bed() -> Bed<Anya<Format>> {
        let mut bed = Bed::new(Config { genesis: GENESIS, ..Config::default() });
        bed.hears(&wire::connect(None, Address::new([10, 0, 0, 1].into(), 2)));
        bed
    }

    fn each(items: usize, of: impl Fn(usize) -> Bytes) {
        let mut bed = bed();
        (0..items).for_each(|number| bed.hears(&of(number)));
    }

    pub(super) fn transactions(items: usize) {
        each(items, |number| wire::frame(Kind::Tx, &super::bytes_of(number, 153)));
    }

    pub(super) fn orphans(items: usize) {
        each(items, |number| wire::frame(Kind::Block, &super::block_of(number)));
    }

    pub(super) fn questions(items: usize) {
        each(items, |number| wire::frame(Kind::GetBlock, &super::bytes_of(number, 32)));
    }

    pub(super) fn drip(items: usize) {
        let frame = wire::frame(Kind::Tx, &vec![1; items]);
        let mut bed = bed();
        frame.iter().for_each(|byte| bed.hears(&[*byte]));
    }
}

/// Hello.
mod hello {
    use super::*;
    use polypeer_hello::wire;
    use polypeer_hello::{Config, Hello};

    fn bed() -> Bed<Hello<Format>> {
        let mut bed = Bed::new(Config::new(GENESIS));
        bed.hears(&wire::hello(&wire::Hello { block_count: 1, ..Default::default() }));
        bed.hears(&wire::hey(1));
        bed
    }

    fn each(items: usize, of: impl Fn(usize) -> Bytes) {
        let mut bed = bed();
        (0..items).for_each(|number| bed.hears(&of(number)));
        assert!(bed.sent > 0, "it answers");
    }

    fn hash(number: usize) -> Hash {
        Hash(super::bytes_of(number, 32).try_into().expect("32 bytes"))
    }

    pub(super) fn announcements(items: usize) {
        each(items, |number| wire::broadcast_transaction(&hash(number)));
    }

    pub(super) fn announced_and_not_found(items: usize) {
        each(items, |number| {
            let announced = wire::broadcast_transaction(&hash(number));
            let withheld = wire::notfound(&wire::Question::Transaction(hash(number)));
            [announced, withheld].concat().into()
        });
    }

    pub(super) fn packs(items: usize) {
        each(items, |number| wire::push_transaction(&[&Bytes::from(super::bytes_of(number, 153))]));
    }

    pub(super) fn questions(items: usize) {
        each(items, |number| wire::getblock(&wire::Question::Hash(hash(number))));
    }

    pub(super) fn drip(items: usize) {
        let mut bed = bed();
        let line = format!("{{\"ADDR\":[{}]}}\n", " ".repeat(items));
        line.bytes().for_each(|byte| bed.hears(&[byte]));
    }
}

fn bytes_of(number: usize, length: usize) -> Vec<u8> {
    let mut bytes = vec![7; length];
    bytes[length - 8..].copy_from_slice(&(number as u64).to_be_bytes());
    bytes[..8].copy_from_slice(&(number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    bytes
}

// A block without transactions whose parent nobody has.
fn block_of(number: usize) -> Vec<u8> {
    let mut bytes = vec![0; 133];
    bytes[0] = 1;
    bytes[1..33].copy_from_slice(&bytes_of(number, 32));
    bytes[33..41].copy_from_slice(&20u64.to_be_bytes());
    bytes
}

type Flood = fn(usize);

const FLOODS: [(&str, Flood); 9] = [
    ("anya_transactions", anya::transactions),
    ("anya_orphans", anya::orphans),
    ("anya_questions", anya::questions),
    ("anya_drip", anya::drip),
    ("hello_announcements", hello::announcements),
    ("hello_announced_and_not_found", hello::announced_and_not_found),
    ("hello_packs", hello::packs),
    ("hello_questions", hello::questions),
    ("hello_drip", hello::drip),
];

// What the child does; nothing when this process is the parent.
fn is_child() -> bool {
    let Ok(task) = std::env::var(TASK) else { return false };
    let (name, items) = task.split_once(':').expect("a name and a number");
    let (_, flood) = FLOODS.iter().find(|(other, _)| *other == name).expect("a flood of this name");
    flood(items.parse().expect("a number"));
    true
}

fn child(name: &str, items: usize, tool: &[&str]) -> Command {
    let own = std::env::current_exe().expect("this program");
    let mut command = match tool {
        [] => Command::new(&own),
        [tool, arguments @ ..] => {
            let mut command = Command::new(tool);
            command.args(arguments).arg(&own);
            command
        }
    };
    command.args(["--exact", "handling_twice_as_many_items_costs_twice_as_much", "--test-threads", "1"]);
    command.env(TASK, format!("{name}:{items}"));
    command
}

// Instructions of a whole process that handles so many.
fn instructions(name: &str, items: usize) -> f64 {
    let tool = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"];
    let output = child(name, items, &tool).output().expect("valgrind runs");
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stdout));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let count = said.lines().find_map(|line| line.split_once("Collected :")).map(|(_, count)| count.trim().to_owned());
    count.and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("no count in {said}"))
}

// Microseconds of processor time of this thread that handling takes, the least of some tries.
fn time(flood: Flood, items: usize) -> f64 {
    let now = || rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let tries = (0..5).map(|_| {
        let before = now();
        flood(items);
        let after = now();
        (after.tv_sec - before.tv_sec) as f64 * 1e6 + (after.tv_nsec - before.tv_nsec) as f64 / 1e3
    });
    tries.fold(f64::INFINITY, f64::min)
}

#[test]
fn handling_twice_as_many_items_costs_twice_as_much() {
    if is_child() {
        return;
    }
    let has_valgrind = Command::new("valgrind").arg("--version").output().is_ok_and(|said| said.status.success());
    for (name, flood) in FLOODS {
        let (costs, max) = if has_valgrind {
            ([1, 2, 4].map(|times| instructions(name, times * ITEMS)), RATIO_MAX)
        } else {
            // Enough that what is measured is well above the clock's grain.
            ([1, 2, 4].map(|times| time(flood, times * 4 * ITEMS)), TIME_RATIO_MAX)
        };
        let [once, twice, four_times] = costs;
        // What a process costs before it handles anything is in all of them.
        let ratio = (four_times - twice) / (twice - once).max(1.0);
        println!(
            "{name}: {:.0} an item, the second doubling costs {ratio:.2} of the first",
            (twice - once) / ITEMS as f64
        );
        assert!(ratio <= max, "{name}: {costs:?}, the second doubling costs {ratio:.2} of the first");
    }
}

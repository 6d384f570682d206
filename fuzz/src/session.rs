//! Hosts an engine as the driver does, over connections that exist only in the input, and holds it to the border's
//! rules at every step.

use crate::recorded::{self, Pen, Recorded};
use arbitrary::{Result, Unstructured};
use bytes::BytesMut;
use polypeer_engine::{
    Address, ChannelId, Close, Command, ConnectionId, DialFailure, Direction, DisconnectCause, Effect, Ends, Engine,
    Framed, Framer, Now, Overflow, P2pAction, P2pConfig, Phase, Protocol, Target, Ticket, Time, journal,
};
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

/// Steps of one session: enough for any conversation, few enough for thousands of sessions a second.
const STEPS_MAX: usize = 400;
/// Questions to the ledger that may be open, far above what the protocols' own bounds allow these few peers.
const QUESTIONS_MAX: usize = 50_000;
/// How often at most the engine is told that gossip for a connection is dropped.
const DROPS_TOLD_EVERY: Duration = Duration::from_secs(60);
/// Bytes that one step may send: what the longest batch of answers is, with room.
const SENT_BYTES_MAX: usize = 80 << 20;

/// What a session needs to know of a protocol: what its peers say, and what its ledger answers.
pub trait Spoken: Protocol {
    /// Bytes that a peer may send: a message, right or by chance, as the input says.
    fn speak(u: &mut Unstructured<'_>) -> Result<Vec<u8>>;
    /// An answer to `request`, or nothing when none is due.
    fn answer(request: &Self::Request, u: &mut Unstructured<'_>) -> Result<Option<Self::Answer>>;
    /// Something that the ledger says unasked, where it does.
    fn unasked(u: &mut Unstructured<'_>) -> Result<Option<Self::Answer>>;
}

struct Wire<P: Protocol> {
    framer: P::Framer,
    phase: Phase,
    buffer: BytesMut,
    is_closing: bool,
    // Whether the peer reads nothing, so that its queue is full.
    is_full: bool,
    // Whether something that it must get found no room: the engine is about to hear of its end.
    has_overflowed: bool,
    // Dropped frames that the engine has not been told of, and when it was told last.
    untold_drops: u64,
    drops_told: Option<Time>,
}

impl<P: Protocol> Wire<P> {
    fn new(framer: P::Framer) -> Self {
        Self {
            framer,
            phase: Phase(0),
            buffer: BytesMut::new(),
            is_closing: false,
            is_full: false,
            has_overflowed: false,
            untold_drops: 0,
            drops_told: None,
        }
    }

    // A frame of gossip found no room. How many the engine is to be told of now.
    fn drops_to_tell(&mut self, now: Time) -> Option<u64> {
        self.untold_drops += 1;
        if self.drops_told.is_some_and(|told| now.since(told) < DROPS_TOLD_EVERY) {
            return None;
        }
        self.drops_told = Some(now);
        self.last_drops()
    }

    fn last_drops(&mut self) -> Option<u64> {
        Some(std::mem::take(&mut self.untold_drops)).filter(|frames| *frames > 0)
    }
}

/// What became of connections while effects were carried out: gossip that was dropped, and those that are gone.
#[derive(Default)]
struct Outcome {
    dropped: Vec<(ConnectionId, u64)>,
    gone: Vec<(ConnectionId, DisconnectCause)>,
}

/// One engine and what its host knows.
struct Host<P: Protocol> {
    engine: Engine<P>,
    config: P::Config,
    now: Now,
    wires: BTreeMap<ConnectionId, Wire<P>>,
    dials: VecDeque<(ConnectionId, Address)>,
    questions: VecDeque<(Ticket, P::Request)>,
    accepted: u64,
    trace: Vec<[u8; 8]>,
    pen: Option<Pen>,
}

/// Runs the session that `input` describes, twice: the effects must be the same.
pub fn run<P: Spoken>(input: &[u8], config: &P::Config) {
    let raw;
    let input = match recorded::read(input, P::NAME) {
        None => input,
        Some(Recorded::Entries(entries)) => return recorded::play::<P>(entries),
        Some(Recorded::Input(inside)) => {
            raw = inside;
            &raw[..]
        }
    };
    let once = || {
        let mut host = Host::<P>::new(config.clone(), input);
        let mut u = Unstructured::new(input);
        for _ in 0..STEPS_MAX {
            if u.is_empty() || host.act(&mut u).is_err() {
                break;
            }
        }
        host.trace
    };
    assert_eq!(once(), once(), "the same actions gave other effects");
}

impl<P: Spoken> Host<P> {
    fn new(config: P::Config, input: &[u8]) -> Self {
        let now = Now { unix_ms: 1_767_225_700_000, ..Now::default() };
        let shell = P2pConfig {
            listen: Some(Address::new(IpAddr::from([127, 0, 0, 1]), 7000)),
            private_addresses: true,
            spare_loopback: false,
            inbound_max: 6,
            outbound_target: 3,
            book_max: 64,
            ..P2pConfig::default()
        };
        let pen = Pen::new(P::NAME, input, (now, &shell, config.clone(), [7; 32]));
        let mut effects = Vec::new();
        let engine = Engine::new(now, shell, config.clone(), [7; 32], &[], &mut effects);
        let mut host = Self {
            engine,
            config,
            now,
            wires: BTreeMap::new(),
            dials: VecDeque::new(),
            questions: VecDeque::new(),
            accepted: 0,
            trace: Vec::new(),
            pen,
        };
        host.carry_out(effects);
        host
    }

    // Takes one thing that happens off the input, and tells the engine.
    fn act(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        match u.int_in_range(0..=15u8)? {
            0 | 1 => self.accept(u)?,
            2 => self.finish_dial(u)?,
            3..=6 => {
                let bytes = P::speak(u)?;
                self.deliver(u, &bytes)?;
            }
            7 => {
                // A message that is almost right.
                let mut bytes = P::speak(u)?;
                let place = u.choose_index(bytes.len().max(1))?;
                if let Some(byte) = bytes.get_mut(place) {
                    *byte ^= u.arbitrary::<u8>()?;
                }
                self.deliver(u, &bytes)?;
            }
            8 => {
                let length = usize::from(u.arbitrary::<u8>()?).min(u.len());
                let bytes = u.bytes(length)?.to_vec();
                self.deliver(u, &bytes)?;
            }
            9..=11 => {
                if let Some((ticket, request)) = self.questions.pop_front()
                    && let Some(answer) = P::answer(&request, u)?
                {
                    self.step(P2pAction::LedgerAnswered { ticket: Some(ticket), answer });
                }
            }
            12 => {
                if let Some(answer) = P::unasked(u)? {
                    self.step(P2pAction::LedgerAnswered { ticket: None, answer });
                }
            }
            13 => self.pass_time(u)?,
            14 => {
                if let Some(connection) = self.pick(u)? {
                    self.step(P2pAction::Writable { connection, channel: ChannelId::ONLY });
                }
            }
            _ => self.interfere(u)?,
        }
        Ok(())
    }

    fn pick(&self, u: &mut Unstructured<'_>) -> Result<Option<ConnectionId>> {
        let open: Vec<ConnectionId> = self.wires.keys().copied().collect();
        if open.is_empty() { Ok(None) } else { u.choose(&open).copied().map(Some) }
    }

    fn accept(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let connection = ConnectionId::nth(Direction::Inbound, self.accepted);
        self.accepted += 1;
        let remote = Address::new(IpAddr::from([10, 0, 0, u.int_in_range(1..=4)?]), 50_000);
        self.connect(connection, Direction::Inbound, remote);
        Ok(())
    }

    fn finish_dial(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let Some((connection, address)) = self.dials.pop_front() else { return Ok(()) };
        if u.arbitrary::<bool>()? {
            self.connect(connection, Direction::Outbound, address);
        } else {
            self.step(P2pAction::ConnectionFailed { connection, cause: DialFailure::Refused });
        }
        Ok(())
    }

    fn connect(&mut self, connection: ConnectionId, direction: Direction, remote: Address) {
        self.wires.insert(connection, Wire::new(P::framer(&self.config, 0, direction)));
        let local = Address::new(IpAddr::from([127, 0, 0, 1]), 7000);
        let dialled = (direction == Direction::Outbound).then_some(remote);
        self.step(P2pAction::Connected {
            connection,
            ends: Ends { direction, local, remote, dialled, identity: None, takes_compressed: false },
        });
    }

    // Bytes arrive: the framer cuts them, one frame at a time, since each may change the phase.
    fn deliver(&mut self, u: &mut Unstructured<'_>, bytes: &[u8]) -> Result<()> {
        let Some(connection) = self.pick(u)? else { return Ok(()) };
        if let Some(wire) = self.wires.get_mut(&connection) {
            wire.buffer.extend_from_slice(bytes);
        }
        loop {
            let Some(wire) = self.wires.get_mut(&connection).filter(|wire| !wire.is_closing) else { return Ok(()) };
            let channel = ChannelId::ONLY;
            match wire.framer.next(wire.phase, &mut wire.buffer) {
                Framed::More => return Ok(()),
                Framed::Frame(frame) => self.step(P2pAction::MessageReceived { connection, channel, frame }),
                Framed::Bad(bad) => {
                    let is_fatal = bad.fatal;
                    self.step(P2pAction::BadFrame { connection, channel, bad });
                    if is_fatal {
                        let closing = self.wires.get(&connection).is_none_or(|wire| wire.is_closing);
                        assert!(closing, "a stream that cannot be read on must be closed");
                        return Ok(());
                    }
                }
            }
        }
    }

    fn pass_time(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let wait = *u.choose(&[1, 50, 1000, 5000, 10_000, 61_000, 3_700_000, 90_000_000])?;
        self.now = self.now.after(Duration::from_millis(wait));
        for _ in 0..64 {
            if self.engine.next_wake().is_none_or(|at| at > self.now.monotonic) {
                break;
            }
            self.step(P2pAction::Wake);
        }
        Ok(())
    }

    fn interfere(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let somewhere = Address::new(IpAddr::from([10, 0, 1, u.arbitrary()?]), 7000);
        match u.int_in_range(0..=9u8)? {
            0 => self.step(P2pAction::Connect { address: somewhere }),
            1 => self.step(P2pAction::Command(Command::AddPeer(Target::Address(somewhere)))),
            2 => self.step(P2pAction::Command(Command::ForgetPeer(Target::Address(somewhere)))),
            3 => {
                let (ip, duration) = (IpAddr::from([10, 0, 0, 1]), Duration::from_secs(u.arbitrary()?));
                self.step(P2pAction::Command(Command::Ban { ip, duration }));
            }
            4 => self.step(P2pAction::Command(Command::Unban { ip: IpAddr::from([10, 0, 0, 1]) })),
            5 => self.step(P2pAction::Command(Command::Drain)),
            6 => {
                let (kind, payload) = (u.arbitrary::<u8>()?.into(), vec![7; 153].into());
                self.step(P2pAction::BroadcastMessage { kind, payload });
            }
            7 => {
                if let Some(connection) = self.pick(u)? {
                    self.step(P2pAction::Disconnect { connection });
                }
            }
            8 => {
                // It stops reading, or reads again.
                if let Some(connection) = self.pick(u)?
                    && let Some(wire) = self.wires.get_mut(&connection)
                {
                    wire.is_full = !wire.is_full;
                }
            }
            _ => {
                if let Some(connection) = self.pick(u)? {
                    let cause =
                        *u.choose(&[DisconnectCause::Theirs, DisconnectCause::Broken, DisconnectCause::QueueFull])?;
                    self.end(connection, cause);
                }
            }
        }
        Ok(())
    }

    fn step(&mut self, action: P2pAction<P::Answer>) {
        let mut effects = Vec::new();
        let written = self.pen.as_mut().map(|pen| (pen.before(self.now, &action), action.clone()).1);
        self.engine.step(self.now, action, &mut effects);
        let digest = journal::digest(&effects);
        if let (Some(pen), Some(action)) = (&mut self.pen, &written) {
            pen.after(self.now, action, digest);
        }
        self.trace.push(digest);
        let Outcome { dropped, gone } = self.carry_out(effects);
        for (connection, frames) in dropped {
            self.step(P2pAction::Dropped { connection, frames });
        }
        for (connection, cause) in gone {
            self.end(connection, cause);
        }
    }

    // A connection is gone: the engine hears what was dropped at last, and of the end.
    fn end(&mut self, connection: ConnectionId, cause: DisconnectCause) {
        let Some(mut wire) = self.wires.remove(&connection) else { return };
        if let Some(frames) = wire.last_drops() {
            self.step(P2pAction::Dropped { connection, frames });
        }
        self.step(P2pAction::Disconnected { connection, cause });
    }

    // Carries out effects as the driver does.
    fn carry_out(&mut self, effects: Vec<Effect<P::Request>>) -> Outcome {
        let (mut outcome, mut sent) = (Outcome::default(), 0);
        for effect in effects {
            match effect {
                Effect::Dial { connection, address } => {
                    assert_eq!(connection.direction(), Direction::Outbound, "a dial has an outbound id");
                    self.dials.push_back((connection, address));
                }
                Effect::Send { connection, frame, overflow, .. } => {
                    sent += frame.len();
                    assert!(!frame.is_empty() && self.is_open(connection), "sent on a connection that is not open");
                    self.send(connection, overflow, &mut outcome);
                }
                Effect::SetPhase { connection, phase, .. } => {
                    assert!(self.is_open(connection), "a phase for a connection that is not open");
                    self.wires.get_mut(&connection).expect("it is open").phase = phase;
                }
                Effect::Close { connection, how } => {
                    assert!(self.is_open(connection), "closed twice");
                    let wire = self.wires.get_mut(&connection).expect("it is open");
                    wire.is_closing = true;
                    let _: Close = how;
                    if !wire.has_overflowed {
                        outcome.gone.push((connection, DisconnectCause::Ours));
                    }
                }
                Effect::Ask { ticket, request } => self.questions.push_back((ticket, request)),
                Effect::Open { .. } | Effect::Finish { .. } | Effect::Reset { .. } => panic!("TCP has one channel"),
                Effect::Resolve { .. } | Effect::Save(_) | Effect::Publish(_) => {}
            }
        }
        assert!(self.questions.len() < QUESTIONS_MAX, "questions to the ledger pile up");
        assert!(sent < SENT_BYTES_MAX, "one step sent {sent} bytes");
        outcome
    }

    // Queues a frame, where there is room.
    fn send(&mut self, connection: ConnectionId, overflow: Overflow, outcome: &mut Outcome) {
        let wire = self.wires.get_mut(&connection).filter(|wire| wire.is_full && !wire.has_overflowed);
        let Some(wire) = wire else { return };
        match overflow {
            Overflow::Drop => {
                let told = wire.drops_to_tell(self.now.monotonic).map(|frames| (connection, frames));
                outcome.dropped.extend(told);
            }
            Overflow::Close => {
                wire.has_overflowed = true;
                outcome.gone.push((connection, DisconnectCause::QueueFull));
            }
        }
    }

    fn is_open(&self, connection: ConnectionId) -> bool {
        self.wires.get(&connection).is_some_and(|wire| !wire.is_closing)
    }
}

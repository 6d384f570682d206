//! Carries streams in yamux, and answers what a node opens (Mina spec, sections 1.5, 2.1 and 2.2).

use super::PATIENCE;
use super::line::{HEADER, In, Line, Manner, Out, token};
use super::protobuf::{bytes, framed};
use super::rpc::Answers;
use anyhow::{Context, Result, anyhow, bail, ensure};
use libp2p::PeerId;
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub(crate) const DATA: u8 = 0;
pub(crate) const WINDOW: u8 = 1;
pub(crate) const PING: u8 = 2;
pub(crate) const GO_AWAY: u8 = 3;
pub(crate) const SYN: u16 = 1;
pub(crate) const ACK: u16 = 2;
pub(crate) const FIN: u16 = 4;
pub(crate) const RST: u16 = 8;
/// What may be said on a stream before more is granted.
pub(crate) const WINDOW_BYTES: u32 = 256 << 10;

pub(crate) const IDENTIFY: &str = "/ipfs/id/1.0.0";
pub(crate) const PINGS: &str = "/ipfs/ping/1.0.0";
pub(crate) const MESH: &str = "/meshsub/1.1.0";
pub(crate) const KAD: &str = "/coda/kad/1.0.0";
pub(crate) const RPC: &str = "coda/rpcs/0.0.1";
const PING_BYTES: usize = 32;
/// What it calls itself: as the reference node does, which is asked with a fresh stream for each question.
const AGENT: &[u8] = b"github.com/codaprotocol/coda/tree/master/src/app/libp2p_helper";

/// What came of a connection so far.
#[derive(Default)]
pub(crate) struct State {
    tubes: BTreeMap<u32, Tube>,
    /// What came back to pings.
    pub(crate) pongs: Vec<u32>,
    /// The node said that it goes, and why.
    pub(crate) went: Option<u32>,
    /// It is over.
    pub(crate) has_ended: bool,
}

/// One stream.
#[derive(Default)]
struct Tube {
    heard: Vec<u8>,
    // What it is for, once that is agreed.
    name: Option<String>,
    is_the_nodes: bool,
    is_finished: bool,
    is_reset: bool,
    has_greeted: bool,
    served: super::rpc::Served,
}

struct Shared {
    out: Mutex<Out>,
    state: Mutex<State>,
    changed: Condvar,
    speaks: Vec<&'static str>,
    identify: Vec<u8>,
    answers: Option<Answers>,
}

/// A connection with a node.
#[derive(Clone)]
pub(crate) struct Peer {
    shared: Arc<Shared>,
    /// Whom it is with.
    pub(crate) node: PeerId,
    /// Who we are.
    pub(crate) own: PeerId,
    next: Arc<Mutex<u32>>,
}

/// One stream of it.
#[derive(Clone)]
pub(crate) struct Stream {
    peer: Peer,
    pub(crate) id: u32,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Peer {
    /// Dials a node, and says by identify that it speaks these.
    pub(crate) fn dial(address: SocketAddr, manner: &Manner, speaks: &[&'static str]) -> Result<Self> {
        Self::start(Line::dial(address, manner)?, manner, speaks, None, true)
    }

    /// The same of one who answers questions.
    pub(crate) fn dial_to_answer(address: SocketAddr, manner: &Manner, answers: Answers) -> Result<Self> {
        Self::start(Line::dial(address, manner)?, manner, &[IDENTIFY, PINGS, RPC], Some(answers), true)
    }

    /// Takes a node that dials.
    pub(crate) fn accept(listener: &TcpListener, manner: &Manner, speaks: &[&'static str]) -> Result<Self> {
        Self::start(Line::accept(listener, manner)?, manner, speaks, None, false)
    }

    fn start(
        line: Line,
        manner: &Manner,
        speaks: &[&'static str],
        answers: Option<Answers>,
        is_dialer: bool,
    ) -> Result<Self> {
        let key = manner.keypair()?.public();
        let names: Vec<u8> = speaks.iter().flat_map(|name| bytes(3, name.as_bytes())).collect();
        let listens = manner.listens.map(|address| bytes(2, &multiaddr(address))).unwrap_or_default();
        let identify =
            [bytes(1, &key.encode_protobuf()), listens, names, bytes(5, b"ipfs/0.1.0"), bytes(6, AGENT)].concat();
        let shared = Arc::new(Shared {
            out: Mutex::new(line.out),
            state: Mutex::default(),
            changed: Condvar::new(),
            speaks: speaks.to_vec(),
            identify: framed(&identify),
            answers,
        });
        let node = line.peer_id.context("a node has a key")?;
        let next = Arc::new(Mutex::new(if is_dialer { 1 } else { 2 }));
        line.input.wait_for_ever()?;
        let reader = Arc::clone(&shared);
        std::thread::spawn(move || read(&reader, line.input));
        Ok(Self { shared, node, own: key.to_peer_id(), next })
    }

    /// Says a frame of yamux, whatever it is.
    pub(crate) fn say(&self, kind: u8, flags: u16, stream: u32, length: u32, body: &[u8]) -> Result<()> {
        self.shared.say(kind, flags, stream, length, body)
    }

    /// The id of a stream that may be opened.
    pub(crate) fn fresh(&self) -> u32 {
        let mut next = lock(&self.next);
        *next += 2;
        *next - 2
    }

    /// Opens a stream and agrees on what it is for.
    pub(crate) fn open(&self, name: &str) -> Result<Stream> {
        let stream = self.begin(&[token(HEADER), token(name)].concat())?;
        let answer = [stream.token()?, stream.token()?];
        ensure!(answer == [HEADER, name], "`{name}` is answered {answer:?}");
        Ok(stream)
    }

    /// Opens a stream with these first bytes.
    pub(crate) fn begin(&self, first: &[u8]) -> Result<Stream> {
        let id = self.fresh();
        lock(&self.shared.state).tubes.insert(id, Tube::default());
        self.say(DATA, SYN, id, u32::try_from(first.len())?, first)?;
        Ok(Stream { peer: self.clone(), id })
    }

    /// A stream that was opened by a window update, as some do.
    pub(crate) fn begin_with_window(&self) -> Result<Stream> {
        let id = self.fresh();
        lock(&self.shared.state).tubes.insert(id, Tube::default());
        self.say(WINDOW, SYN, id, 0, &[])?;
        Ok(Stream { peer: self.clone(), id })
    }

    /// The stream that the node opened for this, once it has: the newest that is not over.
    pub(crate) fn opened(&self, name: &str) -> Result<Stream> {
        let id = self.wait(PATIENCE, |state| {
            let is_it = |tube: &Tube| tube.is_the_nodes && !tube.is_reset && tube.name.as_deref() == Some(name);
            state.tubes.iter().rev().find(|(_, tube)| is_it(tube)).map(|(id, _)| *id)
        });
        let id = id.with_context(|| format!("the node opens no stream for {name}"))?;
        Ok(Stream { peer: self.clone(), id })
    }

    /// Waits until something can be told; an error when the connection is over or the time is.
    pub(crate) fn wait<T>(&self, limit: Duration, look: impl Fn(&mut State) -> Option<T>) -> Result<T> {
        let until = Instant::now() + limit;
        let mut state = lock(&self.shared.state);
        loop {
            if let Some(found) = look(&mut state) {
                return Ok(found);
            }
            ensure!(!state.has_ended, "the node has closed the connection");
            let left = until.checked_duration_since(Instant::now()).context("it does not happen in time")?;
            state = self.shared.changed.wait_timeout(state, left).map_err(|_| anyhow!("a reader has panicked"))?.0;
        }
    }

    /// Waits until the node has closed the connection.
    pub(crate) fn ends(&self, limit: Duration) -> Result<()> {
        self.wait(limit, |state| state.has_ended.then_some(()))
    }

    /// Whether the node has closed the connection.
    pub(crate) fn has_ended(&self) -> bool {
        lock(&self.shared.state).has_ended
    }

    /// Both are there, and the node still takes turns: a ping of yamux comes back.
    pub(crate) fn is_alive(&self, opaque: u32) -> Result<()> {
        self.say(PING, SYN, 0, opaque, &[])?;
        self.wait(PATIENCE, |state| state.pongs.contains(&opaque).then_some(()))
    }
}

impl Stream {
    /// Says bytes, which must be fewer than the window.
    pub(crate) fn say(&self, bytes: &[u8]) -> Result<()> {
        self.peer.say(DATA, 0, self.id, u32::try_from(bytes.len())?, bytes)
    }

    /// Says no more.
    pub(crate) fn finish(&self) -> Result<()> {
        self.peer.say(DATA, FIN, self.id, 0, &[])
    }

    /// Breaks it off.
    pub(crate) fn reset(&self) -> Result<()> {
        self.peer.say(WINDOW, RST, self.id, 0, &[])
    }

    /// Takes a part of what came off the front, as soon as `cut` finds that it is whole.
    pub(crate) fn take(&self, limit: Duration, cut: impl Fn(&[u8]) -> Option<usize>) -> Result<Vec<u8>> {
        let taken = self.peer.wait(limit, |state| {
            let tube = state.tubes.get_mut(&self.id)?;
            match cut(&tube.heard) {
                Some(count) if count <= tube.heard.len() => Some(Some(tube.heard.drain(..count).collect())),
                _ => (tube.is_finished || tube.is_reset).then_some(None),
            }
        })?;
        taken.context("the node has ended the stream")
    }

    /// So many bytes.
    pub(crate) fn hear(&self, count: usize) -> Result<Vec<u8>> {
        self.take(PATIENCE, |_| Some(count))
    }

    /// A token of multistream-select.
    pub(crate) fn token(&self) -> Result<String> {
        let token = self.take(PATIENCE, |heard| heard.first().map(|length| 1 + usize::from(*length)))?;
        Ok(String::from_utf8_lossy(token.get(1..).unwrap_or_default()).trim_end().to_owned())
    }

    /// Waits until the node says no more on it, by an end or by breaking it off.
    pub(crate) fn is_over(&self, limit: Duration) -> Result<()> {
        self.until(limit, |tube| tube.is_reset || tube.is_finished).context("the stream does not end")
    }

    /// Whether the node has ended it.
    pub(crate) fn has_ended(&self) -> bool {
        let state = lock(&self.peer.shared.state);
        state.has_ended || state.tubes.get(&self.id).is_none_or(|tube| tube.is_reset || tube.is_finished)
    }

    fn until(&self, limit: Duration, is_so: impl Fn(&Tube) -> bool) -> Result<()> {
        self.peer.wait(limit, |state| state.tubes.get(&self.id).is_some_and(&is_so).then_some(()))
    }
}

impl Shared {
    fn say(&self, kind: u8, flags: u16, stream: u32, length: u32, body: &[u8]) -> Result<()> {
        let head = [&[0, kind][..], &flags.to_be_bytes(), &stream.to_be_bytes(), &length.to_be_bytes(), body].concat();
        lock(&self.out).say(&head)
    }

    fn frame(&self, input: &mut In) -> Result<()> {
        let head = input.hear(12)?;
        let number = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (kind, flags, id, length) = (head[1], u16::from_be_bytes([head[2], head[3]]), number(4), number(8));
        let body = if kind == DATA { input.hear(usize::try_from(length)?)? } else { Vec::new() };
        match kind {
            PING if flags & SYN != 0 => self.say(PING, ACK, 0, length, &[])?,
            PING => lock(&self.state).pongs.push(length),
            GO_AWAY => lock(&self.state).went = Some(length),
            DATA | WINDOW => self.on_stream(flags, id, &body)?,
            other => bail!("a frame of type {other}"),
        }
        self.changed.notify_all();
        Ok(())
    }

    fn on_stream(&self, flags: u16, id: u32, body: &[u8]) -> Result<()> {
        if flags & SYN != 0 {
            lock(&self.state).tubes.insert(id, Tube { is_the_nodes: true, ..Tube::default() });
            self.say(WINDOW, ACK, id, 0, &[])?;
        }
        if !body.is_empty() {
            // What is read is given back at once: nothing waits here for room.
            self.say(WINDOW, 0, id, u32::try_from(body.len())?, &[])?;
        }
        let mut state = lock(&self.state);
        let Some(tube) = state.tubes.get_mut(&id) else { return Ok(()) };
        tube.heard.extend_from_slice(body);
        tube.is_finished |= flags & FIN != 0;
        tube.is_reset |= flags & RST != 0;
        let said = if tube.is_the_nodes && !tube.is_reset { self.serve(tube)? } else { Vec::new() };
        drop(state);
        for (flags, bytes) in said {
            // More than a window at once is in nobody's answers here.
            self.say(DATA, flags, id, u32::try_from(bytes.len())?, &bytes)?;
        }
        Ok(())
    }

    // What is said to what came on a stream that the node opened.
    fn serve(&self, tube: &mut Tube) -> Result<Vec<(u16, Vec<u8>)>> {
        let mut said = Vec::new();
        while tube.name.is_none() {
            let Some(end) = tube.heard.first().map(|length| 1 + usize::from(*length)) else { return Ok(said) };
            if end > tube.heard.len() {
                return Ok(said);
            }
            let text: Vec<u8> = tube.heard.drain(..end).skip(1).collect();
            let text = String::from_utf8_lossy(&text).trim_end().to_owned();
            let is_header = !tube.has_greeted && text == HEADER;
            let is_taken = self.speaks.contains(&text.as_str());
            tube.has_greeted |= is_header;
            said.push((0, token(if is_header || is_taken { &text } else { "na" })));
            if is_taken {
                tube.name = Some(text);
            }
            if is_taken && tube.name.as_deref() == Some(IDENTIFY) {
                said.push((FIN, self.identify.clone()));
            }
        }
        match (tube.name.as_deref(), &self.answers) {
            (Some(PINGS), _) => {
                while tube.heard.len() >= PING_BYTES {
                    said.push((0, tube.heard.drain(..PING_BYTES).collect()));
                }
            }
            (Some(RPC), Some(answers)) => {
                said.extend(tube.served.serve(&mut tube.heard, answers)?.into_iter().map(|bytes| (0, bytes)));
                if tube.is_finished {
                    said.push((FIN, Vec::new()));
                }
            }
            _ => {}
        }
        Ok(said)
    }
}

fn multiaddr(address: SocketAddr) -> Vec<u8> {
    libp2p::Multiaddr::from(address.ip()).with(libp2p::multiaddr::Protocol::Tcp(address.port())).to_vec()
}

// Until the connection is over.
fn read(shared: &Shared, mut input: In) {
    while shared.frame(&mut input).is_ok() {}
    lock(&shared.state).has_ended = true;
    shared.changed.notify_all();
}

//! Runs the tasks that wait for sockets: accepting, dialling, looking up names, and one for each connection.

use crate::host::{Door, Host};
use crate::opening::{self, Opening};
use crate::reading::Turn;
use crate::stream::Stream;
use polypeer_engine::{
    Address, ChannelId, ConnectionId, DialFailure, Direction, DisconnectCause, Ends, P2pAction, Protocol, Time,
};
use socket2::{Domain, Socket, Type};
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener as StdListener};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Sleep, sleep, sleep_until, timeout};

/// Connections that the kernel holds for us while we are busy.
const BACKLOG: i32 = 1024;
/// After a failure of ours (no file descriptor, no memory) accepting rests so long; then it goes on, for ever.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// A dial that has not come to stand by then is given up.
const DIAL_TIME: Duration = Duration::from_secs(10);
/// A name that has not been looked up by then is unknown.
const LOOKUP_TIME: Duration = Duration::from_secs(10);
/// Addresses of one name that the engine is told of.
const ADDRESSES_MAX: usize = 256;

/// Opens the socket that a network listens on. `[::]` takes IPv4 too.
pub(crate) fn listen(address: SocketAddr) -> io::Result<StdListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() && address.ip().is_unspecified() {
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Accepts connections until the task is dropped. No failure ends it.
pub(crate) async fn accept<P: Protocol>(door: Rc<Door<P>>, listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if door.enter(|host| host.incoming(stream)).is_none() {
                    return;
                }
            }
            Err(error) => {
                door.enter(|host| host.totals.accept_failures += 1);
                if error.kind() != ErrorKind::ConnectionAborted {
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// Dials once, and reports.
pub(crate) async fn dial<P: Protocol>(
    door: Rc<Door<P>>,
    dials: Rc<Semaphore>,
    opening: Option<Opening>,
    connection: ConnectionId,
    address: Address,
) {
    let dialled = {
        // The semaphore is never closed.
        let _place = dials.acquire().await;
        connect(address, opening).await
    };
    door.enter(|host| match dialled {
        Ok((stream, ends)) => host.adopt(connection, stream, ends, None),
        Err(cause) => {
            host.totals.dial_failures += 1;
            host.step(P2pAction::ConnectionFailed { connection, cause });
        }
    });
}

async fn connect(address: Address, opening: Option<Opening>) -> Result<(Stream, Ends), DialFailure> {
    let time_max = opening.as_ref().and_then(Opening::connect_time_max).unwrap_or(DIAL_TIME);
    let dialled = timeout(time_max, TcpStream::connect(address.socket())).await;
    let stream = dialled.map_err(|_| DialFailure::TimedOut)?.map_err(|error| why(&error))?;
    let ends = ends(&stream, Direction::Outbound, Some(address)).map_err(|error| why(&error))?;
    // A port of the range that dials are given can meet itself: nobody listens there.
    if ends.local == ends.remote {
        return Err(DialFailure::Refused);
    }
    let Some(opening) = opening else { return Ok((Stream::Tcp(stream), ends)) };
    opening.dial(stream, address, ends).await.ok_or(DialFailure::Transport)
}

// Both ends, and the socket as every connection has it: small frames do not wait for one another.
fn ends(stream: &TcpStream, direction: Direction, dialled: Option<Address>) -> io::Result<Ends> {
    stream.set_nodelay(true)?;
    let (local, remote) = (stream.local_addr()?.into(), stream.peer_addr()?.into());
    Ok(Ends { direction, local, remote, dialled, identity: None, takes_compressed: false })
}

fn why(error: &io::Error) -> DialFailure {
    const ENOMEM: i32 = 12;
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    const ENOBUFS: i32 = 105;
    if let Some(ENOMEM | ENFILE | EMFILE | ENOBUFS) = error.raw_os_error() {
        return DialFailure::Resources;
    }
    match error.kind() {
        ErrorKind::ConnectionRefused => DialFailure::Refused,
        ErrorKind::TimedOut => DialFailure::TimedOut,
        // No local port left.
        ErrorKind::AddrNotAvailable | ErrorKind::OutOfMemory => DialFailure::Resources,
        ErrorKind::NetworkUnreachable
        | ErrorKind::HostUnreachable
        | ErrorKind::NetworkDown
        | ErrorKind::PermissionDenied => DialFailure::Unreachable,
        _ => DialFailure::Transport,
    }
}

/// Looks a name up, and reports.
pub(crate) async fn resolve<P: Protocol>(door: Rc<Door<P>>, lookups: Rc<Semaphore>, name: String, port: u16) {
    let addresses = {
        // The semaphore is never closed.
        let _place = lookups.acquire().await;
        timeout(LOOKUP_TIME, look_up(&name, port)).await.unwrap_or_default()
    };
    door.enter(|host| host.step(P2pAction::Resolved { name, port, addresses }));
}

// Each address once; none when the name is unknown.
async fn look_up(name: &str, port: u16) -> Vec<Address> {
    let mut addresses = Vec::new();
    if let Ok(found) = tokio::net::lookup_host((name, port)).await {
        for address in found.map(Address::from) {
            if addresses.len() < ADDRESSES_MAX && !addresses.contains(&address) {
                addresses.push(address);
            }
        }
    }
    addresses
}

/// Serves one connection until it is gone.
pub(crate) async fn serve<P: Protocol>(door: Rc<Door<P>>, id: ConnectionId) {
    let mut cut: Option<Pin<Box<Sleep>>> = None;
    poll_fn(|cx| {
        loop {
            let Some(Serve::Stays { until }) = door.enter(|host| host.turn(id, cx)) else { return Poll::Ready(()) };
            let Some(until) = until else { return Poll::Pending };
            let sleep = cut.get_or_insert_with(|| Box::pin(sleep_until(until)));
            if sleep.deadline() != until {
                sleep.as_mut().reset(until);
            }
            // Once it is due the next turn ends the connection.
            if sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    })
    .await;
}

impl<P: Protocol> Host<P> {
    /// A socket was accepted. The peer may be gone already; then nobody needs to hear of it.
    fn incoming(&mut self, stream: TcpStream) {
        let Some(opening) = &self.opening else {
            let id = self.accepted();
            if let Ok(ends) = ends(&stream, Direction::Inbound, None) {
                self.adopt(id, Stream::Tcp(stream), ends, None);
            }
            return;
        };
        let Ok(ends) = ends(&stream, Direction::Inbound, None) else { return };
        let Some(place) = opening.place(ends.remote) else {
            self.totals.calls_refused += 1;
            return;
        };
        if let Some(door) = self.door() {
            tokio::task::spawn_local(opening::accept(door, opening.clone(), stream, ends, place));
        }
    }
}

enum Serve {
    Stays { until: Option<tokio::time::Instant> },
    Gone,
}

impl<P: Protocol> Host<P> {
    // A connection's turn: write what waits, then read.
    fn turn(&mut self, id: ConnectionId, cx: &mut Context<'_>) -> Serve {
        // HTTP/2 has work of its own, also when nothing is written or read.
        let has_opened = self.opening.is_some();
        if has_opened && self.connections.get(&id).is_some_and(|connection| connection.stream.is_muxed()) {
            self.muxed_turn(id, cx);
            return self.until(id);
        }
        if has_opened {
            self.begin_turn(id, cx);
        }
        self.write_turn(id, cx);
        self.go_on_ending(id);
        if self.read_turn(id, cx) == Turn::GoesOn {
            cx.waker().wake_by_ref();
        }
        if has_opened {
            self.end_turn(id, cx);
        }
        self.until(id)
    }

    // When a connection's next turn is at the latest.
    fn until(&self, id: ConnectionId) -> Serve {
        let Some(connection) = self.connections.get(&id) else { return Serve::Gone };
        let end = connection.ending.map(|ending| ending.until);
        let until = end.into_iter().chain(connection.stream.next_deadline()).min();
        Serve::Stays { until: until.map(|until| self.instant(until)) }
    }

    fn begin_turn(&mut self, id: ConnectionId, cx: &mut Context<'_>) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let is_paused = connection.is_heard() && self.asks.must_wait(connection.asks);
        connection.stream.begin_turn(cx, self.now.monotonic, is_paused);
    }

    fn end_turn(&mut self, id: ConnectionId, cx: &mut Context<'_>) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if !connection.stream.end_turn(cx) {
            let cause = connection.ending.map_or(DisconnectCause::Broken, |ending| ending.cause);
            return self.end(id, cause);
        }
        if connection.stream.wants_flush() && !connection.is_blocked {
            return self.flush(id);
        }
        self.charge(id);
    }

    fn write_turn(&mut self, id: ConnectionId, cx: &mut Context<'_>) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.polled(cx);
        if connection.is_blocked {
            match connection.stream.poll_writable(cx) {
                Poll::Pending => {}
                Poll::Ready(()) => {
                    connection.is_blocked = false;
                    self.flush(id);
                }
            }
        }
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if connection.is_writable_due {
            connection.told_writable();
            if !connection.is_closed_by_us() {
                self.step(P2pAction::Writable { connection: id, channel: ChannelId::ONLY });
                self.apply();
            }
        }
    }

    fn instant(&self, time: Time) -> tokio::time::Instant {
        // A timer that fires a moment early would find nothing due, and be set again.
        tokio::time::Instant::from_std(self.clock.instant(time + Duration::from_millis(1)))
    }
}

//! Channels between simulated nodes: opened, refused, written, finished, broken off, and all of it accounted for.

use bytes::{Buf, Bytes, BytesMut};
use polypeer_engine::{
    Address, BadFrame, ChannelEnd, ChannelId, ChannelKind, Close, ConnectionId, Context, DialFailure, Direction,
    DisconnectCause, Effect, Frame, Framed, Framer, Ledger, Libp2p, Misbehavior, Now, Overflow, P2pAction, P2pConfig,
    Parting, Phase, Profile, Protocol, Target, Ticket, Time, To, Transport, Weight,
};
use polypeer_sim::{Disk, Fault, NodeId, Observer, Planned, Seat, Setting, World};
use std::collections::BTreeMap;
use std::time::Duration;

const TALK: u16 = 1;
const SHY: u16 = 2;
const STREAMS_MAX: usize = 5;
const CHANNELS: [ChannelKind; 2] = [
    ChannelKind { kind: TALK, name: "/talk", is_answered: true },
    ChannelKind { kind: SHY, name: "/shy", is_answered: false },
];

/// A byte that says what to do, and its length in one more.
struct Cutter;

impl Framer for Cutter {
    fn next(&mut self, _: Phase, buffer: &mut BytesMut) -> Framed {
        let Some([letter, length]) = buffer.first_chunk::<2>().copied() else { return Framed::More };
        if letter == b'!' {
            buffer.advance(2);
            return Framed::Bad(BadFrame { head: Bytes::new(), reason: 1, fatal: true });
        }
        let length = 2 + usize::from(length);
        if buffer.len() < length { Framed::More } else { Framed::Frame(buffer.split_to(length).freeze()) }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Rude;

impl Misbehavior for Rude {
    fn name(&self) -> &'static str {
        "rude"
    }

    fn weight(&self) -> Weight {
        Weight::Slip
    }

    fn farewell(&self) -> Option<Bytes> {
        None
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Opened(u16, Direction),
    Closed(ChannelEnd),
    Bad,
    Writable,
}

#[derive(Default)]
struct Toy {
    told: Vec<(ChannelId, Told)>,
    heard: BTreeMap<ChannelId, Vec<u8>>,
    peers: Vec<Bytes>,
    failed: Vec<DialFailure>,
}

type Handled = Result<(), Rude>;

impl Protocol for Toy {
    const NAME: &'static str = "toy";
    type Config = u8;
    type Peer = ();
    type Misbehavior = Rude;
    type Alarm = u8;
    type Request = u8;
    type Answer = u8;
    type Framer = Cutter;

    fn profile(_: &u8) -> Profile {
        let wait = Duration::from_secs(5);
        let net = Libp2p {
            network_key: [0; 32],
            muxer: "/yamux",
            offers_muxer_early: false,
            channels: &CHANNELS,
            open_time_max: wait,
            nonce_time_max: wait,
            select_time_max: wait,
            early_bytes_max: 1024,
            own_streams_max: 2 * STREAMS_MAX,
            their_streams_max: STREAMS_MAX,
            pending_below: Phase(0),
            pending_max: 1,
            pending_per_ip_max: 1,
        };
        Profile { low_water_bytes: 1_000, transport: Transport::Libp2p(net), ..Profile::default() }
    }

    fn framer(_: &u8, _: u16, _: Direction) -> Cutter {
        Cutter
    }

    fn new(_: u8, _: &mut Context<'_, Self>) -> Self {
        Self::default()
    }

    fn on_connected(&mut self, cx: &mut Context<'_, Self>, connection: ConnectionId) -> Handled {
        self.peers.extend(cx.ends(connection).and_then(|ends| ends.identity.clone()));
        // There is no channel that is open from the start.
        cx.send(connection, Bytes::from_static(b".\0"), Overflow::Close);
        cx.ready(connection, "toy");
        Ok(())
    }

    fn on_dial_failed(&mut self, _: &mut Context<'_, Self>, _: Address, cause: DialFailure) {
        self.failed.push(cause);
    }

    fn on_channel(
        &mut self,
        _: &mut Context<'_, Self>,
        _: ConnectionId,
        (): (),
        channel: ChannelId,
        kind: u16,
        opener: Direction,
    ) -> Handled {
        self.told.push((channel, Told::Opened(kind, opener)));
        Ok(())
    }

    fn on_channel_closed(
        &mut self,
        _: &mut Context<'_, Self>,
        _: ConnectionId,
        (): (),
        channel: ChannelId,
        end: ChannelEnd,
    ) -> Handled {
        self.told.push((channel, Told::Closed(end)));
        Ok(())
    }

    fn on_frame(
        &mut self,
        cx: &mut Context<'_, Self>,
        connection: ConnectionId,
        (): (),
        channel: ChannelId,
        frame: Frame<'_>,
    ) -> Handled {
        self.heard.entry(channel).or_default().extend_from_slice(&frame[2..]);
        match frame[0] {
            b'e' => cx.send_on(connection, channel, Bytes::from([b".", &frame[1..]].concat()), Overflow::Close),
            b'F' => cx.finish(connection, channel),
            b'R' => cx.reset(connection, channel),
            _ => {}
        }
        Ok(())
    }

    fn on_bad_frame(
        &mut self,
        _: &mut Context<'_, Self>,
        _: ConnectionId,
        (): (),
        channel: ChannelId,
        _: BadFrame,
    ) -> Handled {
        self.told.push((channel, Told::Bad));
        Ok(())
    }

    fn on_writable(&mut self, _: &mut Context<'_, Self>, _: ConnectionId, (): (), channel: ChannelId) -> Handled {
        self.told.push((channel, Told::Writable));
        Ok(())
    }

    fn on_parting(&mut self, cx: &mut Context<'_, Self>, connection: ConnectionId, (): (), _: Parting) -> Handled {
        cx.close(connection, Close::Lingering, "goodbye");
        Ok(())
    }

    fn on_disconnected(&mut self, _: &mut Context<'_, Self>, _: ConnectionId, _: Option<()>, _: DisconnectCause) {}

    fn on_answer(&mut self, _: &mut Context<'_, Self>, _: Option<Ticket>, _: u8) {}

    // `O` opens a channel of the kind that the payload says; `w` writes a frame on a channel, `f` and `r` end it.
    fn on_broadcast(&mut self, cx: &mut Context<'_, Self>, kind: u16, payload: Bytes) {
        let Some(connection) = cx.connections().first().copied() else { return };
        let channel = ChannelId(u32::from(payload[0]));
        match kind as u8 {
            b'O' => {
                cx.open(connection, u16::from(payload[0]));
            }
            b'w' => cx.send_on(connection, channel, payload.slice(1..), Overflow::Close),
            b'f' => cx.finish(connection, channel),
            _ => cx.reset(connection, channel),
        }
    }

    fn on_alarm(&mut self, _: &mut Context<'_, Self>, _: u8) {}

    fn on_peer_alarm(&mut self, _: &mut Context<'_, Self>, _: ConnectionId, (): (), _: u8) -> Handled {
        Ok(())
    }
}

struct Silent;

impl Ledger for Silent {
    type Request = u8;
    type Answer = u8;

    fn answer(&mut self, _: Now, _: Vec<(Ticket, u8)>, _: &mut Vec<(To, u8)>) {}

    fn next_wake(&self, _: Now) -> Option<Time> {
        None
    }

    fn wake(&mut self, _: Now, _: &mut Vec<(To, u8)>) {}
}

struct Accountant;

impl Observer<Toy, Silent> for Accountant {
    fn on_step(
        &mut self,
        world: &World<Toy, Silent>,
        _: NodeId,
        _: &P2pAction<u8>,
        _: &[Effect<u8>],
    ) -> Result<(), String> {
        world.conservation()
    }
}

fn address(node: u8) -> Address {
    Address::new([10, 0, 0, node].into(), 8302)
}

// Two nodes, of which the second has dialled the first.
fn two(seed: u64) -> (World<Toy, Silent>, NodeId, NodeId) {
    let mut world = World::new(seed, Setting::default());
    world.watch(Accountant);
    let seat = |node, peers: Vec<Target>| {
        let seat = Seat::new(address(node), node, |_: &Disk| Ok(Silent));
        let config = P2pConfig { add_peers: peers, private_addresses: true, ..P2pConfig::default() };
        Seat { config, ..seat }
    };
    let listener = world.add(seat(1, vec![]));
    let dialler = world.add(seat(2, vec![Target::Address(address(1))]));
    world.run(Duration::from_secs(2));
    (world, dialler, listener)
}

fn toy(world: &World<Toy, Silent>, node: NodeId) -> &Toy {
    world.node(node).engine().expect("it runs").protocol()
}

fn tell(world: &mut World<Toy, Silent>, node: NodeId, letter: u8, payload: &[u8]) {
    let payload = Bytes::copy_from_slice(payload);
    world.act(node, P2pAction::BroadcastMessage { kind: u16::from(letter), payload });
    world.run(Duration::from_millis(200));
    assert!(world.violation().is_none(), "{:?}", world.violation());
}

fn write(world: &mut World<Toy, Silent>, node: NodeId, channel: ChannelId, letter: u8, payload: &[u8]) {
    let frame = [&[channel.0 as u8, letter, payload.len() as u8], payload].concat();
    tell(world, node, b'w', &frame);
}

fn ours(count: u32) -> ChannelId {
    ChannelId::nth(Direction::Outbound, count).expect("a number")
}

fn theirs(count: u32) -> ChannelId {
    ChannelId::nth(Direction::Inbound, count).expect("a number")
}

#[test]
fn nodes_know_each_other_by_what_the_world_gave_them() {
    let (world, dialler, listener) = two(1);
    assert_eq!(toy(&world, dialler).peers, [world.node(listener).identity().clone()]);
    assert_eq!(toy(&world, listener).peers, [world.node(dialler).identity().clone()]);
    assert_ne!(world.node(dialler).identity(), world.node(listener).identity());
    assert_eq!(world.node(dialler).identity()[..6], [0, 0x24, 8, 1, 0x12, 0x20]);
}

#[test]
fn a_channel_opens_carries_both_ways_and_closes_by_halves() {
    let (mut world, dialler, listener) = two(2);
    tell(&mut world, dialler, b'O', &[TALK as u8]);
    assert_eq!(toy(&world, dialler).told, [(ours(1), Told::Opened(TALK, Direction::Outbound))]);
    assert_eq!(toy(&world, listener).told, [(theirs(1), Told::Opened(TALK, Direction::Inbound))]);
    for _ in 0..50 {
        write(&mut world, dialler, ours(1), b'e', b"said back");
    }
    assert_eq!(toy(&world, listener).heard[&theirs(1)], b"said back".repeat(50));
    assert_eq!(toy(&world, dialler).heard[&ours(1)], b"said back".repeat(50));
    tell(&mut world, dialler, b'f', &[ours(1).0 as u8]);
    assert_eq!(toy(&world, listener).told[1..], [(theirs(1), Told::Closed(ChannelEnd::Finished))]);
    write(&mut world, dialler, ours(1), b'.', b"too late");
    write(&mut world, listener, theirs(1), b'.', b"the other half");
    assert_eq!(toy(&world, listener).heard[&theirs(1)], b"said back".repeat(50));
    assert!(toy(&world, dialler).heard[&ours(1)].ends_with(b"the other half"));
    tell(&mut world, listener, b'f', &[theirs(1).0 as u8]);
    assert_eq!(toy(&world, dialler).told[1..], [(ours(1), Told::Closed(ChannelEnd::Finished))]);
}

#[test]
fn both_sides_number_their_own_channels() {
    let (mut world, dialler, listener) = two(3);
    for node in [dialler, listener, dialler] {
        tell(&mut world, node, b'O', &[TALK as u8]);
    }
    let (of_dialler, of_listener) = (&toy(&world, dialler).told, &toy(&world, listener).told);
    assert_eq!(of_dialler.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [ours(1), theirs(1), ours(2)]);
    assert_eq!(of_listener.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [theirs(1), ours(1), theirs(2)]);
    write(&mut world, dialler, theirs(1), b'.', b"on the listener's");
    assert_eq!(toy(&world, listener).heard[&ours(1)], b"on the listener's");
}

#[test]
fn what_is_not_answered_and_what_is_too_much_is_refused() {
    let (mut world, dialler, listener) = two(4);
    for kind in [SHY as u8, 99] {
        tell(&mut world, dialler, b'O', &[kind]);
    }
    let refused = Told::Closed(ChannelEnd::Refused);
    assert_eq!(toy(&world, dialler).told, [(ours(1), refused), (ours(2), refused)]);
    assert_eq!(toy(&world, listener).told, []);
    for _ in 0..STREAMS_MAX + 2 {
        tell(&mut world, dialler, b'O', &[TALK as u8]);
    }
    assert_eq!(toy(&world, listener).told.len(), STREAMS_MAX);
    assert_eq!(toy(&world, dialler).told[2 + STREAMS_MAX..], [(ours(8), refused), (ours(9), refused)]);
}

#[test]
fn broken_off_and_unreadable_channels_end_alone() {
    let (mut world, dialler, listener) = two(5);
    for _ in 0..3 {
        tell(&mut world, dialler, b'O', &[TALK as u8]);
    }
    tell(&mut world, dialler, b'r', &[ours(1).0 as u8]);
    assert_eq!(toy(&world, listener).told[3..], [(theirs(1), Told::Closed(ChannelEnd::Reset))]);
    // What is on its way then reaches nobody.
    write(&mut world, listener, theirs(1), b'.', b"nobody");
    write(&mut world, dialler, ours(2), b'!', b"");
    assert_eq!(toy(&world, listener).told[4..], [(theirs(2), Told::Bad)]);
    assert_eq!(toy(&world, dialler).told[3..], [(ours(2), Told::Closed(ChannelEnd::Reset))]);
    write(&mut world, dialler, ours(3), b'.', b"unhurt");
    assert_eq!(toy(&world, listener).heard[&theirs(3)], b"unhurt");
    assert_eq!(world.connections(dialler).count(), 1);
}

#[test]
fn who_sent_much_hears_that_it_arrived() {
    let (mut world, dialler, _) = two(6);
    tell(&mut world, dialler, b'O', &[TALK as u8]);
    for _ in 0..5 {
        write(&mut world, dialler, ours(1), b'.', &[7; 250]);
    }
    assert_eq!(toy(&world, dialler).told[1..], [(ours(1), Told::Writable)]);
}

#[test]
fn a_node_does_not_reach_itself() {
    let (mut world, dialler, _) = two(7);
    world.act(dialler, P2pAction::Connect { address: address(2) });
    world.run(Duration::from_secs(1));
    assert_eq!(world.connections(dialler).count(), 1);
}

#[test]
fn the_same_seed_tells_the_same_story_through_breaks() {
    let story = |seed| {
        let (mut world, dialler, listener) = two(seed);
        let fault = Fault::Break { a: dialler, b: listener };
        for at_ms in [3_000, 6_000, 9_000] {
            world.plan(&Planned { at_ms, fault: fault.clone() });
        }
        for round in 0..30_u8 {
            for node in [dialler, listener] {
                tell(&mut world, node, b'O', &[TALK as u8]);
                let opened: Vec<ChannelId> = toy(&world, node).told.iter().map(|(channel, _)| *channel).collect();
                for (at, channel) in opened.iter().rev().take(4).enumerate() {
                    let letter = [b'e', b'.', b'R', b'F'][usize::from(round % 4) * at / 3];
                    write(&mut world, node, *channel, letter, &[round; 200]);
                }
            }
        }
        // What is under way is lost with its connection.
        let hour = Duration::from_secs(3_600);
        world.inject(&fault);
        world.run(Duration::from_millis(100));
        assert!(world.run_until(hour, |world| world.connections(dialler).count() == 1), "it dials again");
        tell(&mut world, dialler, b'O', &[TALK as u8]);
        let last = toy(&world, dialler).told.last().expect("it opened").0;
        for _ in 0..20 {
            let frame = [&[last.0 as u8, b'.', 100][..], &[7; 100]].concat();
            world.act(dialler, P2pAction::BroadcastMessage { kind: u16::from(b'w'), payload: frame.into() });
        }
        world.inject(&fault);
        world.run(Duration::from_secs(1));
        assert_eq!(world.conservation(), Ok(()));
        (world.trace(), world.counts())
    };
    assert_eq!(story(8), story(8));
    assert_ne!(story(8).0, story(9).0);
    let counts = story(8).1;
    assert!(counts.frames_lost >= 20 && counts.frames_read > 100, "{counts:?}");
}

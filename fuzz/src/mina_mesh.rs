//! Breaks Mina's gossip: frames, and a mesh under arbitrary peers, verdicts and clocks.

use crate::targets::Seeds;
use bytes::Bytes;
use polypeer_engine::{ConnectionId, Direction, Frame, Now, Time};
use polypeer_mina::keys::PeerId;
use polypeer_mina::mesh::frame::{self, Rpc};
use polypeer_mina::mesh::{
    About, CONSENSUS, Mesh, MessageId, Output, Scoring, Settings, TopicId, Verdict, Version, limits,
};
use std::time::Duration;

/// A frame that is read is walked to its end, and each of its messages is written as it was meant.
pub fn frames(input: &[u8]) {
    let Ok(rpc) = Rpc::decode(input) else { return };
    let counted = rpc.counted();
    assert_eq!(rpc.subscriptions().count(), counted.subscriptions);
    assert_eq!(rpc.messages().count(), counted.messages);
    let ids = rpc.iwants().count() + rpc.ihaves().map(|ihave| ihave.ids().count()).sum::<usize>();
    assert_eq!(ids, counted.ids);
    assert!(rpc.grafts().count() + rpc.prunes().map(|prune| prune.offers().count()).count() <= counted.controls);
    for message in rpc.messages() {
        let (written, data) = frame::message(&message);
        let again = Rpc::decode(&written).expect("our own frame");
        let read = again.messages().next().expect("a message");
        assert!(again.is_one_message() && read.is_canonical);
        assert_eq!(frame::signed_bytes(&read), frame::signed_bytes(&message));
        assert_eq!(&written[data], message.data.unwrap_or_default());
        if rpc.is_one_message() && message.is_canonical {
            assert_eq!(written, input);
        }
    }
}

/// The decoder once, for what it takes in memory.
pub fn decode(input: &[u8]) {
    let _ = Rpc::decode(input);
}

const PEERS: u64 = 6;

/// What happens is in the input: two bytes say what, and how much of what follows belongs to it.
pub fn session(input: &[u8]) {
    let [flags, steps @ ..] = input else { return };
    let scoring = (flags & 1 != 0).then(Scoring::default);
    let settings = Settings {
        scoring,
        peer_exchange: flags & 2 != 0,
        flood_publish: flags & 4 != 0,
        direct: [name(1)].into(),
        // Signatures are what an input cannot make.
        verify: Some(|_, _, signature| signature[0] & 1 == 0),
        ..Settings::default()
    };
    let mut stage = Stage {
        mesh: Mesh::new(settings, name(0xff), [2; 32]),
        now: Time::from_micros(u64::from(flags >> 3) << 58),
        out: Vec::new(),
        judging: Vec::new(),
    };
    stage.mesh.subscribe(stage.now, TopicId(0), &mut stage.out);
    let mut rest = steps;
    while let [what, length, more @ ..] = rest {
        let (argument, left) = more.split_at(more.len().min(usize::from(*length)));
        rest = left;
        stage.step(*what, argument);
        stage.look();
    }
}

fn name(number: u8) -> PeerId {
    PeerId::of_key([number; 32])
}

struct Stage {
    mesh: Mesh,
    now: Time,
    out: Vec<Output>,
    judging: Vec<MessageId>,
}

impl Stage {
    fn step(&mut self, what: u8, argument: &[u8]) {
        let (now, out) = (self.now, &mut self.out);
        let peer = ConnectionId::from_u64(u64::from(what >> 4) % PEERS);
        let topic = TopicId(argument.first().copied().unwrap_or(0) % 5);
        match what & 15 {
            0 | 1 => {
                let direction = if what & 1 == 0 { Direction::Inbound } else { Direction::Outbound };
                self.mesh.connected(now, peer, About { id: name(peer.as_u64() as u8), direction, ip: None });
            }
            2 => self.mesh.opened(now, peer, Version::V1_1, out),
            3 => self.mesh.opened(now, peer, Version::V1_0, out),
            4 => self.mesh.closed(now, peer),
            5 => self.mesh.gone(now, peer),
            6 => self.pass(argument),
            7 => self.judge(argument),
            8 => self.mesh.subscribe(now, topic, out),
            9 => self.mesh.unsubscribe(now, topic, out),
            10 => {
                let now = Now { monotonic: now, unix_ms: now.as_micros() };
                let _ = self.mesh.publish(now, topic, Bytes::copy_from_slice(argument), out);
            }
            11 => self.mesh.rate(peer, f64::from(topic.0) * -40.0),
            12 => self.hear(peer, &frame::graft(CONSENSUS)),
            13 => self.hear(peer, &frame::prune(CONSENSUS, argument.first().map(|by| u64::MAX >> (by % 64)), &[])),
            14 => self.hear(peer, &Bytes::copy_from_slice(argument)),
            _ => self.hear(peer, &framed(argument)),
        }
    }

    fn hear(&mut self, peer: ConnectionId, frame: &Bytes) {
        self.mesh.receive(self.now, peer, Frame::from(frame), &mut self.out);
    }

    // Forwards, backwards, or to the end of time.
    fn pass(&mut self, argument: &[u8]) {
        let [by, rest @ ..] = argument else { return };
        self.now = match by % 8 {
            0 => Time::from_micros(u64::MAX),
            1 => self.now - Duration::from_secs(1 << (by >> 3)),
            shift => self.now + Duration::from_millis(u64::from(*by) << shift),
        };
        for _ in 0..=rest.len().min(4) {
            self.mesh.wake(self.now, &mut self.out);
        }
    }

    fn judge(&mut self, argument: &[u8]) {
        let verdicts = [Verdict::Accept, Verdict::Ignore, Verdict::Reject];
        for (verdict, id) in argument.iter().zip(std::mem::take(&mut self.judging)) {
            self.mesh.judged(self.now, id, verdicts[usize::from(*verdict) % 3], &mut self.out);
        }
    }

    // What came out is in order, and what is held is bounded.
    fn look(&mut self) {
        for output in self.out.drain(..) {
            match output {
                Output::Send { frame, .. } => drop(Rpc::decode(&frame).expect("our own frame")),
                Output::Deliver { id, .. } => self.judging.push(id),
                Output::Sign { ticket, .. } if ticket % 2 == 0 => {
                    self.mesh.signed(self.now, ticket, Some(&[ticket as u8; 64]), &mut Vec::new());
                }
                _ => {}
            }
        }
        assert!(self.mesh.is_sound());
        let [peers, pending, _, cached, wanted, back_offs] = self.mesh.held();
        assert!(peers as u64 <= PEERS && pending <= limits::PENDING_MAX && cached <= limits::CACHE_MAX);
        assert!(wanted <= limits::WANTED_MAX && back_offs <= limits::BACK_OFFS_MAX * limits::TOPICS_MAX);
    }
}

fn framed(body: &[u8]) -> Bytes {
    let mut frame = polypeer_engine::kit::protobuf::Writer::default();
    frame.varint(body.len() as u64);
    frame.raw(body);
    frame.finish().into()
}

fn message() -> Bytes {
    frame::message(&frame::Message {
        from: Some(&name(9).to_bytes()),
        data: Some(b"data"),
        seqno: Some(&[0; 8]),
        topic: Some(CONSENSUS.as_bytes()),
        signature: Some(&[0; 64]),
        ..Default::default()
    })
    .0
}

/// A frame of each kind.
pub fn spoken() -> Seeds {
    let id = MessageId([7; 32]);
    [
        ("subscription", frame::subscriptions([(CONSENSUS, true)].into_iter())),
        ("message", message()),
        ("ihave", frame::ihave(CONSENSUS, &[id])),
        ("iwant", frame::iwant(&[id])),
        ("graft", frame::graft(CONSENSUS)),
        ("prune", frame::prune(CONSENSUS, Some(60), &[name(3)])),
    ]
    .map(|(name, frame)| (name, frame.to_vec()))
    .into()
}

/// Two peers come, and one of them says each of these.
pub fn told() -> Seeds {
    let begin = [0, 0, 0, 2, 0, 0x10, 0, 0x12, 0, 0x1c, 0];
    let say = |frame: &[u8]| [&[14, frame.len() as u8], frame].concat();
    let seeds = spoken()
        .into_iter()
        .map(|(name, frame)| (name, [&begin[..], &say(&frame), &[7, 3, 0, 1, 2, 6, 3, 0x2a, 0, 0]].concat()));
    seeds.collect()
}

//! What two other nodes said to each other, with known keys and nonces: each side is played to ours, which must say the
//! same bytes up to Noise's last message, and take what follows as it was recorded.

use super::muxer::{Muxer, News, Received, Tube};
use super::noise::NoiseError;
use super::open::{self, OpenError, Sealed};
use super::pnet::Keystream;
use super::sealed::Seal;
use super::{Chance, Rules};
use crate::identity::Identity;
use bytes::Bytes;
use polypeer_engine::{ChannelId, ChannelKind, Direction, Libp2p, Phase, Time};
use serde_json::Value;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const RPC: ChannelKind = ChannelKind { kind: 7, name: "coda/rpcs/0.0.1", is_answered: true };

struct Recording(Value);

impl Recording {
    fn load() -> Self {
        Self(serde_json::from_str(include_str!("../../tests/libp2p/fixtures/handshake_vector.json")).expect("JSON"))
    }

    fn hex(&self, name: &str) -> Vec<u8> {
        let found = self.0.get(name).or_else(|| self.0["inputs"].get(name)).expect("a field");
        const_hex::decode(found.as_str().expect("text")).expect("hex")
    }

    fn key(&self, name: &str) -> [u8; 32] {
        self.hex(name).try_into().expect("32 bytes")
    }

    fn step(&self, number: usize, field: &str) -> Vec<u8> {
        const_hex::decode(self.0["steps"][number][field].as_str().expect("text")).expect("hex")
    }

    fn wire(&self, number: usize) -> Vec<u8> {
        self.step(number, "wire")
    }

    fn rules(&self, role: &str, nonce: usize) -> Rc<Rules> {
        let net = Libp2p {
            network_key: self.key("psk"),
            muxer: "/coda/yamux/1.0.0",
            offers_muxer_early: false,
            channels: &[RPC],
            open_time_max: Duration::from_secs(10),
            nonce_time_max: Duration::from_secs(10),
            select_time_max: Duration::from_secs(10),
            early_bytes_max: 1024,
            own_streams_max: 8,
            their_streams_max: 8,
            pending_below: Phase(0),
            pending_max: 8,
            pending_per_ip_max: 8,
        };
        let identity = Identity::from_seed(&self.key(&format!("{role}_identity_seed")));
        let known = Chance::Known {
            nonce: self.wire(nonce).try_into().expect("24 bytes"),
            ephemeral: self.key(&format!("{role}_noise_ephemeral_private")),
        };
        Rules::with(net, &identity, self.key(&format!("{role}_noise_static_private")), known).expect("a curve")
    }

    fn id(&self, role: &str) -> Bytes {
        let seed = self.key(&format!("{role}_identity_seed"));
        Bytes::copy_from_slice(&Identity::from_seed(&seed).peer_id())
    }
}

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let dialled = TcpStream::connect(listener.local_addr().expect("a socket"));
    let (dialled, accepted) = tokio::join!(dialled, listener.accept());
    (dialled.expect("it accepts"), accepted.expect("it dials").0)
}

// Plays one side: `theirs` are its steps, `ours` those that must come, in the order in which they were said.
async fn play(recording: &Recording, socket: &mut TcpStream, steps: &[(bool, usize)], piece: usize) {
    for (is_theirs, number) in steps {
        let wire = recording.wire(*number);
        if *is_theirs {
            for piece in wire.chunks(piece) {
                socket.write_all(piece).await.expect("it reads");
                socket.flush().await.expect("it reads");
                tokio::task::yield_now().await;
            }
        } else {
            let mut said = vec![0; wire.len()];
            socket.read_exact(&mut said).await.expect("it answers");
            assert_eq!(said, wire, "step {number}");
        }
    }
}

// Lets the muxer work until something is so.
async fn until<T>(muxer: &mut Muxer, mut is_so: impl FnMut(&mut Muxer) -> Option<T>) -> T {
    poll_fn(|cx| {
        muxer.begin_turn(cx, Time::default(), false);
        loop {
            muxer.push().expect("it reads");
            if let Some(so) = is_so(muxer) {
                return Poll::Ready(so);
            }
            match muxer.poll_take(cx) {
                Poll::Ready(Ok(())) => assert!(!muxer.is_over(), "it ended"),
                Poll::Ready(Err(error)) => panic!("{error}"),
                Poll::Pending => {
                    assert!(muxer.end_turn(cx));
                    return Poll::Pending;
                }
            }
        }
    })
    .await
}

async fn opened(muxer: &mut Muxer) -> (ChannelId, Direction, Tube, Vec<u8>) {
    until(muxer, |muxer| {
        muxer.take_news().into_iter().next().map(|news| match news {
            News::Opened { channel, kind, opener, stream, rest } => {
                assert_eq!(kind, RPC.kind);
                (channel, opener, stream, rest.to_vec())
            }
            News::Closed { end, .. } => panic!("{end:?}"),
        })
    })
    .await
}

async fn bytes(muxer: &mut Muxer, tube: &mut Tube, mut heard: Vec<u8>, length: usize) -> Vec<u8> {
    until(muxer, |muxer| {
        while let Received::Some(packet) = tube.receive(muxer) {
            heard.extend_from_slice(packet.as_ref());
        }
        (heard.len() >= length).then(|| std::mem::take(&mut heard))
    })
    .await
}

const DIALLERS: [(bool, usize); 9] =
    [(false, 0), (true, 1), (false, 2), (true, 3), (false, 4), (true, 5), (false, 6), (false, 7), (true, 8)];

#[tokio::test]
async fn as_the_dialler_ours_says_the_recorded_bytes_and_takes_the_answers() {
    let recording = Recording::load();
    for piece in [1, 7, 1024] {
        let rules = recording.rules("dialer", 0);
        let (ours, mut theirs) = pair().await;
        let (dialled, ()) = tokio::join!(open::dial(&rules, ours), play(&recording, &mut theirs, &DIALLERS, piece));
        let (mut muxer, id) = dialled.expect("a connection");
        assert_eq!(id, recording.id("listener"));
        let wanted = ChannelId::nth(Direction::Outbound, 1).expect("a number");
        assert!(muxer.open(wanted, RPC.kind, Time::default()));
        for number in [10, 12, 14, 16] {
            theirs.write_all(&recording.wire(number)).await.expect("it reads");
        }
        let (channel, opener, mut tube, rest) = opened(&mut muxer).await;
        assert_eq!((channel, opener), (wanted, Direction::Outbound));
        let known = [recording.step(12, "noise_plaintext"), recording.step(14, "noise_plaintext")];
        let known = known.map(|frame| frame[12..].to_vec()).concat();
        assert_eq!(bytes(&mut muxer, &mut tube, rest, known.len()).await, known);
        // What ours says is what the other would have understood, the answer to its ping too.
        let said = understand(&recording, "dialer_to_listener", &DIALLERS, &mut theirs, |said| {
            let pong = recording.step(17, "noise_plaintext");
            said.windows(12).any(|window| window == pong)
        });
        let said = said.await;
        let opening = recording.step(9, "noise_plaintext");
        assert!(said.windows(opening.len()).any(|window| window == opening), "the stream was opened as recorded");
    }
}

const LISTENERS: [(bool, usize); 9] =
    [(true, 0), (false, 1), (true, 2), (false, 3), (true, 4), (false, 5), (true, 6), (true, 7), (false, 8)];

#[tokio::test]
async fn as_the_listener_ours_says_the_recorded_bytes_and_takes_what_is_asked() {
    let recording = Recording::load();
    for piece in [1, 7, 1024] {
        let rules = recording.rules("listener", 1);
        let (mut theirs, ours) = pair().await;
        let (answered, ()) = tokio::join!(open::answer(&rules, ours), play(&recording, &mut theirs, &LISTENERS, piece));
        let (talk, id): (Sealed, Bytes) = answered.expect("a connection");
        assert_eq!(id, recording.id("dialer"));
        let mut muxer = talk.finish(&rules, false);
        for number in [9, 11, 13, 15] {
            theirs.write_all(&recording.wire(number)).await.expect("it reads");
        }
        let (channel, opener, mut tube, rest) = opened(&mut muxer).await;
        assert_eq!((Some(channel), opener), (ChannelId::nth(Direction::Inbound, 1), Direction::Inbound));
        let known = [11, 13, 15].map(|number| recording.step(number, "noise_plaintext")[12..].to_vec()).concat();
        assert_eq!(bytes(&mut muxer, &mut tube, rest, known.len()).await, known);
        let agreed = recording.step(10, "noise_plaintext");
        let said = understand(&recording, "listener_to_dialer", &LISTENERS, &mut theirs, |said| {
            said.windows(agreed.len()).any(|window| window == agreed)
        });
        said.await;
    }
}

// Uncovers and opens what ours says behind the recorded steps, until enough has come.
async fn understand(
    recording: &Recording,
    way: &str,
    steps: &[(bool, usize)],
    socket: &mut TcpStream,
    is_enough: impl Fn(&[u8]) -> bool,
) -> Vec<u8> {
    let before = steps.iter().filter(|(is_theirs, _)| !is_theirs).map(|(_, number)| recording.wire(*number));
    let before: Vec<_> = before.collect();
    let nonce = before[0].clone().try_into().expect("24 bytes");
    let mut stream = Keystream::new(&recording.key("psk"), &nonce);
    before[1..].iter().for_each(|wire| stream.apply(&mut wire.clone()));
    let mut seal = Seal::new(&recording.key(&format!("noise_transport_key_{way}"))).expect("a key");
    // The agreement on the muxer was sealed too.
    seal.seal(&mut []).expect("a number");
    let mut said = Vec::new();
    while !is_enough(&said) {
        let mut length = [0; 2];
        socket.read_exact(&mut length).await.expect("it goes on");
        stream.apply(&mut length);
        let mut message = vec![0; u16::from_be_bytes(length).into()];
        socket.read_exact(&mut message).await.expect("it goes on");
        stream.apply(&mut message);
        let length = seal.open(&mut message).expect("it is sealed");
        said.extend_from_slice(&message[..length]);
    }
    said
}

#[tokio::test]
async fn every_bit_of_the_recorded_handshake_counts() {
    let recording = Recording::load();
    let rules = recording.rules("listener", 1);
    let said: Vec<_> = [2, 4, 6].map(|number| recording.wire(number)).concat();
    for at in 0..said.len() {
        let (mut theirs, ours) = pair().await;
        let mut bent = said.clone();
        bent[at] ^= 1 << (at % 8);
        theirs.write_all(&[recording.wire(0), bent].concat()).await.expect("it reads");
        theirs.shutdown().await.expect("a socket");
        let answered = open::answer(&rules, ours).await;
        let is_told = match answered {
            Err(OpenError::Select(_) | OpenError::Noise(NoiseError::Handshake)) => true,
            // A length that is longer than what comes.
            Err(OpenError::Socket(_) | OpenError::TooMuch) => at < said.len(),
            _ => false,
        };
        assert!(is_told, "byte {at}");
    }
}

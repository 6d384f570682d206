//! What of yamux a peer may use, and what ends it.

use crate::raw::{ACK, Came, DATA, FIN, GO_AWAY, PING, RST, Raw, SYN, WINDOW, WINDOW_BYTES, aside, data, frame, token};
use crate::toy::{
    CHUNK_BYTES, Config, NAMES, Told, Toy, drain, frame as toy_frame, run, until, until_channels, until_connected,
    until_gone,
};
use polypeer_driver::Handle;
use polypeer_engine::{BadFrame, ChannelEnd, ChannelId, DisconnectCause};

fn opening() -> Vec<u8> {
    [token("/multistream/1.0.0"), token(NAMES[0])].concat()
}

// Somebody opens a stream, does this, and is found to have broken a rule; nobody else is hurt.
async fn is_blamed(node: &Handle<Toy>, does: impl FnOnce(&mut Raw) + Send + 'static) {
    let address = node.listening().expect("it listens");
    let before = node.read(|view| view.engine.protocol().bad.len()).await.expect("it runs");
    aside(move || {
        let mut bystander = Raw::connect(address);
        bystander.open(1);
        let mut raw = Raw::connect(address);
        raw.open(1);
        does(&mut raw);
        raw.closed();
        bystander.ask(1, b"unhurt");
    })
    .await;
    until(node, "blamed", move |view| view.engine.protocol().bad.len() == before + 1).await;
    let bad = node.read(|view| view.engine.protocol().bad.last().copied()).await.expect("it runs");
    assert_eq!(bad, Some((ChannelId::ONLY, BadFrame::OF_TRANSPORT)));
    until_connected(node, 0).await;
}

// Somebody does this and goes on talking.
async fn is_borne(node: &Handle<Toy>, does: impl FnOnce(&mut Raw) + Send + 'static) {
    let address = node.listening().expect("it listens");
    aside(move || {
        let mut raw = Raw::connect(address);
        raw.open(1);
        does(&mut raw);
        raw.ask(1, b"it stands");
    })
    .await;
    until_connected(node, 0).await;
    assert_eq!(node.read(|view| view.engine.protocol().bad.clone()).await, Ok(vec![]));
}

#[tokio::test]
async fn a_stream_may_be_opened_by_a_window_update() {
    let node = run(1, Config::default());
    is_borne(&node, |raw| {
        raw.say(&frame(WINDOW, SYN, 3, 0, b""));
        raw.say(&data(0, 3, &opening()));
        let answer = raw.receive().expect("an answer");
        assert_eq!((answer.stream, answer.body), (3, opening()));
        assert_eq!(answer.flags, ACK);
        raw.ask(3, b"on it");
    })
    .await;
    drain(node).await;
}

#[tokio::test]
async fn pings_are_answered() {
    let node = run(1, Config::default());
    is_borne(&node, |raw| {
        raw.say(&frame(PING, SYN, 0, 0xdead_beef, b""));
        loop {
            let came = raw.next().expect("an answer");
            if came.kind == PING && came.flags == ACK {
                return assert_eq!((came.stream, came.length), (0, 0xdead_beef));
            }
        }
    })
    .await;
    drain(node).await;
}

#[tokio::test]
async fn what_comes_on_streams_that_are_not_there_is_harmless() {
    let node = run(1, Config::default());
    is_borne(&node, |raw| {
        raw.say(&data(0, 99, b"nobody"));
        raw.say(&frame(WINDOW, 0, 99, 1000, b""));
        raw.say(&frame(DATA, RST, 99, 0, b""));
        raw.say(&frame(DATA, FIN, 98, 0, b""));
    })
    .await;
    drain(node).await;
}

#[tokio::test]
async fn a_stream_that_is_broken_off_after_all_was_said_is_harmless() {
    let node = run(1, Config::default());
    is_borne(&node, |raw| {
        raw.open(3);
        raw.tell(3, b'F', b"the last");
        assert_eq!(raw.told(3), Some((b'F', b"the last".to_vec())));
        raw.say(&frame(DATA, FIN, 3, 0, b""));
        raw.say(&frame(DATA, RST, 3, 0, b""));
        // The number may be used again when the other end has taken note.
        raw.ask(1, b"meanwhile");
        raw.open(3);
        raw.ask(3, b"again");
    })
    .await;
    drain(node).await;
}

#[tokio::test]
async fn a_window_is_not_overrun_and_goes_on_when_it_is_moved() {
    let node = run(1, Config::default());
    is_borne(&node, |raw| {
        const CHUNKS: u32 = 10;
        raw.tell(1, b'r', &CHUNKS.to_be_bytes());
        let whole = CHUNKS as usize * (5 + CHUNK_BYTES);
        // What agreeing took of the window, too.
        let mut came = opening().len();
        while came < WINDOW_BYTES as usize {
            came += raw.receive().expect("more").body.len();
        }
        assert_eq!(came, WINDOW_BYTES as usize);
        raw.say(&frame(PING, SYN, 0, 1, b""));
        // Nothing of the stream comes before the window moves.
        while !matches!(raw.next().expect("an answer"), Came { kind: PING, flags: ACK, .. }) {}
        raw.say(&frame(WINDOW, 0, 1, 4 << 20, b""));
        while came < whole + opening().len() {
            came += raw.receive().expect("the rest").body.len();
        }
    })
    .await;
    drain(node).await;
}

#[tokio::test]
async fn data_beyond_the_window_ends_the_connection() {
    let node = run(1, Config::default());
    // More than a frame can have room for.
    is_blamed(&node, |raw| raw.say(&frame(DATA, 0, 1, WINDOW_BYTES + 1, b""))).await;
    is_blamed(&node, |raw| raw.say(&frame(DATA, 0, 1, 16 << 20, b""))).await;
    is_blamed(&node, |raw| raw.say(&frame(DATA, 0, 1, u32::MAX, b""))).await;
    drain(node).await;
}

// CVE-2026-32314: a stream that begins with more than its window had the library panic.
#[tokio::test]
async fn a_stream_that_begins_with_more_than_its_window_ends_the_connection() {
    let node = run(1, Config::default());
    is_blamed(&node, |raw| {
        let body = vec![0; WINDOW_BYTES as usize + 1];
        let _ = raw.try_say(&data(SYN, 3, &body));
    })
    .await;
    drain(node).await;
}

// CVE-2026-31814: windows that add up to more than 32 bits had the library panic.
#[tokio::test]
async fn windows_that_overflow_end_the_connection() {
    let node = run(1, Config::default());
    is_blamed(&node, |raw| raw.say(&frame(WINDOW, 0, 1, u32::MAX, b""))).await;
    is_blamed(&node, |raw| raw.say(&frame(WINDOW, SYN, 3, u32::MAX, b""))).await;
    is_blamed(&node, |raw| {
        raw.say(&frame(WINDOW, 0, 1, u32::MAX / 2, b""));
        raw.say(&frame(WINDOW, 0, 1, u32::MAX / 2, b""));
    })
    .await;
    drain(node).await;
}

#[tokio::test]
async fn frames_that_no_rule_allows_end_the_connection() {
    let node = run(1, Config::default());
    // A version and a kind that there are not.
    is_blamed(&node, |raw| raw.say(&[1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0])).await;
    is_blamed(&node, |raw| raw.say(&frame(9, 0, 1, 0, b""))).await;
    // Numbers of our side, of none, and twice.
    is_blamed(&node, |raw| raw.say(&data(SYN, 2, &opening()))).await;
    is_blamed(&node, |raw| raw.say(&data(SYN, 1, &opening()))).await;
    // An answer to a ping that was not said.
    is_blamed(&node, |raw| {
        raw.say(&frame(PING, ACK, 0, 12345, b""));
        raw.say(&frame(PING, ACK, 0, 54321, b""));
    })
    .await;
    drain(node).await;
}

#[tokio::test]
async fn who_says_that_it_goes_is_gone_in_order() {
    let node = run(1, Config::default());
    let address = node.listening().expect("it listens");
    aside(move || {
        let mut raw = Raw::connect(address);
        raw.open(1);
        // What came before it counts.
        raw.say(&[data(0, 1, &toy_frame(b'.', b"the last")), frame(GO_AWAY, 0, 0, 0, b"")].concat());
        raw.closed();
    })
    .await;
    until_gone(&node, &[DisconnectCause::Theirs]).await;
    assert_eq!(node.read(|view| view.engine.protocol().last.clone()).await, Ok(toy_frame(b'.', b"the last")));
    drain(node).await;
}

#[tokio::test]
async fn streams_beyond_the_limit_are_closed_and_the_others_stay() {
    let node = run(1, Config { their_streams_max: 4, ..Config::default() });
    is_borne(&node, |raw| {
        for stream in [3, 5, 7] {
            raw.open(stream);
        }
        for stream in [9, 11, 13] {
            raw.say(&data(SYN, stream, &opening()));
            let end = raw.receive().expect("an end");
            assert_eq!((end.stream, end.flags & FIN, end.body), (stream, FIN, vec![]));
        }
        // One that ends leaves its place.
        raw.tell(3, b'F', b"");
        raw.say(&frame(DATA, FIN, 3, 0, b""));
        while raw.receive().expect("its end").flags & FIN == 0 {}
        raw.open(15);
        raw.ask(15, b"in its place");
    })
    .await;
    drain(node).await;
}

#[tokio::test]
async fn channels_of_ours_have_a_limit_too() {
    let node = run(1, Config { own_streams_max: 2, ..Config::default() });
    let address = node.listening().expect("it listens");
    let raw = aside(move || {
        let mut raw = Raw::connect(address);
        raw.open(1);
        for _ in 0..5 {
            raw.tell(1, b'o', &[1]);
        }
        raw
    })
    .await;
    let refused = |view: &polypeer_driver::View<'_, Toy>| {
        let told = &view.engine.protocol().told;
        told.iter().filter(|told| **told == Told::Closed(ChannelEnd::Refused)).count() == 3
    };
    until(&node, "refused", refused).await;
    drop(raw);
    drain(node).await;
}

#[tokio::test]
async fn a_thousand_streams_one_after_another_leave_nothing() {
    let node = run(1, Config::default());
    let address = node.listening().expect("it listens");
    let raw = aside(move || {
        let mut raw = Raw::connect(address);
        for number in 0..1_000 {
            let stream = 1 + 2 * number;
            raw.open(stream);
            match number % 3 {
                0 => {
                    raw.tell(stream, b'F', b"x");
                    assert!(raw.told(stream).is_some());
                    raw.say(&frame(DATA, FIN, stream, 0, b""));
                }
                1 => raw.say(&frame(DATA, RST, stream, 0, b"")),
                _ => raw.tell(stream, b'R', b""),
            }
            // A thousand openings would be noise without any talk.
            if number % 10 == 0 {
                raw.open(1_000_001 + 2 * number);
                raw.ask(1_000_001 + 2 * number, &[7; 20_000]);
                raw.say(&frame(DATA, RST, 1_000_001 + 2 * number, 0, b""));
            }
        }
        raw
    })
    .await;
    until(&node, "told", |view| view.engine.protocol().told.len() == 1_867).await;
    let held = node.read(|view| view.meters.totals().all.partial_bytes).await;
    assert_eq!(held, Ok(0));
    drop(raw);
    until_channels(&node, 0).await;
    drain(node).await;
}

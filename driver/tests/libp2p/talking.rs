//! Two nodes of ours: channels open, carry, end, and the connection with them.

use crate::toy::{
    CHUNK_BYTES, Config, NEWS, SHY, TALK, Told, connect, drain, frame, identity, open_on_all, run, tell_all, until,
    until_channels, until_connected, until_gone,
};
use polypeer_driver::Handle;
use polypeer_engine::{ChannelEnd, Direction, DisconnectCause};
use std::time::Duration;

// Two nodes, of which the first has dialled the second.
async fn two(config: Config) -> (Handle<crate::toy::Toy>, Handle<crate::toy::Toy>) {
    let (one, other) = (run(1, config.clone()), run(2, config));
    connect(&one, other.listening().expect("it listens")).await;
    until_connected(&one, 1).await;
    until_connected(&other, 1).await;
    (one, other)
}

#[tokio::test]
async fn both_ends_know_each_other_by_their_keys() {
    for offers_muxer_early in [false, true] {
        let (one, other) = two(Config { offers_muxer_early, ..Config::default() }).await;
        let ids = [identity(1), identity(2)].map(|identity| identity.peer_id());
        until(&one, "named", move |view| view.engine.protocol().peers == [ids[1].to_vec()]).await;
        until(&other, "named", move |view| view.engine.protocol().peers == [ids[0].to_vec()]).await;
        drain(one).await;
        drain(other).await;
    }
}

#[tokio::test]
async fn a_channel_carries_frames_both_ways() {
    let (one, other) = two(Config::default()).await;
    open_on_all(&one, TALK).await;
    until(&one, "opened", |view| view.engine.protocol().told == [Told::Opened(TALK, Direction::Outbound)]).await;
    until(&other, "opened", |view| view.engine.protocol().told == [Told::Opened(TALK, Direction::Inbound)]).await;
    // Said back by the other, and quiet here.
    tell_all(&one, b'.', b"to the other").await;
    until(&other, "heard", |view| view.engine.protocol().last == frame(b'.', b"to the other")).await;
    tell_all(&other, b'.', b"and back").await;
    until(&one, "heard", |view| view.engine.protocol().last == frame(b'.', b"and back")).await;
    // Whoever was dialled opens channels too.
    open_on_all(&other, NEWS).await;
    until_channels(&one, 2).await;
    until_channels(&other, 2).await;
    drain(one).await;
    until_gone(&other, &[DisconnectCause::Theirs]).await;
    drain(other).await;
}

#[tokio::test]
async fn a_channel_opens_on_a_connection_that_was_quiet_for_long() {
    let select_ms_max = 2_000;
    let (one, other) = two(Config { select_ms_max, ..Config::default() }).await;
    // Longer than an agreement on a channel may take: that time is its own.
    tokio::time::sleep(Duration::from_millis(select_ms_max + 100)).await;
    open_on_all(&one, TALK).await;
    until(&one, "opened", |view| view.engine.protocol().told == [Told::Opened(TALK, Direction::Outbound)]).await;
    drain(one).await;
    drain(other).await;
}

#[tokio::test]
async fn what_the_other_does_not_speak_is_refused_and_the_connection_stays() {
    let (one, other) = two(Config::default()).await;
    open_on_all(&one, SHY).await;
    open_on_all(&one, 99).await;
    let refused = [Told::Closed(ChannelEnd::Refused); 2];
    until(&one, "refused", move |view| view.engine.protocol().told == refused).await;
    open_on_all(&one, TALK).await;
    until_channels(&other, 1).await;
    drain(one).await;
    drain(other).await;
}

#[tokio::test]
async fn large_frames_and_many_small_ones_come_as_they_went() {
    let (one, other) = two(Config::default()).await;
    open_on_all(&one, TALK).await;
    open_on_all(&one, NEWS).await;
    until_channels(&one, 2).await;
    until_channels(&other, 2).await;
    let large: Vec<u8> = (0..3_000_000_u32).map(|at| (at % 251) as u8).collect();
    let whole = frame(b'.', &large);
    tell_all(&one, b'.', &large).await;
    until(&other, "heard", move |view| {
        let toy = view.engine.protocol();
        toy.quiet == 2 && toy.last == whole
    })
    .await;
    for number in 0..2_000_u32 {
        tell_all(&other, b'.', &number.to_be_bytes()).await;
    }
    until(&one, "heard", |view| view.engine.protocol().quiet == 4_000).await;
    drain(one).await;
    drain(other).await;
}

#[tokio::test]
async fn answers_are_made_as_they_are_read_on_every_channel() {
    let (one, other) = two(Config { queue_bytes_max: 1 << 20, ..Config::default() }).await;
    open_on_all(&one, TALK).await;
    open_on_all(&one, NEWS).await;
    until_channels(&one, 2).await;
    const CHUNKS: u32 = 100;
    tell_all(&one, b'r', &CHUNKS.to_be_bytes()).await;
    until(&one, "all came", |view| view.engine.protocol().quiet == 2 * u64::from(CHUNKS)).await;
    let bytes = 2 * u64::from(CHUNKS) * (5 + CHUNK_BYTES as u64);
    until(&one, "counted", move |view| view.meters.totals().all.bytes_framed == bytes).await;
    drain(one).await;
    drain(other).await;
}

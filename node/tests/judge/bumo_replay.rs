//! Replays the recorded conversation of two real nodes over a real socket, in each one's place.

use super::bumo::*;
use super::bumo_court::{Court, Plan};
use super::bumo_pbft::{COMMIT, PRE_PREPARE, PREPARE, Pbft};
use super::websocket::recorded;
use std::net::TcpListener;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// So long that nothing but the recording moves the consensus.
const INTERVAL: Duration = Duration::from_secs(60);

fn messages(name: &str, has_dialled: bool) -> Vec<Said> {
    recorded(&fixture(name), has_dialled).iter().map(|payload| Said::read(payload)).collect()
}

/// What a node said but its questions for ledgers, which the original asks after 30 s and ours at once, and its wish to
/// upgrade, which leaves at the start whether the connection stands by then or not. The numbers of requests after one are
/// less by as much.
fn without_extras(said: &[Said]) -> Vec<Said> {
    let mut extras = 0;
    let mut rest = Vec::new();
    for one in said {
        if one.is_request && [LEDGERS, UPGRADE].contains(&one.kind) {
            extras += 1;
        } else {
            let sequence = if one.is_request { one.sequence - extras } else { one.sequence };
            rest.push(Said { sequence, ..one.clone() });
        }
    }
    rest
}

// HELLO without what is drawn and where it listens.
fn masked(hello: &Said) -> Vec<(u64, String)> {
    let fields = hello.fields();
    let numbers = [1, 2, 3].map(|field| (field, fields.number(field).to_string()));
    let texts = [4, 6].map(|field| (field, fields.text(field)));
    assert!(fields.text(7).starts_with("node-rand-"), "{}", fields.text(7));
    numbers.into_iter().chain(texts).collect()
}

fn outlines(said: &[Said]) -> Vec<(i64, bool, i64)> {
    said.iter().map(Said::outline).collect()
}

#[test]
fn in_the_acceptors_place_ours_answers_as_it_did() {
    let court = Court::new(&Plan::new(4, Some(2), INTERVAL));
    let (said, theirs) =
        (messages("stream_dialer_to_acceptor.bin", true), messages("stream_acceptor_to_dialer.bin", false));
    let mut peer = Peer::dial(court.node.address);
    peer.answers_pings = false;
    let mut ours = Vec::new();
    let mut hear_until = |peer: &mut Peer, count: usize| {
        let deadline = Instant::now() + PATIENCE;
        while without_extras(&ours).len() < count {
            match peer.hear(deadline.saturating_duration_since(Instant::now())) {
                Heard::Said(said) => ours.push(said),
                heard => panic!("{count} messages are due: {heard:?} after {ours:?}"),
            }
        }
        without_extras(&ours)
    };
    // HELLO and its answer come, PEERS, the answer to PING, its own PING.
    said[..3].iter().for_each(|one| peer.say(one));
    let first = hear_until(&mut peer, 5);
    assert_eq!(outlines(&first), outlines(&theirs[..5]), "type, request flag, sequence, order");
    assert_eq!(masked(&first[0]), masked(&theirs[0]));
    assert_eq!((&first[1], &first[3]), (&theirs[1], &theirs[3]), "its answers byte for byte");
    // The answer to PING carries the nonce of ours.
    peer.say(&Said { data: first[4].data.clone(), ..said[3].clone() });
    // The proposal, and the votes of the others as the dialler relayed them.
    said[4..].iter().for_each(|one| peer.say(one));
    let proposal = Pbft::read(&said[4].data);
    let close_time = Fields::read(&proposal.value).number(2);
    let now =
        i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_micros()).expect("now");
    if now <= close_time - 1_000_000 {
        // By this machine's clock the value is of the future: perhaps valid, and no vote is due.
        return peer.hushed(PBFT, true);
    }
    // Of what the original said next, its own votes of the first round: the rest it relayed from another connection, or
    // repeated because votes reached it twice.
    let own =
        |said: &&Said| said.kind == PBFT && Pbft::read(&said.data).replica == 2 && Pbft::read(&said.data).round == 1;
    let their_votes: Vec<Vec<u8>> = theirs.iter().filter(own).map(|said| said.data.clone()).collect();
    assert_eq!(their_votes.len(), 2, "PREPARE and COMMIT");
    let all = hear_until(&mut peer, 7);
    assert_eq!(all[5..].iter().map(|said| said.data.clone()).collect::<Vec<_>>(), their_votes, "byte for byte");
    let kinds: Vec<i64> = their_votes.iter().map(|vote| Pbft::read(vote).kind).collect();
    assert_eq!(kinds, [PREPARE, COMMIT]);
    let numbers: Vec<i64> = all[5..].iter().map(|said| said.sequence).collect();
    assert_eq!((numbers[0], numbers[1]), (theirs[5].sequence, theirs[5].sequence + 1));
    court.wait_for_height(2, PATIENCE);
    assert_eq!(court.block("2").expect("ledger 2")["hex"], hex(&proposal.value), "and the ledger is closed");
}

#[test]
fn in_the_diallers_place_ours_answers_as_it_did() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let connect = vec![listener.local_addr().expect("an address")];
    // It proposes 0.3 intervals after its start.
    let court = Court::new(&Plan { connect, ..Plan::new(4, Some(0), Duration::from_secs(10)) });
    let (said, theirs) =
        (messages("stream_acceptor_to_dialer.bin", false), messages("stream_dialer_to_acceptor.bin", true));
    let mut peer = Peer::accept(&listener);
    peer.answers_pings = false;
    let mut ours = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut next = 0;
    while without_extras(&ours).len() < 5 {
        let heard = peer.hear(deadline.saturating_duration_since(Instant::now()));
        let Heard::Said(one) = heard else { panic!("five are due: {heard:?} after {ours:?}") };
        let answered = match (one.kind, one.is_request) {
            // HELLO, the answer to it, PEERS.
            (HELLO, true) => 3,
            // The answer to its PING, with its nonce, and a PING.
            (PING, true) => 5,
            _ => next,
        };
        for reply in &said[next..answered] {
            let data =
                if (reply.kind, reply.is_request) == (PING, false) { one.data.clone() } else { reply.data.clone() };
            peer.say(&Said { data, ..reply.clone() });
        }
        next = answered;
        ours.push(one);
    }
    let ours = without_extras(&ours);
    assert_eq!(outlines(&ours), outlines(&theirs[..5]), "type, request flag, sequence, order");
    assert_eq!(masked(&ours[0]), masked(&theirs[0]));
    assert_eq!((&ours[1], &ours[3]), (&theirs[1], &theirs[3]), "its answers byte for byte");
    let (own, recorded) = (Pbft::read(&ours[4].data), Pbft::read(&theirs[4].data));
    let place = |it: &Pbft| (it.kind, it.view, it.sequence, it.replica);
    assert_eq!(place(&own), place(&recorded), "the same proposal, but for its time and round");
    assert_eq!(own.kind, PRE_PREPARE);
    let plain = |value: &[u8]| {
        let fields = Fields::read(value);
        (fields.has(1), fields.bytes(1).to_vec(), fields.bytes(3).to_vec(), fields.number(4), fields.bytes(5).to_vec())
    };
    assert_eq!(plain(&own.value), plain(&recorded.value), "all of the value but its time");
    drop(court);
}

//! Judges BUMO on the wire: a stranger who was written from the spec alone, against the program itself.
//!
//! HTTP, WebSocket, protocol buffers, keys and the validator's rules are by hand; nothing here shares code with the
//! protocols or the ledger. `polypeer run` is a process on a private network with the captures' genesis and validators.

mod judge {
    pub(crate) mod bumo;
    mod bumo_carrier;
    pub(crate) mod bumo_court;
    mod bumo_limits;
    pub(crate) mod bumo_pbft;
    mod bumo_replay;
    pub(crate) mod bumo_rows;
    pub(crate) mod bumo_validator;
    pub(crate) mod node;
    pub(crate) mod websocket;
}

use judge::bumo::{Fields, HELLO, Hello, Key, PATIENCE, PEERS, Peer, TRANSACTION, hex, unhex, verifies};
use judge::bumo_court::{Court, NAME, Payment, Plan, hello_with, id_of};
use judge::bumo_pbft::Pbft;
use judge::bumo_rows::{self as rows, Checked};
use judge::bumo_validator::Validator;
use serde_json::Value;
use std::collections::BTreeSet;
use std::net::TcpListener;
use std::time::Duration;

#[test]
fn the_judge_knows_keys_and_the_handshake() {
    judge::websocket::accepts_as_recorded();
    let vectors: Value = serde_json::from_slice(&judge::bumo::fixture("chain_vectors.json")).expect("JSON");
    for (number, validator) in vectors["net4"]["validators"].as_array().expect("four").iter().enumerate() {
        let key = Key::validator(number);
        assert_eq!(
            (validator["address"].as_str(), validator["public_key"].as_str()),
            (Some(&*key.address), Some(&*key.public))
        );
    }
    for name in ["pbft_preprepare_v2_s3", "pbft_newview_v5_prepared", "pbft_viewchange_raw_v5_prepared_r1"] {
        Pbft::read(&judge::bumo::Said::read(&judge::bumo::fixture(&format!("{name}.hex"))).data);
    }
}

/// The rows that wait run beside the others, so that all of them take as long as the longest: 26.
#[test]
fn every_row_of_the_checklist_is_checked() {
    let court = Court::new(&Plan::new(1, Some(0), Duration::from_millis(500)));
    let mut checked: Vec<Checked> = std::thread::scope(|scope| {
        let slow = [
            scope.spawn(|| vec![rows::silences(&court)]),
            scope.spawn(|| vec![rows::says_nothing(&court)]),
            scope.spawn(|| vec![rows::refuses_its_hello()]),
            scope.spawn(rows::consensus),
            scope.spawn(|| vec![rows::joins()]),
        ];
        let mut all = rows::greetings(&court);
        all.extend(rows::messages(&court));
        all.extend(rows::bodies(&court));
        all.extend(rows::ledgers(&court));
        all.push(rows::told_of_peers(&court));
        all.extend(rows::relays(&court));
        all.push(rows::wrong_frames(&court));
        all.extend(slow.into_iter().flat_map(|thread| thread.join().expect("a row holds")));
        all
    });
    checked.sort_by_key(|row| row.number);
    for Checked { number, stimulus, expected, ours, differs } in &checked {
        let verdict = differs.map_or("same".to_owned(), |because| format!("differs because {because}"));
        println!("| {number} | {stimulus} | {expected} | {ours} | {verdict} |");
    }
    println!("{} rows asserted", checked.len());
    let numbers: Vec<u8> = checked.iter().map(|row| row.number).collect();
    assert_eq!(numbers, (1..=30).collect::<Vec<u8>>(), "all 30 rows");
}

#[test]
fn a_strangers_validator_agrees_with_ours() {
    const INTERVAL: Duration = Duration::from_secs(1);
    let patience = INTERVAL * 60;
    let first = Court::new(&Plan::new(4, Some(0), INTERVAL));
    let connect = vec![first.node.address];
    let second = Court::new(&Plan { connect, ..Plan::new(4, Some(1), INTERVAL) });
    let connect = vec![first.node.address, second.node.address];
    let third = Court::new(&Plan { connect, ..Plan::new(4, Some(2), INTERVAL) });
    let mut validator = Validator::join(3, INTERVAL, &[&first, &second, &third]);

    // All four: its proposals are taken.
    validator.take_part(&first, patience, |it| {
        it.closed.iter().filter(|ledger| ledger.is_agreed && ledger.view % 4 == 3).count() >= 2
    });
    let own = validator.closed.iter().rfind(|ledger| ledger.view % 4 == 3).expect("its own").clone();
    first.wait_for_height(own.sequence, patience);
    let block = first.block(&own.sequence.to_string()).expect("it is closed at ours");
    assert_eq!(block["hex"], hex(&own.value), "what it proposed, byte for byte");
    println!("ledger {} was proposed by the stranger and closed by {:?}", own.sequence, own.replicas);

    // Ours without the third: its votes are needed, and it opens the views that would be the third's.
    validator.hang_up(2);
    drop(third);
    let (from, opened) = (validator.last, validator.opened.len());
    validator.take_part(&first, patience, |it| {
        it.last >= from + 6 && it.opened.values().skip(opened).any(|(by, _)| *by == 3)
    });
    let since: Vec<_> = validator.closed.iter().filter(|ledger| ledger.sequence > from + 1).collect();
    let needed = BTreeSet::from([0, 1, 3]);
    assert!(since.iter().all(|ledger| ledger.is_agreed && ledger.replicas == needed), "{since:?}");
    println!("{} ledgers with its vote needed; views opened: {:?}", since.len(), validator.opened.keys());

    // It keeps a commit to itself in a view of ours whose next is ours too: the value is prepared and carried.
    carried(&mut validator, &first, 0, &[0], 1);
    // The same where it opens the next view itself, after one that nobody is there to open.
    carried(&mut validator, &first, 1, &[0], 3);
    // In two views in a row: ours repeats the second's NEW-VIEW, for its ledger does not close.
    let view = carried(&mut validator, &first, 0, &[0, 1], 3);
    let rounds: Vec<i64> =
        validator.heard_new_views.iter().filter(|(of, _)| *of == view + 1).map(|(_, round)| *round).collect();
    assert!(rounds.starts_with(&[0, 2]), "the first repetition has round 2: {rounds:?}");
    println!("the NEW-VIEW of view {} came with the rounds {rounds:?}", view + 1);
    let last = validator.last;
    for court in [&first, &second] {
        court.wait_for_height(last, patience);
    }
    let hash = |court: &Court| court.block(&last.to_string()).expect("a ledger")["hash"].clone();
    assert_eq!(hash(&first), hash(&second), "no fork");
    let value = &validator.closed.last().expect("ledgers").value;
    assert_eq!(first.block(&last.to_string()).expect("a ledger")["hex"], hex(value));
}

// Commits are withheld in the next view of `primary`, and in those so far behind it; the value comes again in a view that
// `by` opens. The first of the views.
fn carried(validator: &mut Validator, court: &Court, primary: i64, withheld: &[i64], by: i64) -> i64 {
    let patience = Duration::from_secs(60);
    let view = (validator.view + 1..).find(|view| view % 4 == primary).expect("a view");
    validator.withholds = withheld.iter().map(|further| view + further).collect();
    validator.take_part(court, patience, |it| it.proposed.contains_key(&view) || it.view > view);
    let Some(value) = validator.proposed.get(&view).cloned() else {
        // A view change has passed it over.
        return carried(validator, court, primary, withheld, by);
    };
    let changes = validator.heard_changes.len();
    validator.take_part(court, patience, |it| it.closed.iter().any(|ledger| ledger.value == value));
    let digest = judge::bumo::sha256(&value).to_vec();
    let reports: BTreeSet<i64> = validator.heard_changes[changes..]
        .iter()
        .filter(|(_, _, said)| *said == digest)
        .map(|(_, replica, _)| *replica)
        .collect();
    assert!(reports.is_superset(&BTreeSet::from([0, 1, 3])), "all report what they prepared: {reports:?}");
    let closed = validator.closed.iter().rfind(|ledger| ledger.value == value).expect("closed").clone();
    let (opener, kept) = validator.opened[&closed.view].clone();
    assert_eq!(opener, by, "view {} of {:?}", closed.view, validator.opened.keys());
    let kept = Pbft::read(&kept.expect("a prepared value is carried"));
    assert_eq!((Some(&kept.view), &kept.value), (validator.withholds.last(), &value), "the latest that was prepared");
    assert_eq!(validator.proposed[&closed.view], value, "proposed again byte for byte");
    println!("what was prepared in view {view} was carried by {opener} to view {} and closed there", closed.view);
    view
}

#[test]
fn whom_it_dials_is_checked_as_whoever_dials_it() {
    let wrong = [
        ("Different network id, remote id(7) is not", hello_with("dialled 1", |hello| hello.network_id = 7)),
        ("The peer connection breaks as the configuration", Hello::of("bumo-test-node-4").data()),
        ("Peer's overlay version(999) is too old,", hello_with("dialled 2", |hello| hello.overlay_version = 999)),
        ("Peer's listen port(0) is not valid", hello_with("dialled 3", |hello| hello.port = 0)),
        ("", Hello::of("dialled 4").data()),
    ];
    let listeners: Vec<_> = wrong.iter().map(|_| TcpListener::bind("127.0.0.1:0").expect("loopback")).collect();
    let connect = listeners.iter().map(|it| it.local_addr().expect("an address")).collect();
    let court = Court::new(&Plan { connect, ..Plan::new(1, None, Duration::from_secs(10)) });
    for ((text, hello), listener) in wrong.iter().zip(&listeners) {
        let mut peer = Peer::accept(listener);
        assert_eq!(peer.wait_for(HELLO, true).outline(), (HELLO, true, 0), "who dials speaks first");
        let sequence = peer.request(HELLO, hello);
        if text.is_empty() {
            peer.answer(HELLO, 0, &[]);
            assert_eq!(peer.wait_for(HELLO, false).outline(), (HELLO, false, sequence));
            peer.hushed(PEERS, true);
        } else {
            let (said, close) = peer.closed(PATIENCE);
            let answer = said.iter().find(|it| it.kind == HELLO).expect("an answer");
            assert_eq!((answer.outline(), answer.fields().number(1)), ((HELLO, false, sequence), 2));
            assert!(answer.fields().text(2).starts_with(text) && close.is_empty(), "{answer:?} {close:?}");
        }
    }
    drop(court);
}

#[test]
fn what_the_operator_sends_leaves_as_it_was_handed_in() {
    let plan = Plan { has_public_genesis: true, ..Plan::new(1, None, Duration::from_secs(10)) };
    let court = Court::new(&plan);
    let mut peer = court.peer("listening");
    let to = Key::named("bumo-test-acct-a").address;
    let sent = ["tx", "send", "--from", "1", "--to", &to, "--amount", "20000000"];
    let (is_sent, id) = court.node.command(&sent);
    assert!(is_sent, "{id}");
    let relayed = peer.wait_for(TRANSACTION, true);
    assert_eq!(id_of(&relayed.data), id.trim());
    let envelope = Fields::read(&relayed.data);
    assert!(verifies(&Fields::read(envelope.bytes(2)), envelope.bytes(1)), "its signature is right");
    let found = court.node.get(&format!("/api/v1/networks/{NAME}/transactions/{}", id.trim())).expect("it waits");
    assert_eq!(unhex(found["hex"].as_str().expect("hex")), relayed.data, "what is stored is what was sent");
    // An account that does not exist, a destination that is none.
    for (from, to, why) in [("2", &*to, "ACCOUNT_NOT_EXIST"), ("1", "bunone", "INVALID_ADDRESS")] {
        let (is_sent, text) = court.node.command(&["tx", "send", "--from", from, "--to", to, "--amount", "20000000"]);
        assert!(!is_sent && text.contains(why), "{text}");
    }
    peer.hushed(TRANSACTION, true);
}

#[test]
fn what_comes_over_the_api_is_relayed_byte_for_byte_or_not_at_all() {
    let court = Court::new(&Plan::new(1, None, Duration::from_secs(10)));
    let mut peer = court.peer("listening");
    let path = format!("/api/v1/networks/{NAME}/transactions");
    let submit = |envelope: &[u8]| court.node.act("POST", &path, &format!("{{\"hex\":\"{}\"}}", hex(envelope)));
    let good = Payment::new(1).envelope(&Key::genesis());
    let answer = submit(&good);
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(&id_of(&good)), "{answer}");
    assert_eq!(peer.wait_for(TRANSACTION, true).data, good);
    let stranger = Key::named("nobody");
    for refused in [
        Payment { is_forged: true, ..Payment::new(2) }.envelope(&Key::genesis()),
        Payment { chain_id: 5, ..Payment::new(2) }.envelope(&Key::genesis()),
        Payment::new(0).envelope(&Key::genesis()),
        Payment::new(1).envelope(&stranger),
        vec![0xff],
    ] {
        let answer = submit(&refused);
        assert!(answer.starts_with("HTTP/1.1 422"), "{answer}");
    }
    assert!(submit(&good).starts_with("HTTP/1.1 200"), "a known one is no fault");
    peer.hushed(TRANSACTION, true);
}

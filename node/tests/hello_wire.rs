//! Judges Hello on the wire: a test client written from the spec alone, against the program itself.
//!
//! Rows are data; `Court::check` says them to a running `polypeer run` over a real socket, holds it to the answer
//! and the price that the spec names, and asks an honest observer whether anything was noticed. Nothing here shares
//! code with the protocols or the ledger.

mod judge {
    pub(crate) mod hello;
    pub(crate) mod hello_court;
    mod hello_exchange;
    mod hello_limits;
    mod hello_tracker;
    pub(crate) mod ledger;
    pub(crate) mod node;
}

use judge::hello::{Manner, NETWORK, Peer, fresh_nonce, hello, hex, line, named, raw};
use judge::hello_court::{Court, Row, Stage, Then, judge, row};
use judge::ledger::{self, Block, Payment};
use judge::node::{Node, free_listener};
use serde_json::{Value, json};
use std::net::TcpListener;
use std::time::{Duration, Instant};

const TOO_LARGE: u64 = 1 << 53;

#[test]
fn the_judge_knows_the_ledger() {
    ledger::vectors_hold();
}

fn rejected(about: &str) -> Then {
    Then::Rejected(about.to_owned())
}

fn open(name: &str, text: &str, then: Then) -> Row {
    row(if name.is_empty() { text } else { name }, Stage::Open, raw(text), then)
}

// Section 1: lines that are no message at all.
fn misshapen() -> Vec<Row> {
    let mut rows = Vec::new();
    for text in [
        "",
        "\r",
        "garbage",
        "[]",
        "1",
        "\"HEY\"",
        "null",
        "true",
        "{}",
        "{\"GETADDR\":null",
        "{\"GETADDR\"}",
        "{\"GETADDR\":}",
        "{GETADDR:null}",
        "{'GETADDR':null}",
        "{\"GETADDR\":null,}",
        "{\"GETADDR\":null}{}",
        "{\"GETADDR\":null} x",
        "{\"GETADDR\":nul}",
        "{\"GETADDR\":NaN}",
        "{\"GETADDR\":null}//",
        "{\"HEY\":{\"block_count\":01}}",
        "{\"HEY\":{\"block_count\":+1}}",
        "{\"HEY\":{\"block_count\":1,}}",
        "{\"HEY\":{\"agent\":\"\t\",\"block_count\":1}}",
        "{\"HEY\":{\"agent\":\"\\x\",\"block_count\":1}}",
        "{\"HEY\":{\"agent\":\"\\u12\",\"block_count\":1}}",
        "\u{feff}{\"GETADDR\":null}",
        "{\"GETADDR\":null,\"HEY\":{\"block_count\":1}}",
        "{\"GETADDR\":null,\"GETADDR\":null}",
        "{\"GETADDR\":null,\"GETADD\\u0052\":null}",
    ] {
        rows.push(open("", text, Then::RejectedSomehow));
    }
    let not_text = [&b"{\"GETADDR\":\"\xff\"}\n"[..], b"\xff\xfe\n", b"{\"\xc0\x80\":1}\n", b"\0\n", b"{\"A\0\":1}\n"];
    for bytes in not_text {
        let name = format!("{:?}", String::from_utf8_lossy(bytes));
        rows.push(row(name, Stage::Open, bytes.to_vec(), Then::RejectedSomehow));
    }
    rows
}

// Section 1: what a REJECT says of a method that is none.
fn unknown_methods() -> Vec<Row> {
    let long = "M".repeat(40);
    [
        ("FOO", "FOO"),
        ("getaddr", "getaddr"),
        ("Hello", "Hello"),
        (" HEY", " HEY"),
        ("HEY\\u0000", "HEY?"),
        ("\\u00e9\\t~", "??~"),
        ("\\\"\\\\", "\"\\"),
        (&long, &long[..32]),
        ("", ""),
    ]
    .into_iter()
    .map(|(method, about)| open("", &format!("{{\"{method}\":1}}"), rejected(about)))
    .collect()
}

// Section 2: payloads of the wrong form, by method.
fn wrong_payloads() -> Vec<(&'static str, Value)> {
    let hash = hex(&[7; 32]);
    let upper = "AB".repeat(32);
    let mut wrong: Vec<(&'static str, Value)> = Vec::new();
    for payload in [json!(null), json!([]), json!({}), json!({"block_count": "1"}), json!(1)] {
        wrong.push(("HEY", payload));
    }
    wrong.extend([("HEY", json!({"block_count": TOO_LARGE})), ("HEY", json!({"block_count": -1}))]);
    for payload in [json!({}), json!([]), json!("8"), json!(65_536), json!(-1), json!(1.5)] {
        wrong.push(("GETADDR", payload));
    }
    for entry in
        ["localhost:1", "1.2.3.4", "1.2.3.4:", ":1", "1.2.3.4:65536", "1.2.3.4:-1", "::1:80", "1.2.3:80", "", "[::1]"]
    {
        wrong.push(("ADDR", json!(["127.0.0.1:9", entry])));
    }
    wrong.extend([("ADDR", json!(null)), ("ADDR", json!({})), ("ADDR", json!([1])), ("ADDR", json!([null]))]);
    wrong.push(("ADDR", json!(vec!["127.0.0.1:9"; 1001])));
    for payload in
        [json!({}), json!({"hash": hash}), json!({"number": 1, "hash": "00"}), json!({"number": 1, "hash": upper})]
    {
        wrong.push(("BROADCASTBLOCK", payload));
    }
    for change in [
        ("block_count", json!(null)),
        ("time", json!("now")),
        ("port", json!(65_536)),
        ("agent", json!("a".repeat(129))),
    ] {
        let mut payload = hello(1, 0, 5);
        payload[change.0] = change.1;
        wrong.push(("HELLO", payload));
    }
    wrong
}

// The same of questions for blocks and transactions, and of their answers.
fn wrong_questions_and_answers() -> Vec<(&'static str, Value)> {
    let hash = hex(&[7; 32]);
    let upper = "AB".repeat(32);
    let mut wrong: Vec<(&'static str, Value)> = Vec::new();
    for payload in [
        json!({}),
        json!({"number": 1, "hash": hash}),
        json!({"hash": hash, "transaction": hash}),
        json!({"hash": &hash[1..]}),
        json!({"hash": format!("{hash}0")}),
        json!({"hash": upper}),
        json!({"number": "1"}),
        json!({"number": TOO_LARGE}),
        json!({"transaction": 5}),
        json!(null),
    ] {
        wrong.push(("GETBLOCK", payload));
    }
    for payload in [
        json!({"from": 0}),
        json!({"latest": 0}),
        json!({"from": 0, "latest": 0, "transactions": null}),
        json!({"from": 0, "latest": 0, "transactions": ["00"]}),
        json!({"from": 0, "latest": 0, "transactions": vec![hash.clone(); 1001]}),
        json!({"from": -1, "latest": 0}),
        json!([]),
    ] {
        wrong.push(("GETLISTOFBLOCKS", payload));
    }
    for payload in [
        json!({"from": 0, "latest": 0, "parent": hash}),
        json!({"from": 0, "latest": 0, "hashes": []}),
        json!({"from": 0, "latest": 9, "parent": hash, "hashes": [5]}),
        json!({"from": 0, "latest": 10_001, "parent": hash, "hashes": vec![hash.clone(); 10_001]}),
        json!({"from": 0, "latest": 0, "parent": hash, "hashes": [hash]}),
    ] {
        wrong.push(("LISTOFBLOCKS", payload));
    }
    for payload in [
        json!({"number": 1}),
        json!({"data": "00"}),
        json!({"number": 1, "data": "0"}),
        json!({"number": 1, "data": "0G"}),
    ] {
        wrong.push(("BLOCK", payload));
    }
    for payload in [json!([]), json!({}), json!("00"), json!(["0"]), json!(["AA"]), json!([5]), json!(vec!["00"; 1001])]
    {
        wrong.push(("PUSHTRANSACTION", payload));
    }
    for payload in [json!({}), json!({"id": "00"}), json!({"id": null}), json!([hash])] {
        wrong.push(("BROADCASTTRANSACTION", payload));
    }
    wrong.extend([("NOTFOUND", json!({})), ("NOTFOUND", json!({"hash": 5})), ("NOTFOUND", json!(null))]);
    wrong
}

#[test]
fn what_does_not_obey_the_specification_is_rejected_and_borne() {
    let mut court = Court::new("", &[]);
    court.try_all(&misshapen());
    court.try_all(&unknown_methods());
    for (method, payload) in wrong_payloads().into_iter().chain(wrong_questions_and_answers()) {
        let mut name = format!("{method} {payload}");
        name.truncate(100);
        court.check(&row(name, Stage::Open, line(method, payload), rejected(method)));
    }
}

#[test]
fn numbers_and_keys_have_one_form() {
    let mut court = Court::new("", &[]);
    for number in ["1.0", "1e0", "1E2", "-0", "-1", "\"1\"", "9007199254740992", "99999999999999999999", "1.5", "null"]
    {
        let text = format!("{{\"HEY\":{{\"block_count\":{number}}}}}");
        court.check(&open("", &text, rejected("HEY")));
    }
    for text in [
        "{\"HEY\":{\"block_count\":1,\"block_count\":1}}",
        "{\"HEY\":{\"block_count\":1,\"x\":1,\"x\":2}}",
        "{\"HEY\":{\"block_count\":1,\"block_coun\\u0074\":1}}",
        "{\"HEY\":{\"BLOCK_COUNT\":1}}",
    ] {
        court.check(&open("", text, rejected("HEY")));
    }
    for text in [
        "{\"HEY\":{\"block_count\":9007199254740991}}",
        "{\"HEY\":{\"block_count\":0,\"something\":[1.5e300,{\"a\":null}]}}",
        "{\"HEY\":{\"block_coun\\u0074\":1}}",
        "{\"H\\u0045Y\":{\"block_count\":1}}",
        " \t{ \"HEY\" : { \"block_count\" : 1 } }\t ",
        "{\"HEY\":{\"block_count\":1}}\r",
        "{\"NOTFOUND\":{\"number\":5}}",
        "{\"ADDR\":[\"127.0.0.1:0\",\"224.0.0.1:5\",\"0.0.0.0:5\",\"[ff02::1]:5\",\"[::]:7\"]}",
        "{\"ADDR\":[]}",
    ] {
        court.check(&open("", text, Then::Fine));
    }
}

#[test]
fn nesting_deeper_than_sixteen_is_rejected() {
    let mut court = Court::new("", &[]);
    // The message is level 1, the payload 2, so 14 more may follow.
    let deep = |levels: usize| {
        let (opening, closing) = ("[".repeat(levels), "]".repeat(levels));
        format!("{{\"HEY\":{{\"block_count\":1,\"x\":{opening}{closing}}}}}")
    };
    court.check(&open("level 16", &deep(14), Then::Fine));
    for levels in [15, 16, 100, 10_000, 1_000_000, 4_000_000] {
        court.check(&open(&format!("level {}", levels + 2), &deep(levels), Then::RejectedSomehow));
    }
    let dictionaries = format!("{{\"HEY\":{}1{}}}", "{\"a\":".repeat(100_000), "}".repeat(100_000));
    court.check(&open("dictionaries", &dictionaries, Then::RejectedSomehow));
    court.check(&open("never closed", &"[".repeat(1_000_000), Then::RejectedSomehow));
}

#[test]
fn wide_messages_are_judged_in_time() {
    let mut court = Court::new("", &[]);
    let keys: Vec<String> = (0..200_000).map(|key| format!("\"k{key}\":0")).collect();
    let started = Instant::now();
    let wide = format!("{{\"HEY\":{{\"block_count\":1,{}}}}}", keys.join(","));
    court.check(&open("200,000 keys", &wide, Then::Fine));
    let twice = format!("{{\"HEY\":{{\"block_count\":1,{},\"k0\":0}}}}", keys.join(","));
    court.check(&open("200,000 keys and one of them again", &twice, rejected("HEY")));
    let numbers = format!("{{\"HEY\":{{\"block_count\":1,\"x\":[{}0]}}}}", "0,".repeat(2_000_000));
    court.check(&open("2,000,000 numbers", &numbers, Then::Fine));
    let escapes = format!("{{\"HEY\":{{\"block_count\":1,\"x\":\"{}\"}}}}", "\\u0041".repeat(600_000));
    court.check(&open("600,000 escapes", &escapes, Then::Fine));
    assert!(started.elapsed() < Duration::from_secs(30), "took {:?}", started.elapsed());
}

#[test]
fn a_reject_is_never_answered() {
    let mut court = Court::new("", &[]);
    let many = line("REJECT", json!({"method": "HEY", "reason": "x"})).repeat(100);
    court.check(&row("a hundred proper ones", Stage::Open, many, Then::Fine));
    for payload in
        [json!(null), json!(5), json!({}), json!({"method": 5}), json!({"method": "x".repeat(33), "reason": ""})]
    {
        court.check(&row(payload.to_string(), Stage::Open, line("REJECT", payload), Then::Fine));
    }
}

#[test]
fn the_twentieth_slip_at_one_time_ends_the_connection() {
    let mut court = Court::new("", &[]);
    let mut peer = Peer::open(court.node.address);
    for _ in 0..19 {
        peer.say(&raw("{}"));
        peer.message_of("REJECT");
    }
    peer.is_served();
    peer.say(&raw("{}"));
    peer.message_of("REJECT");
    peer.closed();
    court.adjourn();
    let mut court = Court::new("slips_max = 3", &[]);
    let mut patient = Peer::open(court.node.address);
    for _ in 0..2 {
        patient.say(&raw("{}").repeat(2));
        patient.message_of("REJECT");
        patient.message_of("REJECT");
        std::thread::sleep(Duration::from_millis(10_500));
    }
    patient.fine();
    court.adjourn();
}

// Section 3: what may not come in place of the first `HELLO`, or of the `HEY` that ends the handshake.
fn greetings_out_of_order() -> Vec<(String, Vec<u8>, Then)> {
    let mut rows: Vec<(String, Vec<u8>, Then)> = Vec::new();
    let hash = hex(&[7; 32]);
    for (method, payload) in [
        ("GETADDR", json!(null)),
        ("ADDR", json!([])),
        ("GETBLOCK", json!({"number": 0})),
        ("GETLISTOFBLOCKS", json!({"from": 0, "latest": 0})),
        ("BROADCASTTRANSACTION", json!({"id": hash})),
        ("NOTFOUND", json!({"number": 5})),
        ("FOO", json!(1)),
    ] {
        rows.push((method.to_owned(), line(method, payload), Then::Ends(method.to_owned())));
    }
    for text in ["", "garbage", "{}", "[]", "{\"HELLO\":"] {
        rows.push((format!("{text:?}"), raw(text), Then::EndsSomehow));
    }
    rows.push(("REJECT".to_owned(), line("REJECT", json!({"method": "", "reason": ""})), Then::Silent));
    rows.push(("1,025 bytes without an end".to_owned(), vec![b'{'; 1025], Then::Ends(String::new())));
    rows
}

// A `HELLO` with one key changed or left out.
fn hello_with(key: &str, value: Option<Value>) -> Vec<u8> {
    let mut payload = hello(1, 0, fresh_nonce());
    match value {
        Some(value) => payload[key] = value,
        None => drop(payload.as_object_mut().expect("a dictionary").remove(key)),
    }
    line("HELLO", payload)
}

fn wrong_greetings() -> Vec<(String, Vec<u8>, Then)> {
    let ends = || Then::Ends("HELLO".to_owned());
    let mut rows: Vec<(String, Vec<u8>, Then)> = Vec::new();
    for key in ["block_count", "time", "port"] {
        rows.push((format!("no {key}"), hello_with(key, None), ends()));
    }
    for (key, value) in [
        ("block_count", json!("1")),
        ("block_count", json!(TOO_LARGE)),
        ("time", json!(-1)),
        ("port", json!(65_536)),
        ("port", json!(null)),
        ("genesis", json!("00")),
        ("genesis", json!(hex(&[7; 32]))),
        ("genesis", json!(5)),
        ("nonce", json!("0")),
        ("nonce", json!("ABCDEF0123456789")),
        ("nonce", json!(5)),
        ("agent", json!("a".repeat(129))),
        ("agent", json!(5)),
    ] {
        rows.push((format!("{key} {value}"), hello_with(key, Some(value)), ends()));
    }
    rows
}

#[test]
fn a_wrong_first_word_of_a_dialler_ends_the_connection() {
    let mut court = Court::new("", &[]);
    for (name, say, then) in greetings_out_of_order().into_iter().chain(wrong_greetings()) {
        court.check(&row(name, Stage::Fresh, say, then));
    }
    let hey = line("HEY", json!({"block_count": 1}));
    court.check(&row("HEY", Stage::Fresh, hey, Then::Ends("HEY".to_owned())));
    let own = line("HELLO", hello(1, 0, fresh_nonce()));
    let again = ("HELLO".to_owned(), line("HELLO", hello(1, 0, 5)), Then::Ends("HELLO".to_owned()));
    for (name, say, then) in greetings_out_of_order().into_iter().chain([again]) {
        println!("row: in place of HEY: {name}");
        let mut peer = Peer::dial(court.node.address);
        peer.say(&own);
        assert_eq!(peer.message().0, "HEY");
        assert_eq!(peer.message().0, "HELLO");
        judge(&mut peer, &row(name, Stage::Fresh, say, then));
        court.adjourn();
    }
}

#[test]
fn a_wrong_first_word_of_an_acceptor_ends_the_connection() {
    let mut rows = greetings_out_of_order();
    rows.push(("HELLO before HEY".to_owned(), line("HELLO", hello(1, 0, 5)), Then::Ends("HELLO".to_owned())));
    let hey = line("HEY", json!({"block_count": 1}));
    rows.push(("HEY twice".to_owned(), hey.repeat(2), Then::Ends("HEY".to_owned())));
    for (name, wrong, then) in wrong_greetings() {
        rows.push((format!("HEY, then {name}"), [hey.clone(), wrong].concat(), then));
    }
    let listeners: Vec<TcpListener> = rows.iter().map(|_| free_listener()).collect();
    let targets: Vec<String> =
        listeners.iter().map(|listener| listener.local_addr().expect("a socket").to_string()).collect();
    let arguments: Vec<&str> = targets.iter().flat_map(|target| ["--connect", target]).collect();
    let _node = Node::start(NETWORK, "handshake_timeout = \"60s\"", &arguments);
    for (listener, (name, say, then)) in listeners.iter().zip(rows) {
        println!("row: {name}");
        let mut peer = Peer::accept(listener);
        assert_eq!(peer.message().0, "HELLO");
        judge(&mut peer, &row(name, Stage::Fresh, say, then));
    }
}

#[test]
fn the_handshake_is_four_words_in_order() {
    let listener = free_listener();
    let there = listener.local_addr().expect("a socket").to_string();
    let node = Node::start(NETWORK, "", &["--connect", &there]);
    let mut dialled = Peer::accept(&listener);
    dialled.welcome(hello(1, 0, fresh_nonce()));
    assert_eq!(dialled.greeting["port"], node.address.port());
    assert_eq!(dialled.greeting["genesis"], named(&Block::genesis(NETWORK).hash()));
    assert_eq!(dialled.greeting["block_count"], 1);
    let mut dialling = Peer::open(node.address);
    assert_eq!(dialling.greeting["nonce"], dialled.greeting["nonce"], "one nonce while the program runs");
    dialling.fine();
    dialled.fine();
}

#[test]
fn optional_parts_of_a_greeting_may_be_missing_or_odd() {
    let mut court = Court::new("", &[]);
    let padding = "x".repeat(600);
    for (key, value) in [
        ("genesis", None),
        ("agent", None),
        ("nonce", None),
        ("time", Some(json!(0))),
        ("time", Some(json!(TOO_LARGE - 1))),
        ("agent", Some(json!("a".repeat(128)))),
        ("block_count", Some(json!(TOO_LARGE - 1))),
        ("unlisted", Some(json!([padding]))),
    ] {
        println!("row: {key} {value:?}");
        let mut peer = Peer::dial(court.node.address);
        peer.say(&hello_with(key, value));
        assert_eq!(peer.message().0, "HEY");
        assert_eq!(peer.message().0, "HELLO");
        peer.say(&line("HEY", json!({"block_count": 1})));
        peer.fine();
        court.adjourn();
    }
}

#[test]
fn a_line_of_a_kibibyte_is_the_longest_before_the_handshake_is_complete() {
    let mut court = Court::new("", &[]);
    let hello_of = |length: usize| {
        let mut bytes = hello_with("agent", Some(json!("judge")));
        bytes.pop();
        bytes.resize(length - 1, b' ');
        bytes.push(b'\n');
        bytes
    };
    let mut fits = Peer::dial(court.node.address);
    fits.say(&hello_of(1024));
    assert_eq!(fits.message().0, "HEY");
    court.check(&row("1,025 bytes", Stage::Fresh, hello_of(1025), Then::Ends(String::new())));
    let mut together = Peer::dial(court.node.address);
    let long = format!("{{\"HEY\":{{\"block_count\":1}}}}\n{{\"ADDR\":[{}]}}\n", " ".repeat(100_000));
    together.say(&[hello_of(300), long.into_bytes()].concat());
    assert_eq!(together.message().0, "HEY");
    assert_eq!(together.message().0, "HELLO");
    together.fine();
    court.adjourn();
}

#[test]
fn meeting_oneself_ends_quietly() {
    let mut court = Court::new("", &[]);
    let mut own = hello(1, 0, 0);
    own["nonce"] = court.observer.greeting["nonce"].clone();
    court.check(&row("its own nonce", Stage::Fresh, line("HELLO", own), Then::Silent));
    court.check(&row("afterwards", Stage::Open, Vec::new(), Then::Fine));
}

#[test]
fn who_is_banned_is_closed() {
    let court = Court::new("", &[]);
    let path = format!("/api/v1/networks/{NETWORK}/bans/127.0.0.1");
    assert!(court.node.put(&path, "{\"duration\": 60}"), "the operator may ban loopback too");
    let mut observer = court.observer;
    observer.closed_somehow();
    let mut banned = Peer::dial(court.node.address);
    banned.try_say(&line("HELLO", hello(1, 0, fresh_nonce())));
    banned.closed_silently();
}

#[test]
fn of_two_connections_with_one_nonce_the_older_stays() {
    let mut court = Court::new("", &[]);
    let nonce = fresh_nonce();
    let mut older = Peer::open_as(court.node.address, hello(1, 0, nonce));
    older.settle();
    let mut younger = Peer::dial(court.node.address);
    younger.say(&line("HELLO", hello(1, 0, nonce)));
    younger.closed_somehow();
    older.fine();
    let tracker = fresh_nonce();
    let mut first = Peer::open_as(court.node.address, hello(0, 0, tracker));
    let mut second = Peer::open_as(court.node.address, hello(0, 0, tracker));
    first.fine();
    second.fine();
    assert!(!first.has_asked("GETLISTOFBLOCKS") && !second.has_asked("GETLISTOFBLOCKS"), "a tracker holds no blocks");
    court.adjourn();
}

#[test]
fn a_node_that_goes_closes_in_order() {
    let mut node = Node::start(NETWORK, "", &["--no-discovery"]);
    let mut peer = Peer::ready(node.address, Manner::honest(&[]));
    node.terminate();
    peer.closed();
    assert_eq!(node.wait(Duration::from_secs(6)), Some(143), "the exit code of a termination");
}

#[test]
fn silence_and_dripping_bytes_end_when_the_handshake_is_overdue() {
    let mut court = Court::new("handshake_timeout = \"1500ms\"", &[]);
    let mut silent = Peer::dial(court.node.address);
    let mut unacknowledged = Peer::dial(court.node.address);
    unacknowledged.say(&line("HELLO", hello(1, 0, fresh_nonce())));
    assert_eq!(unacknowledged.message().0, "HEY");
    assert_eq!(unacknowledged.message().0, "HELLO");
    let mut dripping = Peer::dial(court.node.address);
    let started = Instant::now();
    for byte in line("HELLO", hello(1, 0, fresh_nonce())) {
        let silence = judge::hello::Heard::Silence;
        if !dripping.try_say(&[byte]) || dripping.hear(Duration::from_secs(1)) != silence {
            break;
        }
    }
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(1400) && took < Duration::from_secs(4), "closed after {took:?}");
    silent.closed_silently();
    unacknowledged.closed_silently();
    court.adjourn();
}

#[test]
fn wrong_transactions_are_rejected_one_slip_each() {
    let mut court = Court::new("", &[]);
    for (name, transaction) in ledger::never_valid(NETWORK) {
        let say = line("PUSHTRANSACTION", json!([hex(&transaction)]));
        court.check(&row(name, Stage::Open, say, rejected("PUSHTRANSACTION")));
    }
    for (name, transaction) in ledger::not_now(NETWORK) {
        court.check(&row(name, Stage::Open, line("PUSHTRANSACTION", json!([hex(&transaction)])), Then::Fine));
    }
    let good: Vec<Vec<u8>> = [1, 3, 5].map(|from| Payment::new(from, 2, 0).sign(NETWORK)).to_vec();
    let bad = Payment::new(7, 7, 0).sign(NETWORK);
    let pack = [&good[0], &bad, &good[1], &bad, &good[2]].map(|bytes| hex(bytes));
    let mut peer = Peer::open(court.node.address);
    peer.say(&line("PUSHTRANSACTION", json!(pack)));
    peer.rejected("PUSHTRANSACTION");
    let announced: Vec<Value> = court.observer.gather().into_iter().map(|(_, payload)| payload["id"].clone()).collect();
    for transaction in &good {
        assert!(announced.contains(&named(&ledger::id(transaction))), "each is judged on its own: {announced:?}");
    }
    let known = line("PUSHTRANSACTION", json!([hex(&good[0])]));
    court.check(&row("known", Stage::Open, known, Then::Fine));
    let mut breaching = Peer::open(court.node.address);
    breaching.say(&line("PUSHTRANSACTION", json!(vec![hex(&bad); 20])));
    breaching.closed_somehow();
    court.adjourn();
}

#[test]
fn blocks_that_break_a_rule_are_a_breach() {
    let mut court = Court::new("", &[]);
    let genesis = Block::genesis(NETWORK);
    for breakage in ledger::breakages() {
        println!("row: {}", breakage.name);
        let bytes = (breakage.bytes)(NETWORK, &genesis);
        let mut peer = Peer::ready(court.node.address, Manner { gives: false, ..Manner::honest(&[]) });
        // The node asks for what it takes the header to be.
        let name = ledger::hash(&[&bytes[..bytes.len().min(129)]]);
        peer.say(&line("BROADCASTBLOCK", json!({"number": 1, "hash": hex(&name)})));
        assert_eq!(peer.message_of("GETBLOCK")["hash"], named(&name));
        peer.say(&line("BLOCK", json!({"number": 1, "data": hex(&bytes)})));
        peer.rejected("BLOCK");
        peer.closed();
        court.adjourn();
    }
    let good = genesis.child(vec![]);
    for (name, payload) in [
        ("another number", json!({"number": 2, "data": hex(&good.bytes())})),
        ("another block", json!({"number": 1, "data": hex(&genesis.draft(vec![]).mined().child(vec![]).bytes())})),
    ] {
        println!("row: {name}");
        let mut peer = Peer::ready(court.node.address, Manner { gives: false, ..Manner::honest(&[]) });
        peer.say(&line("BROADCASTBLOCK", json!({"number": 1, "hash": hex(&good.hash())})));
        peer.message_of("GETBLOCK");
        peer.say(&line("BLOCK", payload));
        peer.rejected("BLOCK");
        peer.closed();
        court.adjourn();
    }
}

#[test]
fn a_wrong_body_says_nothing_about_the_hash() {
    let mut court = Court::new("", &[]);
    let good = Block::genesis(NETWORK).child(vec![Payment::new(1, 2, 0).sign(NETWORK)]);
    let wrong = Block { transactions: vec![Payment::new(3, 4, 0).sign(NETWORK)], ..good.clone() };
    let announce = line("BROADCASTBLOCK", json!({"number": 1, "hash": hex(&good.hash())}));
    let mut liar = Peer::ready(court.node.address, Manner { gives: false, ..Manner::honest(&[]) });
    liar.say(&announce);
    liar.message_of("GETBLOCK");
    liar.say(&line("BLOCK", judge::hello::block(&wrong)));
    liar.rejected("BLOCK");
    liar.closed();
    let mut honest = Peer::ready(court.node.address, Manner { blocks: vec![good.clone()], ..Manner::honest(&[]) });
    honest.say(&announce);
    let news = court.observer.message_of("BROADCASTBLOCK");
    assert_eq!(news, json!({"number": 1, "hash": hex(&good.hash())}));
    honest.fine();
}

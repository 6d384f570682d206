//! What is answered, and what is not (Mina spec, section 11, row 10).

use crate::stage::{Stage, address, config, contact, find, peer};
use polypeer_engine::Direction;
use polypeer_mina::kad::{
    BUCKET_MAX, Config, Contact, Fault, Kind, Message, Output, REQUEST_BYTES_MAX, SERVED_STREAMS_MAX,
};
use std::time::Duration;

#[test]
fn at_most_twenty_peers_are_named_and_they_are_the_nearest() {
    let mut stage = Stage::new(config());
    let connections: Vec<_> = (1..=60).map(|number| stage.meet(number)).collect();
    for wanted in [0, 7, 500] {
        let answer = stage.answer(connections[0], &find(wanted));
        assert!(answer.closer.len() <= BUCKET_MAX && answer.closer.len() >= BUCKET_MAX - 1);
        assert!(answer.closer.iter().all(|contact| contact.peer != peer(1)), "who asks is not named");
        let nearest = stage.kad.nearest(&peer(wanted), BUCKET_MAX + 1);
        assert!(answer.closer.iter().all(|contact| nearest.iter().any(|near| near.peer == contact.peer)));
    }
}

#[test]
fn who_is_asked_for_and_connected_comes_first() {
    let mut stage = Stage::new(config());
    let asker = stage.meet(1);
    stage.connect(2);
    let answer = stage.answer(asker, &find(2));
    assert_eq!(answer.closer, [Contact { peer: peer(2), addresses: vec![address(2)], is_connected: true }]);
}

#[test]
fn a_ping_is_a_ping_and_values_are_kept_by_nobody() {
    let mut stage = Stage::new(config());
    let connection = stage.meet(1);
    let ping = Message::about(Kind::Ping, &[]);
    assert_eq!(stage.answer(connection, &ping), ping);
    let value = stage.answer(connection, &Message::about(Kind::GetValue, b"/pk/1"));
    assert_eq!((value.kind, value.providers.len()), (Kind::GetValue, 0));
    let channel = stage.open(connection, Direction::Inbound);
    stage.outputs();
    stage.say(connection, channel, &Message::about(Kind::PutValue, b"/pk/1"));
    assert_eq!(stage.outputs(), [Output::Reset { connection, channel }]);
}

#[test]
fn providers_are_kept_under_the_rendezvous_for_a_day() {
    let mut stage = Stage::new(config());
    let asker = stage.meet(1);
    let get = Message::about(Kind::GetProviders, &config().rendezvous);
    for number in 2..=40 {
        let connection = stage.connect(number);
        let channel = stage.open(connection, Direction::Inbound);
        let mut add = Message::about(Kind::AddProvider, &config().rendezvous);
        add.providers.push(contact(number));
        stage.say(connection, channel, &add);
        assert_eq!(stage.faults(), []);
    }
    let answer = stage.answer(asker, &get);
    assert_eq!(answer.providers.len(), BUCKET_MAX);
    assert!(stage.answer(asker, &Message::about(Kind::GetProviders, b"another")).providers.is_empty());
    stage.pass(Duration::from_secs(24 * 60 * 60));
    assert!(stage.answer(asker, &get).providers.is_empty());
}

#[test]
fn nobody_provides_for_another() {
    let mut stage = Stage::new(config());
    let connection = stage.meet(1);
    let channel = stage.open(connection, Direction::Inbound);
    stage.outputs();
    let mut add = Message::about(Kind::AddProvider, &config().rendezvous);
    add.providers.push(contact(2));
    stage.say(connection, channel, &add);
    let fault = Output::Fault { connection, fault: Fault::ForeignProvider };
    assert_eq!(stage.outputs(), [Output::Reset { connection, channel }, fault]);
    let answer = stage.answer(connection, &Message::about(Kind::GetProviders, &config().rendezvous));
    assert!(answer.providers.is_empty());
}

#[test]
fn one_network_does_not_have_all_records() {
    let mut stage = Stage::new(config());
    let asker = stage.meet(1);
    let mut honest = Message::about(Kind::AddProvider, &config().rendezvous);
    honest.providers.push(contact(2));
    let connection = stage.connect(2);
    let channel = stage.open(connection, Direction::Inbound);
    stage.say(connection, channel, &honest);
    // A thousand keys in one /16.
    for number in 10_000..11_000 {
        let connection = stage.connect(number);
        stage.tell(|kad, now, out| {
            kad.on_disconnected(now, connection, out);
            let group = Some(address(10_000).group());
            kad.on_connected(now, connection, peer(number), Some(address(number)), group, out);
        });
        let channel = stage.open(connection, Direction::Inbound);
        let mut add = Message::about(Kind::AddProvider, &config().rendezvous);
        add.providers.push(contact(number));
        stage.say(connection, channel, &add);
        stage.tell(|kad, now, out| kad.on_disconnected(now, connection, out));
    }
    let get = Message::about(Kind::GetProviders, &config().rendezvous);
    let is_named = |stage: &mut Stage| {
        let providers = stage.answer(asker, &get).providers;
        providers.iter().any(|contact| contact.peer == peer(2))
    };
    // Twenty of the 33 that are kept are drawn each time.
    assert!((0..20).any(|_| is_named(&mut stage)));
}

#[test]
fn private_addresses_are_named_where_they_are_ordinary_and_nowhere_else() {
    let private = "10.1.2.3:8302".parse().expect("an address");
    let benchmark = "198.18.0.1:8302".parse().expect("an address");
    for (private_addresses, count) in [(true, 3), (false, 1)] {
        let mut stage = Stage::new(Config { private_addresses, ..config() });
        let asker = stage.meet(1);
        let connection = stage.connect(2);
        stage.tell(|kad, now, out| kad.on_identified(now, connection, true, &[private, benchmark], out));
        let answer = stage.answer(asker, &find(2));
        assert_eq!(answer.closer[0].addresses.len(), count, "{private_addresses}");
    }
}

#[test]
fn a_request_that_is_too_long_or_none_ends_the_stream() {
    let mut stage = Stage::new(config());
    let connection = stage.meet(1);
    let mut long = find(2);
    long.closer = (0..40).map(contact).collect();
    assert!(long.encode().len() > REQUEST_BYTES_MAX);
    let garbage = [5, 0xff, 0xff, 0xff, 0xff, 0xff];
    for frame in [&long.encode()[..], &garbage] {
        let channel = stage.open(connection, Direction::Inbound);
        stage.outputs();
        stage.hear(connection, channel, frame);
        let outputs = stage.outputs();
        assert!(
            matches!(
                outputs[..],
                [Output::Reset { .. }, Output::Fault { fault: Fault::RequestTooLong | Fault::Message(_), .. }]
            ),
            "{outputs:?}"
        );
        stage.hear(connection, channel, &find(2).encode());
        assert_eq!(stage.outputs(), [], "a stream that ended is not answered");
    }
}

#[test]
fn floods_of_requests_and_of_streams_are_cut_off() {
    let mut stage = Stage::new(config());
    let connection = stage.meet(1);
    let channel = stage.open(connection, Direction::Inbound);
    stage.outputs();
    for _ in 0..10_000 {
        stage.say(connection, channel, &find(2));
    }
    let outputs = stage.outputs();
    let answers = outputs.iter().filter(|output| matches!(output, Output::Send { .. })).count();
    assert_eq!(answers, 64);
    assert_eq!(crate::stage::faults(&outputs), [Fault::TooManyRequests]);
    for _ in 0..100 {
        stage.open(connection, Direction::Inbound);
    }
    assert_eq!(stage.faults(), vec![Fault::TooManyStreams; 100 - SERVED_STREAMS_MAX]);
}

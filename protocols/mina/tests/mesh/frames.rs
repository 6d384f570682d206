//! Frames beside a stock protobuf library, and what is beyond the limits of one.

use crate::oracle;
use crate::stage::{Stage, body, connection, framed, joined, signed};
use bytes::Bytes;
use polypeer_engine::Random;
use polypeer_mina::mesh::frame::{self, Message, Rpc, Wrong};
use polypeer_mina::mesh::limits::{CONTROLS_MAX, IDS_MAX, MESSAGES_MAX, SUBSCRIPTIONS_MAX, UNKNOWN_MAX};
use polypeer_mina::mesh::{CONSENSUS, Fault, Verdict};
use prost::Message as _;
use std::iter::repeat_with;

fn some(random: &mut Random) -> Option<Bytes> {
    let length = [0, 1, 8, 32, 38, 127, 128, 300][random.below(8)];
    (random.below(4) > 0).then(|| repeat_with(|| random.number() as u8).take(length).collect())
}

fn few<T>(random: &mut Random, make: impl Fn(&mut Random) -> T) -> Vec<T> {
    (0..random.below(4)).map(|_| make(random)).collect()
}

fn any(random: &mut Random) -> oracle::Rpc {
    let control = |random: &mut Random| oracle::Control {
        ihave: few(random, |random| oracle::IHave {
            topic: some(random),
            ids: few(random, |random| some(random).unwrap_or_default()),
        }),
        iwant: few(random, |random| oracle::IWant { ids: few(random, |random| some(random).unwrap_or_default()) }),
        graft: few(random, |random| oracle::Graft { topic: some(random) }),
        prune: few(random, |random| oracle::Prune {
            topic: some(random),
            peers: few(random, |random| oracle::Offer { id: some(random), record: some(random) }),
            back_off: (random.below(3) > 0).then(|| random.number() >> random.below(64)),
        }),
    };
    oracle::Rpc {
        subscriptions: few(random, |random| oracle::Subscription {
            subscribe: (random.below(3) > 0).then(|| random.below(2) == 0),
            topic: some(random),
        }),
        publish: few(random, |random| oracle::Message {
            from: some(random),
            data: some(random),
            seqno: some(random),
            topic: some(random),
            signature: some(random),
            key: some(random),
        }),
        control: (random.below(4) > 0).then(|| control(random)),
    }
}

// What our reader makes of a frame, in the words of the library.
fn ours(frame: &[u8]) -> Result<oracle::Rpc, Wrong> {
    let rpc = Rpc::decode(frame)?;
    let bytes = |field: &[u8]| Bytes::copy_from_slice(field);
    let message = |message: Message<'_>| oracle::Message {
        from: message.from.map(bytes),
        data: message.data.map(bytes),
        seqno: message.seqno.map(bytes),
        topic: message.topic.map(bytes),
        signature: message.signature.map(bytes),
        key: message.key.map(bytes),
    };
    Ok(oracle::Rpc {
        subscriptions: rpc
            .subscriptions()
            .map(|one| oracle::Subscription { subscribe: Some(one.begins), topic: Some(bytes(one.topic)) })
            .collect(),
        publish: rpc.messages().map(message).collect(),
        control: Some(oracle::Control {
            ihave: rpc
                .ihaves()
                .map(|one| oracle::IHave { topic: Some(bytes(one.topic())), ids: one.ids().map(bytes).collect() })
                .collect(),
            iwant: [oracle::IWant { ids: rpc.iwants().map(bytes).collect() }].into(),
            graft: rpc.grafts().map(|topic| oracle::Graft { topic: Some(bytes(topic)) }).collect(),
            prune: rpc
                .prunes()
                .map(|one| oracle::Prune {
                    topic: Some(bytes(one.topic())),
                    peers: one
                        .offers()
                        .map(|offer| oracle::Offer { id: Some(bytes(offer.id)), record: Some(bytes(offer.record)) })
                        .collect(),
                    back_off: one.back_off(),
                })
                .collect(),
        }),
    })
}

// Absent and empty are one but in messages, where signatures tell them apart; all IWANTs are one list.
fn plain(mut rpc: oracle::Rpc) -> oracle::Rpc {
    let there = |field: &mut Option<Bytes>| {
        field.get_or_insert_default();
    };
    rpc.subscriptions.iter_mut().for_each(|one| {
        one.subscribe.get_or_insert(false);
        there(&mut one.topic);
    });
    let control = rpc.control.get_or_insert_default();
    control.ihave.iter_mut().for_each(|one| there(&mut one.topic));
    control.graft.iter_mut().for_each(|one| there(&mut one.topic));
    control.prune.iter_mut().for_each(|one| {
        there(&mut one.topic);
        one.peers.iter_mut().for_each(|offer| {
            there(&mut offer.id);
            there(&mut offer.record);
        });
    });
    control.iwant = [oracle::IWant { ids: control.iwant.drain(..).flat_map(|one| one.ids).collect() }].into();
    rpc
}

fn agree(bytes: &[u8]) {
    let stock = oracle::Rpc::decode(bytes);
    match (ours(&framed(bytes)), stock) {
        (Ok(ours), Ok(stock)) => assert_eq!(ours, plain(stock), "{bytes:02x?}"),
        (Err(_), Err(_)) => {}
        (ours, stock) => panic!("{ours:?} and {stock:?} of {bytes:02x?}"),
    }
}

#[test]
fn a_stock_library_and_we_read_the_same() {
    let mut random = Random::new([1; 32]);
    for _ in 0..2_000 {
        agree(&any(&mut random).encode_to_vec());
    }
}

#[test]
fn a_stock_library_and_we_read_the_same_of_what_is_damaged() {
    let mut random = Random::new([2; 32]);
    for _ in 0..500 {
        let whole = any(&mut random).encode_to_vec();
        for _ in 0..20 {
            let mut damaged = whole.clone();
            for _ in 0..=random.below(3) {
                let at = random.below(damaged.len().max(1));
                match (random.below(3), damaged.get_mut(at)) {
                    (0, Some(byte)) => *byte ^= 1 << random.below(8),
                    (1, Some(_)) => drop(damaged.remove(at)),
                    _ => damaged.insert(at.min(damaged.len()), random.number() as u8),
                }
            }
            agree(&damaged);
        }
    }
}

#[test]
fn what_we_write_of_a_message_a_stock_library_writes_too() {
    let mut random = Random::new([3; 32]);
    for _ in 0..500 {
        let rpc = oracle::Rpc { publish: [any(&mut random).publish].concat(), ..oracle::Rpc::default() };
        for message in rpc.publish {
            let stock = framed(&oracle::Rpc { publish: [message].into(), ..oracle::Rpc::default() }.encode_to_vec());
            let rpc = Rpc::decode(&stock).expect("a frame");
            let message = rpc.messages().next().expect("a message");
            let (written, data) = frame::message(&message);
            assert_eq!(written, stock);
            assert_eq!(&written[data], message.data.unwrap_or_default());
            assert!(message.is_canonical && rpc.is_one_message());
            assert_eq!(frame::data_in(stock.len(), &message).len(), message.data.unwrap_or_default().len());
        }
    }
}

fn repeated(frame: &Bytes, count: usize) -> Bytes {
    framed(&body(frame).repeat(count))
}

#[test]
fn more_in_one_frame_than_any_node_puts_there_is_refused() {
    let id = polypeer_mina::mesh::MessageId([1; 32]);
    let unknown = framed(&[0x78, 1]);
    let offer = framed(&[0x1a, 6, 0x22, 4, 0x12, 2, 0x0a, 0]);
    for (one, max) in [
        (frame::subscriptions([("", true)].into_iter()), SUBSCRIPTIONS_MAX),
        (framed(&[0x12, 0]), MESSAGES_MAX),
        (frame::graft(CONSENSUS), CONTROLS_MAX),
        (frame::prune(CONSENSUS, None, &[]), CONTROLS_MAX),
        (offer, CONTROLS_MAX),
        (unknown, UNKNOWN_MAX),
    ] {
        assert!(Rpc::decode(&repeated(&one, max)).is_ok(), "{max} of {one:02x?}");
        assert_eq!(Rpc::decode(&repeated(&one, max + 1)).err(), Some(Wrong::TooMany), "{max} of {one:02x?}");
    }
    let full = vec![id; IDS_MAX];
    assert!(Rpc::decode(&frame::ihave(CONSENSUS, &full)).is_ok());
    let more = vec![id; IDS_MAX + 1];
    assert_eq!(Rpc::decode(&frame::ihave(CONSENSUS, &more)).err(), Some(Wrong::TooMany));
    assert_eq!(Rpc::decode(&frame::iwant(&more)).err(), Some(Wrong::TooMany));

    let mut stage = Stage::new();
    stage.crowd(1);
    stage.say(connection(1), &repeated(&framed(&[0x12, 0]), MESSAGES_MAX + 1));
    assert_eq!(stage.faults(), [(connection(1), Fault::TooMany)]);
}

/// prost RUSTSEC-2020-0002: recursion in a parser, in known and unknown fields.
#[test]
fn nesting_without_end_is_no_recursion() {
    let groups = vec![0x7b; 1_000_000];
    assert!(Rpc::decode(&framed(&groups)).is_err());
    let mut nested = Vec::new();
    for _ in 0..20_000 {
        let mut outer = vec![0x1a];
        prost::encoding::encode_varint(nested.len() as u64, &mut outer);
        outer.extend_from_slice(&nested);
        nested = outer;
    }
    // Control in control in control: unknown below the second.
    assert!(Rpc::decode(&framed(&nested)).is_ok());
}

#[test]
fn lengths_that_are_only_claimed_cost_nothing() {
    for claimed in [0x7f, u64::from(u32::MAX), u64::MAX] {
        for field in [0x0a, 0x12, 0x1a, 0x7a] {
            let mut body = vec![field];
            prost::encoding::encode_varint(claimed, &mut body);
            assert!(Rpc::decode(&framed(&body)).is_err());
        }
        let mut frame = Vec::new();
        prost::encoding::encode_varint(claimed, &mut frame);
        assert!(Rpc::decode(&frame).is_err());
    }
}

/// A message among other things, or in another form, goes on alone and in ours.
#[test]
fn what_is_sent_on_is_one_canonical_message_whatever_it_came_in() {
    let alone = signed(9, 1, CONSENSUS, b"payload");
    let message = body(&body(&alone)[1..]).to_vec();
    // An unknown field, and the author and the data in the other order.
    let (from, rest) = message.split_at(2 + 38);
    let (data, tail) = rest.split_at(2 + 7);
    let odd = [data, from, tail, &[0x78, 1]].concat();
    let odd = framed(&[&[0x12, odd.len() as u8 & 0x7f | 0x80, (odd.len() >> 7) as u8], odd.as_slice()].concat());
    for (number, frame) in [
        alone.clone(),
        joined(&[frame::graft(CONSENSUS), alone.clone()]),
        joined(&[framed(&[0x78, 1]), alone.clone()]),
        odd,
    ]
    .iter()
    .enumerate()
    {
        let mut stage = Stage::new();
        stage.crowd(2);
        stage.say(connection(1), frame);
        stage.judge(Verdict::Accept);
        let sent = stage.outputs().into_iter().find_map(|output| match output {
            polypeer_mina::mesh::Output::Send { frame, class: polypeer_mina::mesh::Class::Message, .. } => Some(frame),
            _ => None,
        });
        assert_eq!(sent, Some(alone.clone()), "{number}");
    }
}

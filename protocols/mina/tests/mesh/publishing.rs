//! Our own messages: signed by the host, sent to everyone, and to others when we do not follow.

use crate::stage::{Said, Stage, TOPIC, connection, name, settings, signed};
use bytes::Bytes;
use polypeer_engine::Now;
use polypeer_mina::mesh::frame::{self, Rpc};
use polypeer_mina::mesh::limits::{MESSAGE_BYTES_MAX, UNSIGNED_MAX};
use polypeer_mina::mesh::{BLOCK, CONSENSUS, Output, TopicId, Unpublished, Verdict};
use std::time::Duration;

fn now(stage: &Stage) -> Now {
    Now { monotonic: stage.now, unix_ms: 1_700_000_000_000 }
}

#[test]
fn our_own_go_to_everyone_who_follows_whoever_is_in_the_mesh() {
    let mut stage = Stage::new();
    stage.crowd(20);
    stage.publish(TOPIC, b"payload");
    assert_eq!(stage.sent(b"payload").len(), 20);
    assert!(stage.out.iter().any(|output| matches!(output, Output::Published { peers: 20, .. })));
}

#[test]
fn without_flood_publishing_they_go_to_the_mesh() {
    let mut stage = Stage::with(settings(|settings| settings.flood_publish = false));
    stage.crowd(20);
    stage.publish(TOPIC, b"payload");
    assert_eq!(stage.sent(b"payload"), stage.mesh.members(TOPIC));
}

#[test]
fn our_own_are_what_others_take() {
    let mut stage = Stage::new();
    stage.crowd(3);
    stage.publish(TOPIC, b"payload");
    let frame = stage.out.iter().find_map(|output| match output {
        Output::Send { frame, .. } => Some(frame.clone()),
        _ => None,
    });
    let frame = frame.expect("it is sent");
    let message = Rpc::decode(&frame).expect("a frame").messages().next().expect("a message");
    assert_eq!(message.from, Some(&name(0).to_bytes()[..]));
    assert_eq!((message.key, message.seqno.map(<[u8]>::len)), (None, Some(8)));
    // Another mesh verifies it; it knows no node by the name of its own author.
    let mut other = Stage::with(settings(|_| {}));
    other.mesh = polypeer_mina::mesh::Mesh::new(Default::default(), name(99), [1; 32]);
    other.mesh.subscribe(other.now, TOPIC, &mut other.out);
    other.crowd(1);
    other.say(connection(1), &frame);
    assert_eq!((other.delivered().len(), other.faults()), (1, vec![]));
}

#[test]
fn numbers_of_messages_grow_whatever_the_clock_does() {
    let mut stage = Stage::new();
    stage.crowd(1);
    let mut last = 0;
    for (number, unix_ms) in [5_000, 5_000, 4_000, 0, 6_000, u64::MAX / 2].into_iter().enumerate() {
        let now = Now { monotonic: stage.now, unix_ms };
        let data = Bytes::from(vec![number as u8]);
        stage.mesh.publish(now, TOPIC, data, &mut stage.out).expect("it is new");
        let Some(Output::Sign { bytes, .. }) = stage.out.pop() else { panic!("nothing to sign") };
        // Its number is the third of the signed fields.
        let seqno = &bytes[14 + 40 + 3 + 2..][..8];
        let seqno = u64::from_be_bytes(seqno.try_into().expect("eight bytes"));
        assert!(seqno > last, "{seqno} after {last}");
        last = seqno;
    }
}

#[test]
fn what_went_through_already_is_not_published() {
    let mut stage = Stage::new();
    stage.crowd(3);
    stage.spread(1, b"payload");
    stage.publish(TOPIC, b"ours");
    stage.say(connection(1), &signed(9, 1, CONSENSUS, b"judged"));
    let waits = Bytes::from_static(b"waits");
    stage.mesh.publish(now(&stage), TOPIC, waits, &mut stage.out).expect("it is new");
    for data in [&b"payload"[..], b"ours", b"judged", b"waits"] {
        let now = now(&stage);
        let refused = stage.mesh.publish(now, TOPIC, Bytes::copy_from_slice(data), &mut stage.out);
        assert_eq!(refused, Err(Unpublished::Duplicate));
    }
    // Nor taken when it comes back.
    stage.out.clear();
    stage.say(connection(2), &signed(9, 1, CONSENSUS, b"ours"));
    assert_eq!(stage.outputs(), []);
}

#[test]
fn what_nobody_would_take_is_not_published() {
    let mut stage = Stage::new();
    let now = now(&stage);
    let long = Bytes::from(vec![0; MESSAGE_BYTES_MAX + 1]);
    assert_eq!(stage.mesh.publish(now, TOPIC, long, &mut stage.out), Err(Unpublished::TooLong));
    assert_eq!(stage.mesh.publish(now, TopicId(9), Bytes::new(), &mut stage.out), Err(Unpublished::Topic));
    for number in 0..UNSIGNED_MAX as u32 {
        let data = Bytes::copy_from_slice(&number.to_be_bytes());
        stage.mesh.publish(now, TOPIC, data, &mut stage.out).expect("there is room");
    }
    assert_eq!(stage.mesh.publish(now, TOPIC, Bytes::new(), &mut stage.out), Err(Unpublished::Full));
    // A host that does not sign gives the room back.
    stage.mesh.signed(stage.now, 1, None, &mut stage.out);
    assert!(stage.mesh.publish(now, TOPIC, Bytes::new(), &mut stage.out).is_ok());
}

#[test]
fn a_signature_for_nothing_is_nothing() {
    let mut stage = Stage::new();
    stage.crowd(3);
    stage.mesh.signed(stage.now, 77, Some(&[1; 64]), &mut stage.out);
    assert_eq!(stage.outputs(), []);
}

/// Somebody else publishes the same while the host signs.
#[test]
fn a_message_that_comes_while_it_is_signed_is_ours() {
    let mut stage = Stage::new();
    stage.crowd(3);
    let data = Bytes::from_static(b"payload");
    let ticket = stage.mesh.publish(now(&stage), TOPIC, data, &mut stage.out).expect("it is new");
    stage.say(connection(1), &signed(9, 1, CONSENSUS, b"payload"));
    assert_eq!(stage.delivered().len(), 1);
    let signature = stage.out.iter().find_map(|output| match output {
        Output::Sign { bytes, .. } => Some(crate::stage::sign(0, bytes)),
        _ => None,
    });
    stage.mesh.signed(stage.now, ticket, signature.as_ref(), &mut stage.out);
    let before = stage.sent(b"payload").len();
    stage.judge(Verdict::Reject);
    assert_eq!((stage.sent(b"payload").len(), stage.faults()), (before, vec![]));
    assert_eq!(stage.mesh.held()[1], 0);
}

/// Fanout: whoever publishes without following keeps some peers for a minute.
#[test]
fn whoever_does_not_follow_publishes_to_the_same_few_for_a_minute() {
    let mut stage = Stage::idle(settings(|settings| settings.flood_publish = false));
    for number in 1..=20 {
        stage.join(number);
    }
    stage.publish(TOPIC, b"one");
    let first = stage.sent(b"one");
    assert_eq!(first.len(), 6);
    stage.beats(59);
    stage.publish(TOPIC, b"two");
    assert_eq!(stage.sent(b"two"), first);
    // One that goes is replaced.
    stage.mesh.gone(stage.now, first[0]);
    stage.beats(1);
    stage.publish(TOPIC, b"three");
    let third = stage.sent(b"three");
    assert!(
        third.len() == 6 && !third.contains(&first[0]) && third.iter().filter(|to| first.contains(to)).count() == 5
    );
    // A minute of silence ends it.
    stage.beats(62);
    stage.publish(TOPIC, b"four");
    assert_ne!(stage.sent(b"four"), third);
    assert_eq!(stage.mesh.members(TOPIC), []);
}

#[test]
fn whoever_begins_to_follow_takes_those_few_into_the_mesh() {
    let mut stage = Stage::idle(settings(|settings| settings.flood_publish = false));
    for number in 1..=20 {
        stage.join(number);
    }
    stage.publish(TOPIC, b"one");
    let few = stage.sent(b"one");
    stage.mesh.subscribe(stage.now, TOPIC, &mut stage.out);
    assert_eq!(stage.mesh.members(TOPIC), few);
    let graft = Said::Graft(CONSENSUS.into());
    assert!(few.iter().all(|peer| stage.heard(*peer).contains(&graft)));
}

#[test]
fn what_is_published_to_nobody_is_told_of_to_whoever_comes_soon() {
    let mut stage = Stage::new();
    stage.publish(TOPIC, b"payload");
    assert!(stage.out.iter().any(|output| matches!(output, Output::Published { peers: 0, .. })));
    for number in 1..=20 {
        stage.join(number);
    }
    stage.out.clear();
    stage.beats(1);
    let tells = (1..=20).filter(|number| {
        stage.heard(connection(*number)).iter().any(|said| matches!(said, Said::IHave(ids) if ids.len() == 1))
    });
    assert_eq!(tells.count(), 6);
    stage.say(connection(1), &frame::subscriptions([(BLOCK, false)].into_iter()));
    stage.pass(Duration::from_secs(10));
    assert_eq!(stage.mesh.held()[3], 0);
}

//! What becomes of messages: who is believed, what is judged, and who gets them.

use crate::stage::{Stage, TOPIC, connection, key, name, settings, sign, signed};
use bytes::Bytes;
use ed25519_dalek::SigningKey;
use polypeer_engine::ConnectionId;
use polypeer_mina::mesh::frame::{self, Message};
use polypeer_mina::mesh::limits::{JUDGED_WITHIN, MESSAGE_BYTES_MAX, PENDING_BYTES_MAX, PENDING_MAX};
use polypeer_mina::mesh::{BLOCK, CONSENSUS, Fault, Output, TopicId, Verdict};
use std::time::Duration;

/// What a message lacks or has wrong.
struct Case {
    about: &'static str,
    change: fn(&mut Parts),
    expected: Result<(), Fault>,
}

/// A message in the making.
struct Parts {
    from: Option<Vec<u8>>,
    data: Option<Vec<u8>>,
    seqno: Option<Vec<u8>>,
    key: Option<Vec<u8>>,
    // What is put in its place after signing.
    signature: Option<Option<Vec<u8>>>,
    signer: SigningKey,
}

impl Parts {
    fn frame(self) -> Bytes {
        let unsigned = Message {
            from: self.from.as_deref(),
            data: self.data.as_deref(),
            seqno: self.seqno.as_deref(),
            topic: Some(CONSENSUS.as_bytes()),
            key: self.key.as_deref(),
            ..Message::default()
        };
        let right = ed25519_dalek::Signer::sign(&self.signer, &frame::signed_bytes(&unsigned)).to_bytes().to_vec();
        let signature = self.signature.unwrap_or(Some(right));
        frame::message(&Message { signature: signature.as_deref(), ..unsigned }).0
    }
}

const CASES: [Case; 16] = [
    Case { about: "as Go sends it", change: |_| {}, expected: Ok(()) },
    Case {
        about: "as js sends it, with its key",
        change: |parts| parts.key = Some(name(9).to_protobuf().to_vec()),
        expected: Ok(()),
    },
    Case { about: "empty data", change: |parts| parts.data = Some(Vec::new()), expected: Ok(()) },
    Case { about: "no data", change: |parts| parts.data = None, expected: Ok(()) },
    Case { about: "no author", change: |parts| parts.from = None, expected: Err(Fault::Unsigned) },
    Case { about: "no number", change: |parts| parts.seqno = None, expected: Err(Fault::Unsigned) },
    Case { about: "no signature", change: |parts| parts.signature = Some(None), expected: Err(Fault::Unsigned) },
    Case {
        about: "a number of seven bytes",
        change: |parts| parts.seqno = Some(vec![1; 7]),
        expected: Err(Fault::BadAuthor),
    },
    Case {
        about: "an author of another type of key",
        change: |parts| parts.from = Some([&[0x12, 0x20][..], &[7; 32]].concat()),
        expected: Err(Fault::BadAuthor),
    },
    Case { about: "an empty author", change: |parts| parts.from = Some(Vec::new()), expected: Err(Fault::BadAuthor) },
    Case {
        about: "an author that is no point",
        change: |parts| parts.from = Some(polypeer_mina::keys::PeerId::of_key([2; 32]).to_bytes().to_vec()),
        expected: Err(Fault::BadAuthor),
    },
    Case {
        about: "another's key",
        change: |parts| parts.key = Some(name(8).to_protobuf().to_vec()),
        expected: Err(Fault::BadAuthor),
    },
    Case { about: "an empty key", change: |parts| parts.key = Some(Vec::new()), expected: Err(Fault::BadAuthor) },
    Case {
        about: "a signature of 63 bytes",
        change: |parts| parts.signature = Some(Some(vec![1; 63])),
        expected: Err(Fault::BadAuthor),
    },
    Case {
        about: "a signature of zeros",
        change: |parts| parts.signature = Some(Some(vec![0; 64])),
        expected: Err(Fault::BadSignature),
    },
    Case { about: "another's signature", change: |parts| parts.signer = key(8), expected: Err(Fault::BadSignature) },
];

/// Section 3.5, and row 12 of section 11.
#[test]
fn only_what_is_signed_strictly_is_taken() {
    for Case { about, change, expected } in CASES {
        let mut parts = Parts {
            from: Some(name(9).to_bytes().to_vec()),
            data: Some(b"payload".to_vec()),
            seqno: Some(vec![0, 0, 0, 0, 0, 0, 0, 1]),
            key: None,
            signature: None,
            signer: key(9),
        };
        change(&mut parts);
        let mut stage = Stage::new();
        stage.crowd(3);
        stage.say(connection(1), &parts.frame());
        match expected {
            Ok(()) => assert_eq!((stage.delivered().len(), stage.faults()), (1, Vec::new()), "{about}"),
            Err(fault) => {
                assert_eq!((stage.delivered().len(), stage.faults()), (0, vec![(connection(1), fault)]), "{about}");
            }
        }
        assert_eq!(stage.mesh.counts().forwarded, 0, "{about}: forwarded unjudged");
    }
}

/// libp2p-core CVE-2019-15545, RUSTSEC-2022-0009: a signature that is never verified, or by another than who is named.
#[test]
fn a_message_in_the_name_of_another_is_refused() {
    let mut stage = Stage::new();
    stage.crowd(3);
    for forger in [1, 8] {
        let unsigned = Message {
            from: Some(&name(9).to_bytes()),
            data: Some(b"forged"),
            seqno: Some(&[0; 8]),
            topic: Some(CONSENSUS.as_bytes()),
            ..Message::default()
        };
        let signature = sign(forger, &frame::signed_bytes(&unsigned));
        stage.say(connection(1), &frame::message(&Message { signature: Some(&signature), ..unsigned }).0);
    }
    assert_eq!(stage.delivered(), []);
    assert_eq!(stage.faults(), [(connection(1), Fault::BadSignature); 2]);
}

/// Zebra GHSA-4m69: what is remembered of a bad copy refuses the good one.
#[test]
fn a_copy_with_a_wrong_signature_spoils_nothing() {
    let mut stage = Stage::new();
    stage.crowd(3);
    let good = signed(9, 1, CONSENSUS, b"payload");
    let mut bad = good.to_vec();
    *bad.last_mut().expect("a signature") ^= 1;
    stage.say(connection(1), &bad.into());
    assert_eq!((stage.delivered().len(), stage.faults().len()), (0, 1));
    stage.say(connection(2), &good);
    assert_eq!(stage.delivered().len(), 1);
}

fn peers(numbers: &[u64]) -> Vec<ConnectionId> {
    numbers.iter().map(|number| connection(*number)).collect()
}

#[test]
fn what_is_accepted_goes_to_the_mesh_but_not_back() {
    let mut stage = Stage::new();
    stage.crowd(6);
    // Its author is connected too, and another one brought it meanwhile.
    stage.say(connection(1), &signed(3, 1, CONSENSUS, b"payload"));
    stage.say(connection(5), &signed(3, 1, CONSENSUS, b"payload"));
    assert!(stage.sent(b"payload").is_empty());
    stage.judge(Verdict::Accept);
    assert_eq!(stage.sent(b"payload"), peers(&[2, 4, 6]));
}

#[test]
fn what_is_ignored_or_rejected_goes_nowhere() {
    for (verdict, faults) in [
        (Verdict::Ignore, vec![]),
        (Verdict::Reject, vec![(connection(1), Fault::Rejected), (connection(5), Fault::Rejected)]),
    ] {
        let mut stage = Stage::new();
        stage.crowd(6);
        for peer in [1, 5, 1] {
            stage.say(connection(peer), &signed(9, 1, CONSENSUS, b"payload"));
        }
        stage.judge(verdict);
        assert_eq!((stage.sent(b"payload"), stage.faults()), (vec![], faults));
        // Nor when it comes again.
        stage.out.clear();
        stage.say(connection(2), &signed(9, 1, CONSENSUS, b"payload"));
        assert_eq!(stage.outputs(), []);
        // Nor when asked for.
        let name = stage.spread(3, b"another");
        stage.say(connection(4), &frame::iwant(&[name]));
        assert_eq!(stage.sent(b"another").len(), 1);
        assert_eq!(stage.sent(b"payload").len(), 0);
    }
}

/// Rows 13 and 14 of section 11: neither author nor number is in a name.
#[test]
fn the_same_data_of_two_authors_within_two_minutes_is_one_message() {
    let mut stage = Stage::new();
    stage.crowd(3);
    stage.spread(1, b"payload");
    stage.pass(Duration::from_secs(119));
    stage.out.clear();
    stage.say(connection(2), &signed(8, 5, CONSENSUS, b"payload"));
    assert_eq!(stage.outputs(), []);
    stage.pass(Duration::from_secs(2));
    stage.say(connection(2), &signed(8, 5, CONSENSUS, b"payload"));
    assert_eq!(stage.delivered().len(), 1);
}

/// The same data in another topic is another message.
#[test]
fn a_topic_is_in_the_name() {
    let mut stage = Stage::new();
    stage.mesh.subscribe(stage.now, TopicId(1), &mut stage.out);
    stage.crowd(3);
    stage.say(connection(1), &signed(9, 1, CONSENSUS, b"payload"));
    stage.say(connection(1), &signed(9, 1, BLOCK, b"payload"));
    let names = stage.delivered();
    assert!(names.len() == 2 && names[0] != names[1]);
}

#[test]
fn whoever_brings_what_is_being_judged_is_told_of_once() {
    let mut stage = Stage::new();
    stage.crowd(6);
    for peer in [1, 2, 2, 1, 3] {
        stage.say(connection(peer), &signed(9, 1, CONSENSUS, b"payload"));
    }
    let id = stage.delivered()[0];
    let again: Vec<Output> = peers(&[2, 3]).into_iter().map(|peer| Output::Again { id, peer }).collect();
    assert_eq!(stage.out.split_off(1), again);
}

/// Section 3.6.
#[test]
fn what_is_not_judged_within_five_minutes_goes_nowhere_and_costs_nobody() {
    let mut stage = Stage::new();
    stage.crowd(3);
    stage.say(connection(1), &signed(9, 1, CONSENSUS, b"payload"));
    let id = stage.delivered()[0];
    stage.out.clear();
    stage.pass(JUDGED_WITHIN - Duration::from_secs(1));
    assert!(!stage.out.contains(&Output::Expired { id }));
    stage.pass(Duration::from_secs(2));
    assert!(stage.out.contains(&Output::Expired { id }));
    stage.mesh.judged(stage.now, id, Verdict::Accept, &mut stage.out);
    assert_eq!((stage.sent(b"payload").len(), stage.faults()), (0, vec![]));
    // And it is remembered as what it was.
    stage.out.clear();
    stage.say(connection(2), &signed(9, 1, CONSENSUS, b"payload"));
    assert_eq!(stage.delivered(), []);
}

#[test]
fn topics_that_are_unknown_or_not_followed_are_passed_over() {
    let mut stage = Stage::new();
    stage.crowd(3);
    for topic in ["", "coda/blocks/0.0.1", "mina/block/1.0.0", "coda/consensus-messages/0.0.2"] {
        stage.say(connection(1), &signed(9, 1, topic, b"payload"));
    }
    assert_eq!((stage.outputs(), stage.mesh.counts().unfollowed), (vec![], 4));
}

#[test]
fn a_message_that_says_to_be_ours_is_passed_over() {
    let mut stage = Stage::new();
    stage.crowd(3);
    stage.say(connection(1), &signed(0, 1, CONSENSUS, b"payload"));
    assert_eq!((stage.outputs(), stage.mesh.counts().duplicates), (vec![], 1));
}

#[test]
fn a_message_of_32_mib_is_taken_and_one_byte_more_is_not() {
    let mut stage = Stage::new();
    stage.crowd(3);
    let mut data = vec![1; MESSAGE_BYTES_MAX];
    stage.say(connection(1), &signed(9, 1, CONSENSUS, &data));
    assert_eq!((stage.delivered().len(), stage.faults()), (1, vec![]));
    stage.judge(Verdict::Accept);
    stage.out.clear();
    data.push(1);
    stage.say(connection(1), &signed(9, 1, CONSENSUS, &data));
    assert_eq!((stage.delivered().len(), stage.faults()), (0, vec![(connection(1), Fault::TooLong)]));
}

#[test]
fn so_many_are_judged_at_once_and_one_peer_has_half_of_them() {
    let mut stage = Stage::new();
    stage.crowd(8);
    for number in 0..200_u64 {
        stage.say(connection(1), &signed(9, 1, CONSENSUS, &number.to_be_bytes()));
    }
    assert_eq!(stage.delivered().len(), PENDING_MAX.div_ceil(2));
    for number in 0..400_u64 {
        stage.say(connection(2 + number % 6), &signed(9, 2, CONSENSUS, &(1_000 + number).to_be_bytes()));
    }
    assert_eq!(stage.delivered().len(), PENDING_MAX);
    let throttled = stage.mesh.counts().throttled;
    assert_eq!(throttled, 600 - PENDING_MAX as u64);
    assert_eq!(stage.faults(), [], "it is we who are slow");
    // What was dropped was not remembered, and comes in once there is room.
    stage.judge(Verdict::Ignore);
    stage.out.clear();
    stage.say(connection(1), &signed(9, 1, CONSENSUS, &199_u64.to_be_bytes()));
    assert_eq!(stage.delivered().len(), 1);
}

#[test]
fn what_is_judged_at_once_has_bytes_too() {
    let mut stage = Stage::new();
    stage.crowd(8);
    let count = 10;
    let bytes = PENDING_BYTES_MAX / count - 1_000;
    for number in 0..2 * count {
        let mut data = vec![0; bytes];
        data[0] = number as u8;
        stage.say(connection(1 + number as u64 % 8), &signed(9, 1, CONSENSUS, &data));
    }
    assert_eq!(stage.delivered().len(), count);
    let gone: Vec<_> = stage.delivered();
    stage.mesh.judged(stage.now, gone[0], Verdict::Ignore, &mut stage.out);
    stage.out.clear();
    stage.say(connection(1), &signed(9, 1, CONSENSUS, &vec![99; bytes]));
    assert_eq!(stage.delivered().len(), 1);
}

#[test]
fn a_verdict_on_nothing_and_a_second_one_are_nothing() {
    let mut stage = Stage::new();
    stage.crowd(3);
    let id = stage.spread(1, b"payload");
    for verdict in [Verdict::Accept, Verdict::Ignore, Verdict::Reject] {
        stage.mesh.judged(stage.now, id, verdict, &mut stage.out);
    }
    assert_eq!(stage.outputs(), []);
}

/// Its bringer is gone before the verdict, or came back under another connection.
#[test]
fn whoever_left_meanwhile_is_neither_sent_to_nor_missed() {
    let mut stage = Stage::new();
    stage.crowd(4);
    stage.say(connection(1), &signed(9, 1, CONSENSUS, b"payload"));
    stage.mesh.gone(stage.now, connection(1));
    stage.mesh.gone(stage.now, connection(2));
    stage.judge(Verdict::Accept);
    assert_eq!(stage.sent(b"payload"), peers(&[3, 4]));
    assert!(stage.mesh.is_sound());
}

/// Solana, February 2023: a message goes round again when the memory of it was pushed out.
#[test]
fn nothing_that_is_refused_pushes_out_what_went_round() {
    let mut stage = Stage::with(settings(|settings| settings.pending_max = 1_000));
    stage.crowd(3);
    stage.spread(1, b"payload");
    for number in 0..2_000_u64 {
        stage.say(connection(1), &signed(9, 1, CONSENSUS, &number.to_be_bytes()));
        stage.judge(Verdict::Reject);
        stage.out.clear();
    }
    stage.say(connection(2), &signed(8, 1, CONSENSUS, b"payload"));
    assert_eq!(stage.outputs(), []);
    assert!(stage.mesh.members(TOPIC).len() == 3);
}

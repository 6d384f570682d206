//! Every count and length, at its limit and one above.

use super::fixtures::*;
use polypeer_mina::binprot::{Binable, BinprotError, DEPTH_MAX, Fp, Seq, Text, Vector, Whole, Writer};
use polypeer_mina::block::{
    Body, COMMANDS_MAX, Densities, FAILURES_MAX, Failure, FailureTable, INTERNALS_MAX, Slot, Status, WORKS_MAX,
};
use polypeer_mina::command::{
    Authorization, Call, Commands, DIFF_COMMANDS_MAX, EVENTS_MAX, Events, Memo, UPDATES_MAX, UserCommand, ZkappCommand,
};

/// A list of so many of the same bytes.
fn list(count: usize, item: &[u8]) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.nat0(count as u64);
    (0..count).for_each(|_| writer.raw(item));
    writer.finish().to_vec()
}

#[track_caller]
fn check_count<'a, T: Binable<'a> + 'a, const MAX: usize>(at: &'a [u8], above: &'a [u8]) {
    assert_eq!(Seq::<'a, T, MAX>::decode(at).map(|list| list.len()).ok(), Some(MAX));
    assert_eq!(Seq::<'a, T, MAX>::decode(above).map(drop), Err(BinprotError::TooMany));
}

#[test]
fn lists_end_at_their_limit() {
    let payment = file(PAYMENT);
    let (at, above) = (list(DIFF_COMMANDS_MAX, &payment), list(DIFF_COMMANDS_MAX + 1, &payment));
    check_count::<Whole<'_, UserCommand<'_>>, DIFF_COMMANDS_MAX>(&at, &above);
    assert_eq!(Commands::decode(&at).map(|commands| commands.len()), Ok(DIFF_COMMANDS_MAX));
    let row = list(FAILURES_MAX, &[9]);
    check_count::<Failure, FAILURES_MAX>(&row, &list(FAILURES_MAX + 1, &[9]));
    check_count::<Seq<'_, Failure, FAILURES_MAX>, FAILURES_MAX>(
        &list(FAILURES_MAX, &row),
        &list(FAILURES_MAX + 1, &row),
    );
    assert_eq!(FailureTable::decode(&list(1, &list(FAILURES_MAX + 1, &[9]))).map(drop), Err(BinprotError::TooMany));
    check_count::<Seq<'_, Fp, 16>, EVENTS_MAX>(&list(EVENTS_MAX, &[0]), &list(EVENTS_MAX + 1, &[0]));
    let event = list(16, &[0; 32]);
    assert_eq!(Events::decode(&list(2, &event)).map(|events| events.len()), Ok(2));
    assert_eq!(Events::decode(&list(1, &list(17, &[0; 32]))).map(drop), Err(BinprotError::TooMany));
}

/// The lists of a partial diff, one after the other.
#[test]
fn partial_diffs_end_at_their_limits() {
    let payment = [file(PAYMENT), vec![0]].concat();
    let work = {
        let proof = {
            let bytes = file(BLOCK);
            let statement = block(&bytes).header.state.body.blockchain.statement.encode();
            [&statement[..], &[32], &[0; 32], polypeer_mina::block::DUMMY_PROOF].concat()
        };
        [&[0][..], &[0x8d, 0xa4, 0x78, 0x00], &proof, &[0; 33]].concat()
    };
    let body = |works: usize, commands: usize, internals: usize| {
        let lists = [list(works, &work), list(commands, &payment), vec![0], list(internals, &[0]), vec![0]];
        Body::decode(&lists.concat()).map(drop)
    };
    assert_eq!(body(0, 0, 0), Ok(()));
    assert_eq!(body(WORKS_MAX, COMMANDS_MAX, INTERNALS_MAX), Ok(()));
    assert_eq!(body(WORKS_MAX + 1, 0, 0), Err(BinprotError::TooMany));
    assert_eq!(body(0, COMMANDS_MAX + 1, 0), Err(BinprotError::TooMany));
    assert_eq!(body(0, 0, INTERNALS_MAX + 1), Err(BinprotError::TooMany));
}

/// A count alone allocates nothing and reads nothing.
#[test]
fn counts_that_nothing_follows_are_cut_short() {
    for count in [1_u64, 0x80, 1 << 20, 1 << 40, u64::MAX] {
        let mut writer = Writer::default();
        writer.nat0(count);
        let bytes = writer.finish();
        assert_eq!(Commands::decode(&bytes).map(drop), Err(BinprotError::Truncated), "{count}");
        assert_eq!(Text::<{ usize::MAX }>::decode(&bytes), Err(BinprotError::Truncated), "{count}");
    }
}

#[test]
fn strings_end_at_their_limit() {
    let text = |length: usize| list(length, b"x");
    assert_eq!(Text::<255>::decode(&text(255)).map(|text| text.as_bytes().len()), Ok(255));
    assert_eq!(Text::<255>::decode(&text(256)), Err(BinprotError::Length));
    for length in [0, 33, 35] {
        assert_eq!(Memo::decode(&text(length)), Err(BinprotError::Length));
    }
    for length in [0, 31, 33] {
        assert_eq!(<[u8; 32]>::decode(&text(length)), Err(BinprotError::Length));
    }
    assert!(Memo::decode(&text(34)).is_ok());
    assert_eq!((Text::<6>::of(b"1234567"), Seq::<'_, bool, 1>::of(&[true, true])), (None, None));
}

#[test]
fn windows_have_eleven_parts() {
    for count in [0, 10, 12] {
        let wrong = if count > 11 { BinprotError::TooMany } else { BinprotError::Length };
        assert_eq!(Densities::decode(&list(count, &[7])), Err(wrong), "{count}");
    }
    assert_eq!(Densities::decode(&list(11, &[7])), Ok(Densities([7; 11])));
}

#[test]
fn vectors_end_with_a_unit() {
    assert_eq!(Vector::<'_, u8, 2>::decode(&[1, 2, 0]).map(|vector| vector.iter().collect::<Vec<_>>()), Ok(vec![1, 2]));
    assert_eq!(Vector::<'_, u8, 2>::decode(&[1, 2, 1]).map(drop), Err(BinprotError::Unit));
    assert_eq!(Vector::<'_, u8, 2>::decode(&[1, 2]).map(drop), Err(BinprotError::Truncated));
}

#[test]
fn variants_end_with_their_last_constructor() {
    for number in 0..=u8::MAX {
        let failure = Failure::decode(if number == 36 { &[36, 0] } else { std::slice::from_ref(&number) });
        assert_eq!(failure.is_ok(), number < 45, "{number}");
        assert_eq!(Slot::decode(&[number, 7]).is_ok(), number == 0);
    }
    assert_eq!(Status::decode(&[2]), Err(BinprotError::Constructor));
}

// A call of a call of a call.
fn calls(depth: usize) -> Vec<u8> {
    let bytes = file(ZKAPPS[2]);
    let command: ZkappCommand<'_> = decoded(&bytes);
    let call = command.calls.iter().next().expect("an update");
    let update = {
        let mut writer = Writer::default();
        call.update.body.write(&mut writer);
        Authorization::None.write(&mut writer);
        writer.finish()
    };
    // Update, unit, calls, unit.
    let tree = (0..depth).fold(vec![0], |inner, _| [&[1][..], &update, &[0], &inner, &[0]].concat());
    let mut writer = Writer::default();
    command.fee_payer.write(&mut writer);
    writer.raw(&tree);
    command.memo.write(&mut writer);
    writer.finish().to_vec()
}

#[test]
fn calls_are_nested_as_deep_as_is_allowed_and_no_deeper() {
    let depth = usize::from(DEPTH_MAX);
    let (at, above) = (calls(depth), calls(depth + 1));
    let command: ZkappCommand<'_> = decoded(&at);
    assert_eq!(super::anew::anew(&command), at);
    let mut deepest = 0;
    let mut level: Vec<Call<'_>> = command.calls.iter().collect();
    while !level.is_empty() {
        deepest += 1;
        level = level.iter().flat_map(|call| call.calls).collect();
    }
    assert_eq!(deepest, depth);
    assert_eq!(ZkappCommand::decode(&above).map(drop), Err(BinprotError::TooDeep));
    let id = |command: &[u8]| polypeer_mina::command::transaction_id(&[&[1], command].concat());
    assert!(id(&at).is_ok());
    assert_eq!(id(&above), Err(BinprotError::TooDeep));
}

#[test]
fn updates_end_at_their_limit() {
    let one = calls(1);
    let command: ZkappCommand<'_> = decoded(&one);
    let call = command.calls.iter().next().expect("an update").encode();
    check_count::<Call<'_>, UPDATES_MAX>(&list(UPDATES_MAX, &call), &list(UPDATES_MAX + 1, &call));
}

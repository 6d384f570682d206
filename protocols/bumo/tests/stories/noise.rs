//! Noise: each captured message cut at every byte, a signed one altered at every byte, numbers out of all range. No
//! panic, a stated outcome, and nobody else hears of it.

use crate::make::{self, commit, fixture, pre_prepare, prepare};
use crate::peers::Greeting;
use crate::stage::*;
use polypeer_bumo::frame;
use polypeer_bumo::hash::sha256;
use polypeer_bumo::wire::{Body, Encoded, Envelope, Kind, Message as _, Pbft, RawViewChange, ViewChange};
use polypeer_engine::ConnectionId;

const HONEST: &str = "10.0.0.8:40000";

/// Every captured message.
fn captured() -> Vec<String> {
    let folder = format!("{}/tests/fixtures", env!("CARGO_MANIFEST_DIR"));
    let names = std::fs::read_dir(folder).expect("fixtures").map(|entry| entry.expect("one").file_name());
    let mut names: Vec<_> =
        names.filter_map(|name| name.into_string().ok()).filter(|it| it.ends_with(".hex")).collect();
    names.sort();
    assert!(names.len() > 50);
    names
}

/// A guest, a new one from another place whenever the last is gone.
struct Guests {
    count: usize,
    now: Option<ConnectionId>,
}

impl Guests {
    fn one(&mut self, stage: &mut Stage) -> ConnectionId {
        if let Some(guest) = self.now.filter(|guest| stage.is_open(*guest)) {
            return guest;
        }
        self.count += 1;
        let (high, low) = (self.count / 200, self.count % 200 + 1);
        let guest = stage.guest_as(&format!("10.2.{high}.{low}:40000"), &Greeting::of(1_000 + self.count));
        self.now = Some(guest);
        guest
    }
}

/// What an honest peer was sent that is not its own business: PING and our questions are.
fn hears_of_it(stage: &mut Stage, honest: ConnectionId) -> usize {
    stage.hears(honest).iter().filter(|said| said.kind.is_broadcast()).count()
}

#[test]
fn messages_that_are_cut_anywhere_harm_nobody() {
    let mut stage = Stage::new(holding(20));
    let honest = stage.guest(HONEST);
    let mut guests = Guests { count: 0, now: None };
    for name in captured() {
        let whole = fixture(&name);
        // Long ones at every place of their start and end, and at every seventh between.
        let is_tried = |end: &usize| *end < 300 || end + 300 > whole.len() || end.is_multiple_of(7);
        for end in (0..whole.len()).filter(is_tried) {
            let guest = guests.one(&mut stage);
            stage.says_raw(guest, &whole[..end]);
            stage.sent.remove(&guest);
        }
        let envelope = Envelope::decode(&whole).expect("an envelope");
        let (kind, data) = (envelope.kind().expect("a kind"), envelope.data);
        for end in (0..data.len()).filter(is_tried) {
            let guest = guests.one(&mut stage);
            stage.types(guest, &frame::pack(kind, envelope.is_request, 1, &data[..end]));
            stage.sent.remove(&guest);
        }
        // A payment without its signature is one too, for a ledger that looks at no signature.
        let heard = hears_of_it(&mut stage, honest);
        assert!(heard == 0 || kind == Kind::Transaction, "{name}");
    }
    stage.is_well(honest);
    assert_eq!((stage.slips(honest), stage.tip()), (0, 21));
    stage.ends();
}

#[test]
fn no_byte_of_a_consensus_message_can_be_altered() {
    let mut setting = holding(0);
    setting.ledger.signer = Some(1);
    let mut stage = Stage::new(setting);
    let honest = stage.guest(HONEST);
    let value = make::value(2, &make::genesis(), &[], stage.now.unix_ms as i64 * 1000);
    let digest = sha256(&value);
    let messages = [pre_prepare(0, 0, 2, &value), prepare(2, 0, 2, &digest), commit(3, 0, 2, &digest)];
    let mut guests = Guests { count: 0, now: None };
    for message in &messages {
        for at in 0..message.len() {
            let guest = guests.one(&mut stage);
            let mut altered = message.to_vec();
            altered[at] ^= 1;
            stage.says(guest, Kind::Pbft, &altered);
            stage.sent.remove(&guest);
            assert_eq!(hears_of_it(&mut stage, honest), 0, "byte {at}");
        }
    }
    assert_eq!(stage.tip(), 1);
    // The genuine ones still count.
    let guest = guests.one(&mut stage);
    messages.iter().for_each(|message| stage.says(guest, Kind::Pbft, message));
    assert!(hears_of_it(&mut stage, honest) > 3);
    stage.ends();
}

#[test]
fn numbers_out_of_all_range_are_passed_over() {
    let numbers = [i64::MIN, -1, 0, 1, 33, 1 << 40, i64::MAX - 1, i64::MAX];
    let mut setting = holding(20);
    setting.ledger.signer = Some(1);
    let mut stage = Stage::new(setting);
    let honest = stage.guest(HONEST);
    let mut guests = Guests { count: 0, now: None };
    let digest = sha256(b"value");
    let view_change = |view_number, sequence| {
        let change = ViewChange { view_number, sequence, replica_id: 2, ..ViewChange::default() };
        let inner = make::sealed(2, &Pbft { round_number: 0, body: Body::ViewChange(change), chain_id: 0 });
        let raw = RawViewChange { view_change_env: Some(Encoded::of(&inner)), prepared_set: None };
        make::sealed(2, &Pbft { round_number: 0, body: Body::RawViewChange(raw), chain_id: 0 })
    };
    for view in numbers {
        for sequence in numbers {
            let messages = [
                pre_prepare(0, view, sequence, b"value"),
                prepare(2, view, sequence, &digest),
                commit(3, view, sequence, &digest),
                view_change(view, sequence),
            ];
            for message in &messages {
                let guest = guests.one(&mut stage);
                stage.says(guest, Kind::Pbft, message);
                stage.sent.remove(&guest);
            }
            let guest = guests.one(&mut stage);
            stage.asks_for_ledgers(guest, view, sequence);
            stage.sent.remove(&guest);
        }
    }
    assert_eq!(stage.tip(), 21);
    stage.is_well(honest);
    stage.ends();
}

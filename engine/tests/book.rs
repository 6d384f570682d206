//! What must hold of the address book after any sequence of operations.

use bytes::Bytes;
use polypeer_engine::shell::book::{
    Book, COLLISION_PATIENCE, Entry, NEW_REFERENCES_MAX, PER_HOST_MAX, PER_SOURCE_MAX, TESTED_RECENTLY, Which,
};
use polypeer_engine::{
    Address, AsMap, AsPrefix, ImportedAddress, NetworkGroup, Now, Random, Record, Table, Time, journal,
};
use proptest::prelude::*;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

const START_MS: u64 = 1_767_225_600_000;

fn random(seed: u8) -> Random {
    Random::new([seed; 32])
}

fn book(max: usize) -> Book {
    Book::new([3; 32], max, AsMap::default())
}

fn now(seconds: u64) -> Now {
    Now::default().after(Duration::from_secs(seconds)).after_start()
}

trait AfterStart {
    fn after_start(self) -> Now;
}

impl AfterStart for Now {
    fn after_start(self) -> Now {
        Now { unix_ms: self.unix_ms.saturating_add(START_MS), ..self }
    }
}

// A public address in the `group`-th /16, the `host`-th in it.
fn at(group: u32, host: u32) -> Address {
    let [a, b] = [11 + (group / 250) as u8, (group % 250) as u8];
    Address::new(IpAddr::V4(Ipv4Addr::new(a, b, (host / 250) as u8, (host % 250) as u8)), 8_333)
}

fn sixth(network: u16, subnet: u16, host: u16) -> Address {
    Address::new(IpAddr::V6(Ipv6Addr::new(0x2a00, network, 0, subnet, 0, 0, 0, host)), 8_333)
}

/// Where an entry stands.
type Placed = Option<(Which, Vec<u32>)>;

fn all(book: &Book) -> BTreeMap<Address, (Entry, Placed)> {
    let bare = |entry: Entry| Entry { not_before: Time::ZERO, ..entry };
    book.all().map(|(address, entry)| (address, (bare(entry), book.placement(address)))).collect()
}

fn held(saved: &mut BTreeMap<Bytes, Record>, changes: Vec<Record>) {
    for record in changes {
        match record.value {
            Some(_) => saved.insert(record.key.clone(), record),
            None => saved.remove(&record.key),
        };
    }
}

#[derive(Clone, Debug)]
enum Move {
    Learn { group: u32, host: u32, source: Option<u32> },
    Sixth { subnet: u16, host: u16, source: u32 },
    Dial(usize),
    Good(usize),
    Fail(usize, bool),
    PutOff(usize, u64),
    Forget(usize),
    Test,
    Wait(u64),
}

fn any_move() -> impl Strategy<Value = Move> {
    prop_oneof![
        12 => (0..40u32, 0..60u32, prop::option::weighted(0.9, 0..12u32))
            .prop_map(|(group, host, source)| Move::Learn { group, host, source }),
        3 => (0..3u16, 0..40u16, 0..6u32).prop_map(|(subnet, host, source)| Move::Sixth { subnet, host, source }),
        4 => any::<usize>().prop_map(Move::Dial),
        5 => any::<usize>().prop_map(Move::Good),
        4 => (any::<usize>(), any::<bool>()).prop_map(|(place, ours)| Move::Fail(place, ours)),
        1 => (any::<usize>(), any::<u64>()).prop_map(|(place, micros)| Move::PutOff(place, micros)),
        1 => any::<usize>().prop_map(Move::Forget),
        1 => Just(Move::Test),
        3 => prop_oneof![Just(30u64), Just(5_000), Just(60_000), Just(3_000_000)].prop_map(Move::Wait),
    ]
}

// Plays the moves on a book. What came of each, for comparing.
fn play(book: &mut Book, moves: &[Move], seed: u8, saved: &mut BTreeMap<Bytes, Record>) -> Vec<Vec<Record>> {
    let (mut random, mut seconds) = (random(seed), 1_000_000);
    let mut trace = Vec::new();
    for step in moves {
        let now = now(seconds);
        let some = |place: usize, book: &Book| book.all().nth(place % book.len().max(1)).map(|(address, _)| address);
        match *step {
            Move::Learn { group, host, source } => {
                let source = source.map(|source| at(source, 1).ip());
                book.learn(at(group, host), source, now.unix_ms, &mut random);
            }
            Move::Sixth { subnet, host, source } => {
                book.learn(sixth(7, subnet, host), Some(at(source, 1).ip()), now.unix_ms, &mut random);
            }
            Move::Dial(place) => some(place, book).into_iter().for_each(|it| book.dialled(it, now.unix_ms)),
            Move::Good(place) => some(place, book).into_iter().for_each(|it| book.good(it, now)),
            Move::Fail(place, ours) => some(place, book).into_iter().for_each(|it| {
                book.failed(it, ours);
            }),
            Move::PutOff(place, micros) => {
                some(place, book).into_iter().for_each(|it| book.put_off(it, Time::from_micros(micros)));
            }
            Move::Forget(place) => some(place, book).into_iter().for_each(|it| book.forget(it)),
            Move::Test => drop(book.to_test(now.monotonic, &mut random)),
            Move::Wait(wait) => seconds += wait,
        }
        let changes = book.take_changes();
        held(saved, changes.clone());
        trace.push(changes);
    }
    trace
}

proptest! {
    #[test]
    fn the_book_keeps_its_rules_and_comes_back_as_it_was(
        moves in prop::collection::vec(any_move(), 1..400),
        max in prop_oneof![Just(16usize), Just(64), Just(300), Just(5_000), Just(81_920)],
        seed in any::<u8>(),
    ) {
        let mut saved = BTreeMap::new();
        let mut one = book(max);
        let trace = play(&mut one, &moves, seed, &mut saved);
        prop_assert_eq!(one.audit(), Ok(()));
        prop_assert!(one.len() <= max, "{} of {}", one.len(), max);
        let mut again = book(max);
        prop_assert_eq!(play(&mut again, &moves, seed, &mut BTreeMap::new()), trace, "the same seed, other choices");

        let mut records: Vec<Record> = saved.into_values().collect();
        prop_assert_eq!(records.len(), one.len(), "what is saved is what is there");
        records.push(one.secret());
        let back = Book::load(&records, max, AsMap::default(), START_MS, &mut random(9));
        prop_assert_eq!(back.audit(), Ok(()));
        prop_assert_eq!(all(&back), all(&one));
        let pick = |book: &Book| {
            let mut random = random(seed);
            let chosen = book.select(Which::New, now(9_000_000), &mut random, |_, _| true).is_some();
            (chosen, book.sample_proven(20, START_MS, &mut random).len())
        };
        prop_assert_eq!(pick(&back), pick(&one));
    }

    #[test]
    fn a_book_of_another_size_or_secret_takes_what_has_a_place(
        moves in prop::collection::vec(any_move(), 1..200),
        max in prop_oneof![Just(16usize), Just(300), Just(81_920)],
        keeps_secret in any::<bool>(),
    ) {
        let mut saved = BTreeMap::new();
        let mut one = book(5_000);
        play(&mut one, &moves, 1, &mut saved);
        let mut records: Vec<Record> = saved.values().cloned().collect();
        records.extend(keeps_secret.then(|| one.secret()));
        let mut back = Book::load(&records, max, AsMap::default(), START_MS, &mut random(9));
        prop_assert_eq!(back.audit(), Ok(()));
        prop_assert!(back.len() <= max);
        prop_assert!(back.all().all(|(address, _)| one.get(address).is_some()));
        // What was moved or had no place is written, so that the next start finds it all as it is.
        held(&mut saved, back.take_changes());
        let mut records: Vec<Record> = saved.into_values().collect();
        records.push(back.secret());
        let mut third = Book::load(&records, max, AsMap::default(), START_MS, &mut random(9));
        prop_assert_eq!(all(&third), all(&back));
        prop_assert_eq!(third.take_changes(), []);
    }

    #[test]
    fn damaged_records_are_left_out_one_by_one(
        moves in prop::collection::vec(any_move(), 50..200),
        place in any::<prop::sample::Index>(),
        damage in prop::collection::vec(any::<u8>(), 0..40),
        in_key in any::<bool>(),
    ) {
        let mut saved = BTreeMap::new();
        let mut one = book(5_000);
        play(&mut one, &moves, 1, &mut saved);
        let mut records: Vec<Record> = saved.into_values().collect();
        prop_assume!(!records.is_empty());
        let place = place.index(records.len());
        let hurt = &mut records[place];
        if in_key { hurt.key = damage.into() } else { hurt.value = Some(damage.into()) }
        records.push(one.secret());
        let back = Book::load(&records, 5_000, AsMap::default(), START_MS, &mut random(9));
        prop_assert_eq!(back.audit(), Ok(()));
        prop_assert!(back.len() + 2 >= one.len(), "one record is damaged, {} of {} came back", back.len(), one.len());
    }

    #[test]
    fn the_longest_prefix_decides(
        prefixes in prop::collection::vec((any::<[u8; 2]>(), 0..=20u8, 1..9u32, any::<bool>()), 0..40),
        asked in prop::collection::vec(any::<[u8; 3]>(), 1..60),
    ) {
        let ip = |[a, b]: [u8; 2], is_six: bool| if is_six {
            IpAddr::V6(Ipv6Addr::new(u16::from_be_bytes([a & 7, b & 31]), 0, 0, 0, 0, 0, 0, 0))
        } else {
            IpAddr::V4(Ipv4Addr::new(a & 7, b & 31, 0, 0))
        };
        let prefix = |(ab, bits, number, is_six): &([u8; 2], u8, u32, bool)| {
            AsPrefix { ip: ip(*ab, *is_six), bits: *bits, number: *number }
        };
        let list: Vec<_> = prefixes.iter().map(prefix).collect();
        let map = AsMap::new(list.clone());
        for [a, b, c] in asked {
            for is_six in [false, true] {
                let asked = match ip([a, b], is_six) {
                    IpAddr::V4(v4) => IpAddr::V4(Ipv4Addr::new(v4.octets()[0], v4.octets()[1], c, 1)),
                    IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::new(v6.segments()[0], c.into(), 0, 0, 0, 0, 0, 1)),
                };
                let head = |ip: IpAddr, bits: u8| match ip {
                    IpAddr::V4(ip) => u128::from(u32::from(ip).checked_shr(32 - u32::from(bits)).unwrap_or(0)),
                    IpAddr::V6(ip) => u128::from(ip).checked_shr(128 - u32::from(bits)).unwrap_or(0),
                };
                let is_kind = |it: &&AsPrefix| it.ip.is_ipv4() == asked.is_ipv4();
                let covers = |it: &&AsPrefix| is_kind(it) && head(it.ip, it.bits) == head(asked, it.bits);
                let expected = list.iter().filter(covers).max_by_key(|it| it.bits).map(|it| it.number);
                prop_assert_eq!(map.number(asked), expected, "{}", asked);
            }
        }
    }
}

#[test]
fn one_source_one_host_and_one_group_reach_only_their_share() {
    let (mut book, mut random) = (book(81_920), random(1));
    let source = Some(at(500, 1).ip());
    for n in 0..20_000 {
        book.learn(at(n % 250, n / 250), source, START_MS, &mut random);
    }
    assert!(book.len() <= PER_SOURCE_MAX, "{}", book.len());
    assert!(book.len() > PER_SOURCE_MAX * 9 / 10, "{}", book.len());
    let buckets: BTreeSet<u32> = book.all().filter_map(|(it, _)| book.placement(it)).flat_map(|it| it.1).collect();
    assert!(buckets.len() <= 64, "one source reaches {} of 1,024 buckets", buckets.len());

    for port in 1..1_000 {
        book.learn(Address::new(at(600, 1).ip(), port), Some(at(501, 1).ip()), START_MS, &mut random);
        book.learn(sixth(9, 1, port), Some(at(501, 1).ip()), START_MS, &mut random);
    }
    let of = |test: &dyn Fn(Address) -> bool| book.all().filter(|(it, _)| test(*it)).count();
    assert!(of(&|it| it.ip() == at(600, 1).ip()) <= PER_HOST_MAX);
    assert!(of(&|it| it.ip().is_ipv6()) <= PER_HOST_MAX);

    for host in 0..3_000 {
        book.good(at(700, host), now(host.into()));
    }
    let tried: Vec<_> = book.all().filter(|(it, _)| it.group() == at(700, 1).group()).collect();
    let buckets: BTreeSet<u32> = tried
        .iter()
        .filter(|(_, entry)| entry.is_tried)
        .flat_map(|(it, _)| book.placement(*it).expect("there").1)
        .collect();
    assert!(buckets.len() <= 8, "one group reaches {} of 256 tried buckets", buckets.len());
    assert_eq!(book.audit(), Ok(()));
}

#[test]
fn further_sources_give_further_places_and_no_more_than_four() {
    let (mut book, mut random) = (book(81_920), random(1));
    for source in 0..3_000 {
        book.learn(at(1, 1), Some(at(source, 1).ip()), START_MS, &mut random);
    }
    let (_, buckets) = book.placement(at(1, 1)).expect("it was learned");
    assert_eq!(buckets.len(), NEW_REFERENCES_MAX);
    assert_eq!((book.len(), book.audit()), (1, Ok(())));
}

// Two addresses that want the same tried position.
fn rivals(book: &mut Book) -> [Address; 2] {
    let mut random = random(1);
    for n in 0..60_000u32 {
        let address = at(n % 400, n / 400);
        book.learn(address, Some(at(900 + n % 100, 1).ip()), START_MS, &mut random);
        book.dialled(address, START_MS);
        let before = book.collisions();
        book.good(address, now(u64::from(n) / 10 + TESTED_RECENTLY.as_secs() * u64::from(n > 20_000)));
        if book.collisions() > before {
            let incumbent = book.to_test(Time::ZERO, &mut random).expect("one waits");
            return [incumbent, address];
        }
    }
    panic!("60,000 addresses in 16,384 positions and no two want the same");
}

#[test]
fn a_tried_position_is_lost_only_when_its_holder_does_not_answer() {
    for answers in [true, false] {
        let mut book = book(81_920);
        let [incumbent, challenger] = rivals(&mut book);
        let place = |book: &Book, address| book.get(address).expect("both are there").is_tried;
        assert_eq!([place(&book, incumbent), place(&book, challenger)], [true, false]);
        let later = now(90_000);
        book.good(at(399, 7_777), later);
        book.dialled(incumbent, later.unix_ms);
        if answers {
            book.good(incumbent, later);
        } else {
            book.failed(incumbent, true);
            assert!(place(&book, incumbent), "a fault of ours says nothing");
            book.failed(incumbent, false);
        }
        assert_eq!([place(&book, incumbent), place(&book, challenger)], [answers, !answers]);
        assert_eq!(book.audit(), Ok(()));
    }
    let mut book = book(81_920);
    let [incumbent, _] = rivals(&mut book);
    let late = now(1_000_000_000).monotonic + COLLISION_PATIENCE;
    assert_eq!(book.to_test(late, &mut random(2)), None, "who waits too long gives up");
    assert!(book.get(incumbent).expect("there").is_tried);
}

#[test]
fn failures_while_nobody_answers_count_once() {
    let (mut book, mut random) = (book(81_920), random(1));
    book.learn(at(1, 1), Some(at(2, 1).ip()), START_MS, &mut random);
    for hour in 1..20 {
        book.dialled(at(1, 1), now(hour * 3_600).unix_ms);
        book.failed(at(1, 1), false);
    }
    // Were it hopeless, the next one at its place would have it.
    assert_eq!(book.get(at(1, 1)).expect("kept").failures, 19);
    book.good(at(3, 1), now(100_000));
    let chosen = book.select(Which::New, now(200_000), &mut random, |_, _| true);
    assert_eq!(chosen, Some(at(1, 1)));
}

/// An entry as the first version of the file has it.
#[derive(Serialize)]
struct First {
    source: Option<IpAddr>,
    proven: bool,
    last_tried_ms: u64,
    last_success_ms: u64,
    failures: u32,
}

#[test]
fn records_of_the_first_format_are_taken_over_and_written_anew() {
    let key = |address: Address| Bytes::from(postcard_of(&address));
    let record = |n: u32| {
        let (source, proven) = (Some(at(n % 7, 1).ip()), n.is_multiple_of(3));
        let first = First {
            source,
            proven,
            last_tried_ms: START_MS,
            last_success_ms: START_MS * u64::from(proven),
            failures: n,
        };
        Record { table: Table::Addresses, key: key(at(n, n)), value: Some(postcard_of(&first).into()) }
    };
    let records: Vec<_> = (0..100).map(record).collect();
    let mut book = Book::load(&records, 81_920, AsMap::default(), START_MS, &mut random(9));
    // A few may want one place: who was only named goes, who answered is in the new table until there is one.
    assert!(book.len() >= 96, "{} of 100", book.len());
    assert_eq!((book.proven(), book.audit()), (34, Ok(())));
    let mut tried = 0;
    for n in (0..100_u32).filter(|n| n.is_multiple_of(3) || book.get(at(*n, *n)).is_some()) {
        let entry = book.get(at(n, n)).expect("taken over");
        assert_eq!((entry.failures, entry.source), (n, Some(at(n % 7, 1).ip())));
        assert!(!entry.is_tried || n.is_multiple_of(3));
        tried += usize::from(entry.is_tried);
    }
    assert!(tried >= 32, "{tried} of 34");
    let mut records = book.take_changes();
    assert_eq!(records.len(), 100, "each is written anew or forgotten");
    records.retain(|record| record.value.is_some());
    assert_eq!(records.len(), book.len());
    records.push(book.secret());
    let mut again = Book::load(&records, 81_920, AsMap::default(), START_MS, &mut random(9));
    assert_eq!(all(&again), all(&book));
    assert_eq!(again.take_changes(), []);
}

fn postcard_of<T: Serialize>(value: &T) -> Vec<u8> {
    // A journal's entry is its value in the encoding of records, after 8 bytes of length and hash.
    let mut entry = Vec::new();
    journal::put(value, &mut entry).expect("it fits");
    entry.split_off(8)
}

#[test]
fn counters_and_clocks_near_their_ends_do_no_harm() {
    let (mut book, mut random) = (book(81_920), random(1));
    let end = Now { monotonic: Time::from_micros(u64::MAX), unix_ms: u64::MAX };
    for (address, now) in [(at(1, 1), Now::default()), (at(2, 1), end), (at(3, 1), now(5))] {
        assert!(book.learn(address, None, now.unix_ms, &mut random));
        book.dialled(address, now.unix_ms);
        for _ in 0..70_000 {
            book.failed(address, false);
        }
        assert_eq!(book.get(address).expect("there").failures, 65_535);
        book.put_off(address, end.monotonic);
        book.good(address, now);
        book.good(address, end);
        book.good(address, Now::default());
        book.to_test(end.monotonic, &mut random);
        for now in [Now::default(), end] {
            book.select(Which::Tried, now, &mut random, |_, _| true);
            book.select(Which::New, now, &mut random, |_, _| true);
            book.sample_proven(usize::MAX, now.unix_ms, &mut random);
        }
    }
    let far = ImportedAddress {
        address: at(4, 1),
        source: None,
        is_tried: true,
        last_tried_ms: u64::MAX,
        last_success_ms: u64::MAX,
        last_seen_ms: u64::MAX,
        failures: u32::MAX,
    };
    assert!(book.import(&far, START_MS));
    assert_eq!(book.audit(), Ok(()));
    let mut records = book.take_changes();
    records.push(book.secret());
    let back = Book::load(&records, 81_920, AsMap::default(), u64::MAX, &mut random);
    assert_eq!(all(&back), all(&book));
}

#[test]
fn a_map_of_systems_makes_them_the_groups() {
    let prefix = |text: &str, bits, number| AsPrefix { ip: text.parse().expect("an IP address"), bits, number };
    let map = AsMap::new([prefix("11.0.0.0", 8, 64_500), prefix("11.5.0.0", 16, 64_501), prefix("2a00::", 16, 64_502)]);
    let book = Book::new([3; 32], 81_920, map);
    assert_eq!(book.group(at(1, 1).ip()), NetworkGroup::As(64_500));
    assert_eq!(book.group(at(5, 1).ip()), NetworkGroup::As(64_501));
    assert_eq!(book.group(sixth(1, 1, 1).ip()), NetworkGroup::As(64_502));
    assert_eq!(book.group(at(300, 1).ip()), NetworkGroup::V4([12, 50]));
    assert_eq!(book.group_of("127.0.0.1:1".parse().expect("an address")), None);
}

#[test]
fn the_census_counts_all_of_a_small_book_and_a_sample_of_a_large_one() {
    let (mut small, mut random) = (book(81_920), random(1));
    for n in 0..300 {
        small.learn(at(n % 10, n), Some(at(100 + n % 4, 1).ip()), START_MS, &mut random);
    }
    for n in 0..100 {
        small.good(at(n % 10, n), now(1));
    }
    let census = small.census();
    let total = |tally: &polypeer_engine::shell::book::Tally| tally.by_group.values().sum::<u32>() as usize;
    let tried = small.all().filter(|(_, entry)| entry.is_tried).count();
    assert!(tried > 90, "{tried}");
    assert_eq!((census.tried.entries, census.tried.counted), (tried, tried));
    assert_eq!((census.new.entries, census.new.counted), (small.len() - tried, small.len() - tried));
    assert_eq!([total(&census.new), total(&census.tried)], [census.new.counted, tried]);
    assert_eq!(census.tried.by_group.len(), 10);
    assert!((4..=5).contains(&census.tried.by_source.len()), "four sources, and the operator");

    let mut large = book(1_000_000);
    for n in 0..30_000 {
        let group = if n % 2 == 0 { 1_000 + n % 50 } else { n % 900 };
        large.learn(at(group, n / 4), Some(at(n % 1_700, 1).ip()), START_MS, &mut random);
    }
    let census = large.census();
    assert!((2_000..=4_096).contains(&census.new.counted), "{}", census.new.counted);
    let ours: u32 = (1_000..1_050).filter_map(|group| census.new.by_group.get(&at(group, 1).group())).sum();
    let share = f64::from(ours) / census.new.counted as f64;
    assert!((0.40..0.60).contains(&share), "{share}");
}

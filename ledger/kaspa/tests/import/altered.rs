//! One thing wrong: refused for that, and what is held stays as it was.

use crate::syncer::SYNCER;
use crate::world::{World, fault, is_good};
use bytes::Bytes;
use polypeer_kaspa::ledger::{Import, ImportFault, Imported};
use polypeer_kaspa::wire::{BlockView, Ghostdag, Header, SmtLane, TrustedBlock, Utxo, encode_block};

/// A piece with one byte of an item altered.
fn alter(items: &mut [Bytes], item: usize, byte: impl FnOnce(&[u8]) -> usize) {
    let mut bytes = items[item].to_vec();
    let at = byte(&bytes);
    bytes[at] ^= 1;
    items[item] = bytes.into();
}

/// Where one stretch of bytes stands in another.
fn within(bytes: &[u8], wanted: &[u8]) -> usize {
    bytes.windows(wanted.len()).position(|window| window == wanted).expect("it stands there")
}

#[test]
fn after_a_fault_another_may_bring_the_right_ones() {
    let mut world = World::new();
    let kinds = [at(|piece| *piece == Import::ProofEnd), at(|piece| *piece == Import::OutputsEnd)];
    for here in kinds {
        world.give_all(&SYNCER.pieces[..here - 1]);
        let wrong = match &SYNCER.pieces[here - 1] {
            Import::Proof { level, headers } => Import::Proof { level: *level, headers: headers[..9].to_vec() },
            Import::Outputs(outputs) => Import::Outputs(outputs[1..].to_vec()),
            other => panic!("{other:?}"),
        };
        world.give_all(&[wrong]);
        assert!(!is_good(&world.give(&SYNCER.pieces[here])));
        world.give_all(&[Import::Abandon]);
    }
    world.give_all(&SYNCER.pieces);
    world.check_holds_all();
}

/// Gives the syncer's pieces, the one at `at` changed. What is wrong with it or with a later one, and which.
fn fails(at: usize, change: impl FnOnce(&mut Import)) -> (usize, Imported) {
    let mut world = World::new();
    let before = world.state();
    let mut pieces = SYNCER.pieces.clone();
    change(&mut pieces[at]);
    assert!(pieces[at] != SYNCER.pieces[at], "nothing was changed");
    for (piece, place) in pieces.iter().zip(0..) {
        let imported = world.give(piece);
        if !is_good(&imported) {
            assert_eq!(world.state(), before);
            assert_eq!(world.reader.counts(), (1, 0));
            return (place, imported);
        }
    }
    panic!("{at}: nothing was wrong")
}

fn check(at: usize, change: impl FnOnce(&mut Import), found_at: usize, expected: ImportFault) {
    let (place, imported) = fails(at, change);
    assert_eq!((place, fault(&imported)), (found_at, Some(expected)));
    assert!(expected.is_of_sender());
}

fn level(wanted: u8) -> usize {
    SYNCER.position(|piece| matches!(piece, Import::Proof { level, .. } if *level == wanted))
}

fn at(is_it: impl Fn(&Import) -> bool) -> usize {
    SYNCER.position(is_it)
}

fn proof(change: impl FnOnce(&mut Vec<Bytes>)) -> impl FnOnce(&mut Import) {
    move |piece| match piece {
        Import::Proof { headers, .. } => change(headers),
        other => panic!("{other:?}"),
    }
}

fn items(change: impl FnOnce(&mut Vec<Bytes>)) -> impl FnOnce(&mut Import) {
    move |piece| match piece {
        Import::PruningPoints(items)
        | Import::Trusted(items)
        | Import::Blocks(items)
        | Import::Headers(items)
        | Import::Lanes(items)
        | Import::Outputs(items) => change(items),
        other => panic!("{other:?}"),
    }
}

fn header_with(bytes: &Bytes, change: impl FnOnce(&mut Header)) -> Bytes {
    let mut header = Header::decode(bytes).expect("a header");
    change(&mut header);
    header.encode()
}

#[test]
fn every_way_in_which_a_proof_is_wrong_is_found() {
    let (lowest, end) = (level(0), at(|piece| *piece == Import::ProofEnd));
    let nonce = |bytes: &Bytes| header_with(bytes, |header| header.nonce ^= 1);
    // Whoever stands on it lacks a parent, or it is no longer what stands there.
    check(lowest, proof(|headers| headers[300] = nonce(&headers[300])), lowest, ImportFault::ProofOrder);
    check(lowest, proof(|headers| headers.swap(300, 310)), lowest, ImportFault::ProofOrder);
    check(lowest, proof(|headers| headers[300] = headers[299].clone()), lowest, ImportFault::ProofOrder);
    // Not all of it is in the past of the last.
    check(lowest, proof(|headers| drop(headers.pop())), end, ImportFault::ProofOrder);
    check(lowest, proof(|headers| headers.truncate(1)), end, ImportFault::ProofPoint);
    check(lowest, proof(|headers| *headers = vec![Bytes::from_static(&[0xff])]), lowest, ImportFault::Malformed);
    check(lowest, proof(Vec::clear), lowest, ImportFault::Levels);
    check(level(7), |piece| *piece = Import::Statuses(Vec::new()), level(6), ImportFault::Levels);
    check(lowest, |piece| *piece = Import::Statuses(Vec::new()), end, ImportFault::Levels);
    let first = level(250);
    let lower = SYNCER.pieces[level(249)].clone();
    check(first, move |piece| *piece = lower, first, ImportFault::Levels);
    // A block of a lower level among higher ones, and one that claims to have no past.
    let Import::Proof { headers: low, .. } = &SYNCER.pieces[lowest] else { panic!("the lowest level") };
    let stranger = low[1].clone();
    check(level(200), proof(move |headers| headers.push(stranger)), level(200), ImportFault::Level);
    let rootless = header_with(&low[1], |header| header.parents = Default::default());
    let (_, imported) = fails(level(200), proof(move |headers| headers.push(rootless)));
    assert!(matches!(fault(&imported), Some(ImportFault::Level | ImportFault::ProofOrder)), "{imported:?}");
    // The tip of a level above the pruning point's own must be a parent of its.
    check(level(1), proof(|headers| drop(headers.pop())), end, ImportFault::ProofPoint);
}

#[test]
fn pruning_points_that_lead_elsewhere_are_refused() {
    let here = at(|piece| matches!(piece, Import::PruningPoints(_)));
    let fault = ImportFault::PruningPoints;
    let nonce = |bytes: &Bytes| header_with(bytes, |header| header.nonce ^= 1);
    for place in [0, 2] {
        check(here, items(|headers| headers[place] = nonce(&headers[place])), here, fault);
    }
    check(here, items(Vec::clear), here, fault);
    check(here, items(|headers| drop(headers.pop())), here, fault);
    check(here, items(|headers| drop(headers.remove(0))), here, fault);
    check(here, items(|headers| headers.swap(0, 1)), here, fault);
    check(here, items(|headers| headers.insert(1, headers[1].clone())), here, fault);
    check(here, items(|headers| headers[1] = Bytes::from_static(&[0xff])), here, ImportFault::Malformed);
}

#[test]
fn trusted_blocks_that_do_not_fit_together_are_refused() {
    let here = at(|piece| matches!(piece, Import::Trusted(_)));
    let base = *SYNCER.chain.last().expect("a pruning point");
    let read = |item: &Bytes| {
        let block = TrustedBlock::decode(item).expect("a trusted block");
        let header = Header::decode(block.header).expect("a header");
        (header, Ghostdag::decode(block.ghostdag).expect("what GHOSTDAG made of it"))
    };
    let join =
        |header: &Header, data: &Ghostdag| TrustedBlock { header: &header.encode(), ghostdag: &data.encode() }.encode();
    let Import::Trusted(blocks) = &SYNCER.pieces[here] else { panic!("trusted blocks") };
    let point = blocks.iter().position(|item| read(item).0.hash() == base).expect("the pruning point");
    let changes: [fn(&mut Header, &mut Ghostdag); 7] = [
        |_, data| data.blue_score += 1,
        |_, data| data.blue_work.0[23] ^= 1,
        |_, data| data.blues.swap(0, 1),
        |_, data| data.selected_parent = data.blues[1],
        |_, data| data.blues.clear(),
        |_, data| {
            let blue = data.blues.pop();
            data.reds.extend(blue);
        },
        |header, data| {
            header.blue_score += 1;
            data.blue_score += 1;
        },
    ];
    for change in changes {
        for place in [point, 0] {
            let (mut header, mut data) = read(&blocks[place]);
            change(&mut header, &mut data);
            let item = join(&header, &data);
            let (found_at, imported) = fails(here, items(|blocks| blocks[place] = item));
            let fault = fault(&imported);
            assert!(matches!(fault, Some(ImportFault::Trusted | ImportFault::Blocks)), "{found_at}: {fault:?}");
        }
    }
    // The window's blocks stand on each other by their hashes.
    let (mut header, data) = read(&blocks[1]);
    header.nonce ^= 1;
    let item = join(&header, &data);
    let (_, imported) = fails(here, items(|blocks| blocks[1] = item));
    assert!(matches!(fault(&imported), Some(ImportFault::Trusted | ImportFault::Blocks)), "{imported:?}");
    let (_, imported) = fails(here, items(|blocks| drop(blocks.remove(point))));
    assert!(matches!(fault(&imported), Some(ImportFault::Trusted | ImportFault::Blocks)), "{imported:?}");
    check(here, items(|blocks| blocks[0] = Bytes::from_static(&[0xff])), here, ImportFault::Malformed);
}

#[test]
fn blocks_at_the_base_that_are_out_of_their_place_are_refused() {
    let first = at(|piece| matches!(piece, Import::Blocks(_)));
    let (second, chain) = (first + 1, first + 3);
    let body = |block: &Bytes| {
        let view = BlockView::decode(block).expect("a block");
        let coinbase = view.transactions().next().expect("a coinbase");
        within(block, coinbase) + coinbase.len() - 1
    };
    for place in [first, second] {
        check(
            place,
            items(|blocks| alter(blocks, 0, |bytes| body(&Bytes::copy_from_slice(bytes)))),
            place,
            ImportFault::Body,
        );
    }
    let of = |place: usize| match &SYNCER.pieces[place] {
        Import::Blocks(blocks) => blocks[0].clone(),
        other => panic!("{other:?}"),
    };
    let with_header = |block: &Bytes, change: fn(&mut Header)| {
        let view = BlockView::decode(block).expect("a block");
        let header = header_with(&Bytes::copy_from_slice(view.header), change);
        encode_block(&header, view.transactions())
    };
    let nonce: fn(&mut Header) = |header| header.nonce ^= 1;
    for place in [first, second, chain, chain + 20] {
        let altered = with_header(&of(place), nonce);
        check(place, items(|blocks| blocks[0] = altered), place, ImportFault::Blocks);
    }
    // The pruning point comes first, nothing comes twice, nothing full after the chain, and the chain has no gap.
    check(first, items(|blocks| blocks[0] = of(second)), first, ImportFault::Blocks);
    check(second, items(|blocks| blocks[0] = of(first)), second, ImportFault::Blocks);
    check(first, items(|blocks| blocks[0] = of(chain)), first, ImportFault::Blocks);
    check(chain, items(|blocks| blocks.push(of(second))), chain, ImportFault::Blocks);
    check(chain + 5, items(|blocks| blocks[0] = of(chain + 6)), chain + 5, ImportFault::Blocks);
    check(chain, items(|blocks| blocks[0] = Bytes::from_static(&[0xff])), chain, ImportFault::Malformed);
    let end = at(|piece| *piece == Import::BlocksEnd);
    let nothing = |piece: &mut Import| *piece = Import::Statuses(Vec::new());
    // Without the chain's end it is not known where lanes begin to count.
    let (found_at, imported) = fails(end - 1, nothing);
    assert!(found_at > end && fault(&imported) == Some(ImportFault::SequencingCommitment), "{imported:?}");
    // Without an anticone block what stands on it lacks a parent.
    let (_, imported) = fails(second, nothing);
    assert!(matches!(imported, Imported::HeadersTaken(Some(_)) | Imported::Taken(Err(_))), "{imported:?}");
}

#[test]
fn headers_and_bodies_are_judged_as_ever() {
    let headers = at(|piece| matches!(piece, Import::Headers(_)));
    let nonce = |bytes: &Bytes| header_with(bytes, |header| header.nonce ^= 1);
    let (place, imported) = fails(headers, items(|headers| headers[400] = nonce(&headers[400])));
    assert!(place == headers && matches!(imported, Imported::HeadersTaken(Some(_))), "{imported:?}");
    let score = |bytes: &Bytes| header_with(bytes, |header| header.daa_score += 1);
    let (place, imported) = fails(headers, items(|headers| headers[0] = score(&headers[0])));
    assert!(place == headers && matches!(imported, Imported::HeadersTaken(Some(_))), "{imported:?}");
    let bodies = at(|piece| matches!(piece, Import::Bodies(_)));
    let alter = |piece: &mut Import| match piece {
        Import::Bodies(bodies) => {
            let mut bytes = bodies[7].1.to_vec();
            let at = bytes.len() - 1;
            bytes[at] ^= 1;
            bodies[7].1 = bytes.into();
        }
        other => panic!("{other:?}"),
    };
    let (place, imported) = fails(bodies, alter);
    assert!(place == bodies && matches!(imported, Imported::BodiesTaken(Some(_))), "{imported:?}");
}

#[test]
fn lanes_that_the_header_does_not_commit_to_are_refused() {
    let (begin, lanes) =
        (at(|piece| matches!(piece, Import::LanesBegin { .. })), at(|piece| matches!(piece, Import::Lanes(_))));
    for byte in [0, 40, 95] {
        let change = |piece: &mut Import| match piece {
            Import::LanesBegin { metadata, .. } => {
                let mut bytes = metadata.to_vec();
                bytes[byte] ^= 1;
                *metadata = bytes.into();
            }
            other => panic!("{other:?}"),
        };
        check(begin, change, begin, ImportFault::SequencingCommitment);
    }
    let count = |by: i64| {
        move |piece: &mut Import| match piece {
            Import::LanesBegin { count, .. } => *count = count.wrapping_add_signed(by),
            other => panic!("{other:?}"),
        }
    };
    check(begin, count(-1), lanes, ImportFault::Lanes);
    let (place, imported) = fails(begin, count(1));
    // Not all of them came.
    assert!(place > lanes && !is_good(&imported), "{imported:?}");
    let lane = |item: &Bytes, change: fn(&mut SmtLane<'_>)| {
        let mut lane = SmtLane::decode(item).expect("a lane");
        change(&mut lane);
        lane.encode()
    };
    let tip: fn(&mut SmtLane<'_>) = |lane| lane.tip.0[5] ^= 1;
    let score: fn(&mut SmtLane<'_>) = |lane| lane.blue_score += 1;
    let key: fn(&mut SmtLane<'_>) = |lane| lane.key.0[31] ^= 1;
    for change in [tip, score, key] {
        check(lanes, items(|lanes| lanes[0] = lane(&lanes[0], change)), lanes, ImportFault::LaneProof);
        check(lanes, items(|lanes| lanes[9] = lane(&lanes[9], change)), lanes, ImportFault::Lanes);
    }
    let no_proof: fn(&mut SmtLane<'_>) = |lane| lane.proof = &[];
    check(lanes, items(|lanes| lanes[0] = lane(&lanes[0], no_proof)), lanes, ImportFault::LaneProof);
    let a_proof: fn(&mut SmtLane<'_>) = |lane| lane.proof = &[0xff; 34];
    check(lanes, items(|lanes| lanes[3] = lane(&lanes[3], a_proof)), lanes, ImportFault::LaneProof);
    check(lanes, items(|lanes| lanes.swap(3, 4)), lanes, ImportFault::Lanes);
    check(lanes, items(|lanes| lanes.push(lanes[0].clone())), lanes, ImportFault::Lanes);
    check(lanes, items(|lanes| lanes[2] = Bytes::from_static(&[0xff])), lanes, ImportFault::Malformed);
}

#[test]
fn outputs_that_the_header_does_not_commit_to_are_refused() {
    let (outputs, end) = (at(|piece| matches!(piece, Import::Outputs(_))), at(|piece| *piece == Import::OutputsEnd));
    let output = |item: &Bytes, change: fn(&mut Utxo<'_>)| {
        let mut output = Utxo::decode(item).expect("an output");
        change(&mut output);
        output.encode()
    };
    let changes: [fn(&mut Utxo<'_>); 5] = [
        |it| it.amount += 1,
        |it| it.daa_score += 1,
        |it| it.is_coinbase = !it.is_coinbase,
        |it| it.outpoint.index += 1,
        |it| it.script.version += 1,
    ];
    for change in changes {
        check(outputs, items(|outputs| outputs[100] = output(&outputs[100], change)), end, ImportFault::Outputs);
    }
    check(outputs, items(|outputs| drop(outputs.pop())), end, ImportFault::Outputs);
    check(outputs, items(|outputs| outputs.push(outputs[0].clone())), end, ImportFault::Outputs);
    check(outputs, items(|outputs| outputs[9] = Bytes::from_static(&[0xff])), outputs, ImportFault::Malformed);
    // In another order they are the same set.
    let mut world = World::new();
    let mut pieces = SYNCER.pieces.clone();
    items(|outputs| outputs.reverse())(&mut pieces[outputs]);
    world.give_all(&pieces);
    world.check_holds_all();
}

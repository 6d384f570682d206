//! Which field the coordinates in a proof are of is no guess: the points lie on their curves.

use super::fixtures::*;
use pasta_curves::group::ff::PrimeField;
use polypeer_mina::binprot::{Fp, Fq};
use polypeer_mina::block::{DUMMY_PROOF as TRANSACTION_DUMMY, Point, Proof};
use polypeer_mina::command::{SetOrKeep, ZkappCommand};

// Both curves are y² = x³ + 5.
fn is_on_curve<F: PrimeField<Repr = [u8; 32]>>(x: [u8; 32], y: [u8; 32]) -> bool {
    let [x, y] = [x, y].map(|bytes| F::from_repr(bytes).expect("below the modulus"));
    y.square() == x.square() * x + F::from(5)
}

fn is_on_pallas((x, y): Point) -> bool {
    is_on_curve::<pasta_curves::Fp>(x.0, y.0)
}

fn is_on_vesta((x, y): (Fq, Fq)) -> bool {
    is_on_curve::<pasta_curves::Fq>(x.0, y.0)
}

fn check(proof: Proof<'_>) {
    let (commitments, opening) = (proof.wrap.commitments, proof.wrap.bulletproof);
    let mut pallas: Vec<Point> = commitments.w.iter().chain(commitments.t).collect();
    pallas.extend(opening.lr.iter().flat_map(|(left, right)| [left, right]));
    pallas.extend([commitments.z, opening.delta, opening.challenge_polynomial_commitment]);
    pallas.extend(proof.statement.step.challenge_polynomial_commitments);
    assert!(pallas.len() >= 55, "{} points", pallas.len());
    assert!(pallas.into_iter().all(is_on_pallas));
    assert!(is_on_vesta(proof.statement.state.wrap.challenge_polynomial_commitment));
}

#[test]
fn the_points_of_proofs_lie_on_their_curves() {
    let bytes = file(BLOCK);
    check(block(&bytes).header.proof.get().expect("a proof"));
    check(decoded(&file(DUMMY_PROOF)));
    check(decoded(TRANSACTION_DUMMY));
}

#[test]
fn the_points_of_a_verification_key_lie_on_pallas() {
    let mut keys = 0;
    for name in ZKAPPS {
        let bytes = file(name);
        let command: ZkappCommand<'_> = decoded(&bytes);
        for call in command.calls {
            let update = call.update.body.get().expect("an update");
            if let SetOrKeep::Set(key) = update.changes.verification_key {
                keys += 1;
                let index = key.index;
                assert!(index.sigma.iter().chain(index.coefficients).all(is_on_pallas));
                assert!(is_on_pallas(index.generic) && is_on_pallas(index.endomul_scalar));
            }
        }
    }
    assert!(keys > 0, "a fixture sets one");
    assert!(!is_on_pallas((Fp::ONE, Fp::ONE)));
}

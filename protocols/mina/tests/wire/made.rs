//! Blocks and commands that are made from nothing are right: what a producer without proofs does.

use super::anew::anew;
use super::fixtures::decoded;
use polypeer_mina::binprot::{Binable as _, Fp, Fq, Seq, Whole};
use polypeer_mina::block::*;
use polypeer_mina::checks::Rules;
use polypeer_mina::command::{Memo, Payload, Payment, SignedCommand, UserCommand, transaction_id};
use polypeer_mina::config;
use polypeer_mina::envelope::{Content, Topic, open, seal_block};
use polypeer_mina::hash::{Hash, body_reference, state_hash};
use polypeer_mina::ledger::Origin;

const GENESIS: Hash = Hash([3; 32]);

fn key(number: u8) -> PublicKey {
    PublicKey { x: Fp([number; 32]), is_odd: false }
}

fn payment(memo: Memo<'_>) -> UserCommand<'_> {
    UserCommand::Signed(SignedCommand {
        fee: 1_000_000,
        fee_payer: key(1),
        nonce: 0,
        valid_until: Slot(u32::MAX),
        memo,
        payload: Payload::Payment(Payment { receiver: key(2), amount: u64::MAX }),
        signer: key(1),
        signature: Signature { r: Fp([4; 32]), s: Fq([5; 32]) },
    })
}

fn registers() -> Registers<'static> {
    let local = LocalState {
        stack_frame: Fp::ZERO,
        call_stack: Fp::ZERO,
        commitment: Fp::ZERO,
        full_commitment: Fp::ZERO,
        excess: SignedAmount::ZERO,
        supply_increase: SignedAmount::ZERO,
        ledger: Fp::ZERO,
        success: true,
        account_update_index: 0,
        failures: Seq::EMPTY,
        will_succeed: true,
    };
    Registers {
        first_pass_ledger: Fp::ZERO,
        second_pass_ledger: Fp::ZERO,
        coinbase_data: Fp::ZERO,
        coinbase_state_init: Fp::ZERO,
        coinbase_state_current: Fp::ZERO,
        local,
    }
}

fn epoch() -> EpochData {
    EpochData {
        ledger: Fp::ZERO,
        total_currency: 1,
        seed: Fp::ZERO,
        start_checkpoint: Fp::ZERO,
        lock_checkpoint: Fp::ZERO,
        epoch_length: 1,
    }
}

fn state_of(body: &[u8], rules: &Rules, slot: u32) -> ProtocolState<'static> {
    let excess = FeeExcess { token: Fp::ONE, amount: SignedAmount { magnitude: 7, sign: Sign::Negative } };
    let statement = Statement {
        source: registers(),
        target: registers(),
        connecting_ledger_left: Fp::ZERO,
        connecting_ledger_right: Fp::ZERO,
        supply_increase: SignedAmount::ZERO,
        fee_excess_left: excess,
        fee_excess_right: excess,
    };
    let staged_ledger =
        StagedLedgerHash { ledger: Fp::ZERO, aux: [0; 32], pending_coinbase_aux: [0; 32], pending_coinbase: Fp::ZERO };
    let blockchain = BlockchainState {
        staged_ledger,
        genesis_ledger: Fp::ZERO,
        statement,
        sok_digest: (),
        timestamp: rules.constants.slot_begins_ms(slot),
        body_reference: body_reference(body).0,
    };
    let consensus = ConsensusState {
        blockchain_length: 2,
        epoch_count: 0,
        min_window_density: 77,
        sub_window_densities: Densities([7; 11]),
        last_vrf_output: [9; 32],
        total_currency: u64::MAX,
        slot: Slot(slot),
        slots_per_epoch: rules.constants.slots_per_epoch,
        global_slot_since_genesis: Slot(slot),
        staking_epoch: epoch(),
        next_epoch: epoch(),
        has_ancestor_in_same_checkpoint_window: true,
        block_stake_winner: key(1),
        block_creator: key(1),
        coinbase_receiver: key(1),
        supercharge_coinbase: false,
    };
    let constants = rules.constants();
    ProtocolState {
        previous: Fp(GENESIS.0),
        body: StateBody { genesis: Fp(GENESIS.0), blockchain, consensus, constants },
    }
}

#[test]
fn a_block_that_is_made_passes_every_cheap_check() {
    let rules = Rules { genesis: GENESIS, constants: config::Constants::DEVNET, transaction_version: 3 };
    let memo = Memo::bytes_of(b"hello").expect("short");
    let command = payment(Memo(&memo)).encode();
    let failures = [Failure::Overflow, Failure::AccountAppStatePreconditionUnsatisfied(3)];
    let row = [Seq::of(&failures).expect("two")];
    let status = Status::Failed(Seq::of(&row).expect("one"));
    let commands = [Judged { command: Whole::decode(&command).expect("a command"), status }];
    let transfer = FeeTransfer { receiver: key(3), fee: 5 };
    let statuses = [Status::Applied, Status::Applied];
    let body = Body {
        first: FirstDiff {
            works: Seq::EMPTY,
            commands: Seq::of(&commands).expect("one"),
            coinbase: FirstCoinbase::Two(Some((transfer, None))),
            internals: Seq::of(&statuses).expect("two"),
        },
        second: Some(SecondDiff {
            works: Seq::EMPTY,
            commands: Seq::of(&commands).expect("one"),
            coinbase: SecondCoinbase::One(Some(transfer)),
            internals: Seq::EMPTY,
        }),
    };
    let body = body.encode();
    let version = Version { transaction: 3, network: 0, patch: 0 };
    let block = Block {
        header: Header {
            state: state_of(&body, &rules, 1_000),
            proof: Whole::decode(DUMMY_PROOF).expect("a proof"),
            delta_proof: DeltaProof { from: Fp(GENESIS.0), bodies: Seq::EMPTY },
            version,
            proposed_version: Some(version),
        },
        body: Whole::decode(&body).expect("a body"),
    };
    let sealed = seal_block(&block.encode());
    let opened = open(Topic::Consensus, &sealed).expect("a block");
    assert_eq!(opened.content, Content::Block(block));
    let Content::Block(again) = opened.content else { panic!("a block") };
    assert_eq!(anew(&again), block.encode());
    assert_eq!(state_hash(&again.header.state), state_hash(&block.header.state));
    assert_eq!(rules.check_block(&again, rules.constants.slot_begins_ms(1_000), Origin::Gossip), Ok(()));
    assert_eq!(again.body.get().expect("a body").commands().count(), 2);
}

#[test]
fn a_payment_that_is_made_has_the_id_of_what_it_says() {
    let bytes = payment(Memo::EMPTY).encode();
    let command: UserCommand<'_> = decoded(&bytes);
    assert_eq!(command, payment(Memo::EMPTY));
    assert_eq!((command.fee(), command.nonce(), command.valid_until()), (1_000_000, 0, Some(u32::MAX)));
    let memo = Memo::bytes_of(b"other").expect("short");
    assert_ne!(transaction_id(&bytes), transaction_id(&payment(Memo(&memo)).encode()));
}

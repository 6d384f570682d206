//! What is known of the files is what was decoded.

use super::fixtures::*;
use polypeer_mina::binprot::{Binable as _, Fp};
use polypeer_mina::block::{Block, FirstCoinbase, Sign, Status, Version};
use polypeer_mina::command::{AuthorizationKind, Payload, UserCommand};
use polypeer_mina::hash::text;

#[test]
fn the_block_is_the_one_that_is_known() {
    let (bytes, expected) = (file(BLOCK), expected());
    let known = &expected["devnet_block_357934"];
    let (block, body_at) = Block::open(&bytes).expect("a block");
    assert_eq!(bytes.len() as u64, number(&known["size"]));
    assert_eq!(body_at as u64, number(&known["header_len"]));
    assert_eq!(block.body.bytes().len() as u64, number(&known["body_len"]));
    assert_eq!(block.header.state.encode().len() as u64, number(&known["protocol_state_len"]));
    assert_eq!(block.header.proof.bytes().len(), 11_138);
    let state = &block.header.state;
    assert_eq!(text::state_hash(&state.previous.into()), known["previous_state_hash"]);
    assert_eq!(text::state_hash(&state.body.genesis.into()), known["genesis_state_hash"]);
    assert_eq!(state.body.blockchain.timestamp, number(&known["timestamp_ms"]));
    assert_eq!(state.body.blockchain.body_reference, digits(&known["body_reference"]).0);
    let consensus = &state.body.consensus;
    assert_eq!(u64::from(consensus.blockchain_length), number(&known["blockchain_length"]));
    assert_eq!(u64::from(consensus.epoch_count), number(&known["epoch_count"]));
    assert_eq!(u64::from(consensus.slot.0), number(&known["slot_since_hard_fork"]));
    assert_eq!(u64::from(consensus.global_slot_since_genesis.0), number(&known["global_slot_since_genesis"]));
    assert_eq!(u64::from(consensus.min_window_density), number(&known["min_window_density"]));
    assert_eq!(consensus.total_currency, number(&known["total_currency"]));
    let densities: Vec<u64> = known["sub_window_densities"].as_array().expect("a list").iter().map(number).collect();
    assert!(consensus.sub_window_densities.0.into_iter().map(u64::from).eq(densities));
    assert_eq!(block.header.version, Version { transaction: 3, network: 0, patch: 0 });
    assert_eq!(block.header.proposed_version, None);
    assert_eq!(block.header.delta_proof.from, state.previous);
    assert!(block.header.delta_proof.bodies.is_empty());
}

/// Every offset that the spec has is where the field is.
#[test]
fn the_fields_are_where_they_are_known_to_be() {
    let (bytes, expected) = (file(BLOCK), expected());
    let offsets = &expected["devnet_block_357934"]["offsets_in_protocol_state"];
    let state = block(&bytes).header.state;
    let (blockchain, consensus, constants) = (&state.body.blockchain, &state.body.consensus, &state.body.constants);
    let check = |name: &str, field: &[u8]| {
        let start = number(&offsets[name]) as usize;
        assert_eq!(&bytes[start..start + field.len()], field, "{name}");
    };
    check("previous_state_hash", &state.previous.encode());
    check("genesis_state_hash", &state.body.genesis.encode());
    check("staged_ledger_hash", &blockchain.staged_ledger.encode());
    check("genesis_ledger_hash", &blockchain.genesis_ledger.encode());
    check("lps", &blockchain.statement.encode());
    check("timestamp", &blockchain.timestamp.encode());
    check("body_reference", &blockchain.body_reference.encode());
    check("blockchain_length", &consensus.blockchain_length.encode());
    check("epoch_count", &consensus.epoch_count.encode());
    check("min_window_density", &consensus.min_window_density.encode());
    check("sub_window_densities", &consensus.sub_window_densities.encode());
    check("last_vrf_output", &consensus.last_vrf_output.encode());
    check("total_currency", &consensus.total_currency.encode());
    check("curr_slot", &consensus.slot.encode());
    check("slots_per_epoch", &consensus.slots_per_epoch.encode());
    check("global_slot_since_genesis", &consensus.global_slot_since_genesis.encode());
    check("staking", &consensus.staking_epoch.encode());
    check("next", &consensus.next_epoch.encode());
    check("has_anc", &consensus.has_ancestor_in_same_checkpoint_window.encode());
    check("winner", &consensus.block_stake_winner.encode());
    check("creator", &consensus.block_creator.encode());
    check("cbr", &consensus.coinbase_receiver.encode());
    check("super", &consensus.supercharge_coinbase.encode());
    check("k", &constants.encode());
    assert_eq!(number(&offsets["k"]) as usize + constants.encode().len(), number(&offsets["END"]) as usize);
}

#[test]
fn the_body_has_the_two_commands_that_were_cut_out_of_it() {
    let bytes = file(BLOCK);
    let body = block(&bytes).body.get().expect("a body");
    let commands: Vec<_> = body.commands().collect();
    assert!(commands.iter().any(|judged| judged.command.bytes() == file(PAYMENT)), "the payment");
    assert!(commands.iter().any(|judged| judged.command.bytes() == file(ZKAPP)), "the zkApp command");
    assert!(commands.iter().all(|judged| judged.status == Status::Applied));
    assert_eq!(body.first.coinbase, FirstCoinbase::One(None));
    assert_eq!((body.works().count(), body.second), (0, None));
}

#[test]
fn the_payment_is_the_one_that_is_known() {
    let (bytes, expected) = (file(PAYMENT), expected());
    let known = &expected["user_command_payment"];
    let UserCommand::Signed(command) = decoded(&bytes) else { panic!("a signed command") };
    let Payload::Payment(payment) = command.payload else { panic!("a payment") };
    assert_eq!(bytes.len() as u64, number(&known["size"]));
    assert_eq!((command.fee, u64::from(command.nonce)), (number(&known["fee"]), number(&known["nonce"])));
    assert_eq!(u64::from(command.valid_until.0), number(&known["valid_until"]));
    assert_eq!(payment.amount, number(&known["amount"]));
    assert_eq!(command.fee_payer.x, Fp(digits(&known["fee_payer_pk_x_le"]).0));
    assert_eq!(known["fee_payer_pk_is_odd"], command.fee_payer.is_odd);
    assert_eq!(command.signer, command.fee_payer);
}

#[test]
fn the_zkapp_command_is_the_one_that_is_known() {
    let (bytes, expected) = (file(ZKAPP), expected());
    let known = &expected["user_command_zkapp"];
    let command: UserCommand<'_> = decoded(&bytes);
    assert_eq!((command.fee(), u64::from(command.nonce())), (number(&known["fee"]), number(&known["nonce"])));
    let UserCommand::Zkapp(zkapp) = command else { panic!("a zkApp command") };
    assert_eq!(zkapp.calls.len() as u64, number(&known["account_updates_top_level"]));
    for call in zkapp.calls {
        let update = call.update.body.get().expect("an update");
        assert_eq!(update.token_id, Fp::ONE, "the default token");
        assert_eq!(update.authorization_kind, AuthorizationKind::Signature);
        assert_eq!(update.balance_change.sign, Sign::Negative, "it pays");
    }
}

/// What JSON says of mainnet's first block, field by field.
#[test]
fn the_first_block_of_mainnet_is_the_one_that_is_known() {
    let (bytes, json) = (file(MAINNET_STATE), json("v2-current/json/best_tip_with_proof_response.json"));
    let known = &json["BestTipWithProof"]["best_tip"]["header"]["protocol_state"];
    let (state, body) = (state(&bytes), &known["body"]);
    assert_eq!(text::state_hash(&state.previous.into()), known["previous_state_hash"]);
    let (consensus, known) = (&state.body.consensus, &body["consensus_state"]);
    assert_eq!(consensus.last_vrf_output.as_slice(), base64(super::fixtures::text(&known["last_vrf_output"])));
    assert_eq!(u64::from(consensus.blockchain_length), number(&known["blockchain_length"]));
    assert_eq!(u64::from(consensus.slot.0), number(&known["curr_global_slot_since_hard_fork"]["slot_number"]));
    assert_eq!(u64::from(consensus.global_slot_since_genesis.0), number(&known["global_slot_since_genesis"]));
    for (key, known) in [
        (&consensus.block_stake_winner, &known["block_stake_winner"]),
        (&consensus.block_creator, &known["block_creator"]),
        (&consensus.coinbase_receiver, &known["coinbase_receiver"]),
    ] {
        assert_eq!(text::public_key(key), *known);
    }
    let (constants, known) = (&state.body.constants, &body["constants"]);
    assert_eq!(u64::from(constants.k), number(&known["k"]));
    assert_eq!(u64::from(constants.grace_slots), number(&known["grace_period_slots"]));
    assert_eq!(constants.genesis_timestamp, number(&known["genesis_state_timestamp"]));
}

//! Hashes and keys are written as the network's other software writes them, and read again.

use super::fixtures::*;
use polypeer_mina::binprot::Binable as _;
use polypeer_mina::block::Signature;
use polypeer_mina::command::{Memo, UserCommand};
use polypeer_mina::hash::text::{self, Kind, TextError};

/// Everything that JSON has as text in mainnet's first block.
#[test]
fn the_first_block_of_mainnet_reads_as_is_known() {
    let (bytes, json) = (file(MAINNET_STATE), json("v2-current/json/best_tip_with_proof_response.json"));
    let known = &json["BestTipWithProof"]["best_tip"]["header"]["protocol_state"]["body"];
    let body = state(&bytes).body;
    let (staged, source) = (&body.blockchain.staged_ledger, &body.blockchain.statement.source);
    let blockchain = &known["blockchain_state"];
    let (staged_known, source_known) =
        (&blockchain["staged_ledger_hash"], &blockchain["ledger_proof_statement"]["source"]);
    let (epoch, epoch_known) = (&body.consensus.staking_epoch, &known["consensus_state"]["staking_epoch_data"]);
    for (kind, bytes, known) in [
        (Kind::State, &body.genesis.0, &known["genesis_state_hash"]),
        (Kind::Ledger, &staged.ledger.0, &staged_known["non_snark"]["ledger_hash"]),
        (Kind::StagedLedgerAux, &staged.aux, &staged_known["non_snark"]["aux_hash"]),
        (Kind::PendingCoinbaseAux, &staged.pending_coinbase_aux, &staged_known["non_snark"]["pending_coinbase_aux"]),
        (Kind::ReceiptChain, &staged.pending_coinbase.0, &staged_known["pending_coinbase_hash"]),
        (Kind::CoinbaseData, &source.coinbase_data.0, &source_known["pending_coinbase_stack"]["data"]),
        (Kind::CoinbaseState, &source.coinbase_state_init.0, &source_known["pending_coinbase_stack"]["state"]["init"]),
        (Kind::EpochSeed, &epoch.seed.0, &epoch_known["seed"]),
        (Kind::State, &epoch.lock_checkpoint.0, &epoch_known["lock_checkpoint"]),
    ] {
        assert_eq!(kind.write(bytes), *known, "{kind:?}");
        assert_eq!(kind.read(super::fixtures::text(known)).as_ref(), Ok(bytes), "{kind:?}");
    }
}

#[test]
fn all_kinds_are_read_again_and_told_apart() {
    let kinds = [
        Kind::State,
        Kind::StateBody,
        Kind::Ledger,
        Kind::EpochSeed,
        Kind::ReceiptChain,
        Kind::StagedLedgerAux,
        Kind::PendingCoinbaseAux,
        Kind::CoinbaseData,
        Kind::CoinbaseState,
        Kind::Transaction,
        Kind::Token,
    ];
    for kind in kinds {
        let text = kind.write(&[7; 32]);
        for other in kinds {
            let expected = if other == kind { Ok([7; 32]) } else { Err(TextError::Version) };
            assert_eq!(other.read(&text), expected, "{kind:?} as {other:?}");
        }
    }
}

#[test]
fn keys_signatures_and_memos_are_read_again() {
    let bytes = file(PAYMENT);
    let UserCommand::Signed(command) = decoded(&bytes) else { panic!("a signed command") };
    let key = text::public_key(&command.fee_payer);
    assert!(key.starts_with("B62q"), "{key}");
    assert_eq!(text::read_public_key(&key), Ok(command.fee_payer));
    let signature = text::signature(&command.signature);
    assert!(signature.starts_with("7m"), "{signature}");
    assert_eq!(text::read_signature(&signature), Ok(command.signature));
    assert!(text::memo(&command.memo).starts_with("E4"), "{}", text::memo(&command.memo));
    // A signature whose second half is no scalar.
    let highest = [[0; 32], [0xff; 32]].concat();
    assert!(Signature::decode(&highest).is_err());
}

#[test]
fn no_altered_text_is_read() {
    let text = text::state_hash(&digits(&expected()["devnet_block_357934"]["state_hash_le_hex"]));
    for place in 0..text.len() {
        let mut altered = text.clone().into_bytes();
        altered[place] = if altered[place] == b'2' { b'3' } else { b'2' };
        let altered = String::from_utf8(altered).expect("ASCII");
        assert!(text::read_state_hash(&altered).is_err(), "{altered}");
        assert!(text::read_state_hash(&text[..place]).is_err(), "cut at {place}");
    }
    assert_eq!(text::read_state_hash(&"1".repeat(129)), Err(TextError::Length));
    assert_eq!(text::read_state_hash("0OIl"), Err(TextError::Base58));
    assert_eq!(text::read_state_hash(""), Err(TextError::Checksum));
}

#[test]
fn a_memo_says_what_was_put_into_it() {
    assert_eq!(Memo::EMPTY.text(), Some(&b""[..]));
    for said in [&b""[..], b"hello", &[9; 32]] {
        let bytes = Memo::bytes_of(said).expect("short");
        assert_eq!(Memo(&bytes).text(), Some(said));
    }
    assert_eq!(Memo::bytes_of(&[0; 33]), None);
    let mut digest = [5; 34];
    (digest[0], digest[1]) = (0, 32);
    assert_eq!(Memo(&digest).text(), None, "a digest");
    (digest[0], digest[1]) = (1, 33);
    assert_eq!(Memo(&digest).text(), None, "longer than there is room");
    digest[1] = 31;
    assert_eq!(Memo(&digest).text(), None, "padded with something");
}

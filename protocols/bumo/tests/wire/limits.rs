//! Lists and sizes at their limits and one above, and memory that follows what came.

use polypeer_bumo::wire::{
    ConsensusValue, Envelope, Kind, LEDGERS_MAX, Ledgers, List, MESSAGE_BYTES_MAX, Message as _, PBFT_BYTES_MAX,
    PEERS_MAX, Peer, Peers, PrePrepare, TRANSACTION_DATA_BYTES_MAX, TransactionEnvSet, WireError,
};

#[test]
fn peers_at_the_limit_and_one_above() {
    let peers = |count| Peers { peers: vec![Peer { ip: "1.2.3.4", port: 16001, ..Peer::default() }; count] };
    assert_eq!(Peers::decode(&peers(PEERS_MAX).encode()), Ok(peers(PEERS_MAX)));
    assert_eq!(Peers::decode(&peers(PEERS_MAX + 1).encode()), Err(WireError::TooMany));
    // The shortest entries there are, as many as a message holds.
    let flood = [0x0a, 0x00].repeat(MESSAGE_BYTES_MAX / 2);
    assert_eq!(Peers::decode(&flood), Err(WireError::TooMany));
}

#[test]
fn ledgers_at_the_limit_and_one_above() {
    let value: &[u8] = &[0x0a, 0x00];
    let ledgers = |count| Ledgers { values: vec![value; count], ..Ledgers::default() };
    assert_eq!(Ledgers::decode(&ledgers(LEDGERS_MAX).encode()), Ok(ledgers(LEDGERS_MAX)));
    assert_eq!(Ledgers::decode(&ledgers(LEDGERS_MAX + 1).encode()), Err(WireError::TooMany));
}

#[test]
fn limits_are_the_original_ones() {
    assert_eq!(MESSAGE_BYTES_MAX, 32_000_000);
    assert_eq!((TRANSACTION_DATA_BYTES_MAX, PBFT_BYTES_MAX), (3_145_728, 18_874_368));
    assert_eq!(Kind::Transaction.data_bytes_max(), Some(3_145_728));
    assert_eq!(Kind::Pbft.data_bytes_max(), Some(18_874_368));
    assert_eq!(Kind::LedgerUpgradeNotify.data_bytes_max(), None);
    let kinds: Vec<_> = (0..9).map(Kind::from_number).collect();
    assert_eq!((kinds[0], kinds[8], Kind::from_number(i64::MIN)), (None, None, None));
    for kind in Kind::ALL {
        assert_eq!(Kind::from_number(kind.number()), Some(kind));
    }
}

/// The largest message is read where it lies.
#[test]
fn the_largest_messages_are_not_copied() {
    let value = vec![7; MESSAGE_BYTES_MAX - 64];
    let proposal = PrePrepare { value: &value, ..PrePrepare::default() }.encode();
    let message = Envelope { number: 6, is_request: true, sequence: i64::MAX, data: &proposal }.encode();
    assert!(message.len() <= MESSAGE_BYTES_MAX);
    let read = PrePrepare::decode(Envelope::decode(&message).expect("an envelope").data).expect("a proposal");
    assert!(message.as_ptr_range().contains(&read.value.as_ptr()));
    assert_eq!(read.value.len(), value.len());
}

/// A value of more transactions than are proposed is read: a quorum may have committed it.
#[test]
fn as_many_transactions_as_there_are() {
    let transactions = vec![&[0x0a, 0x00][..]; 20_000];
    let txset = Some(TransactionEnvSet { txs: List::of(&transactions) });
    let bytes = ConsensusValue { txset, ..ConsensusValue::default() }.encode();
    let value = ConsensusValue::decode(&bytes).expect("a value");
    assert_eq!(value.transactions().count(), 20_000);
    assert_eq!(value.check_transactions(), Ok(()));
}

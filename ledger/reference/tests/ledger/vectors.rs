//! Golden values of the ledger spec's table.

use crate::world::{Draft, World, genesis, hash, key, pay, read};
use polypeer_engine::kit::chain::{BlockOutcome, ChainFormat, Hash};
use polypeer_ledger_reference::{Format, NetworkParameters, merkle_root, transaction_id};

fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_values_of_the_specs_table() {
    assert_eq!(hex(key(1)), "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c");
    let genesis_of = |parameters: NetworkParameters| hex(parameters.build().unwrap().genesis_hash());
    assert_eq!(
        genesis_of(NetworkParameters::anya_devnet()),
        "4ed57f057009f653e3584bd189c3da2f4721fa07edd7cb3eb63fe2e17cf42bc6"
    );
    assert_eq!(
        genesis_of(NetworkParameters::hello_devnet()),
        "2a7c14b53d5cc4b45bf6a4036e03518b09e439d18decd1df41b915691151144c"
    );
    let transaction = pay(1, 2, 1, 1, 0);
    let id = transaction_id(&transaction);
    assert_eq!(hex(id), "da730e15b07d45a832f78c0e0fd548fadc07fc28e265e64d0d60e9235686c279");
    assert_eq!(hex(merkle_root(&[id])), "2c497595cc429edf062ae1f3b07c67b277dcecd22d9d4a3d5ac5ba17985250d5");
    let block = Draft::on(&genesis()).with(&[transaction]).mine();
    assert_eq!(read(&block).1.nonce, 25);
    assert_eq!(hex(hash(&block)), "0020c78a1ce2dd0b0ab79854bff0a378fe718cf702df63a3f8bea44365d10e3c");
    let mut world = World::new();
    assert_eq!(world.tip().work, 256);
    assert_eq!(world.take(&block), BlockOutcome::Accepted);
    assert_eq!(world.tip().work, 512);
}

#[test]
fn genesis_is_served_like_any_block() {
    let mut world = World::new();
    let genesis = genesis();
    assert_eq!(genesis.len(), 133);
    let hash = hash(&genesis);
    use polypeer_engine::kit::chain::BlockKey;
    assert_eq!(world.block(BlockKey::Hash(hash)), Some(genesis.clone()));
    assert_eq!(world.block(BlockKey::Height(0)), Some(genesis.clone()));
    assert_eq!(world.take(&genesis), BlockOutcome::Known);
    let head = Format::head(&genesis).unwrap();
    assert_eq!((head.hash, head.parent, head.height), (hash, Hash::ZERO, 0));
}

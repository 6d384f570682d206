//! Computes what Kaspa hashes, from the spec alone (Kaspa spec, sections 5.1 to 5.4).

use super::wire::{Block, Hash32, Header, Output, Transaction, get};

/// A block's hash; parents are hashed in their expanded form.
pub(crate) fn block_hash(header: &Header) -> Hash32 {
    let mut state = blake2b("BlockHash");
    state.update(&le16(header.version));
    let levels = header.parents.last().map_or(0, |run| run.cumulative_level);
    state.update(&u64::from(levels).to_le_bytes());
    let mut done = 0;
    for run in &header.parents {
        for _ in done..run.cumulative_level {
            state.update(&length(run.parent_hashes.len()));
            for parent in &run.parent_hashes {
                state.update(&parent.bytes);
            }
        }
        done = run.cumulative_level;
    }
    for root in [&header.hash_merkle_root, &header.accepted_id_merkle_root, &header.utxo_commitment] {
        state.update(&get(root.as_ref()));
    }
    state.update(&header.timestamp.to_le_bytes()).update(&header.bits.to_le_bytes());
    for number in [header.nonce, header.daa_score, header.blue_score] {
        state.update(&number.to_le_bytes());
    }
    state.update(&length(header.blue_work.len())).update(&header.blue_work);
    finish(state.update(&get(header.pruning_point.as_ref())))
}

/// The hash of a block's header; zeros when it has none.
pub(crate) fn hash_of(block: &Block) -> Hash32 {
    block.header.as_ref().map(block_hash).unwrap_or_default()
}

/// What a transaction is called.
pub(crate) fn transaction_id(transaction: &Transaction) -> Hash32 {
    let without_signatures = Parts { signatures: false, masses: false, payload: transaction.version == 0 };
    let base = serialised(transaction, without_signatures);
    if transaction.version == 0 {
        return finish(blake2b("TransactionID").update(&base));
    }
    let payload = blake3_keyed("PayloadDigest", &transaction.payload);
    let rest = blake3_keyed("TransactionRest", &base);
    blake3_keyed("TransactionV1Id", &[payload, rest].concat())
}

/// A leaf of the merkle tree.
pub(crate) fn transaction_hash(transaction: &Transaction) -> Hash32 {
    let all = Parts { signatures: true, masses: true, payload: true };
    finish(blake2b("TransactionHash").update(&serialised(transaction, all)))
}

/// The root over a body.
pub(crate) fn merkle_root(transactions: &[Transaction]) -> Hash32 {
    let mut row: Vec<Option<Hash32>> = transactions.iter().map(|one| Some(transaction_hash(one))).collect();
    row.resize(row.len().next_power_of_two(), None);
    while row.len() > 1 {
        row =
            row.chunks(2).map(|pair| branch(pair.first().copied().flatten(), pair.last().copied().flatten())).collect();
    }
    row.first().copied().flatten().unwrap_or_default()
}

/// What a script hashes to where it is paid to: BLAKE2b without a key.
pub(crate) fn script_hash(script: &[u8]) -> Hash32 {
    finish(blake2b_simd::Params::new().hash_length(32).to_state().update(script))
}

fn branch(left: Option<Hash32>, right: Option<Hash32>) -> Option<Hash32> {
    let left = left?;
    Some(finish(blake2b("MerkleBranchHash").update(&left).update(&right.unwrap_or_default())))
}

/// What of a transaction goes into a hash.
#[derive(Clone, Copy)]
struct Parts {
    signatures: bool,
    masses: bool,
    payload: bool,
}

fn serialised(transaction: &Transaction, parts: Parts) -> Vec<u8> {
    let version = transaction.version;
    let mut bytes = le16(version).to_vec();
    bytes.extend(length(transaction.inputs.len()));
    for input in &transaction.inputs {
        let outpoint = input.previous_outpoint.clone().unwrap_or_default();
        bytes.extend(get(outpoint.transaction_id.as_ref()));
        bytes.extend(outpoint.index.to_le_bytes());
        if parts.signatures {
            bytes.extend(length(input.signature_script.len()));
            bytes.extend(&input.signature_script);
            bytes.extend((version == 0).then(|| input.compute_commit.to_le_bytes()[0]));
        } else {
            bytes.extend(length(0));
        }
        bytes.extend(input.sequence.to_le_bytes());
        if version >= 1 && parts.masses {
            bytes.extend(le16(input.compute_commit));
        }
    }
    bytes.extend(length(transaction.outputs.len()));
    for output in &transaction.outputs {
        push_output(&mut bytes, version, output);
    }
    bytes.extend(transaction.lock_time.to_le_bytes());
    bytes.extend(transaction.subnetwork_id.iter().flat_map(|id| &id.bytes));
    bytes.extend(transaction.gas.to_le_bytes());
    let payload = if parts.payload { transaction.payload.as_slice() } else { &[] };
    bytes.extend(length(payload.len()));
    bytes.extend(payload);
    if parts.masses && (version >= 1 || transaction.storage_mass != 0) {
        bytes.extend(transaction.storage_mass.to_le_bytes());
    }
    bytes
}

fn push_output(bytes: &mut Vec<u8>, version: u32, output: &Output) {
    let script = output.script_public_key.clone().unwrap_or_default();
    bytes.extend(output.value.to_le_bytes());
    bytes.extend(le16(script.version));
    bytes.extend(length(script.script.len()));
    bytes.extend(&script.script);
    if version == 0 {
        return;
    }
    bytes.push(u8::from(output.covenant.is_some()));
    if let Some(covenant) = &output.covenant {
        bytes.extend(le16(covenant.authorizing_input));
        bytes.extend(get(covenant.covenant_id.as_ref()));
    }
}

fn le16(number: u32) -> [u8; 2] {
    let [low, high, ..] = number.to_le_bytes();
    [low, high]
}

fn length(count: usize) -> [u8; 8] {
    (count as u64).to_le_bytes()
}

fn blake2b(key: &str) -> blake2b_simd::State {
    blake2b_simd::Params::new().hash_length(32).key(key.as_bytes()).to_state()
}

fn finish(state: &blake2b_simd::State) -> Hash32 {
    state.finalize().as_bytes().try_into().unwrap_or_default()
}

fn blake3_keyed(name: &str, bytes: &[u8]) -> Hash32 {
    let mut key = [0; 32];
    for (to, from) in key.iter_mut().zip(name.bytes()) {
        *to = from;
    }
    *blake3::keyed_hash(&key, bytes).as_bytes()
}

#[cfg(test)]
mod tests {
    use super::super::wire::{Hash, Input, LevelParents, Outpoint, ScriptPublicKey, SubnetworkId, hash};
    use super::*;

    fn hex(text: &str) -> Hash32 {
        const_hex::decode_to_array(text).unwrap()
    }

    fn transaction(version: u32) -> Transaction {
        Transaction { version, subnetwork_id: Some(SubnetworkId { bytes: vec![0; 20] }), ..Transaction::default() }
    }

    fn input(id: Hash32) -> Input {
        Input {
            previous_outpoint: Some(Outpoint { transaction_id: hash(&id), index: 2 }),
            signature_script: vec![1, 2],
            sequence: 7,
            compute_commit: 5,
        }
    }

    fn check(transaction: &Transaction, id: &str, hash: &str) {
        assert_eq!((transaction_id(transaction), transaction_hash(transaction)), (hex(id), hex(hash)));
    }

    #[test]
    fn transactions_hash_as_the_spec_lists_them() {
        check(
            &transaction(0),
            "2c18d5e59ca8fc4c23d9560da3bf738a8f40935c11c162017fbf2c907b7e665c",
            "c9e29784564c269ce2faaffd3487cb4684383018ace11133de082dce4bb88b0b",
        );
        check(
            &Transaction { inputs: vec![input([0; 32])], ..transaction(0) },
            "b2d65ae36e123eb73f253176d7234a57656b84d0d60b9fc746ab0d0f085c9cc7",
            "7d9f7cfdd77f236a41895ac5cdda2fa42f7122964ba995fdfacebce54efad7e8",
        );
        let mut registry = vec![0; 20];
        registry[0] = 2;
        let script = ScriptPublicKey { script: vec![1, 2, 3, 4, 5], version: 7 };
        let full = Transaction {
            inputs: vec![input(hex("59b3d6dc6cdc660c389c3fdb5704c48c598d279cdf1bab54182db586a4c95dd5"))],
            outputs: vec![Output { value: 1564, script_public_key: Some(script), covenant: None }],
            lock_time: 54,
            subnetwork_id: Some(SubnetworkId { bytes: registry }),
            gas: 3,
            payload: vec![1, 2, 3],
            storage_mass: 5,
            version: 0,
        };
        check(
            &full,
            "4acda997dfb31c6518224c9ac00d0777fc7cbecdab461be3c0816b1cba19a056",
            "ced89bbf642cda42d29d9518d16e35cbbf85d10e1ab106b7dc2e0a821308ac91",
        );
        let bare = Input {
            previous_outpoint: Some(Outpoint { transaction_id: hash(&[0; 32]), index: 0 }),
            ..Input::default()
        };
        check(
            &Transaction { inputs: vec![Input { compute_commit: 111, ..bare }], ..transaction(1) },
            "5978e7aa1a9ba8fdf12dae6aa39aa198a91985e91192b291e207d4d6246349e6",
            "c41c18964aab2abe309a79de3dcf0353eee216e29ab83448cbec0c4c5792056c",
        );
    }

    #[test]
    fn a_block_with_levels_hashes_as_the_spec_says() {
        let last = hex("5728cb1d93610b9d74b5edc767e01018cf01db4f05adc9fbf63ea4f305952642");
        let direct = [
            hex("fb73a28b138713edb53905771d9f1e10faeef72b27ebe1aa8ce533ae807b1f31"),
            hex("acfee9d6d725afa9b8b05c71dcb9502842b296ebdc7cd4b955fa6fd7af6ee18b"),
            last,
        ];
        let run = |parents: &[Hash32], cumulative_level| LevelParents {
            parent_hashes: parents.iter().map(|one| Hash { bytes: one.to_vec() }).collect(),
            cumulative_level,
        };
        let header = Header {
            version: 2,
            hash_merkle_root: hash(&hex("2b3d1357d131d2afaaadd42d91704681a1d78488467667974030be949387bd62")),
            accepted_id_merkle_root: hash(&hex("16815737269ee04a0d3bfea68e99eecc549d72290c8c81c32e4a6c2ad47d3f2c")),
            utxo_commitment: hash(&hex("544eb3142c000f0ad2c76ac41f4222abbababed830eeafee4b6dc56b52d5cac0")),
            timestamp: 1_231_006_510_828,
            bits: 505_527_324,
            nonce: 0,
            daa_score: 3,
            blue_work: vec![0x1e, 0x5a, 0xb8],
            parents: vec![run(&direct, 1), run(&[last], 3)],
            blue_score: 4,
            pruning_point: hash(&hex("4cb48d0b2073b802360145a15ad1abdc01d89b5c2fe4722630ab9b5fe9dfc4f2")),
        };
        let expected = hex("6d26930e94e4726e711e5e2061bceaef73b48391409ef44c56abe84395510352");
        assert_eq!(block_hash(&header), expected);
    }
}

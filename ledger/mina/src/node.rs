//! Keeps of a block what chains are chosen by, what the next block is made from, and what it spent.

use bytes::Bytes;
use polypeer_mina::binprot::{Binable as _, BinprotError, Fp, Reader};
use polypeer_mina::block::{Block, ConsensusState, Judged, ProtocolState, PublicKey};
use polypeer_mina::command::transaction_id;
use polypeer_mina::hash::{body_hash, state_hash_above};
use polypeer_mina::ledger::Hash;

/// Bytes of a row for each command.
const SPENT_BYTES: usize = 32 + 33 + 4;

/// A block as it stays in memory: about 2 kB, and 72 bytes for each command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    /// Its state hash.
    pub(crate) hash: Hash,
    /// The state hash of the block below.
    pub(crate) parent: Hash,
    /// The hash of its state without the block below: links of it prove a path (Mina spec, section 5.5).
    pub(crate) body_hash: Fp,
    /// What chains are chosen by.
    pub(crate) consensus: ConsensusState,
    /// When its slot began, in milliseconds since 1970.
    pub(crate) timestamp: u64,
    /// Its protocol state, as it came.
    pub(crate) state: Bytes,
    /// Bytes of the whole block.
    pub(crate) block_bytes: u32,
    /// Blocks from genesis to it.
    pub(crate) length: u32,
    /// Its commands, in order.
    pub(crate) spent: Vec<Spent>,
}

/// A command that a block has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spent {
    /// Its id.
    pub(crate) id: Hash,
    /// Who pays for it.
    pub(crate) payer: PublicKey,
    /// The payer's nonce that it uses.
    pub(crate) nonce: u32,
}

impl Spent {
    fn of(command: &Judged<'_>) -> Result<Self, BinprotError> {
        let id = transaction_id(command.command.bytes())?;
        let command = command.command.get()?;
        Ok(Self { id, payer: *command.fee_payer(), nonce: command.nonce() })
    }
}

impl Node {
    /// Reads a block.
    pub(crate) fn of(block: &Bytes) -> Result<Self, BinprotError> {
        let (opened, _) = Block::open(block)?;
        let spent = opened.body.get()?.commands().map(|command| Spent::of(&command)).collect::<Result<_, _>>()?;
        let body_hash = body_hash(&opened.header.state.body);
        let block_bytes = u32::try_from(block.len()).unwrap_or(u32::MAX);
        Self::new(block, body_hash, block_bytes, spent)
    }

    // `bytes` begin with a protocol state.
    fn new(bytes: &Bytes, body_hash: Fp, block_bytes: u32, spent: Vec<Spent>) -> Result<Self, BinprotError> {
        let (state_bytes, state) = Reader::new(bytes).span(ProtocolState::read)?;
        Ok(Self {
            hash: state_hash_above(&state.previous, &body_hash).into(),
            parent: state.previous.into(),
            body_hash,
            consensus: state.body.consensus,
            timestamp: state.body.blockchain.timestamp,
            state: Bytes::copy_from_slice(state_bytes),
            block_bytes,
            length: state.body.consensus.blockchain_length,
            spent,
        })
    }

    /// Its slot, counted from the hard fork.
    pub(crate) fn slot(&self) -> u32 {
        self.consensus.slot.0
    }

    /// Its slot, counted from the first genesis.
    pub(crate) fn global_slot(&self) -> u32 {
        self.consensus.global_slot_since_genesis.0
    }

    /// Its row in the store.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut row = Vec::with_capacity(40 + self.state.len() + self.spent.len() * SPENT_BYTES);
        row.extend(self.body_hash.0);
        row.extend(self.block_bytes.to_be_bytes());
        row.extend((self.state.len() as u32).to_be_bytes());
        row.extend(&self.state[..]);
        for Spent { id, payer, nonce } in &self.spent {
            row.extend(id.0);
            row.extend(&payer.encode()[..]);
            row.extend(nonce.to_be_bytes());
        }
        row
    }

    /// Reads a row. It must be that of the block with this hash.
    pub(crate) fn decode(hash: Hash, row: &[u8]) -> Option<Self> {
        let (body_hash, row) = row.split_first_chunk::<32>()?;
        let (block_bytes, row) = row.split_first_chunk()?;
        let (state_bytes, row) = row.split_first_chunk()?;
        let (state, row) = row.split_at_checked(u32::from_be_bytes(*state_bytes) as usize)?;
        let (rows, rest) = row.as_chunks::<SPENT_BYTES>();
        let spent = rows.iter().map(spent).collect::<Option<Vec<_>>>()?;
        let state = Bytes::copy_from_slice(state);
        let body_hash = Fp::checked(*body_hash)?;
        let node = Self::new(&state, body_hash, u32::from_be_bytes(*block_bytes), spent).ok()?;
        (rest.is_empty() && node.hash == hash && node.state == state).then_some(node)
    }
}

fn spent(row: &[u8; SPENT_BYTES]) -> Option<Spent> {
    let (id, row) = row.split_first_chunk()?;
    let (payer, nonce) = row.split_first_chunk::<33>()?;
    let payer = PublicKey::decode(payer).ok()?;
    Some(Spent { id: Hash(*id), payer, nonce: u32::from_be_bytes(nonce.try_into().ok()?) })
}

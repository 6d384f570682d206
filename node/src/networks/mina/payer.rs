//! Makes the transactions of private networks: payments whose signature nobody there verifies.

use crate::purses::{Ledgers, PUBLIC_ACCOUNTS, Payer, Payment, Purse, Purses, Recipient};
use polypeer_protocols::mina::binprot::{Binable as _, Fp};
use polypeer_protocols::mina::block::{PublicKey, Signature, Slot};
use polypeer_protocols::mina::command::{self, Memo, Payload, SignedCommand, UserCommand};

/// The public accounts, shared out.
pub(super) fn payers(nodes: usize) -> anyhow::Result<Vec<Box<dyn Payer>>> {
    let shares = nodes.clamp(1, usize::from(PUBLIC_ACCOUNTS));
    let share = |index| Box::new(Purses::public(Ledgers::Mina, PUBLIC_ACCOUNTS, shares, index)) as Box<dyn Payer>;
    Ok((0..shares).map(share).collect())
}

/// The key of an account whose x is known. Of the two points with this x it is the one with the even y.
pub(super) fn key(x: [u8; 32]) -> Option<PublicKey> {
    Some(PublicKey { x: Fp::checked(x)?, is_odd: false })
}

/// An account that pays. Nobody holds the key that belongs to it: it takes a network without proofs to believe it.
pub(crate) struct Account {
    x: [u8; 32],
}

impl Account {
    /// The account of this seed.
    pub(crate) fn new(seed: &[u8; 32]) -> Self {
        let mut x = *blake3::hash(seed).as_bytes();
        // 254 bits are below the modulus.
        x[31] &= 0x3f;
        Self { x }
    }
}

impl Purse for Account {
    fn key(&self) -> [u8; 32] {
        self.x
    }

    fn sign(&self, payment: &Payment) -> Option<Vec<u8>> {
        let Recipient::Key(recipient) = &payment.recipient else { return None };
        let payer = key(self.x)?;
        let paid = command::Payment { receiver: key(*recipient)?, amount: payment.amount };
        let signed = UserCommand::Signed(SignedCommand {
            fee: payment.fee,
            fee_payer: payer,
            nonce: u32::try_from(payment.sequence).ok()?,
            // It never is too late.
            valid_until: Slot(u32::MAX),
            memo: Memo::EMPTY,
            payload: Payload::Payment(paid),
            signer: payer,
            signature: Signature::ONE,
        });
        Some(signed.encode().to_vec())
    }
}

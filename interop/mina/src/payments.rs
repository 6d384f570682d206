//! Makes payments and the diffs that they are gossiped in (Mina spec, sections 4.2 and 4.3).

use crate::client::binprot::{Reader, int, nat0, string};
use crate::client::gossip::id;
use crate::node::hash;
use anyhow::{Context, Result, ensure};

/// The x of a real account's key; its y is the odd one.
const PAYER: [u8; 32] = [
    0xb9, 0x62, 0x35, 0x72, 0xe0, 0xe0, 0xa7, 0xaa, 0xd1, 0x92, 0x72, 0xc4, 0xaf, 0xd0, 0x34, 0x0c, 0x7c, 0x4b, 0x1a,
    0xc9, 0x79, 0xf7, 0xd8, 0xca, 0xd9, 0x39, 0x95, 0xb7, 0x13, 0x17, 0xdb, 0x3d,
];
const FEE: i64 = 100_000_000;

/// A payment, one for each nonce. Its signature is (1, 1), which stands for all of them in an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Payment {
    pub(crate) nonce: u32,
    /// The last slot in which it may be taken.
    pub(crate) valid_until: u32,
}

impl Payment {
    pub(crate) fn new(nonce: u32) -> Self {
        Self { nonce, valid_until: u32::MAX }
    }

    /// Its bytes, its kind in front.
    pub(crate) fn bytes(self) -> Vec<u8> {
        let key = [&PAYER[..], &[1]].concat();
        let mut memo = [0; 34];
        memo[0] = 1;
        let mut signature = [0; 64];
        (signature[0], signature[32]) = (1, 1);
        let amount = int(1_000 + i64::from(self.nonce));
        // Unsigned numbers are written as the signed ones with the same bits.
        let [nonce, until] = [self.nonce, self.valid_until].map(|number| int(i64::from(number.cast_signed())));
        let parts: [&[u8]; 13] =
            [&[0], &int(FEE), &key, &nonce, &[0], &until, &string(&memo), &[0], &key, &amount, &key, &signature, &[]];
        parts.concat()
    }

    /// What it is known by.
    pub(crate) fn id(self) -> String {
        const_hex::encode(hash(&self.bytes()[1..]))
    }

    /// The message that it is gossiped in.
    pub(crate) fn message(self) -> Vec<u8> {
        diff(&[self.bytes()], 1)
    }
}

/// A transaction diff in its envelope.
pub(crate) fn diff(commands: &[Vec<u8>], nonce: i64) -> Vec<u8> {
    envelope(&[&[2][..], &nat0(commands.len()), &commands.concat(), &int(nonce)].concat())
}

/// What tells a message from others, whoever made it: the one payment that is in it, for a diff has a number of its
/// author's choice beside; of anything else its id.
pub(crate) fn key(data: &[u8]) -> Vec<u8> {
    payment_in(data).unwrap_or_else(|_| id(data))
}

fn payment_in(data: &[u8]) -> Result<Vec<u8>> {
    let (head, content) = data.split_at_checked(8 + 2).context("no diff")?;
    ensure!(head[8..] == [2, 1], "no diff with one command");
    let mut reader = Reader(content);
    // The kind, the fee, who pays, the nonce, the last slot, the memo, the kind of what is done, to whom, how much, who
    // signs, and the signature.
    reader.bytes(1)?;
    reader.int()?;
    reader.bytes(33)?;
    reader.int()?;
    reader.bytes(1)?;
    reader.int()?;
    reader.string()?;
    reader.bytes(1 + 33)?;
    reader.int()?;
    reader.bytes(33 + 64)?;
    Ok(content[..content.len() - reader.0.len()].to_vec())
}

/// Content behind its length.
pub(crate) fn envelope(content: &[u8]) -> Vec<u8> {
    [&(content.len() as u64).to_le_bytes()[..], content].concat()
}

/// What no node may send on: each kind of damage to a message that was right, with its name.
pub(crate) fn damaged(payment: Payment) -> Vec<(&'static str, Vec<u8>)> {
    let good = payment.message();
    let content = &good[8..];
    let mut longer = good.clone();
    longer[0] += 1;
    let mut other_tag = content.to_vec();
    other_tag[0] = 3;
    // The kind, the fee in five bytes, x; then whether y is odd.
    let (x_at, odd_at) = (2 + 1 + 5, 2 + 1 + 5 + 32);
    let mut neither = content.to_vec();
    neither[odd_at] = 2;
    let mut beyond = content.to_vec();
    beyond[x_at..odd_at].fill(0xff);
    vec![
        ("a count that is one too high", longer),
        ("a byte behind the nonce", envelope(&[content, &[0]].concat())),
        ("tag 3", envelope(&other_tag)),
        ("boolean 2", envelope(&neither)),
        ("a field element beyond the modulus", envelope(&beyond)),
    ]
}

//! Pays back whatever it is paid: a peer that talks AnYa.
//!
//! `polypeer run --network anya-devnet --produce`, then `cargo run --example echo -- 127.0.0.1:7333`, then
//! `polypeer tx send --from 1 --to 16 --amount 5`.

use polypeer::anya::{Anya, Config};
use polypeer::reference::{Format, NetworkParameters, Payment, Transaction, Wallet};
use polypeer::{Heard, Peer};
use std::net::SocketAddr;

const NETWORK_ID: &[u8; 16] = b"anya-devnet\0\0\0\0\0";

/// Echoes payments to account 16 until the peer ends.
pub async fn echo(node: SocketAddr) -> anyhow::Result<()> {
    let wallet = Wallet::public_account(16).expect("there are 16 of them");
    let network = NetworkParameters::anya_devnet();
    let (mut peer, chain) = Peer::<Anya<Format>>::reference(Config::default(), network, None, [node])?;
    let mut next = 0;
    while let Some(heard) = peer.hear().await {
        let Heard::Transaction { bytes, .. } = heard else { continue };
        let Ok(Transaction { sender, recipient, amount, .. }) = Transaction::decode(&bytes) else { continue };
        if recipient == wallet.public_key() {
            let sequence = chain.account(&recipient).sequence.max(next);
            let back = Payment { recipient: sender, amount, fee: 1, sequence };
            println!("{}", peer.send(wallet.sign(NETWORK_ID, &back)).await?);
            next = sequence + 1;
        }
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let node = std::env::args().nth(1).ok_or_else(|| anyhow::anyhow!("usage: echo ADDRESS"))?;
    echo(node.parse()?).await
}

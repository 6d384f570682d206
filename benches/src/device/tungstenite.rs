//! Says back what comes, by plain tokio-tungstenite on one thread, a task for each connection.

use crate::control::{self, Look, Ready};
use anyhow::Result;
use futures_util::{FutureExt, SinkExt, StreamExt};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tokio::net::{TcpListener, TcpStream};

pub(super) fn run() -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(serve())
}

async fn serve() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = Some(listener.local_addr()?);
    let open = Arc::new(AtomicU64::new(0));
    let looked = Arc::clone(&open);
    control::serve(Ready { address }, move || Look { ready: looked.load(Relaxed), ..Look::now() }, |_| {})?;
    loop {
        let (stream, _) = listener.accept().await?;
        let open = Arc::clone(&open);
        tokio::spawn(async move {
            // An end by error shows as messages that never come back.
            let _ = echo(stream, &open).await;
        });
    }
}

// What has come is said back together: one write for each read, as ours.
async fn echo(stream: TcpStream, open: &AtomicU64) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut socket = tokio_tungstenite::accept_async(stream).await?;
    open.fetch_add(1, Relaxed);
    while let Some(message) = socket.next().await {
        socket.feed(message?).await?;
        while let Some(Some(message)) = socket.next().now_or_never() {
            socket.feed(message?).await?;
        }
        socket.flush().await?;
    }
    Ok(())
}

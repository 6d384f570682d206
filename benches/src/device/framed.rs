//! Receives through tokio's `Framed`.

use crate::control::{self, Look, Ready};
use crate::payload::{Arrivals, Tally};
use anyhow::Result;
use futures_util::StreamExt;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::codec::{Framed, LengthDelimitedCodec};

/// Room for reading: as much as ours has, and faster than 64 KiB or the default of 8 KiB.
const BUFFER_BYTES: usize = 256 << 10;

/// The codec for AnYa's header: 32 bytes of type, four of length, and the payload is the frame.
pub(crate) fn codec() -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder().length_field_offset(32).length_field_length(4).max_frame_length(1 << 20).new_codec()
}

pub(super) fn run() -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(receive())
}

async fn receive() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let tally = Arc::new(Tally::default());
    let looked = Arc::clone(&tally);
    let address = Some(listener.local_addr()?);
    control::serve(Ready { address }, move || Look { ready: 1, ..Look::with(&looked) }, |_| {})?;
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    let mut frames = Framed::with_capacity(stream, codec(), BUFFER_BYTES);
    let mut arrivals = Arrivals::new(tally);
    while let Some(payload) = frames.next().await {
        arrivals.take(&payload?);
    }
    Ok(())
}

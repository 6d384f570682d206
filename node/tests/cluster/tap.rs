//! Stands between two nodes, shows every message to the test, and lets it be changed or held back.
//!
//! It knows of WebSockets what it needs: a head of HTTP, then frames, one to each message, those of the dialler masked.

use std::io::{BufRead as _, BufReader, Read as _, Result, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

/// The frame of a binary message.
const BINARY: u8 = 2;

/// Where a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// From who dialled to who listens.
    There,
    /// From who listens to who dialled.
    Back,
}

/// What is done with a message; false holds it back. Its length stays.
pub(crate) trait Look: Fn(Way, &mut [u8]) -> bool + Send + Sync + 'static {}

impl<F: Fn(Way, &mut [u8]) -> bool + Send + Sync + 'static> Look for F {}

/// Listens, and dials `goal` for each connection. It ends with the test.
pub(crate) fn tap(goal: String, look: impl Look) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let look = Arc::new(look);
    thread::spawn(move || {
        for from in listener.incoming().map_while(Result::ok) {
            // Who is dialled may be gone: so is the connection then.
            let Ok(to) = TcpStream::connect(&goal) else { continue };
            for (way, from, to) in [(Way::There, &from, &to), (Way::Back, &to, &from)] {
                let (from, to, look) = (from.try_clone().unwrap(), to.try_clone().unwrap(), look.clone());
                thread::spawn(move || {
                    // However it ended, both ends hear of it.
                    let _ = relay(&from, &to, |message| look(way, message));
                    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
                });
            }
        }
    });
    address
}

fn relay(from: &TcpStream, mut to: &TcpStream, look: impl Fn(&mut [u8]) -> bool) -> Result<()> {
    to.set_nodelay(true)?;
    let mut from = BufReader::new(from);
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if from.read_until(b'\n', &mut head)? == 0 {
            return Ok(());
        }
    }
    to.write_all(&head)?;
    loop {
        let mut frame = Vec::new();
        let mut take = |frame: &mut Vec<u8>, count: u64| -> Result<()> {
            let taken = from.by_ref().take(count).read_to_end(frame)? as u64;
            if taken == count { Ok(()) } else { Err(std::io::ErrorKind::UnexpectedEof.into()) }
        };
        take(&mut frame, 2)?;
        let (is_masked, short) = (frame[1] & 0x80 != 0, frame[1] & 0x7f);
        take(
            &mut frame,
            match short {
                126 => 2,
                127 => 8,
                _ => 0,
            },
        )?;
        let length = match short {
            126 | 127 => frame[2..].iter().fold(0, |length, byte| length << 8 | u64::from(*byte)),
            short => u64::from(short),
        };
        take(&mut frame, if is_masked { 4 } else { 0 })?;
        let body = frame.len();
        take(&mut frame, length)?;
        let key: Vec<u8> = if is_masked { frame[body - 4..body].to_vec() } else { vec![0] };
        let mask = |bytes: &mut [u8]| bytes.iter_mut().zip(key.iter().cycle()).for_each(|(byte, key)| *byte ^= key);
        mask(&mut frame[body..]);
        let passes = frame[0] & 0x0f != BINARY || look(&mut frame[body..]);
        mask(&mut frame[body..]);
        if passes {
            to.write_all(&frame)?;
        }
    }
}

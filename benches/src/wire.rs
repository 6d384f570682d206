//! Speaks as much of the two wires as a load needs: frames, a handshake, and the manners of an idle peer.

use anyhow::{Result, bail};
use clap::ValueEnum;
use serde_json::{Value, json};
use std::net::{IpAddr, SocketAddr};

/// Bytes of an AnYa header.
pub(crate) const HEADER_BYTES: usize = 36;

/// What a load says and hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Wire {
    /// AnYa, with handshake.
    Anya,
    /// Hello, with handshake.
    Hello,
    /// AnYa's frames and nothing else, for peers that know no handshake.
    Bare,
    /// The messages of one gRPC call and nothing else.
    Grpc,
    /// The messages of a WebSocket and nothing else.
    WebSocket,
    /// None of these: a load of its own.
    Gossip,
}

impl Wire {
    /// As a load's argument has it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Anya => "anya",
            Self::Hello => "hello",
            Self::Bare => "bare",
            Self::Grpc => "grpc",
            Self::WebSocket => "web-socket",
            Self::Gossip => "gossip",
        }
    }
}

/// Bytes of gRPC's prefix: whether the message is compressed, and its length.
pub(crate) const PREFIX_BYTES: usize = 5;

/// Appends a message of gRPC, not compressed.
pub(crate) fn message(payload: &[u8], out: &mut Vec<u8>) {
    out.push(0);
    out.extend_from_slice(&(payload.len() as u32).to_be_bytes());
    out.extend_from_slice(payload);
}

/// The payload of the whole gRPC message at the front of `bytes`.
pub(crate) fn split_message(bytes: &[u8]) -> Option<&[u8]> {
    let (prefix, rest) = bytes.split_first_chunk::<PREFIX_BYTES>()?;
    let [_, length @ ..] = *prefix;
    rest.get(..u32::from_be_bytes(length) as usize)
}

/// Appends a binary message of a WebSocket, as a client sends it: with a mask, of zeros, which costs the load nothing and
/// the device what any other does.
pub(crate) fn masked_message(payload: &[u8], out: &mut Vec<u8>) {
    out.push(0x82);
    match payload.len() {
        length @ 0..126 => out.push(0x80 | length as u8),
        length @ 126..65_536 => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(payload);
}

/// Bytes of the header of a server's message at the front of `bytes`, and of its payload.
pub(crate) fn message_header(bytes: &[u8]) -> Option<(usize, usize)> {
    let [_, length, rest @ ..] = bytes else { return None };
    Some(match length {
        126 => (4, u16::from_be_bytes(*rest.first_chunk()?).into()),
        127 => (10, u64::from_be_bytes(*rest.first_chunk()?) as usize),
        length => (2, (*length).into()),
    })
}

/// Appends an AnYa frame.
pub(crate) fn frame(kind: &str, payload: &[u8], out: &mut Vec<u8>) {
    let mut header = [0; HEADER_BYTES];
    header[..kind.len()].copy_from_slice(kind.as_bytes());
    header[32..].copy_from_slice(&(payload.len() as u32).to_be_bytes());
    out.extend_from_slice(&header);
    out.extend_from_slice(payload);
}

/// The whole AnYa frame at the front of `bytes`: its type, NUL padded, and its payload.
pub(crate) fn split(bytes: &[u8]) -> Option<(&[u8; 32], &[u8])> {
    let (kind, rest) = bytes.split_first_chunk::<32>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    Some((kind, rest.get(..u32::from_be_bytes(*length) as usize)?))
}

/// The type of a transaction's frame.
pub(crate) const TX: [u8; 32] = padded(b"tx");

const fn padded<const N: usize>(name: &[u8; N]) -> [u8; 32] {
    let mut padded = [0; 32];
    let mut at = 0;
    while at < N {
        padded[at] = name[at];
        at += 1;
    }
    padded
}

fn network_address(address: SocketAddr) -> [u8; 32] {
    let ip = match address.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(&ip.octets());
    bytes[16..18].copy_from_slice(&address.port().to_be_bytes());
    bytes
}

/// An idle peer's side of a connection: shakes hands, answers what is asked, and asks nothing of its own.
#[derive(Debug)]
pub(crate) struct Manners {
    wire: Wire,
    /// AnYa: the node's own description of its chain, which is handed back as ours.
    info: Option<Vec<u8>>,
    owes_info: bool,
    /// Whether the node has all that it needs to call this peer ready.
    pub(crate) is_ready: bool,
}

impl Manners {
    /// Begins; `out` gets what the dialler says first.
    pub(crate) fn new(wire: Wire, local: SocketAddr, out: &mut Vec<u8>) -> Self {
        match wire {
            Wire::Anya => frame("connect", &network_address(local), out),
            Wire::Hello => line(json!({"HELLO": {"block_count": 1, "time": unix_seconds(), "port": 0}}), out),
            Wire::Bare | Wire::Grpc | Wire::WebSocket | Wire::Gossip => {}
        }
        Self { wire, info: None, owes_info: false, is_ready: matches!(wire, Wire::Bare | Wire::Grpc | Wire::WebSocket) }
    }

    /// Hears everything whole at the front of `bytes` but transactions, which `on_tx` gets. How many bytes that was.
    pub(crate) fn hear(&mut self, bytes: &[u8], out: &mut Vec<u8>, mut on_tx: impl FnMut(&[u8])) -> Result<usize> {
        let mut used = 0;
        while let rest @ [_, ..] = &bytes[used..] {
            if self.wire == Wire::Hello {
                let Some(end) = rest.iter().position(|byte| *byte == b'\n') else { break };
                self.hello(&serde_json::from_slice(&rest[..end])?, out)?;
                used += end + 1;
            } else if self.wire == Wire::Grpc {
                let Some(payload) = split_message(rest) else { break };
                used += PREFIX_BYTES + payload.len();
                on_tx(payload);
            } else if self.wire == Wire::WebSocket {
                let Some((header, length)) = message_header(rest) else { break };
                let Some(payload) = rest.get(header..header + length) else { break };
                used += header + length;
                on_tx(payload);
            } else {
                let Some((kind, payload)) = split(rest) else { break };
                used += HEADER_BYTES + payload.len();
                if *kind == TX { on_tx(payload) } else { self.anya(kind, payload, out)? }
            }
        }
        Ok(used)
    }

    fn anya(&mut self, kind: &[u8; 32], payload: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let kind = String::from_utf8_lossy(kind);
        match kind.trim_end_matches('\0') {
            "connection_accepted" => frame("get_blockchain_info", &[], out),
            "get_blockchain_info" => self.owes_info = true,
            "blockchain_info" => self.info = Some(payload.to_vec()),
            "get_mempool" => frame("mempool", &[0; 4], out),
            "get_peers" => frame("peers", &[0; 4], out),
            "ping" => frame("pong", &[], out),
            other => bail!("the node said {other} {:?}", String::from_utf8_lossy(payload)),
        }
        if let Some(info) = self.info.as_ref().filter(|_| self.owes_info) {
            frame("blockchain_info", info, out);
            (self.owes_info, self.is_ready) = (false, true);
        }
        Ok(())
    }

    fn hello(&mut self, message: &Value, out: &mut Vec<u8>) -> Result<()> {
        let Some((method, payload)) = message.as_object().and_then(|message| message.iter().next()) else {
            bail!("the node said {message}");
        };
        match method.as_str() {
            "HELLO" => {
                line(json!({"HEY": {"block_count": 1}}), out);
                if let Some(genesis) = payload.get("genesis").and_then(Value::as_str) {
                    self.info = Some(genesis.as_bytes().to_vec());
                    self.is_ready = true;
                }
            }
            "HEY" | "ADDR" | "BROADCASTBLOCK" | "BROADCASTTRANSACTION" => {}
            "GETLISTOFBLOCKS" => {
                let parent = String::from_utf8_lossy(self.info.as_deref().unwrap_or_default());
                line(json!({"LISTOFBLOCKS": {"from": 0, "latest": 0, "parent": parent, "hashes": []}}), out);
            }
            "GETADDR" => line(json!({"ADDR": []}), out),
            _ => bail!("the node said {message}"),
        }
        Ok(())
    }
}

fn line(message: Value, out: &mut Vec<u8>) {
    out.extend_from_slice(message.to_string().as_bytes());
    out.push(b'\n');
}

fn unix_seconds() -> u64 {
    std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_split_as_they_were_made() {
        let mut bytes = Vec::new();
        frame("tx", b"abc", &mut bytes);
        assert_eq!(split(&bytes), Some((&TX, b"abc".as_slice())));
        assert!((0..bytes.len()).all(|end| split(&bytes[..end]).is_none()));
    }

    #[test]
    fn messages_split_as_they_were_made() {
        let mut bytes = Vec::new();
        message(b"abc", &mut bytes);
        assert_eq!(bytes, [0, 0, 0, 0, 3, b'a', b'b', b'c']);
        assert_eq!(split_message(&bytes), Some(b"abc".as_slice()));
        assert!((0..bytes.len()).all(|end| split_message(&bytes[..end]).is_none()));
    }

    #[test]
    fn an_anya_peer_hands_the_chain_back_and_is_ready() {
        let mut out = Vec::new();
        let mut manners = Manners::new(Wire::Anya, ([127, 0, 0, 1], 9).into(), &mut out);
        assert_eq!(split(&out).map(|(_, payload)| payload.len()), Some(32));
        let mut said = Vec::new();
        frame("connection_accepted", &[0; 32], &mut said);
        frame("get_blockchain_info", &[], &mut said);
        frame("tx", b"x", &mut said);
        frame("blockchain_info", b"chain", &mut said);
        out.clear();
        let mut transactions = 0;
        let used = manners.hear(&[&said[..], b"rest"].concat(), &mut out, |_| transactions += 1).unwrap();
        assert_eq!((used, transactions, manners.is_ready), (said.len(), 1, true));
        let mut expected = Vec::new();
        frame("get_blockchain_info", &[], &mut expected);
        frame("blockchain_info", b"chain", &mut expected);
        assert_eq!(out, expected);
    }

    #[test]
    fn a_hello_peer_greets_and_lists_nothing() {
        let mut out = Vec::new();
        let mut manners = Manners::new(Wire::Hello, ([127, 0, 0, 1], 9).into(), &mut out);
        out.clear();
        let said = "{\"HEY\":{\"block_count\":1}}\n{\"HELLO\":{\"block_count\":1,\"time\":0,\"port\":1,\"genesis\":\"ab\"}}\n\
                    {\"GETLISTOFBLOCKS\":{\"from\":0,\"latest\":0}}\n{";
        let used = manners.hear(said.as_bytes(), &mut out, |_| {}).unwrap();
        assert_eq!((used, manners.is_ready), (said.len() - 1, true));
        let answers = String::from_utf8(out).unwrap();
        assert!(answers.starts_with("{\"HEY\":") && answers.contains("\"parent\":\"ab\"") && answers.ends_with("}\n"));
        assert!(manners.hear(b"{\"REJECT\":{}}\n", &mut Vec::new(), |_| {}).is_err());
    }
}

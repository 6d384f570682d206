//! Writes messages: each function gives one line, `\n` included.

use super::{GetList, Hello, List, Method, Question, hex};
use alloc::vec::Vec;
use bytes::Bytes;
use polypeer_engine::Address;
use polypeer_engine::kit::chain::Hash;

/// HELLO. The agent must need no escape: printable ASCII without `"` and `\`.
pub fn hello(hello: &Hello) -> Bytes {
    let mut line = Line::new("HELLO", 256);
    line.text("{\"block_count\":").number(hello.block_count);
    line.text(",\"time\":").number(hello.time);
    line.text(",\"port\":").number(u64::from(hello.port));
    if let Some(genesis) = &hello.genesis {
        line.text(",\"genesis\":").hex(&genesis.0);
    }
    if let Some(agent) = &hello.agent {
        line.text(",\"agent\":").quoted(agent);
    }
    if let Some(nonce) = hello.nonce {
        line.text(",\"nonce\":").hex(&nonce.to_be_bytes());
    }
    line.text("}").end()
}

/// HEY.
pub fn hey(block_count: u64) -> Bytes {
    let mut line = Line::new("HEY", 48);
    line.text("{\"block_count\":").number(block_count);
    line.text("}").end()
}

/// GETADDR with the own listening port, 0 if there is none.
pub fn getaddr(port: u16) -> Bytes {
    let mut line = Line::new("GETADDR", 24);
    line.number(u64::from(port)).end()
}

/// ADDR.
pub fn addr(addresses: &[Address]) -> Bytes {
    let mut line = Line::new("ADDR", 16 + addresses.len() * 24);
    line.list(addresses, |line, address| {
        line.text("\"");
        // A Vec takes whatever is written to it.
        let _ = core::fmt::Write::write_fmt(line, format_args!("{address}"));
        line.text("\"");
    });
    line.end()
}

/// BROADCASTBLOCK.
pub fn broadcast_block(number: u64, hash: &Hash) -> Bytes {
    let mut line = Line::new("BROADCASTBLOCK", 128);
    line.text("{\"number\":").number(number);
    line.text(",\"hash\":").hex(&hash.0);
    line.text("}").end()
}

/// GETBLOCK.
pub fn getblock(question: &Question) -> Bytes {
    let mut line = Line::new("GETBLOCK", 112);
    line.question(question);
    line.end()
}

/// NOTFOUND.
pub fn notfound(question: &Question) -> Bytes {
    let mut line = Line::new("NOTFOUND", 112);
    line.question(question);
    line.end()
}

/// GETLISTOFBLOCKS. `transactions` is left out when there is none.
pub fn getlist(ask: &GetList) -> Bytes {
    let mut line = Line::new("GETLISTOFBLOCKS", 128 + ask.transactions.len() * 67);
    line.text("{\"from\":").number(ask.from);
    line.text(",\"latest\":").number(ask.latest);
    if !ask.transactions.is_empty() {
        line.text(",\"transactions\":").hashes(&ask.transactions);
    }
    line.text("}").end()
}

/// LISTOFBLOCKS.
pub fn list(list: &List) -> Bytes {
    let mut line = Line::new("LISTOFBLOCKS", 192 + list.hashes.len() * 67);
    line.text("{\"from\":").number(list.from);
    line.text(",\"latest\":").number(list.latest);
    line.text(",\"parent\":").hex(&list.parent.0);
    line.text(",\"hashes\":").hashes(&list.hashes);
    line.text("}").end()
}

/// BLOCK.
pub fn block(number: u64, data: &[u8]) -> Bytes {
    let mut line = Line::new("BLOCK", 64 + data.len() * 2);
    line.text("{\"number\":").number(number);
    line.text(",\"data\":").hex(data);
    line.text("}").end()
}

/// PUSHTRANSACTION.
pub fn push_transaction<T: AsRef<[u8]>>(transactions: &[T]) -> Bytes {
    let bytes: usize = transactions.iter().map(|transaction| transaction.as_ref().len() * 2 + 3).sum();
    let mut line = Line::new("PUSHTRANSACTION", 32 + bytes);
    line.list(transactions, |line, transaction| {
        line.hex(transaction.as_ref());
    });
    line.end()
}

/// BROADCASTTRANSACTION.
pub fn broadcast_transaction(id: &Hash) -> Bytes {
    let mut line = Line::new("BROADCASTTRANSACTION", 112);
    line.text("{\"id\":").hex(&id.0);
    line.text("}").end()
}

/// REJECT. `reason` is ours: printable ASCII without `"` and `\`, at most 128 characters.
pub fn reject(method: &Method, reason: &str) -> Bytes {
    let mut line = Line::new("REJECT", 96 + reason.len());
    line.text("{\"method\":").quoted(method.as_str());
    line.text(",\"reason\":").quoted(reason);
    line.text("}").end()
}

struct Line(Vec<u8>);

impl Line {
    fn new(method: &str, capacity: usize) -> Self {
        let mut line = Self(Vec::with_capacity(capacity + method.len()));
        line.text("{\"").text(method).text("\":");
        line
    }

    fn end(&mut self) -> Bytes {
        self.text("}\n");
        Bytes::from(core::mem::take(&mut self.0))
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    // Printable ASCII between quotes.
    fn quoted(&mut self, text: &str) -> &mut Self {
        self.text("\"");
        for byte in text.bytes() {
            if matches!(byte, b'"' | b'\\') {
                self.0.push(b'\\');
            }
            self.0.push(byte);
        }
        self.text("\"")
    }

    fn number(&mut self, number: u64) -> &mut Self {
        let mut digits = [0; 20];
        let (mut at, mut rest) = (digits.len(), number);
        loop {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        self.0.extend_from_slice(&digits[at..]);
        self
    }

    fn hex(&mut self, bytes: &[u8]) -> &mut Self {
        self.text("\"");
        hex::push(&mut self.0, bytes);
        self.text("\"")
    }

    fn hashes(&mut self, hashes: &[Hash]) -> &mut Self {
        self.list(hashes, |line, hash| {
            line.hex(&hash.0);
        })
    }

    fn list<T>(&mut self, items: &[T], mut put: impl FnMut(&mut Self, &T)) -> &mut Self {
        self.text("[");
        for (at, item) in items.iter().enumerate() {
            if at > 0 {
                self.text(",");
            }
            put(self, item);
        }
        self.text("]")
    }

    fn question(&mut self, question: &Question) -> &mut Self {
        match question {
            Question::Hash(hash) => self.text("{\"hash\":").hex(&hash.0),
            Question::Number(number) => self.text("{\"number\":").number(*number),
            Question::Transaction(id) => self.text("{\"transaction\":").hex(&id.0),
        }
        .text("}")
    }
}

impl core::fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        self.text(text);
        Ok(())
    }
}

//! Shakes hands and converses, with the manners that a row leaves it.

use super::line::{Line, Said};
use super::wire::{Addresses, Empty, KaspadMessage, NetAddress, Nonce, Payload, Reject, Version};
use anyhow::{Context, Result, bail, ensure};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::{Instant, timeout};

/// What comes at once comes within this, also where two cores carry thirty nodes.
pub(crate) const SHORTLY: Duration = Duration::from_secs(20);

/// What we say of ourselves.
#[derive(Clone, Debug)]
pub(crate) struct Hello {
    /// The advertised version.
    pub(crate) protocol_version: u32,
    /// 16 random bytes.
    pub(crate) id: Vec<u8>,
    /// Where it says it listens.
    pub(crate) address: Option<NetAddress>,
    /// What the target's list of peers shows.
    pub(crate) user_agent: String,
    /// The network's name.
    pub(crate) network: String,
}

impl Hello {
    /// What the target takes: version 11 on simnet, and nobody else's id.
    pub(crate) fn fresh() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let mut id = vec![0; 16];
        // Without entropy the counter still keeps the ids of this process apart.
        let _ = getrandom::fill(&mut id);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        for (to, from) in id.iter_mut().zip(count.to_be_bytes()) {
            *to ^= from;
        }
        Self {
            protocol_version: 11,
            id,
            address: None,
            user_agent: format!("/interop:0.{count}.0/"),
            network: "kaspa-simnet".to_owned(),
        }
    }

    /// As the message.
    pub(crate) fn version(&self) -> Version {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Version {
            protocol_version: self.protocol_version,
            timestamp: i64::try_from(now.as_millis()).unwrap_or_default(),
            address: self.address.clone(),
            id: self.id.clone(),
            user_agent: self.user_agent.clone(),
            network: self.network.clone(),
            ..Version::default()
        }
    }
}

/// What a peer answers by itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manners {
    /// `RequestAddresses`, with none.
    pub(crate) addresses: bool,
    /// `Ping`.
    pub(crate) pings: bool,
}

impl Manners {
    /// Answers both.
    pub(crate) const GOOD: Self = Self { addresses: true, pings: true };
    /// Answers nothing.
    pub(crate) const NONE: Self = Self { addresses: false, pings: false };
}

/// A handshake that came to nothing.
#[derive(Debug)]
pub(crate) struct Refused {
    /// Whether our `Version` was acknowledged before.
    pub(crate) acknowledged: bool,
    /// The text of the `Reject`, where one came.
    pub(crate) reason: Option<String>,
    /// What came instead of `Ready`.
    pub(crate) last: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refused in the handshake, reason {:?}, after {}", self.reason, self.last)
    }
}

impl std::error::Error for Refused {}

/// What a peer hears.
#[derive(Debug)]
pub(crate) enum Heard {
    /// A message that its manners did not answer.
    Message(Box<KaspadMessage>),
    /// The end, with the reason where one came.
    End(Option<String>),
}

/// A line after its handshake.
pub(crate) struct Peer {
    /// The line.
    pub(crate) line: Line,
    /// What the target said of itself.
    pub(crate) theirs: Version,
    /// What is answered without being asked for.
    pub(crate) manners: Manners,
    rejected: Option<String>,
    ended: bool,
    // Where the target dialled, its Reject may be overtaken by its close (Kaspa spec, section 4.0).
    may_lose_reject: bool,
}

impl Peer {
    /// Shakes hands over a line.
    pub(crate) async fn greet(mut line: Line, hello: &Hello, they_dialled: bool) -> Result<Self, Refused> {
        line.send(Payload::Version(hello.version()));
        let (mut theirs, mut acknowledged, mut reason) = (None, false, None);
        let last = loop {
            let message = match line.read().await {
                Said::Message(message) => message,
                Said::Garbage => break "garbage".to_owned(),
                Said::End(how) => break how,
            };
            let name = message.name();
            match (message.payload, &mut theirs) {
                (Some(Payload::Version(version)), None) => {
                    theirs = Some(version);
                    line.send(Payload::Verack(Empty {}));
                    if acknowledged {
                        line.send(Payload::Ready(Empty {}));
                    }
                }
                (Some(Payload::Verack(_)), version) if !acknowledged => {
                    acknowledged = true;
                    if version.is_some() {
                        line.send(Payload::Ready(Empty {}));
                    }
                }
                (Some(Payload::Reject(reject)), _) => reason = Some(reject.reason),
                (Some(Payload::Ready(_)), Some(theirs)) if acknowledged => {
                    let greeted = Self::ungreeted(line, they_dialled);
                    return Ok(Self { theirs: std::mem::take(theirs), manners: Manners::GOOD, ..greeted });
                }
                _ => break name,
            }
        };
        Err(Refused { acknowledged, reason, last })
    }

    /// A line whose handshake a row plays by itself.
    pub(crate) fn ungreeted(line: Line, they_dialled: bool) -> Self {
        let theirs = Version::default();
        Self { line, theirs, manners: Manners::NONE, rejected: None, ended: false, may_lose_reject: they_dialled }
    }

    /// Sends a payload without ids.
    pub(crate) fn send(&self, payload: Payload) {
        self.line.send(payload);
    }

    /// Asks, with an id.
    pub(crate) fn ask(&self, request_id: u32, payload: Payload) {
        self.line.send_message(&KaspadMessage { payload: Some(payload), request_id, response_id: 0 });
    }

    /// Answers a request.
    pub(crate) fn answer(&self, request: &KaspadMessage, payload: Payload) {
        let response_id = request.request_id;
        self.line.send_message(&KaspadMessage { payload: Some(payload), request_id: 0, response_id });
    }

    /// Waits for what its manners do not answer.
    pub(crate) async fn next(&mut self) -> Heard {
        while !self.ended {
            match self.line.read().await {
                Said::Message(message) => match &message.payload {
                    Some(Payload::Reject(Reject { reason })) => self.rejected = Some(reason.clone()),
                    Some(Payload::RequestAddresses(_)) if self.manners.addresses => {
                        self.answer(&message, Payload::Addresses(Addresses::default()));
                    }
                    Some(Payload::Ping(nonce)) if self.manners.pings => self.answer(&message, Payload::Pong(*nonce)),
                    _ => return Heard::Message(message),
                },
                Said::Garbage => return Heard::Message(Box::default()),
                Said::End(_) => self.ended = true,
            }
        }
        Heard::End(self.rejected.clone())
    }

    /// Waits for the first message that fits; others are passed over.
    pub(crate) async fn wait_within<T>(
        &mut self,
        limit: Duration,
        what: &str,
        mut pick: impl FnMut(&KaspadMessage) -> Option<T>,
    ) -> Result<T> {
        let until = Instant::now() + limit;
        let mut passed = Vec::new();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(heard) = timeout(left, self.next()).await else {
                bail!("no {what} within {limit:?}; there came {passed:?}");
            };
            match heard {
                Heard::Message(message) => match pick(&message) {
                    Some(found) => return Ok(found),
                    None => passed.push(message.name()),
                },
                Heard::End(reason) => bail!("no {what}: the target closed, reason {reason:?}; there came {passed:?}"),
            }
        }
    }

    /// As [`Self::wait_within`], for what comes at once.
    pub(crate) async fn wait<T>(&mut self, what: &str, pick: impl FnMut(&KaspadMessage) -> Option<T>) -> Result<T> {
        self.wait_within(SHORTLY, what, pick).await
    }

    /// Waits for the whole message that carries a payload of some kind.
    pub(crate) async fn wait_for(&mut self, name: &str) -> Result<KaspadMessage> {
        self.wait(name, |message| (message.name() == name).then(|| message.clone())).await
    }

    /// Sees to it that nothing that fits comes for a while, and that the connection still answers then.
    pub(crate) async fn quiet(
        &mut self,
        time: Duration,
        what: &str,
        unwanted: impl Fn(&Payload) -> bool,
    ) -> Result<()> {
        let until = Instant::now() + time;
        loop {
            match timeout(until.saturating_duration_since(Instant::now()), self.next()).await {
                Ok(Heard::Message(message)) => {
                    ensure!(!message.payload.as_ref().is_some_and(&unwanted), "{what} came: {}", message.name());
                }
                Ok(Heard::End(reason)) => bail!("the target closed, reason {reason:?}"),
                Err(_) => return self.open().await,
            }
        }
    }

    /// Sees to it that the connection still answers.
    pub(crate) async fn open(&mut self) -> Result<()> {
        static NONCES: AtomicU64 = AtomicU64::new(1 << 40);
        let nonce = NONCES.fetch_add(1, Ordering::Relaxed);
        self.send(Payload::Ping(Nonce { nonce }));
        self.wait("pong", |message| (message.payload == Some(Payload::Pong(Nonce { nonce }))).then_some(())).await
    }

    /// Waits for the end, and the reason where one came; everything else is passed over.
    pub(crate) async fn ended(&mut self, limit: Duration) -> Result<Option<String>> {
        let until = Instant::now() + limit;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let heard = timeout(left, self.next()).await;
            if let Heard::End(reason) = heard.with_context(|| format!("no end within {limit:?}"))? {
                return Ok(reason);
            }
        }
    }

    /// Waits for a close without a reason.
    pub(crate) async fn closed(&mut self) -> Result<()> {
        match self.ended(SHORTLY).await? {
            None => Ok(()),
            Some(reason) => bail!("closed with `{reason}`, where silence is due"),
        }
    }

    /// Waits for a `Reject` with this text in it, and the close.
    pub(crate) async fn rejected(&mut self, text: &str) -> Result<()> {
        self.rejected_within(SHORTLY, text).await
    }

    /// As [`Self::rejected`], with a limit.
    pub(crate) async fn rejected_within(&mut self, limit: Duration, text: &str) -> Result<()> {
        match self.ended(limit).await? {
            Some(reason) => {
                ensure!(reason.contains(text), "rejected with `{reason}`, where `{text}` is due");
                Ok(())
            }
            None if self.may_lose_reject => Ok(()),
            None => bail!("closed in silence, where `{text}` is due"),
        }
    }
}

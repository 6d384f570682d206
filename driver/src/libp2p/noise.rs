//! Proves who both ends are, and agrees on keys: Noise XX, with libp2p's payload that binds an identity to it.
//!
//! ```text
//!   dialler ── e ───────────────────────► listener
//!           ◄─ e, ee, s, es, payload ────
//!           ── s, se, payload ──────────►
//! ```
//!
//! snow does the handshake; what an identity is worth is judged here, by the type of its key first of all, before anything
//! is computed with it.

use super::sealed::Seal;
use crate::identity::{ID_PREFIX, Identity, peer_id};
use bytes::{BufMut, BytesMut};
use ed25519_dalek::{Signature, VerifyingKey};
use polypeer_engine::kit::protobuf::{Fields, ProtobufError};
use snow::params::{DHChoice, NoiseParams};
use snow::resolvers::{CryptoResolver, DefaultResolver, FallbackResolver, RingResolver};
use snow::{Builder, HandshakeState};
use std::fmt;
use std::io;
use thiserror::Error;

const PATTERN: &str = "Noise_XX_25519_ChaChaPoly_SHA256";
/// What an identity signs: this and the public key that it uses in Noise.
const SIGNED_PREFIX: &[u8] = b"noise-libp2p-static-key:";
/// Of a peer id, what is the key's own form.
const KEY_AT: usize = 2;
const SIGNATURE_BYTES: usize = 64;
/// What a message of the handshake has beside its payload: two keys and their checksums.
const AROUND_PAYLOAD: usize = 32 + 48 + 16;

/// Why a handshake failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum NoiseError {
    /// A message of the handshake is none, or was not made for us.
    #[error("no handshake of Noise XX")]
    Handshake,
    /// The payload is not libp2p's.
    #[error("the peer does not say who it is")]
    Payload,
    /// The identity is another kind of key than ed25519.
    #[error("the peer's key is not ed25519")]
    KeyType,
    /// The identity did not sign the key that is used.
    #[error("the peer's signature does not hold")]
    Signature,
    /// It is this node.
    #[error("the peer is this node itself")]
    OwnIdentity,
}

/// What a node goes into handshakes with: a key for Noise, and the word that it is its identity's.
pub(super) struct Credentials {
    own_id: [u8; 38],
    secret: [u8; 32],
    payload: Vec<u8>,
}

impl Credentials {
    /// `secret` is the private key for Noise; any 32 bytes are one. `early` is a muxer to be offered in the payload.
    pub(super) fn new(identity: &Identity, secret: [u8; 32], early: Option<&str>) -> io::Result<Self> {
        let mut curve = resolver().resolve_dh(&DHChoice::Curve25519).ok_or(io::ErrorKind::Unsupported)?;
        curve.set(&secret);
        let own_id = identity.peer_id();
        let signature = identity.sign(&[SIGNED_PREFIX, curve.pubkey()].concat());
        // In this order, and nothing before it: some nodes read key and signature at fixed places.
        let mut payload = Vec::new();
        put(1, &own_id[KEY_AT..], &mut payload);
        put(2, &signature, &mut payload);
        if let Some(muxer) = early {
            let mut extensions = Vec::new();
            put(2, muxer.as_bytes(), &mut extensions);
            put(4, &extensions, &mut payload);
        }
        Ok(Self { own_id, secret, payload })
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the key, which a log must not hold.
        f.debug_struct("Credentials").field("own_id", &self.own_id).finish_non_exhaustive()
    }
}

impl Credentials {
    /// What we say of ourselves.
    pub(super) fn payload(&self) -> &[u8] {
        &self.payload
    }
}

/// One handshake under way.
pub(super) struct Handshake(Box<HandshakeState>);

impl Handshake {
    /// `ephemeral` is the key that is otherwise chosen at random.
    pub(super) fn new(
        credentials: &Credentials,
        has_dialled: bool,
        ephemeral: Option<&[u8; 32]>,
    ) -> Result<Self, NoiseError> {
        let params: NoiseParams = PATTERN.parse().map_err(|_| NoiseError::Handshake)?;
        let built = Builder::with_resolver(params, Box::new(resolver())).local_private_key(&credentials.secret);
        let built = built.and_then(|builder| {
            let builder = match ephemeral {
                Some(key) => builder.fixed_ephemeral_key_for_testing_only(key),
                None => builder,
            };
            if has_dialled { builder.build_initiator() } else { builder.build_responder() }
        });
        built.map(|state| Self(Box::new(state))).map_err(|_| NoiseError::Handshake)
    }

    /// Says our next message, behind its length.
    pub(super) fn say(&mut self, payload: &[u8], out: &mut BytesMut) -> Result<(), NoiseError> {
        let mut message = vec![0; AROUND_PAYLOAD + payload.len()];
        let length = self.0.write_message(payload, &mut message).map_err(|_| NoiseError::Handshake)?;
        out.put_u16(u16::try_from(length).map_err(|_| NoiseError::Handshake)?);
        out.extend_from_slice(&message[..length]);
        Ok(())
    }

    /// The payload of the peer's next message.
    pub(super) fn hear(&mut self, message: &[u8]) -> Result<Vec<u8>, NoiseError> {
        let mut payload = vec![0; message.len()];
        let length = self.0.read_message(message, &mut payload).map_err(|_| NoiseError::Handshake)?;
        payload.truncate(length);
        Ok(payload)
    }

    /// Who the peer is by its payload, and whether it offers `muxer` in it.
    pub(super) fn judge(&self, credentials: &Credentials, payload: &[u8], muxer: &str) -> Result<Proven, NoiseError> {
        let key = self.0.get_remote_static().ok_or(NoiseError::Handshake)?;
        judge(credentials, payload, key, muxer)
    }

    /// Both directions, ours first, once both have said all.
    pub(super) fn finish(mut self) -> Result<(Seal, Seal), NoiseError> {
        if !self.0.is_handshake_finished() {
            return Err(NoiseError::Handshake);
        }
        let has_dialled = self.0.is_initiator();
        let (of_dialler, of_listener) = self.0.dangerously_get_raw_split();
        let (ours, theirs) = if has_dialled { (of_dialler, of_listener) } else { (of_listener, of_dialler) };
        let seal = |key| Seal::new(key).map_err(|_| NoiseError::Handshake);
        Ok((seal(&ours)?, seal(&theirs)?))
    }
}

/// What a peer has proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Proven {
    pub(super) id: [u8; 38],
    pub(super) offers_muxer: bool,
}

fn judge(credentials: &Credentials, payload: &[u8], noise_key: &[u8], muxer: &str) -> Result<Proven, NoiseError> {
    let Said { key, signature, offers_muxer } = Said::read(payload, muxer).map_err(|_| NoiseError::Payload)?;
    if key.is_empty() {
        return Err(NoiseError::Payload);
    }
    let public = key.strip_prefix(&ID_PREFIX[KEY_AT..]).and_then(|public| <&[u8; 32]>::try_from(public).ok());
    let public = public.ok_or(NoiseError::KeyType)?;
    let id = peer_id(public);
    let signature: &[u8; SIGNATURE_BYTES] = signature.try_into().map_err(|_| NoiseError::Signature)?;
    let public = VerifyingKey::from_bytes(public).map_err(|_| NoiseError::Signature)?;
    // Strictly: anyone could sign with a key of small order.
    public
        .verify_strict(&[SIGNED_PREFIX, noise_key].concat(), &Signature::from_bytes(signature))
        .map_err(|_| NoiseError::Signature)?;
    if id == credentials.own_id {
        return Err(NoiseError::OwnIdentity);
    }
    Ok(Proven { id, offers_muxer })
}

/// What stands in a payload.
#[derive(Default)]
struct Said<'a> {
    key: &'a [u8],
    signature: &'a [u8],
    offers_muxer: bool,
}

impl<'a> Said<'a> {
    fn read(payload: &'a [u8], muxer: &str) -> Result<Self, ProtobufError> {
        let mut said = Self::default();
        let mut fields = Fields::of(payload);
        while let Some((number, value)) = fields.next()? {
            match number {
                1 => said.key = value.bytes()?,
                2 => said.signature = value.bytes()?,
                4 => said.offers_muxer |= offers(value.bytes()?, muxer)?,
                _ => {}
            }
        }
        Ok(said)
    }
}

fn offers(extensions: &[u8], muxer: &str) -> Result<bool, ProtobufError> {
    let mut fields = Fields::of(extensions);
    let mut offers = false;
    while let Some((number, value)) = fields.next()? {
        offers |= number == 2 && value.bytes()? == muxer.as_bytes();
    }
    Ok(offers)
}

// A field of fewer than 128 bytes.
fn put(number: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&[number << 3 | 2, bytes.len() as u8]);
    out.extend_from_slice(bytes);
}

fn resolver() -> FallbackResolver {
    FallbackResolver::new(Box::new(RingResolver), Box::new(DefaultResolver))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MUXER: &str = "/coda/yamux/1.0.0";

    fn credentials(seed: u8) -> Credentials {
        Credentials::new(&Identity::from_seed(&[seed; 32]), [seed + 2; 32], None).expect("a curve")
    }

    fn public(secret: [u8; 32]) -> Vec<u8> {
        let mut curve = resolver().resolve_dh(&DHChoice::Curve25519).expect("a curve");
        curve.set(&secret);
        curve.pubkey().to_vec()
    }

    fn told(payload: &[u8]) -> Result<Proven, NoiseError> {
        judge(&credentials(1), payload, &public([4; 32]), MUXER)
    }

    #[test]
    fn the_known_payload_comes_out_and_is_believed() {
        let ours = credentials(2);
        let known = "0a24080112208139770ea87d175f56a35466c34c7ecccb8d8a91b4ee37a25df60f5b8fc9b3941240562c20ab970afbb7d5\
                     b4e9fdca7fafc8f43b850889cf48ae36d6b153a94b189f854c1574e906e16b0650fd2500c376f0f36da9ece49e530c98\
                     50f6c401df5004";
        assert_eq!(ours.payload, const_hex::decode(known).expect("hex"));
        assert_eq!(told(&ours.payload), Ok(Proven { id: ours.own_id, offers_muxer: false }));
    }

    #[test]
    fn a_muxer_is_offered_behind_the_rest() {
        let plain = credentials(2);
        let offering = Credentials::new(&Identity::from_seed(&[2; 32]), [4; 32], Some(MUXER)).expect("a curve");
        let extension = [&[0x22, 0x13, 0x12, 0x11], MUXER.as_bytes()].concat();
        assert_eq!(offering.payload, [plain.payload, extension].concat());
        assert_eq!(told(&offering.payload).map(|proven| proven.offers_muxer), Ok(true));
        let other = judge(&credentials(1), &offering.payload, &public([4; 32]), "/yamux/1.0.0");
        assert_eq!(other.map(|proven| proven.offers_muxer), Ok(false));
    }

    #[test]
    fn each_way_to_be_wrong_has_its_own_name() {
        let good = credentials(2).payload;
        assert_eq!(told(b""), Err(NoiseError::Payload));
        assert_eq!(told(&good[..50]), Err(NoiseError::Payload));
        assert_eq!(told(&good[38..]), Err(NoiseError::Payload), "without a key");
        assert_eq!(told(&good[..38]), Err(NoiseError::Signature), "without a signature");
        for at in (0..36).chain(38..102) {
            let mut bad = good.clone();
            bad[2 + at] ^= 1;
            let kind = if at < 4 { NoiseError::KeyType } else { NoiseError::Signature };
            assert_eq!(told(&bad), Err(kind), "byte {at}");
        }
        // An RSA key: refused by what it is, whatever its length.
        let rsa = [&[0x0a, 0x85, 0x02, 0x08, 0x00, 0x12, 0x80, 0x02][..], &[7; 256], &good[38..]].concat();
        assert_eq!(told(&rsa), Err(NoiseError::KeyType));
        let other_key = judge(&credentials(1), &good, &public([5; 32]), MUXER);
        assert_eq!(other_key, Err(NoiseError::Signature), "the identity of someone else");
        let own = judge(&credentials(2), &good, &public([4; 32]), MUXER);
        assert_eq!(own, Err(NoiseError::OwnIdentity));
    }

    #[test]
    fn a_key_of_small_order_proves_nothing() {
        // The neutral element: with it every signature of the neutral element and zero holds for any message.
        let mut weak = credentials(2).payload;
        weak[6..38].fill(0);
        weak[6] = 1;
        weak[40..].fill(0);
        weak[40] = 1;
        assert_eq!(told(&weak), Err(NoiseError::Signature));
    }

    #[test]
    fn two_of_ours_understand_each_other_and_nobody_else() {
        let (dialler, listener) = (credentials(1), credentials(2));
        let mut ours = Handshake::new(&dialler, true, None).expect("a handshake");
        let mut theirs = Handshake::new(&listener, false, None).expect("a handshake");
        let mut out = BytesMut::new();
        ours.say(b"", &mut out).expect("our turn");
        assert_eq!(out.split_to(2), [0, 32][..]);
        assert_eq!(theirs.hear(&out.split()), Ok(vec![]));
        theirs.say(&listener.payload, &mut out).expect("its turn");
        assert_eq!(out.split_to(2), [0, 200][..]);
        for at in 32..200 {
            let mut bent = out.clone();
            bent[at] ^= 1;
            let mut fresh = Handshake::new(&dialler, true, Some(&[9; 32])).expect("a handshake");
            fresh.say(b"", &mut BytesMut::new()).expect("our turn");
            assert_eq!(fresh.hear(&bent), Err(NoiseError::Handshake));
        }
        let payload = ours.hear(&out.split()).expect("it is for us");
        assert_eq!(ours.judge(&dialler, &payload, MUXER).map(|proven| proven.id), Ok(listener.own_id));
        ours.say(&dialler.payload, &mut out).expect("our turn");
        assert_eq!(out.split_to(2), [0, 168][..]);
        let payload = theirs.hear(&out).expect("it is for it");
        assert_eq!(theirs.judge(&listener, &payload, MUXER).map(|proven| proven.id), Ok(dialler.own_id));
        let (mut sending, mut receiving) = (ours.finish().expect("done").0, theirs.finish().expect("done").1);
        let mut word = b"word".to_vec();
        let tag = sending.seal(&mut word).expect("a number");
        word.extend_from_slice(&tag);
        assert_eq!(receiving.open(&mut word), Some(4));
        assert_eq!(word[..4], *b"word");
    }
}

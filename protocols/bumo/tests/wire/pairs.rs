//! Each message as both libraries know it: ours and a stock one.

use super::oracle::{self, Any, Dice};
use polypeer_bumo::wire::{self, Message as _};
use prost::Message as _;

/// How both libraries take bytes, and what they write of them.
pub(crate) struct Pair {
    pub(crate) name: &'static str,
    /// Whether it is hashed or signed, and so must be canonical.
    pub(crate) is_canonical: bool,
    pub(crate) any: fn(&mut Dice) -> Vec<u8>,
    pub(crate) ours: fn(&[u8]) -> Option<Vec<u8>>,
    pub(crate) theirs: fn(&[u8]) -> Option<Vec<u8>>,
    /// What ours writes of what theirs holds: the same, but for sub-messages of another type.
    pub(crate) kept: fn(&[u8]) -> Option<Vec<u8>>,
}

macro_rules! pair {
    ($name:ident, $is_canonical:literal, $trim:expr) => {
        Pair {
            name: stringify!($name),
            is_canonical: $is_canonical,
            any: |dice| oracle::$name::any(dice).encode_to_vec(),
            ours: |bytes| wire::$name::decode(bytes).ok().map(|message| message.encode().to_vec()),
            theirs: |bytes| oracle::$name::decode(bytes).ok().map(|message| message.encode_to_vec()),
            kept: |bytes| {
                let trim: fn(oracle::$name) -> oracle::$name = $trim;
                oracle::$name::decode(bytes).ok().map(|message| trim(message).encode_to_vec())
            },
        }
    };
    ($($name:ident)*) => { [$(pair!($name, true, |one| one)),*] };
}

/// What is neither hashed nor signed.
pub(crate) fn loose() -> Vec<Pair> {
    use oracle::WsMessage as Envelope;
    // The envelope's name differs.
    let envelope = Pair {
        name: "WsMessage",
        is_canonical: false,
        any: |dice| Envelope::any(dice).encode_to_vec(),
        ours: |bytes| wire::Envelope::decode(bytes).ok().map(|message| message.encode().to_vec()),
        theirs: |bytes| Envelope::decode(bytes).ok().map(|message| message.encode_to_vec()),
        kept: |bytes| Envelope::decode(bytes).ok().map(|message| message.encode_to_vec()),
    };
    vec![
        envelope,
        pair!(Ping, false, |one| one),
        pair!(Hello, false, |one| one),
        pair!(HelloResponse, false, |one| one),
        pair!(Peer, false, |one| one),
        pair!(Peers, false, |one| one),
        pair!(GetLedgers, false, |one| one),
        pair!(Ledgers, false, |one| one),
    ]
}

/// What is.
pub(crate) fn canonical() -> Vec<Pair> {
    let mut pairs: Vec<Pair> = pair!(
        Signature LedgerUpgrade LedgerUpgradeNotify DontHave EntryList KeyPair TransactionEnvSet Validation
        ConsensusValue OperationTrigger Trigger TransactionEnv Transaction CreateAccount IssueAsset PayAsset SetMetadata
        SetSignerWeight SetThreshold PayCoin Log SetPrivilege TypeThreshold Signer AccountThreshold AccountPrivilege
        Contract Asset AssetKey AssetProperty AssetStore Account TransactionEnvStore LedgerHeader Ledger PbftEnv
        PrePrepare Vote ViewChange PreparedSet RawViewChange NewView PbftProof Validator ValidatorSet FeeConfig
    )
    .into();
    pairs.push(pair!(Pbft, true, oracle::Pbft::trimmed));
    pairs.push(pair!(Operation, true, oracle::Operation::trimmed));
    pairs
}

/// That both say the same of some bytes.
pub(crate) fn check(pair: &Pair, bytes: &[u8]) {
    let (ours, theirs) = ((pair.ours)(bytes), (pair.theirs)(bytes));
    if pair.is_canonical {
        // We take exactly what the other would write.
        let wanted = if theirs.as_deref() == Some(bytes) { (pair.kept)(bytes) } else { None };
        assert_eq!(ours, wanted, "{} {}", pair.name, Digits(bytes));
    } else {
        assert_eq!(ours, theirs, "{} {}", pair.name, Digits(bytes));
    }
}

/// Bytes, shown as digits.
pub(crate) struct Digits<'a>(pub(crate) &'a [u8]);

impl std::fmt::Display for Digits<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

//! PBFT's messages (BUMO spec, section 3.4).

use super::field::message;
use super::list::{Encoded, List, Whole};
use super::proto::{Message, Reader, Writer};
use super::{Signature, WireError};
use bytes::Bytes;

message! {
    /// `PbftEnv`: a message and the validator's signature over its bytes. It is the data of an envelope of type PBFT.
    pub struct PbftEnv<'a> {
        /// What is signed. Whoever sends none is disconnected (section 5.3).
        1 pbft: Option<Whole<'a, Pbft<'a>>>,
        /// By the validation key.
        2 signature: Option<Signature<'a>>,
    }
}

impl PbftEnv<'_> {
    /// The envelope of these signed bytes of a [`Pbft`].
    pub fn seal(pbft: &[u8], signature: Signature<'_>) -> Bytes {
        let mut writer = Writer::with_capacity(pbft.len() + 160);
        writer.delimited(1, pbft);
        writer.message(2, &signature);
        writer.finish()
    }
}

/// `Pbft`: one step of the agreement on a ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pbft<'a> {
    /// Counts repetitions of the same message (section 7.7).
    pub round_number: i64,
    /// Its `type` and the sub-message that belongs to it. Sub-messages of other types are checked and left out.
    pub body: Body<'a>,
    /// 0 on the main chain.
    pub chain_id: i64,
}

/// What a [`Pbft`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// Type 0.
    PrePrepare(PrePrepare<'a>),
    /// Type 1.
    Prepare(Vote<'a>),
    /// Type 2.
    Commit(Vote<'a>),
    /// Type 3, which travels inside types 4 and 5 only.
    ViewChange(ViewChange<'a>),
    /// Type 4.
    NewView(NewView<'a>),
    /// Type 5, `VIEWCHANG_WITH_RAWVALUE`.
    RawViewChange(RawViewChange<'a>),
    /// The type of this number without its sub-message, or one that does not exist.
    Missing(i32),
}

impl Default for Body<'_> {
    fn default() -> Self {
        Self::Missing(0)
    }
}

impl<'a> Body<'a> {
    /// The type's number.
    pub fn number(&self) -> i32 {
        match self {
            Self::PrePrepare(_) => 0,
            Self::Prepare(_) => 1,
            Self::Commit(_) => 2,
            Self::ViewChange(_) => 3,
            Self::NewView(_) => 4,
            Self::RawViewChange(_) => 5,
            Self::Missing(number) => *number,
        }
    }

    /// Who says it, as it claims: for type 5 the replica of the inner view change (section 7.3).
    pub fn replica_id(&self) -> Option<i64> {
        match self {
            Self::PrePrepare(one) => Some(one.replica_id),
            Self::Prepare(vote) | Self::Commit(vote) => Some(vote.replica_id),
            Self::ViewChange(change) => Some(change.replica_id),
            Self::NewView(view) => Some(view.replica_id),
            Self::RawViewChange(raw) => raw.view_change().map(|(_, change)| change.replica_id),
            Self::Missing(_) => None,
        }
    }
}

impl<'a> Message<'a> for Pbft<'a> {
    #[inline]
    fn read(message: &'a [u8], depth: u32) -> Result<Self, WireError> {
        let mut reader = Reader::of(message, depth);
        let round_number = reader.field(1)?;
        let number: i32 = reader.field(2)?;
        let mut body = Body::Missing(number);
        if let Some(one) = reader.field::<Option<PrePrepare<'a>>>(3)?
            && number == 0
        {
            body = Body::PrePrepare(one);
        }
        if let Some(vote) = reader.field::<Option<Vote<'a>>>(4)?
            && number == 1
        {
            body = Body::Prepare(vote);
        }
        if let Some(vote) = reader.field::<Option<Vote<'a>>>(5)?
            && number == 2
        {
            body = Body::Commit(vote);
        }
        if let Some(change) = reader.field::<Option<ViewChange<'a>>>(6)?
            && number == 3
        {
            body = Body::ViewChange(change);
        }
        if let Some(view) = reader.field::<Option<NewView<'a>>>(7)?
            && number == 4
        {
            body = Body::NewView(view);
        }
        if let Some(raw) = reader.field::<Option<RawViewChange<'a>>>(8)?
            && number == 5
        {
            body = Body::RawViewChange(raw);
        }
        let chain_id = reader.field(9)?;
        reader.end()?;
        Ok(Self { round_number, body, chain_id })
    }

    fn write(&self, writer: &mut Writer) {
        writer.field(1, &self.round_number);
        writer.field(2, &self.body.number());
        match &self.body {
            Body::PrePrepare(one) => writer.message(3, one),
            Body::Prepare(vote) => writer.message(4, vote),
            Body::Commit(vote) => writer.message(5, vote),
            Body::ViewChange(change) => writer.message(6, change),
            Body::NewView(view) => writer.message(7, view),
            Body::RawViewChange(raw) => writer.message(8, raw),
            Body::Missing(_) => {}
        }
        writer.field(9, &self.chain_id);
    }
}

message! {
    /// `PbftPrePrepare`: the primary's proposal.
    pub struct PrePrepare<'a> {
        /// The view it belongs to.
        1 view_number: i64,
        /// The last executed sequence and one.
        2 sequence: i64,
        /// The primary's place in the validator set.
        3 replica_id: i64,
        /// A `ConsensusValue`.
        4 value: &'a [u8],
        /// The hash of `value`.
        5 value_digest: &'a [u8],
    }
}

message! {
    /// `PbftPrepare` and `PbftCommit`.
    pub struct Vote<'a> {
        /// The view it belongs to.
        1 view_number: i64,
        /// The last executed sequence and one.
        2 sequence: i64,
        /// The voter's place in the validator set.
        3 replica_id: i64,
        /// The hash of the value.
        4 value_digest: &'a [u8],
    }
}

message! {
    /// `PbftViewChange`.
    pub struct ViewChange<'a> {
        /// The new view.
        1 view_number: i64,
        /// The last executed sequence.
        2 sequence: i64,
        /// The prepared value's hash; empty if none is prepared.
        3 prepared_value_digest: &'a [u8],
        /// The sender's place in the validator set.
        4 replica_id: i64,
    }
}

message! {
    /// `PbftPreparedSet`: what shows that a value was prepared.
    pub struct PreparedSet<'a> {
        /// The primary's proposal.
        1 pre_prepare: Option<Encoded<'a, PbftEnv<'a>>>,
        /// The votes for it; more than one of a replica is usual.
        2 prepares: List<'a, Encoded<'a, PbftEnv<'a>>>,
    }
}

message! {
    /// `PbftViewChangeWithRawValue`.
    pub struct RawViewChange<'a> {
        /// The signed [`ViewChange`].
        1 view_change_env: Option<Encoded<'a, PbftEnv<'a>>>,
        /// If a value above the last executed is prepared.
        2 prepared_set: Option<PreparedSet<'a>>,
    }
}

impl<'a> RawViewChange<'a> {
    /// The inner envelope and its view change, if it has one.
    pub fn view_change(&self) -> Option<(PbftEnv<'a>, ViewChange<'a>)> {
        let inner = self.view_change_env?.open().ok()?;
        match inner.pbft?.message.body {
            Body::ViewChange(change) => Some((inner, change)),
            _ => None,
        }
    }
}

message! {
    /// `PbftNewView`.
    pub struct NewView<'a> {
        /// The view to be entered.
        1 view_number: i64,
        /// The sequence of the first view change.
        2 sequence: i64,
        /// The new primary's place in the validator set.
        3 replica_id: i64,
        /// The signed [`ViewChange`]s.
        4 view_changes: List<'a, Encoded<'a, PbftEnv<'a>>>,
        /// The kept proposal, if one was prepared.
        5 pre_prepare: Option<Encoded<'a, PbftEnv<'a>>>,
    }
}

message! {
    /// `PbftProof`: the votes that committed a value. See [`crate::proof`].
    pub struct PbftProof<'a> {
        /// The signed commits.
        1 commits: List<'a, Encoded<'a, PbftEnv<'a>>>,
    }
}

message! {
    /// `Validator`.
    pub struct Validator<'a> {
        /// Its address.
        1 address: &'a str,
        /// What it has pledged.
        2 pledge_coin_amount: i64,
    }
}

message! {
    /// `ValidatorSet`: who agrees on ledgers. A replica's id is its place here.
    pub struct ValidatorSet<'a> {
        /// In the order of their replica ids.
        1 validators: List<'a, Validator<'a>>,
    }
}

message! {
    /// `FeeConfig`.
    pub struct FeeConfig {
        /// What a unit of gas costs at least.
        1 gas_price: i64,
        /// What an account must keep.
        2 base_reserve: i64,
    }
}

//! PBFT's messages (BUMO spec, section 3.4).

use super::field::message;
use super::list::{Encoded, List, Whole};
use super::proto::{Message, Reader, Writer};
use super::{DEPTH_MAX, Signature, WireError};
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

impl<'a> Body<'a> {
    // The sub-message of this type, if it comes next.
    #[inline(always)]
    fn take(reader: &mut Reader<'a>, number: i32) -> Result<Option<Self>, WireError> {
        Ok(match number {
            0 => reader.field::<Option<_>>(3)?.map(Self::PrePrepare),
            1 => reader.field::<Option<_>>(4)?.map(Self::Prepare),
            2 => reader.field::<Option<_>>(5)?.map(Self::Commit),
            3 => reader.field::<Option<_>>(6)?.map(Self::ViewChange),
            4 => reader.field::<Option<_>>(7)?.map(Self::NewView),
            5 => reader.field::<Option<_>>(8)?.map(Self::RawViewChange),
            _ => None,
        })
    }
}

impl<'a> Message<'a> for Pbft<'a> {
    #[inline(always)]
    fn read(message: &'a [u8], depth: u32) -> Result<Self, WireError> {
        let mut reader = Reader::of(message, depth);
        let (round_number, number) = (reader.field(1)?, reader.field(2)?);
        let before = reader;
        if let Some(body) = Body::take(&mut reader, number)? {
            let chain_id = reader.field(9)?;
            if reader.is_at_end() {
                return Ok(Self { round_number, body, chain_id });
            }
        }
        Self::read_all(before, round_number, number)
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

impl<'a> Pbft<'a> {
    // With sub-messages of other types, which nobody sends and the original takes; or with none.
    #[cold]
    fn read_all(mut reader: Reader<'a>, round_number: i64, number: i32) -> Result<Self, WireError> {
        let mut body = Body::Missing(number);
        for other in 0..=5 {
            if let Some(one) = Body::take(&mut reader, other)?
                && other == number
            {
                body = one;
            }
        }
        let chain_id = reader.field(9)?;
        reader.end()?;
        Ok(Self { round_number, body, chain_id })
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

/// The commits of a proof, one after the other, each read once: the way to read one that came.
pub fn commits(proof: &[u8]) -> Commits<'_> {
    Commits { rest: Reader::of(proof, DEPTH_MAX) }
}

/// See [`commits`]. The first one that is wrong is the last.
#[derive(Clone, Debug)]
pub struct Commits<'a> {
    rest: Reader<'a>,
}

impl<'a> Iterator for Commits<'a> {
    type Item = Result<PbftEnv<'a>, WireError>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_at_end() {
            return None;
        }
        let commit = self.rest.field::<Option<_>>(1).and_then(|commit| commit.ok_or(WireError::NotCanonical));
        if commit.is_err() {
            self.rest = Reader::of(&[], 0);
        }
        Some(commit)
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

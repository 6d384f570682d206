//! Transactions, operations and what they name (BUMO spec, section 3.3).

use super::field::message;
use super::list::{List, Whole};
use super::proto::{Message, Reader, Writer};
use super::{Signature, WireError};

message! {
    /// `TransactionEnv`: a transaction and its signatures. It is the data of an envelope of type TRANSACTION.
    pub struct TransactionEnv<'a> {
        /// What is signed and hashed.
        1 transaction: Option<Whole<'a, Transaction<'a>>>,
        /// Over the transaction's bytes. [`super::SIGNATURES_MAX`] is for what is relayed only.
        2 signatures: List<'a, Signature<'a>>,
        /// Set where a contract made the transaction, in storage.
        3 trigger: Option<Trigger<'a>>,
    }
}

message! {
    /// `Trigger`.
    pub struct Trigger<'a> {
        /// 0 for an ordinary transaction, 1 for a contract's.
        1 transaction_type: i32,
        /// The ledger.
        2 ledger_seq: i64,
        /// Which operation made it.
        3 transaction: Option<OperationTrigger<'a>>,
    }
}

message! {
    /// `OperationTrigger`.
    pub struct OperationTrigger<'a> {
        /// The transaction's hash.
        1 hash: &'a [u8],
        /// The operation's place in it.
        2 index: i64,
    }
}

message! {
    /// `Transaction`.
    pub struct Transaction<'a> {
        /// Who pays.
        1 source_address: &'a str,
        /// The account's nonce and one.
        2 nonce: i64,
        /// What it may cost at most.
        3 fee_limit: i64,
        /// What it offers for a unit of gas.
        4 gas_price: i64,
        /// The last ledger that it may stand in; 0 for any.
        5 ceil_ledger_seq: i64,
        /// The sender's own.
        6 metadata: &'a [u8],
        /// What is done, all or nothing.
        7 operations: List<'a, Operation<'a>>,
        /// 0 on the main chain.
        8 chain_id: i64,
    }
}

/// `Operation`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Operation<'a> {
    /// Who acts; the transaction's source if empty.
    pub source_address: &'a str,
    /// The sender's own.
    pub metadata: &'a [u8],
    /// Its `type` and the sub-message that belongs to it. Sub-messages of other types are checked and left out.
    pub body: OperationBody<'a>,
}

/// What an [`Operation`] does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperationBody<'a> {
    /// Type 1.
    CreateAccount(CreateAccount<'a>),
    /// Type 2.
    IssueAsset(IssueAsset<'a>),
    /// Type 3.
    PayAsset(PayAsset<'a>),
    /// Type 4.
    SetMetadata(SetMetadata<'a>),
    /// Type 5.
    SetSignerWeight(SetSignerWeight<'a>),
    /// Type 6.
    SetThreshold(SetThreshold<'a>),
    /// Type 7.
    PayCoin(PayCoin<'a>),
    /// Type 8.
    Log(Log<'a>),
    /// Type 9.
    SetPrivilege(SetPrivilege<'a>),
    /// The type of this number without its sub-message, which is as one of defaults, or a type that does not exist.
    Missing(i32),
}

impl Default for OperationBody<'_> {
    fn default() -> Self {
        Self::Missing(0)
    }
}

impl OperationBody<'_> {
    /// The type's number.
    pub fn number(&self) -> i32 {
        match self {
            Self::CreateAccount(_) => 1,
            Self::IssueAsset(_) => 2,
            Self::PayAsset(_) => 3,
            Self::SetMetadata(_) => 4,
            Self::SetSignerWeight(_) => 5,
            Self::SetThreshold(_) => 6,
            Self::PayCoin(_) => 7,
            Self::Log(_) => 8,
            Self::SetPrivilege(_) => 9,
            Self::Missing(number) => *number,
        }
    }
}

impl<'a> OperationBody<'a> {
    // The sub-message of this type, if it comes next: that of type n is field n + 3. Most pay coins.
    #[inline(always)]
    fn take(reader: &mut Reader<'a>, number: i32) -> Result<Option<Self>, WireError> {
        match number {
            7 => Ok(reader.field::<Option<_>>(10)?.map(Self::PayCoin)),
            _ => Self::take_rarer(reader, number),
        }
    }

    #[inline(never)]
    fn take_rarer(reader: &mut Reader<'a>, number: i32) -> Result<Option<Self>, WireError> {
        Ok(match number {
            1 => reader.field::<Option<_>>(4)?.map(Self::CreateAccount),
            2 => reader.field::<Option<_>>(5)?.map(Self::IssueAsset),
            3 => reader.field::<Option<_>>(6)?.map(Self::PayAsset),
            4 => reader.field::<Option<_>>(7)?.map(Self::SetMetadata),
            5 => reader.field::<Option<_>>(8)?.map(Self::SetSignerWeight),
            6 => reader.field::<Option<_>>(9)?.map(Self::SetThreshold),
            8 => reader.field::<Option<_>>(11)?.map(Self::Log),
            9 => reader.field::<Option<_>>(12)?.map(Self::SetPrivilege),
            _ => None,
        })
    }
}

impl<'a> Message<'a> for Operation<'a> {
    #[inline(always)]
    fn read(message: &'a [u8], depth: u32) -> Result<Self, WireError> {
        let mut reader = Reader::of(message, depth);
        let number = reader.field(1)?;
        let (source_address, metadata) = (reader.field(2)?, reader.field(3)?);
        let before = reader;
        match OperationBody::take(&mut reader, number)? {
            Some(body) if reader.is_at_end() => Ok(Self { source_address, metadata, body }),
            _ => Ok(Self { source_address, metadata, body: Self::read_all(before, number)? }),
        }
    }

    fn write(&self, writer: &mut Writer) {
        writer.field(1, &self.body.number());
        writer.field(2, &self.source_address);
        writer.field(3, &self.metadata);
        match &self.body {
            OperationBody::CreateAccount(one) => writer.message(4, one),
            OperationBody::IssueAsset(one) => writer.message(5, one),
            OperationBody::PayAsset(one) => writer.message(6, one),
            OperationBody::SetMetadata(one) => writer.message(7, one),
            OperationBody::SetSignerWeight(one) => writer.message(8, one),
            OperationBody::SetThreshold(one) => writer.message(9, one),
            OperationBody::PayCoin(one) => writer.message(10, one),
            OperationBody::Log(one) => writer.message(11, one),
            OperationBody::SetPrivilege(one) => writer.message(12, one),
            OperationBody::Missing(_) => {}
        }
    }
}

impl<'a> Operation<'a> {
    // With sub-messages of other types, or with none.
    #[cold]
    fn read_all(mut reader: Reader<'a>, number: i32) -> Result<OperationBody<'a>, WireError> {
        let mut body = OperationBody::Missing(number);
        for other in 1..=9 {
            if let Some(one) = OperationBody::take(&mut reader, other)?
                && other == number
            {
                body = one;
            }
        }
        reader.end()?;
        Ok(body)
    }
}

message! {
    /// `OperationCreateAccount`.
    pub struct CreateAccount<'a> {
        /// The new account; empty for a contract, which gets one of its own.
        1 dest_address: &'a str,
        /// The account's code.
        2 contract: Option<Contract<'a>>,
        /// Who may act for it.
        3 privilege: Option<AccountPrivilege<'a>>,
        /// Its first entries.
        4 metadatas: List<'a, KeyPair<'a>>,
        /// What it begins with.
        5 init_balance: i64,
        /// What its code begins with.
        6 init_input: &'a str,
    }
}

message! {
    /// `OperationIssueAsset`.
    pub struct IssueAsset<'a> {
        /// The asset's name.
        1 code: &'a str,
        /// How much.
        2 amount: i64,
    }
}

message! {
    /// `OperationPayAsset`.
    pub struct PayAsset<'a> {
        /// Who gets it.
        1 dest_address: &'a str,
        /// What.
        2 asset: Option<Asset<'a>>,
        /// For the destination's code.
        3 input: &'a str,
    }
}

message! {
    /// `OperationSetMetadata`.
    pub struct SetMetadata<'a> {
        /// The entry's name.
        1 key: &'a str,
        /// What it holds from now on.
        2 value: &'a str,
        /// The version that it must have; 0 for any.
        3 version: i64,
        /// Whether it ceases to exist.
        4 delete_flag: bool,
    }
}

message! {
    /// `OperationSetSignerWeight`.
    pub struct SetSignerWeight<'a> {
        /// What the account's own key weighs; negative to leave it.
        1 master_weight: i64,
        /// Signers that are added, changed, or at weight 0 removed.
        2 signers: List<'a, Signer<'a>>,
    }
}

message! {
    /// `OperationSetThreshold`.
    pub struct SetThreshold<'a> {
        /// What a transaction must weigh; negative to leave it.
        1 tx_threshold: i64,
        /// What single operations must weigh.
        2 type_thresholds: List<'a, TypeThreshold>,
    }
}

message! {
    /// `OperationPayCoin`.
    pub struct PayCoin<'a> {
        /// Who gets it.
        1 dest_address: &'a str,
        /// How much.
        2 amount: i64,
        /// For the destination's code.
        3 input: &'a str,
    }
}

message! {
    /// `OperationLog`.
    pub struct Log<'a> {
        /// What it is about.
        1 topic: &'a str,
        /// What it says.
        2 datas: List<'a, &'a str>,
    }
}

message! {
    /// `OperationSetPrivilege`. Its numbers are texts, so that an absent one can be told from 0.
    pub struct SetPrivilege<'a> {
        /// What the account's own key weighs; empty to leave it.
        1 master_weight: &'a str,
        /// Signers that are added, changed, or at weight 0 removed.
        2 signers: List<'a, Signer<'a>>,
        /// What a transaction must weigh; empty to leave it.
        3 tx_threshold: &'a str,
        /// What single operations must weigh.
        4 type_thresholds: List<'a, TypeThreshold>,
    }
}

message! {
    /// `OperationTypeThreshold`.
    pub struct TypeThreshold {
        /// The number of an operation's type.
        1 kind: i32,
        /// What it must weigh.
        2 threshold: i64,
    }
}

message! {
    /// `Signer`.
    pub struct Signer<'a> {
        /// Who may sign.
        1 address: &'a str,
        /// What that weighs.
        2 weight: i64,
    }
}

message! {
    /// `AccountThreshold`.
    pub struct AccountThreshold<'a> {
        /// What a transaction must weigh.
        1 tx_threshold: i64,
        /// What single operations must weigh.
        2 type_thresholds: List<'a, TypeThreshold>,
    }
}

message! {
    /// `AccountPrivilege`: who may act for an account.
    pub struct AccountPrivilege<'a> {
        /// What its own key weighs.
        1 master_weight: i64,
        /// Others.
        2 signers: List<'a, Signer<'a>>,
        /// What is needed.
        3 thresholds: Option<AccountThreshold<'a>>,
    }
}

message! {
    /// `Contract`.
    pub struct Contract<'a> {
        /// 0 for JavaScript, the only one.
        1 kind: i32,
        /// Its code.
        2 payload: &'a str,
    }
}

message! {
    /// `Asset`.
    pub struct Asset<'a> {
        /// Which.
        1 key: Option<AssetKey<'a>>,
        /// How much.
        2 amount: i64,
    }
}

message! {
    /// `AssetKey`.
    pub struct AssetKey<'a> {
        /// Who issued it.
        1 issuer: &'a str,
        /// Its name.
        2 code: &'a str,
        /// 0, the only one in use.
        3 kind: i32,
    }
}

message! {
    /// `AssetProperty`.
    pub struct AssetProperty<'a> {
        /// Digits behind the point.
        1 decimal: i32,
        /// For people.
        2 description: &'a str,
        /// How much there may be.
        3 max_supply: i64,
        /// How much there is.
        4 issued_amount: i64,
        /// What a payment costs, in percent.
        5 fee_percent: i32,
    }
}

message! {
    /// `AssetStore`: a leaf of an account's asset trie.
    pub struct AssetStore<'a> {
        /// Which.
        1 key: Option<AssetKey<'a>>,
        /// How much of it the account has.
        2 amount: i64,
        /// About the asset.
        3 property: Option<AssetProperty<'a>>,
    }
}

message! {
    /// `KeyPair`: an entry of an account's metadata.
    pub struct KeyPair<'a> {
        /// Its name.
        1 key: &'a str,
        /// What it holds.
        2 value: &'a str,
        /// How often it was set.
        3 version: i64,
    }
}

message! {
    /// `Account`: a leaf of the account tree.
    pub struct Account<'a> {
        /// Its address.
        1 address: &'a str,
        /// Transactions that it has paid for.
        2 nonce: i64,
        /// Who may act for it.
        3 privilege: Option<AccountPrivilege<'a>>,
        /// The root of its metadata trie; empty until it is first touched.
        4 metadatas_hash: &'a [u8],
        /// The root of its asset trie; empty until it is first touched.
        5 assets_hash: &'a [u8],
        /// Its code: absent, or present and empty, by how it was made (section 9.5).
        6 contract: Option<Contract<'a>>,
        /// What it has.
        7 balance: i64,
    }
}

message! {
    /// `TransactionEnvStore`: what became of a transaction; for storage and notification.
    pub struct TransactionEnvStore<'a> {
        /// The transaction.
        1 transaction_env: Option<Whole<'a, TransactionEnv<'a>>>,
        /// 0 for success.
        2 error_code: i32,
        /// For people.
        3 error_desc: &'a str,
        /// The ledger that it stands in.
        4 ledger_seq: i64,
        /// Microseconds since 1970.
        5 close_time: i64,
        /// The transaction's hash.
        6 hash: &'a [u8],
        /// What it cost.
        7 actual_fee: i64,
        /// Of the transactions that a contract made of it.
        8 contract_tx_hashes: List<'a, &'a [u8]>,
    }
}

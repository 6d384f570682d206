//! A block as structs that a stock codec derives, for what it reads of the same bytes and how long it takes.
//!
//! The codec knows nothing of moduli, limits or shortest forms. What it has no form for is written by hand below: strings
//! of bytes, elements, vectors with a unit behind, polymorphic variants.

use binprot::macros::{BinProtRead, BinProtWrite};
use binprot::{BinProtRead, BinProtWrite, Error, Nat0};
use std::io::{Read, Write};

/// An element of either field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Element(pub(crate) [u8; 32]);

impl BinProtRead for Element {
    fn binprot_read<R: Read + ?Sized>(reader: &mut R) -> Result<Self, Error> {
        let mut bytes = [0; 32];
        reader.read_exact(&mut bytes)?;
        Ok(Self(bytes))
    }
}

impl BinProtWrite for Element {
    fn binprot_write<W: Write>(&self, writer: &mut W) -> std::io::Result<()> {
        writer.write_all(&self.0)
    }
}

/// A string of bytes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Text(pub(crate) Vec<u8>);

impl BinProtRead for Text {
    fn binprot_read<R: Read + ?Sized>(reader: &mut R) -> Result<Self, Error> {
        let Nat0(length) = Nat0::binprot_read(reader)?;
        let mut bytes = Vec::new();
        reader.take(length).read_to_end(&mut bytes)?;
        Ok(Self(bytes))
    }
}

impl BinProtWrite for Text {
    fn binprot_write<W: Write>(&self, writer: &mut W) -> std::io::Result<()> {
        Nat0(self.0.len() as u64).binprot_write(writer)?;
        writer.write_all(&self.0)
    }
}

/// A vector of `N`, and a unit.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Vector<T, const N: usize>(pub(crate) Vec<T>);

impl<T: BinProtRead, const N: usize> BinProtRead for Vector<T, N> {
    fn binprot_read<R: Read + ?Sized>(reader: &mut R) -> Result<Self, Error> {
        let items = (0..N).map(|_| T::binprot_read(reader)).collect::<Result<_, _>>()?;
        <()>::binprot_read(reader)?;
        Ok(Self(items))
    }
}

impl<T: BinProtWrite, const N: usize> BinProtWrite for Vector<T, N> {
    fn binprot_write<W: Write>(&self, writer: &mut W) -> std::io::Result<()> {
        self.0.iter().try_for_each(|item| item.binprot_write(writer))?;
        ().binprot_write(writer)
    }
}

/// `` `One`` or `` `Two``.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OneOrTwo<T>(pub(crate) Vec<T>);

impl<T: BinProtRead> BinProtRead for OneOrTwo<T> {
    fn binprot_read<R: Read + ?Sized>(reader: &mut R) -> Result<Self, Error> {
        let mut tag = [0; 4];
        reader.read_exact(&mut tag)?;
        let count = if tag == [0x8d, 0xa4, 0x78, 0x00] { 1 } else { 2 };
        (0..count).map(|_| T::binprot_read(reader)).collect::<Result<_, _>>().map(Self)
    }
}

impl<T: BinProtWrite> BinProtWrite for OneOrTwo<T> {
    fn binprot_write<W: Write>(&self, writer: &mut W) -> std::io::Result<()> {
        let tag = if self.0.len() == 1 { [0x8d, 0xa4, 0x78, 0x00] } else { [0xd9, 0x4a, 0x80, 0x00] };
        writer.write_all(&tag)?;
        self.0.iter().try_for_each(|item| item.binprot_write(writer))
    }
}

macro_rules! records {
    ($($name:ident($($kind:ty),* $(,)?);)*) => {
        $(#[derive(Clone, Debug, PartialEq, BinProtRead, BinProtWrite)]
        pub(crate) struct $name($(pub(crate) $kind),*);)*
    };
}

type Amount = (i64, bool);
type Point = (Element, Element);
type Challenge = Vector<i64, 2>;
type Column = (Vec<Element>, Vec<Element>);
type Key = (Element, bool);

/// A slot: a variant of one constructor.
#[derive(Clone, Copy, Debug, PartialEq, BinProtRead, BinProtWrite)]
pub(crate) enum Slot {
    At(i32),
}

records! {
    Block(Header, Body);
    Header(State, Proof, (Element, Vec<Element>), Version, Option<Version>);
    Version(i64, i64, i64);
    State(Element, Element, Blockchain, Consensus, Constants);
    Blockchain(Staged, Element, Statement, (), i64, Text);
    Staged(Element, Text, Text, Element);
    Statement(Registers, Registers, Element, Element, Amount, Excess, Excess);
    Excess(Element, Amount);
    Registers(Element, Element, Element, Element, Element, Local);
    Local(Element, Element, Element, Element, Amount, Amount, Element, bool, i32, Failures, bool);
    Consensus(
        i32, i32, i32, Vec<i32>, Text, i64, Slot, i32, Slot, Epoch, Epoch, bool, Key, Key, Key, bool,
    );
    Epoch(Element, i64, Element, Element, Element, i32);
    Constants(i32, i32, i32, i32, i32, i64);
    Proof(ProofState, StepMessages, Evaluations, Wrap);
    ProofState(Plonk, Vector<Challenge, 16>, Branch, Vector<i64, 4>, WrapMessages);
    Plonk(Challenge, Challenge, Challenge, Challenge, Option<Challenge>, Flags);
    Flags(bool, bool, bool, bool, bool, bool, bool, bool);
    Branch(Verified, Char);
    WrapMessages(Point, Vector<Vector<Challenge, 15>, 2>);
    StepMessages((), Vec<Point>, Vec<Vector<Challenge, 16>>);
    Evaluations(Point, Columns, Element);
    Columns(Witnesses, Optional, LookUps);
    Witnesses(Vector<Column, 15>, Vector<Column, 15>, Column, Vector<Column, 6>, Selectors);
    Selectors(Column, Column, Column, Column, Column, Column);
    Optional(
        Option<Column>, Option<Column>, Option<Column>, Option<Column>, Option<Column>, Option<Column>,
        Option<Column>, Option<Column>,
    );
    LookUps(
        Vector<Option<Column>, 5>, Option<Column>, Option<Column>, Option<Column>, Option<Column>, Option<Column>,
        Option<Column>,
    );
    Wrap(Commitments, WrapEvaluations, Element, Bulletproof);
    Commitments(Vector<Point, 15>, Point, Vector<Point, 7>);
    WrapEvaluations(Vector<Point, 15>, Vector<Point, 15>, Point, Vector<Point, 6>, WrapSelectors);
    WrapSelectors(Point, Point, Point, Point, Point, Point);
    Bulletproof(Vec<(Point, Point)>, Element, Element, Point, Point);
    Body(First, Option<Second>);
    First(Vec<Work>, Vec<Judged>, FirstCoinbase, Vec<Status>);
    Second(Vec<Work>, Vec<Judged>, SecondCoinbase, Vec<Status>);
    Work(i64, OneOrTwo<LedgerProof>, Key);
    LedgerProof(Statement, Text, Proof);
    Judged(Command, Status);
    Transfer(Key, i64);
    Signed(i64, Key, i32, Slot, Text, Payload, Key, Point);
    Zkapp(Payer, Vec<Call>, Text);
    Payer(Key, i64, Option<Slot>, i32, Point);
    Call(Update, Authorization, (), Vec<Call>, ());
    Update(Key, Element, Changes, Amount, bool, Vec<Vec<Element>>, Vec<Vec<Element>>, Element, Conditions, UpdateEnd);
    UpdateEnd(bool, bool, Verified, AuthorizationKind);
    Changes(
        Vector<Set<Element>, 8>, Set<Key>, Set<VerificationKey>, Set<Permissions>, Set<Text>, Set<Text>, Set<Timing>,
        Set<Element>,
    );
    VerificationKey(Verified, Verified, Vector<Point, 7>, Vector<Point, 15>, WrapSelectors);
    Permissions(
        Auth, Auth, Auth, Auth, Auth, Auth, (Auth, i32), Auth, Auth, Auth, Auth, Auth, Auth,
    );
    Timing(i64, Slot, i64, Slot, i64);
    Conditions(Protocol, Account, Set<(Slot, Slot)>);
    Protocol(
        Set<Element>, Set<(i32, i32)>, Set<(i32, i32)>, Set<(i64, i64)>, Set<(Slot, Slot)>, EpochCondition,
        EpochCondition,
    );
    EpochCondition(Set<Element>, Set<(i64, i64)>, Set<Element>, Set<Element>, Set<Element>, Set<(i32, i32)>);
    Account(
        Set<(i64, i64)>, Set<(i32, i32)>, Set<Element>, Set<Key>, Vector<Set<Element>, 8>, Set<Element>, Set<bool>,
        Set<bool>,
    );
}

/// A char.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Char(pub(crate) u8);

impl BinProtRead for Char {
    fn binprot_read<R: Read + ?Sized>(reader: &mut R) -> Result<Self, Error> {
        let mut byte = [0];
        reader.read_exact(&mut byte)?;
        Ok(Self(byte[0]))
    }
}

impl BinProtWrite for Char {
    fn binprot_write<W: Write>(&self, writer: &mut W) -> std::io::Result<()> {
        writer.write_all(&[self.0])
    }
}

type Failures = Vec<Vec<Failure>>;

/// Something, or not: both kinds of it in an account update.
#[derive(Clone, Debug, PartialEq, BinProtRead, BinProtWrite)]
pub(crate) enum Set<T> {
    Set(T),
    Keep,
}

macro_rules! variants {
    ($($name:ident { $($arm:ident $(($($kind:ty),*))?),* $(,)? })*) => {
        $(#[allow(clippy::large_enum_variant, reason = "a box would be one more thing that the codec makes")]
        #[derive(Clone, Debug, PartialEq, BinProtRead, BinProtWrite)]
        pub(crate) enum $name { $($arm $(($($kind),*))?),* })*
    };
}

variants! {
    Command { Signed(Signed), Zkapp(Zkapp) }
    Payload { Payment(Key, i64), Delegation(Delegation) }
    Delegation { SetDelegate(Key) }
    Status { Applied, Failed(Failures) }
    FirstCoinbase { Zero, One(Option<Transfer>), Two(Option<(Transfer, Option<Transfer>)>) }
    SecondCoinbase { Zero, One(Option<Transfer>) }
    Verified { Zero, One, Two }
    Authorization { Proof(Proof), Signature(Point), None }
    AuthorizationKind { Signature, Proof(Element), None }
    Auth { None, Either, Proof, Signature, Impossible }
    Failure {
        F0, F1, F2, F3, F4, F5, F6, F7, F8, F9, F10, F11, F12, F13, F14, F15, F16, F17, F18, F19, F20, F21, F22, F23,
        F24, F25, F26, F27, F28, F29, F30, F31, F32, F33, F34, F35, F36(i64), F37, F38, F39, F40, F41, F42, F43, F44,
    }
}

/// Reads all bytes of something.
pub(crate) fn decode<T: BinProtRead>(bytes: &[u8]) -> Option<T> {
    let mut rest = bytes;
    let value = read(&mut rest)?;
    rest.is_empty().then_some(value)
}

/// Reads the next bytes.
pub(crate) fn read<T: BinProtRead>(rest: &mut &[u8]) -> Option<T> {
    T::binprot_read(rest).ok()
}

/// Writes it.
pub(crate) fn encode(value: &impl BinProtWrite) -> Vec<u8> {
    let mut bytes = Vec::new();
    value.binprot_write(&mut bytes).expect("memory takes it");
    bytes
}

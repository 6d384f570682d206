//! Elements of the two fields that proofs are about.

use super::{Binable, BinprotError, Reader, Writer};
use core::fmt;
use serde::{Deserialize, Serialize};

// The moduli, lowest limb first. They differ below the 87th bit only.
const BASE: [u64; 4] = [0x992d_30ed_0000_0001, 0x2246_98fc_094c_f91b, 0, 0x4000_0000_0000_0000];
const SCALAR: [u64; 4] = [0x8c46_eb21_0000_0001, 0x2246_98fc_0994_a8dd, 0, 0x4000_0000_0000_0000];

fn is_below(bytes: &[u8; 32], modulus: &[u64; 4]) -> bool {
    let limbs = bytes.as_chunks::<8>().0.iter().map(|limb| u64::from_le_bytes(*limb));
    limbs.rev().lt(modulus.iter().rev().copied())
}

macro_rules! element {
    ($(#[$about:meta])* $name:ident, $modulus:ident) => {
        $(#[$about])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub [u8; 32]);

        impl $name {
            /// 0.
            pub const ZERO: Self = Self([0; 32]);
            /// 1.
            pub const ONE: Self = {
                let mut bytes = [0; 32];
                bytes[0] = 1;
                Self(bytes)
            };

            /// The element with these bytes, if they are below the modulus.
            pub fn checked(bytes: [u8; 32]) -> Option<Self> {
                is_below(&bytes, &$modulus).then_some(Self(bytes))
            }
        }

        impl<'a> Binable<'a> for $name {
            #[inline]
            fn read(reader: &mut Reader<'a>) -> Result<Self, BinprotError> {
                let bytes = reader.array()?;
                if is_below(bytes, &$modulus) { Ok(Self(*bytes)) } else { Err(BinprotError::Element) }
            }

            fn write(&self, writer: &mut Writer) {
                writer.raw(&self.0);
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
    };
}

element! {
    /// An element of Pallas' base field, little endian: most hashes, the coordinates of public keys and of points.
    ///
    /// Ordered by its bytes, which is not the order of the numbers.
    Fp, BASE
}

element! {
    /// An element of Pallas' scalar field, which is Vesta's base field, little endian.
    ///
    /// Ordered by its bytes, which is not the order of the numbers.
    Fq, SCALAR
}

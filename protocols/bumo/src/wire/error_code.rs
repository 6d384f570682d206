//! The original's error codes (BUMO spec, section 3.5).

use serde::{Deserialize, Serialize};

/// An `ERRORCODE`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ErrorCode(pub i32);

macro_rules! codes {
    ($($number:literal $name:ident)*) => {
        impl ErrorCode {
            $(#[doc = concat!("`", stringify!($name), "`.")] pub const $name: Self = Self($number);)*

            /// The original's name for it, if it has one.
            pub fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }
    };
}

codes! {
    0 SUCCESS
    1 INTERNAL_ERROR
    2 INVALID_PARAMETER
    3 ALREADY_EXIST
    4 NOT_EXIST
    5 TX_TIMEOUT
    6 ACCESS_DENIED
    7 MATH_OVERFLOW
    20 EXPR_CONDITION_RESULT_FALSE
    21 EXPR_CONDITION_SYNTAX_ERROR
    90 INVALID_PUBKEY
    91 INVALID_PRIKEY
    92 ASSET_INVALID
    93 INVALID_SIGNATURE
    94 INVALID_ADDRESS
    97 MISSING_OPERATIONS
    98 TOO_MANY_OPERATIONS
    99 BAD_SEQUENCE
    100 ACCOUNT_LOW_RESERVE
    101 ACCOUNT_SOURCEDEST_EQUAL
    102 ACCOUNT_DEST_EXIST
    103 ACCOUNT_NOT_EXIST
    104 ACCOUNT_ASSET_LOW_RESERVE
    105 ACCOUNT_ASSET_AMOUNT_TOO_LARGE
    106 ACCOUNT_INIT_LOW_RESERVE
    111 FEE_NOT_ENOUGH
    112 FEE_INVALID
    114 OUT_OF_TXCACHE
    120 WEIGHT_NOT_VALID
    121 THRESHOLD_NOT_VALID
    144 INVALID_DATAVERSION
    146 TX_SIZE_TOO_BIG
    151 CONTRACT_EXECUTE_FAIL
    152 CONTRACT_SYNTAX_ERROR
    153 CONTRACT_TOO_MANY_RECURSION
    154 CONTRACT_TOO_MANY_TRANSACTIONS
    155 CONTRACT_EXECUTE_EXPIRED
    160 TX_INSERT_QUEUE_FAIL
}

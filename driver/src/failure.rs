//! Puts a panic into words, so that a thread's end is never silent.

use std::any::Any;

/// What the panic said.
pub(crate) fn text(panic: &(dyn Any + Send)) -> String {
    let said = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    said.unwrap_or("a panic without a word").to_owned()
}

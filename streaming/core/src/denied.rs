//! A refusal of one request.

use amphi_shared_wire::proto::Failed;
use amphi_shared_wire::{Code, Micros};
use thiserror::Error;

/// Why a request changed nothing.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("{code}: {message}")]
pub struct Denied {
    /// The numbered reason.
    pub code: Code,
    /// One sentence for the developer at the other end.
    pub message: &'static str,
    /// When the same request may work; 0 = waiting does not help.
    pub retry_after_ms: u32,
}

impl Denied {
    /// A refusal that waiting does not change.
    pub const fn new(code: Code, message: &'static str) -> Self {
        Self { code, message, retry_after_ms: 0 }
    }

    /// A refusal that is over after `wait`.
    pub fn later(code: Code, message: &'static str, wait: Micros) -> Self {
        let retry_after_ms = u32::try_from(wait.0.div_ceil(1_000)).unwrap_or(u32::MAX);
        Self { code, message, retry_after_ms }
    }

    pub(crate) fn to_failed(self) -> Failed {
        Failed { code: self.code.number(), message: self.message.to_owned(), retry_after_ms: self.retry_after_ms }
    }
}

//! The derive macros of amphi-shared-replica.

#![forbid(unsafe_code)]

mod field;
mod replicate;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Derives `Replicate` for a struct of numbers.
///
/// Every field is a `bool`, an integer of up to 32 bits, an `f32`, or an array of those (`[f32; 3]`). Attributes
/// of a field, all in `#[replica(…)]`:
///
/// * `unit = "1/4096"` or `unit = "0.01"`: the step of the number. An `f32` needs one: it is rounded to whole
///   steps. For an integer it only says what one step means.
/// * `lerp = "linear" | "step" | "angle" | "quaternion"`: how a value between two samples is found. `linear` is
///   the default of numbers, `step` of `bool`. `angle` takes the shorter way round: an integer wraps at its own
///   width, an `f32` at 2π. `quaternion` is for `[f32; 4]` or `[i16; 4]` and the like.
///
/// Attributes of the struct: `name = "…"` (default: its name) and `crate = path` (default:
/// `::amphi_shared_replica`), for a game that knows the crate by another path.
#[proc_macro_derive(Replicate, attributes(replica))]
pub fn derive_replicate(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    replicate::expand(&input).unwrap_or_else(|error| error.into_compile_error()).into()
}

//! The derive macros of amphi-shared-replica.

#![forbid(unsafe_code)]

mod field;
mod input;
mod krate;
mod replicate;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Derives `Replicate` for a struct of numbers: a component, an event, a request or an answer.
///
/// Every field is a `bool`, an integer of up to 32 bits, an `f32`, or an array of those (`[f32; 3]`). Attributes
/// of a field, all in `#[replica(…)]`:
///
/// * `unit = "1/4096"` or `unit = "0.01"`: the step of the number. An `f32` needs one: it is rounded to whole
///   steps. For an integer it only says what one step means.
/// * `lerp = "linear" | "step" | "angle" | "quaternion"`: how a value between two samples is found. `linear` is
///   the default of numbers, `step` of `bool`. `angle` takes the shorter way round: an integer wraps at its own
///   width, an `f32` at 2π. `quaternion` is for `[f32; 4]` or `[i16; 4]` and the like.
/// * `velocity = "vx"`: the field that it moves by, in its own unit per second (m and m/s); an array moves by an array, a number
///   also by a part of one: `velocity.0`. Clients draw a curve by it between two samples, and a moment beyond the last.
/// * `tolerance = 4`: steps by which a prediction may differ before it is simulated again; 0 unless given.
///
/// Attributes of the struct: `name = "…"` (default: its name), `seen_by = "all" | "team" | "owner"` (who is told of a
/// component, default: `all`), `by = "seat"` (the field of an event that says whose seat caused it, see
/// `ReplicaApp::effect`), and `crate = path` where the engine is known by another path than `Cargo.toml` tells.
#[proc_macro_derive(Replicate, attributes(replica))]
pub fn derive_replicate(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    replicate::expand(&input).unwrap_or_else(|error| error.into_compile_error()).into()
}

/// Derives `Input` for a struct of numbers.
///
/// Every field is a `bool`, an integer of up to 32 bits, an `f32`, or an array of those. It takes as many bits as its range
/// needs, and what a peer sends is clamped to that range. Attributes of a field, all in `#[input(…)]`:
///
/// * `range = "-127..=127"`: the values allowed, both ends included. An integer has the range of its type unless given; an
///   `f32` needs one.
/// * `unit = "1/127"`: the step of the number. An `f32` needs one.
/// * `late = "hold" | "release" | "fade"`: what becomes of it when the next input is late. `hold` is the default of numbers,
///   `release` (the default value) of `bool`; `fade` loses an eighth per tick.
///
/// Attributes of the struct: `name = "…"` and `crate = path`, as for `Replicate`.
#[proc_macro_derive(Input, attributes(input))]
pub fn derive_input(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    input::expand(&input).unwrap_or_else(|error| error.into_compile_error()).into()
}

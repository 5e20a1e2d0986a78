//! Where a derived implementation finds the engine.

use proc_macro_crate::{FoundCrate, crate_name};
use proc_macro2::TokenStream;
use quote::{format_ident, quote};

/// The engine's crate as the game's `Cargo.toml` names it: the registration crate itself, or the prelude of `amphi`.
pub(crate) fn engine() -> TokenStream {
    match crate_name("amphi-shared-replica") {
        Ok(FoundCrate::Itself) => return quote! { ::amphi_shared_replica },
        Ok(FoundCrate::Name(name)) => {
            let name = format_ident!("{name}");
            return quote! { ::#name };
        }
        Err(_) => {}
    }
    match crate_name("amphi") {
        Ok(FoundCrate::Name(name)) => {
            let name = format_ident!("{name}");
            quote! { ::#name::prelude }
        }
        Ok(FoundCrate::Itself) => quote! { ::amphi::prelude },
        // The compiler says that the path is not there.
        Err(_) => quote! { ::amphi_shared_replica },
    }
}

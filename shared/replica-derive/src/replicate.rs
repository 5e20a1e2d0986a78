//! The expansion of `#[derive(Replicate)]`.

use proc_macro2::TokenStream;
use quote::{ToTokens as _, quote};
use syn::spanned::Spanned as _;
use syn::{Data, DeriveInput, Error, Fields, Index, LitStr, Member, Path};

use crate::field::Replicated;

/// Expands the derive, or says what is wrong with the struct.
pub(crate) fn expand(input: &DeriveInput) -> Result<TokenStream, Error> {
    let Data::Struct(data) = &input.data else {
        return Err(Error::new(input.span(), "Replicate is for structs"));
    };
    let (name, krate) = attributes(input)?;
    let fields = fields(&data.fields)?;
    let ident = &input.ident;
    let (generics, arguments, bounds) = input.generics.split_for_impl();

    let mut literals = Vec::new();
    let mut writes = Vec::new();
    let mut reads = Vec::new();
    for field in &fields {
        writes.push(field.write(&krate, literals.len()));
        reads.push(field.read(&krate, literals.len()));
        literals.extend(field.literals(&krate));
    }
    let blends = fields.iter().map(|field| field.blend(&krate));
    let width = literals.len();
    Ok(quote! {
        impl #generics #krate::Replicate for #ident #arguments #bounds {
            const NAME: &'static str = #name;

            fn fields() -> &'static [#krate::Field] {
                const FIELDS: [#krate::Field; #width] = [#(#literals),*];
                &FIELDS
            }

            #[allow(unused_variables, reason = "a marker has no fields")]
            fn write(&self, row: &mut [i32]) {
                #(#writes)*
            }

            #[allow(unused_variables, reason = "a marker has no fields")]
            fn read(row: &[i32]) -> Self {
                Self { #(#reads),* }
            }

            #[allow(unused_variables, reason = "a marker has no fields")]
            fn lerp(a: &Self, b: &Self, t: f32) -> Self {
                Self { #(#blends),* }
            }
        }
    })
}

fn attributes(input: &DeriveInput) -> Result<(String, TokenStream), Error> {
    let mut name = input.ident.to_string();
    let mut krate = quote! { ::amphi_shared_replica };
    for attribute in input.attrs.iter().filter(|a| a.path().is_ident("replica")) {
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("name") {
                name = meta.value()?.parse::<LitStr>()?.value();
            } else if meta.path.is_ident("crate") {
                krate = meta.value()?.parse::<Path>()?.into_token_stream();
            } else {
                return Err(meta.error("expected `name` or `crate`"));
            }
            Ok(())
        })?;
    }
    let good = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if good { Ok((name, krate)) } else { Err(Error::new(input.span(), "a name has letters, digits and `_`")) }
}

fn fields(fields: &Fields) -> Result<Vec<Replicated>, Error> {
    let member = |i: usize, field: &syn::Field| match &field.ident {
        Some(ident) => Member::Named(ident.clone()),
        None => Member::Unnamed(Index::from(i)),
    };
    fields.iter().enumerate().map(|(i, field)| Replicated::parse(member(i, field), field)).collect()
}

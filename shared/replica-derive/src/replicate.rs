//! The expansion of `#[derive(Replicate)]`.

use proc_macro2::TokenStream;
use quote::{ToTokens as _, format_ident, quote};
use syn::spanned::Spanned as _;
use syn::{Data, DeriveInput, Error, Fields, Index, LitStr, Member, Path};

use crate::field::Replicated;
use crate::krate::engine;

/// Expands the derive, or says what is wrong with the struct.
pub(crate) fn expand(input: &DeriveInput) -> Result<TokenStream, Error> {
    let Data::Struct(data) = &input.data else {
        return Err(Error::new(input.span(), "Replicate is for structs"));
    };
    let Attributes { name, krate, by, seen_by } = attributes(input)?;
    let seen_by = format_ident!("{seen_by}");
    let fields = fields(&data.fields)?;
    let by = by.map(|field| index_of(&fields, &field)).transpose()?;
    let by = by.map(|index| quote! { const BY: ::core::option::Option<usize> = ::core::option::Option::Some(#index); });
    let ident = &input.ident;
    let (generics, arguments, bounds) = input.generics.split_for_impl();

    let mut literals = Vec::new();
    let mut writes = Vec::new();
    let mut reads = Vec::new();
    let mut between = Vec::new();
    for field in &fields {
        writes.push(field.write(&krate, literals.len()));
        reads.push(field.read(&krate, literals.len()));
        between.push(field.read_between(&krate, literals.len()));
        literals.extend(field.literals(&krate));
    }
    let velocities = velocities(&fields)?;
    let velocities = velocities.iter().map(|(moved, by)| quote! { (#moved, #by) });
    let width = literals.len();
    Ok(quote! {
        impl #generics #krate::Replicate for #ident #arguments #bounds {
            const NAME: &'static str = #name;
            #by

            const SEEN_BY: #krate::SeenBy = #krate::SeenBy::#seen_by;

            const VELOCITIES: &'static [(usize, usize)] = &[#(#velocities),*];

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
            fn read_between(steps: &[f64]) -> Self {
                Self { #(#between),* }
            }
        }
    })
}

/// The attributes of a struct.
struct Attributes {
    name: String,
    krate: TokenStream,
    by: Option<LitStr>,
    /// Name of a `SeenBy`.
    seen_by: &'static str,
}

fn attributes(input: &DeriveInput) -> Result<Attributes, Error> {
    let mut name = input.ident.to_string();
    let mut krate = None;
    let mut by = None;
    let mut seen_by = "All";
    for attribute in input.attrs.iter().filter(|a| a.path().is_ident("replica")) {
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("name") {
                name = meta.value()?.parse::<LitStr>()?.value();
            } else if meta.path.is_ident("crate") {
                krate = Some(meta.value()?.parse::<Path>()?.into_token_stream());
            } else if meta.path.is_ident("by") {
                by = Some(meta.value()?.parse()?);
            } else if meta.path.is_ident("seen_by") {
                seen_by = parse_seen_by(&meta.value()?.parse()?)?;
            } else {
                return Err(meta.error("expected `name`, `by`, `seen_by` or `crate`"));
            }
            Ok(())
        })?;
    }
    check_name(input, &name)?;
    Ok(Attributes { name, krate: krate.unwrap_or_else(engine), by, seen_by })
}

/// Refuses a name that other languages could not use.
pub(crate) fn check_name(input: &DeriveInput, name: &str) -> Result<(), Error> {
    let good = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if good { Ok(()) } else { Err(Error::new(input.span(), "a name has letters, digits and `_`")) }
}

/// Index of the first integer of a field.
fn index_of(fields: &[Replicated], name: &LitStr) -> Result<usize, Error> {
    let at = fields.iter().position(|field| field.name() == name.value());
    let at = at.ok_or_else(|| Error::new(name.span(), "there is no field with this name"))?;
    Ok(fields[..at].iter().map(Replicated::width).sum())
}

/// Indices of integers that move by others, and of those others.
fn velocities(fields: &[Replicated]) -> Result<Vec<(usize, usize)>, Error> {
    let names: Vec<String> = fields.iter().flat_map(Replicated::names).collect();
    let mut velocities = Vec::new();
    let mut start = 0;
    for field in fields {
        if let Some(by) = field.velocity() {
            let first = names.iter().position(|name| *name == by.value() || *name == format!("{}.0", by.value()));
            let first = first.ok_or_else(|| Error::new(by.span(), "there is no field with this name"))?;
            let whole = fields.iter().find(|field| field.name() == by.value());
            if whole.map_or(1, Replicated::width) != field.width() {
                return Err(Error::new(by.span(), "a field and its velocity have as many numbers"));
            }
            velocities.extend((0..field.width()).map(|part| (start + part, first + part)));
        }
        start += field.width();
    }
    Ok(velocities)
}

fn parse_seen_by(text: &LitStr) -> Result<&'static str, Error> {
    match text.value().as_str() {
        "all" => Ok("All"),
        "team" => Ok("Team"),
        "owner" => Ok("Owner"),
        _ => Err(Error::new(text.span(), "expected `all`, `team` or `owner`")),
    }
}

fn fields(fields: &Fields) -> Result<Vec<Replicated>, Error> {
    let member = |i: usize, field: &syn::Field| match &field.ident {
        Some(ident) => Member::Named(ident.clone()),
        None => Member::Unnamed(Index::from(i)),
    };
    fields.iter().enumerate().map(|(i, field)| Replicated::parse(member(i, field), field)).collect()
}

//! The expansion of `#[derive(Input)]`.

use proc_macro2::TokenStream;
use quote::{ToTokens as _, format_ident, quote};
use syn::spanned::Spanned as _;
use syn::{Data, DeriveInput, Error, Field, Index, LitStr, Member, Path};

use crate::field::{kind_name, member_name, number_type, parse_unit};
use crate::krate::engine;
use crate::replicate::check_name;

/// A field that was understood.
struct Packed {
    member: Member,
    name: String,
    number: String,
    // `None`: not an array.
    length: Option<usize>,
    unit: String,
    /// In steps.
    range: (i64, i64),
    late: &'static str,
}

/// Expands the derive, or says what is wrong with the struct.
pub(crate) fn expand(input: &DeriveInput) -> Result<TokenStream, Error> {
    let Data::Struct(data) = &input.data else {
        return Err(Error::new(input.span(), "Input is for structs"));
    };
    let (name, krate) = attributes(input)?;
    let member = |i: usize, field: &Field| match &field.ident {
        Some(ident) => Member::Named(ident.clone()),
        None => Member::Unnamed(Index::from(i)),
    };
    let fields = data.fields.iter().enumerate().map(|(i, field)| Packed::parse(member(i, field), field));
    let fields = fields.collect::<Result<Vec<_>, _>>()?;
    let ident = &input.ident;
    let (generics, arguments, bounds) = input.generics.split_for_impl();

    let literals: Vec<_> = fields.iter().flat_map(|field| field.literals(&krate)).collect();
    let count = literals.len();
    let starts = fields.iter().scan(0, |next, field| {
        let start = *next;
        *next += field.width();
        Some(start)
    });
    let starts: Vec<usize> = starts.collect();
    let each = |make: &dyn Fn(&Packed, usize) -> TokenStream| -> Vec<TokenStream> {
        fields.iter().zip(&starts).map(|(field, start)| make(field, *start)).collect()
    };
    let encodes = each(&|field, start| field.encode(&krate, start));
    let decodes = each(&|field, start| {
        field.build(
            |_, at| {
                let steps = quote! { Self::FIELDS[#at].read(reader)? };
                field.restored(&krate, &steps)
            },
            start,
        )
    });
    let sanitised = each(&|field, start| {
        field.build(
            |value, at| {
                let steps = field.steps(&krate, &quote! { self.#value });
                field.restored(&krate, &quote! { Self::FIELDS[#at].clamp(#steps) })
            },
            start,
        )
    });
    let decayed = each(&|field, start| {
        field.build(
            |value, at| {
                let steps = field.steps(&krate, &quote! { self.#value });
                let default = field.steps(&krate, &quote! { default.#value });
                field.restored(&krate, &quote! { Self::FIELDS[#at].decayed(#steps, #default) })
            },
            start,
        )
    });
    Ok(quote! {
        impl #generics #ident #arguments #bounds {
            const FIELDS: [#krate::InputField; #count] = [#(#literals),*];
        }

        impl #generics #krate::Input for #ident #arguments #bounds {
            const NAME: &'static str = #name;

            fn fields() -> &'static [#krate::InputField] {
                &Self::FIELDS
            }

            #[allow(unused_variables, reason = "an input may have no fields")]
            fn encode(&self, writer: &mut #krate::BitWriter) {
                #(#encodes)*
            }

            #[allow(unused_variables, reason = "an input may have no fields")]
            fn decode(reader: &mut #krate::BitReader<'_>) -> ::core::result::Result<Self, #krate::OutOfBits> {
                ::core::result::Result::Ok(Self { #(#decodes),* })
            }

            fn sanitise(self) -> Self {
                Self { #(#sanitised),* }
            }

            #[allow(unused_variables, reason = "an input may have no fields")]
            fn decayed(&self) -> Self {
                let default = <Self as ::core::default::Default>::default();
                Self { #(#decayed),* }
            }
        }
    })
}

impl Packed {
    fn parse(member: Member, field: &Field) -> Result<Self, Error> {
        let (number, length) = number_type(&field.ty)?;
        let (mut unit, mut range, mut late): (Option<LitStr>, Option<LitStr>, Option<LitStr>) = (None, None, None);
        for attribute in field.attrs.iter().filter(|a| a.path().is_ident("input")) {
            attribute.parse_nested_meta(|meta| {
                let slot = if meta.path.is_ident("unit") {
                    &mut unit
                } else if meta.path.is_ident("range") {
                    &mut range
                } else if meta.path.is_ident("late") {
                    &mut late
                } else {
                    return Err(meta.error("expected `range`, `unit` or `late`"));
                };
                *slot = Some(meta.value()?.parse()?);
                Ok(())
            })?;
        }
        if number == "f32" && (unit.is_none() || range.is_none()) {
            let message = "an f32 needs #[input(unit = \"…\", range = \"…\")]: its step, and the values allowed";
            return Err(Error::new(field.span(), message));
        }
        let step = unit.as_ref().map_or(Some(1.0), |unit| parse_unit(&unit.value()));
        let Some(step) = step else {
            return Err(Error::new(unit.span(), "a unit is a positive number or a fraction `1/n`"));
        };
        Ok(Self {
            name: member_name(&member),
            member,
            range: steps_of(&number, step, range.as_ref())?,
            late: parse_late(&number, late.as_ref())?,
            number,
            length,
            unit: unit.map_or_else(|| "1".to_owned(), |unit| unit.value()),
        })
    }

    fn width(&self) -> usize {
        self.length.unwrap_or(1)
    }

    fn literals(&self, krate: &TokenStream) -> Vec<TokenStream> {
        let (kind, late) = (format_ident!("{}", kind_name(&self.number)), format_ident!("{}", self.late));
        let (unit, (min, max)) = (&self.unit, self.range);
        (0..self.width())
            .map(|i| {
                let name = if self.length.is_some() { format!("{}.{i}", self.name) } else { self.name.clone() };
                quote! {
                    #krate::InputField {
                        name: #name,
                        unit: #unit,
                        kind: #krate::FieldKind::#kind,
                        min: #min,
                        max: #max,
                        late: #krate::Late::#late,
                    }
                }
            })
            .collect()
    }

    fn encode(&self, krate: &TokenStream, start: usize) -> TokenStream {
        let member = &self.member;
        let one = |value: TokenStream, at: usize| {
            let steps = self.steps(krate, &value);
            quote! { Self::FIELDS[#at].write(writer, #steps); }
        };
        match self.length {
            None => one(quote! { self.#member }, start),
            Some(length) => (0..length).map(|i| one(quote! { self.#member[#i] }, start + i)).collect(),
        }
    }

    /// `member: value`, where `one` makes the value of a number from its place in the struct and its index.
    fn build(&self, one: impl Fn(TokenStream, usize) -> TokenStream, start: usize) -> TokenStream {
        let member = &self.member;
        match self.length {
            None => {
                let value = one(quote! { #member }, start);
                quote! { #member: #value }
            }
            Some(length) => {
                let values = (0..length).map(|i| one(quote! { #member[#i] }, start + i));
                quote! { #member: [#(#values),*] }
            }
        }
    }

    /// A value in steps, as `i64`.
    fn steps(&self, krate: &TokenStream, value: &TokenStream) -> TokenStream {
        if self.number == "f32" {
            let unit = parse_unit(&self.unit).unwrap_or(1.0);
            return quote! { i64::from(#krate::blend::quantise(#value, #unit)) };
        }
        quote! { i64::from(#value) }
    }

    /// The value of some steps that lie in the range.
    fn restored(&self, krate: &TokenStream, steps: &TokenStream) -> TokenStream {
        match self.number.as_str() {
            "f32" => {
                let unit = parse_unit(&self.unit).unwrap_or(1.0);
                quote! { #krate::blend::restore((#steps) as i32, #unit) }
            }
            "bool" => quote! { (#steps) != 0 },
            number => {
                let number = format_ident!("{number}");
                quote! { (#steps) as #number }
            }
        }
    }
}

fn attributes(input: &DeriveInput) -> Result<(String, TokenStream), Error> {
    let mut name = input.ident.to_string();
    let mut krate = None;
    for attribute in input.attrs.iter().filter(|a| a.path().is_ident("input")) {
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("name") {
                name = meta.value()?.parse::<LitStr>()?.value();
            } else if meta.path.is_ident("crate") {
                krate = Some(meta.value()?.parse::<Path>()?.into_token_stream());
            } else {
                return Err(meta.error("expected `name` or `crate`"));
            }
            Ok(())
        })?;
    }
    check_name(input, &name)?;
    Ok((name, krate.unwrap_or_else(engine)))
}

/// The allowed steps: of the attribute, else of the type.
fn steps_of(number: &str, step: f64, range: Option<&LitStr>) -> Result<(i64, i64), Error> {
    let own = match number {
        "bool" => (0, 1),
        "i8" => (i8::MIN.into(), i8::MAX.into()),
        "i16" => (i16::MIN.into(), i16::MAX.into()),
        "u8" => (0, u8::MAX.into()),
        "u16" => (0, u16::MAX.into()),
        "u32" => (0, u32::MAX.into()),
        _ => (i32::MIN.into(), i32::MAX.into()),
    };
    let Some(text) = range else { return Ok(own) };
    let wrong = |message| Error::new(text.span(), message);
    let value = text.value();
    let ends = value.split_once("..=").map(|(a, b)| (a.trim().parse::<f64>(), b.trim().parse::<f64>()));
    let Some((Ok(least), Ok(greatest))) = ends else { return Err(wrong("a range is `least..=greatest`")) };
    // The unit of an integer only says what one step means.
    let step = if number == "f32" { step } else { 1.0 };
    let steps = ((least / step).round() as i64, (greatest / step).round() as i64);
    if steps.0 >= steps.1 {
        return Err(wrong("a range has at least two values"));
    }
    if steps.0 < own.0 || steps.1 > own.1 {
        return Err(wrong("the range is wider than the number's type"));
    }
    Ok(steps)
}

fn parse_late(number: &str, text: Option<&LitStr>) -> Result<&'static str, Error> {
    let Some(text) = text else { return Ok(if number == "bool" { "Release" } else { "Hold" }) };
    match text.value().as_str() {
        "hold" => Ok("Hold"),
        "release" => Ok("Release"),
        "fade" if number != "bool" => Ok("Fade"),
        "fade" => Err(Error::new(text.span(), "a bool cannot fade")),
        _ => Err(Error::new(text.span(), "expected `hold`, `release` or `fade`")),
    }
}

//! One field of a replicated struct: its type, its attributes, and the code that writes, reads and blends it.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::spanned::Spanned as _;
use syn::{Error, Expr, ExprLit, Field, Lit, LitInt, LitStr, Member, Type};

/// How a field is found between two samples.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lerp {
    Linear,
    Step,
    Angle,
    Quaternion,
}

/// A field that was understood.
pub(crate) struct Replicated {
    member: Member,
    name: String,
    number: String,
    // `None`: not an array.
    length: Option<usize>,
    unit: String,
    lerp: Lerp,
    tolerance: u32,
    velocity: Option<LitStr>,
}

impl Replicated {
    /// Understands a field, or says what is wrong with it.
    pub(crate) fn parse(member: Member, field: &Field) -> Result<Self, Error> {
        let (number, length) = number_type(&field.ty)?;
        let mut unit: Option<LitStr> = None;
        let mut lerp: Option<LitStr> = None;
        let mut tolerance = 0;
        let mut velocity: Option<LitStr> = None;
        for attribute in field.attrs.iter().filter(|a| a.path().is_ident("replica")) {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("unit") {
                    unit = Some(meta.value()?.parse()?);
                } else if meta.path.is_ident("lerp") {
                    lerp = Some(meta.value()?.parse()?);
                } else if meta.path.is_ident("tolerance") {
                    tolerance = meta.value()?.parse::<LitInt>()?.base10_parse()?;
                } else if meta.path.is_ident("velocity") {
                    velocity = Some(meta.value()?.parse()?);
                } else {
                    return Err(meta.error("expected `unit`, `lerp`, `tolerance` or `velocity`"));
                }
                Ok(())
            })?;
        }
        if number == "f32" && unit.is_none() {
            return Err(Error::new(field.span(), "an f32 needs #[replica(unit = \"…\")]: the step it is rounded to"));
        }
        let unit = match unit {
            Some(text) if parse_unit(&text.value()).is_some() => text.value(),
            Some(text) => return Err(Error::new(text.span(), "a unit is a positive number or a fraction `1/n`")),
            None => "1".to_owned(),
        };
        let lerp = parse_lerp(lerp.as_ref(), &number, length)?;
        if let Some(text) = velocity.as_ref().filter(|_| lerp != Lerp::Linear) {
            return Err(Error::new(text.span(), "only a `linear` number moves by a velocity"));
        }
        let name = member_name(&member);
        Ok(Self { member, name, number, length, unit, lerp, tolerance, velocity })
    }

    /// Name of the field.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Name of the field, or of the part of one, that it moves by.
    pub(crate) fn velocity(&self) -> Option<&LitStr> {
        self.velocity.as_ref()
    }

    /// Names of its integers.
    pub(crate) fn names(&self) -> Vec<String> {
        match self.length {
            None => vec![self.name.clone()],
            Some(length) => (0..length).map(|i| format!("{}.{i}", self.name)).collect(),
        }
    }

    /// Number of integers in a row.
    pub(crate) fn width(&self) -> usize {
        self.length.unwrap_or(1)
    }

    /// One `Field` literal per integer.
    pub(crate) fn literals(&self, krate: &TokenStream) -> Vec<TokenStream> {
        let kind = format_ident!("{}", kind_name(&self.number));
        let lerp = format_ident!(
            "{}",
            match self.lerp {
                Lerp::Linear => "Linear",
                Lerp::Step => "Step",
                Lerp::Angle => "Angle",
                Lerp::Quaternion => "Quaternion",
            }
        );
        let (unit, tolerance) = (&self.unit, self.tolerance);
        let names = self.names().into_iter();
        names
            .map(|name| {
                quote! {
                    #krate::Field {
                        name: #name,
                        unit: #unit,
                        kind: #krate::FieldKind::#kind,
                        lerp: #krate::Lerp::#lerp,
                        tolerance: #tolerance,
                    }
                }
            })
            .collect()
    }

    /// Statements that write this field to `row[start..]`.
    pub(crate) fn write(&self, krate: &TokenStream, start: usize) -> TokenStream {
        let member = &self.member;
        let one = |value: TokenStream, at: usize| {
            let value = self.quantised(krate, &value);
            quote! { row[#at] = #value; }
        };
        match self.length {
            None => one(quote! { self.#member }, start),
            Some(length) => (0..length).map(|i| one(quote! { self.#member[#i] }, start + i)).collect(),
        }
    }

    /// `member: value` read from `row[start..]`.
    pub(crate) fn read(&self, krate: &TokenStream, start: usize) -> TokenStream {
        self.member_of(start, |at| self.restored(krate, at))
    }

    /// `member: value` read from `steps[start..]`, which need not be whole.
    pub(crate) fn read_between(&self, krate: &TokenStream, start: usize) -> TokenStream {
        self.member_of(start, |at| self.restored_between(krate, at))
    }

    fn member_of(&self, start: usize, one: impl Fn(usize) -> TokenStream) -> TokenStream {
        let member = &self.member;
        let value = match self.length {
            None => one(start),
            Some(length) => {
                let values = (0..length).map(|i| one(start + i));
                quote! { [#(#values),*] }
            }
        };
        quote! { #member: #value }
    }

    fn quantised(&self, krate: &TokenStream, value: &TokenStream) -> TokenStream {
        match self.number.as_str() {
            "f32" => {
                let unit = parse_unit(&self.unit).unwrap_or(1.0);
                quote! { #krate::blend::quantise(#value, #unit) }
            }
            "bool" => quote! { i32::from(#value) },
            "u32" => quote! { #value as i32 },
            _ => quote! { i32::from(#value) },
        }
    }

    fn restored(&self, krate: &TokenStream, at: usize) -> TokenStream {
        match self.number.as_str() {
            "f32" => {
                let unit = parse_unit(&self.unit).unwrap_or(1.0);
                quote! { #krate::blend::restore(row[#at], #unit) }
            }
            "bool" => quote! { row[#at] != 0 },
            "i32" => quote! { row[#at] },
            number => {
                let number = format_ident!("{number}");
                quote! { row[#at] as #number }
            }
        }
    }

    fn restored_between(&self, krate: &TokenStream, at: usize) -> TokenStream {
        match self.number.as_str() {
            "f32" => {
                let unit = parse_unit(&self.unit).unwrap_or(1.0);
                quote! { #krate::blend::restore_between(steps[#at], #unit) }
            }
            "bool" => quote! { steps[#at] != 0.0 },
            number => {
                let number = format_ident!("{number}");
                quote! { #krate::blend::whole(steps[#at]) as #number }
            }
        }
    }
}

/// Name of a field, or its number.
pub(crate) fn member_name(member: &Member) -> String {
    match member {
        Member::Named(ident) => ident.to_string(),
        Member::Unnamed(index) => index.index.to_string(),
    }
}

/// Variant of `FieldKind`.
pub(crate) fn kind_name(number: &str) -> String {
    let mut name = number.to_owned();
    name[..1].make_ascii_uppercase();
    name
}

/// Type of a number, and its length when it is an array.
pub(crate) fn number_type(ty: &Type) -> Result<(String, Option<usize>), Error> {
    let wrong = || Error::new(ty.span(), "expected bool, i8 to i32, u8 to u32, f32, or an array of one of them");
    if let Type::Array(array) = ty {
        let (number, None) = number_type(&array.elem)? else { return Err(wrong()) };
        let Expr::Lit(ExprLit { lit: Lit::Int(length), .. }) = &array.len else { return Err(wrong()) };
        return Ok((number, Some(length.base10_parse()?)));
    }
    let Type::Path(path) = ty else { return Err(wrong()) };
    let ident = path.path.get_ident().ok_or_else(wrong)?.to_string();
    let known = ["bool", "i8", "i16", "i32", "u8", "u16", "u32", "f32"].contains(&ident.as_str());
    if known { Ok((ident, None)) } else { Err(wrong()) }
}

fn parse_lerp(text: Option<&LitStr>, number: &str, length: Option<usize>) -> Result<Lerp, Error> {
    let Some(text) = text else { return Ok(if number == "bool" { Lerp::Step } else { Lerp::Linear }) };
    match text.value().as_str() {
        "linear" => Ok(Lerp::Linear),
        "step" => Ok(Lerp::Step),
        "angle" if number != "bool" => Ok(Lerp::Angle),
        "quaternion" if length == Some(4) && number != "bool" => Ok(Lerp::Quaternion),
        "angle" => Err(Error::new(text.span(), "an angle is a number")),
        "quaternion" => Err(Error::new(text.span(), "a quaternion is an array of four numbers: x, y, z, w")),
        _ => Err(Error::new(text.span(), "expected `linear`, `step`, `angle` or `quaternion`")),
    }
}

/// The value of a unit: a positive number or a fraction.
pub(crate) fn parse_unit(text: &str) -> Option<f64> {
    let value = match text.split_once('/') {
        Some((above, below)) => above.trim().parse::<f64>().ok()? / below.trim().parse::<f64>().ok()?,
        None => text.trim().parse().ok()?,
    };
    (value.is_finite() && value > 0.0).then_some(value)
}

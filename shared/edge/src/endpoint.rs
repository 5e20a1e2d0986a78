//! One way to reach a service, as JSON.

use amphi_shared_wire::proto;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One way to reach a service; whoever gives out an address gives an ordered list of these. As JSON on HTTP.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
pub struct Endpoint {
    /// `quic`, `webtransport` or `ws`.
    pub transport: String,
    /// `quic://host:port`, `https://host:port/session` or `ws://host:port/session`.
    pub url: String,
    /// SHA-256 of the accepted DER certificates, hexadecimal; empty when a CA vouches for it.
    #[serde(default)]
    pub cert_sha256: Vec<String>,
    /// Region of the service; empty when the deployment has only one.
    #[serde(default)]
    pub region: String,
}

impl From<&proto::Endpoint> for Endpoint {
    fn from(endpoint: &proto::Endpoint) -> Self {
        Self {
            transport: endpoint.transport.clone(),
            url: endpoint.url.clone(),
            cert_sha256: endpoint.cert_sha256.iter().map(|hash| to_hex(hash)).collect(),
            region: endpoint.region.clone(),
        }
    }
}

impl From<&Endpoint> for proto::Endpoint {
    /// A hash that is not hexadecimal is left out, so it can never match a certificate.
    fn from(endpoint: &Endpoint) -> Self {
        Self {
            transport: endpoint.transport.clone(),
            url: endpoint.url.clone(),
            cert_sha256: endpoint.cert_sha256.iter().filter_map(|hash| from_hex(hash)).map(Into::into).collect(),
            region: endpoint.region.clone(),
        }
    }
}

/// Lower-case hexadecimal digits of `bytes`.
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes behind hexadecimal digits; `None` when they are not.
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_say_the_same() {
        let json = Endpoint {
            transport: "webtransport".into(),
            url: "https://127.0.0.1:7001/session".into(),
            cert_sha256: vec![to_hex(&[0, 15, 255])],
            region: "eu".into(),
        };
        assert_eq!(json.cert_sha256[0], "000fff");
        assert_eq!(Endpoint::from(&proto::Endpoint::from(&json)), json);
        assert_eq!(from_hex("0g"), None);
        assert_eq!(from_hex("ää"), None);
    }
}

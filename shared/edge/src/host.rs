//! What a fleet and a match host child say to each other on stdin and stdout, in lines of JSON.

use std::net::SocketAddr;
use std::path::PathBuf;

use amphi_shared_wire::{AppId, HostId, LeaseId, Micros};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::certificate::Certificate;
use crate::endpoint::Endpoint;

/// Bytes of a line to a host.
pub const HOST_LINE_BYTES_MAX: u64 = 256 * 1024;

/// The first line a fleet writes to a new host's stdin.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HostStart {
    /// Who the host is.
    #[serde(with = "text")]
    pub host_id: HostId,
    /// The permission to run that its reports renew.
    #[serde(with = "text")]
    pub lease_id: LeaseId,
    /// The app whose matches it runs.
    #[serde(with = "text")]
    pub app: AppId,
    /// Region that its endpoints name; empty when there is only one.
    #[serde(default)]
    pub region: String,
    /// Base URL of the fleet, for reports.
    pub fleet_url: String,
    /// Base URL of the live role, for views.
    pub live_url: String,
    /// Host name or address that clients reach it by.
    pub public_host: String,
    /// Where to listen; port 0 takes one that is free for both TCP and UDP.
    pub listen: SocketAddr,
    /// Directory for journals.
    pub data_dir: PathBuf,
    /// What is kept of journals of matches that are over.
    pub journals: JournalLimits,
    /// Most rooms at a time.
    pub rooms_max: u32,
    /// OTLP/gRPC address of an OpenTelemetry collector, when there is one.
    #[serde(default)]
    pub otlp_url: Option<String>,
    /// The deployment's public keys (JSON Web Key Set).
    pub jwks: String,
    /// The service tokens it may use.
    pub tokens: HostTokens,
    /// The certificate to serve.
    pub tls: HostTls,
}

/// How much of the journals of matches that are over is kept. Whatever is beyond one of the limits is deleted, oldest
/// first; the journal of a running match never is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalLimits {
    /// Time since the last record, s.
    pub age_s_max: u64,
    /// All of them together.
    pub bytes_max: u64,
}

impl Default for JournalLimits {
    /// A week, 4 GiB.
    fn default() -> Self {
        Self { age_s_max: 7 * 24 * 3_600, bytes_max: 4 << 30 }
    }
}

/// Service tokens of a host.
#[derive(Clone, Serialize, Deserialize)]
pub struct HostTokens {
    /// Scope `fleet.report`.
    pub fleet_report: String,
    /// Scope `live.publish`.
    pub live_publish: String,
}

impl std::fmt::Debug for HostTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HostTokens(…)")
    }
}

/// Certificate and private key of a host, DER.
#[derive(Clone, Serialize, Deserialize)]
pub struct HostTls {
    /// X.509 certificate.
    #[serde(rename = "cert_der_b64", serialize_with = "to_base64", deserialize_with = "from_base64")]
    pub cert_der: Vec<u8>,
    /// PKCS #8 private key.
    #[serde(rename = "key_der_b64", serialize_with = "to_base64", deserialize_with = "from_base64")]
    pub key_der: Vec<u8>,
    /// When the certificate ends, unix µs, if that is known.
    #[serde(default)]
    pub until_us: Option<u64>,
}

impl From<&Certificate> for HostTls {
    fn from(certificate: &Certificate) -> Self {
        Self {
            cert_der: certificate.der().to_vec(),
            key_der: certificate.key_der().to_vec(),
            until_us: certificate.until().map(|until| until.0),
        }
    }
}

impl From<HostTls> for Certificate {
    fn from(tls: HostTls) -> Self {
        Self::from_der(tls.cert_der, tls.key_der, tls.until_us.map(Micros))
    }
}

impl std::fmt::Debug for HostTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HostTls(…)")
    }
}

/// A later line to a host, such as `{"renew": {…}}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostNews {
    /// The certificate that follows the one it serves.
    Renew(HostTls),
}

/// What a host says when it can take rooms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostReady {
    /// Ways for clients to reach it, best first.
    pub endpoints: Vec<Endpoint>,
    /// Base URL of its internal routes.
    pub internal_url: String,
}

/// The line a host writes to stdout: `{"ready": {…}}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostLine {
    /// The host can take rooms.
    pub ready: HostReady,
}

fn to_base64<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(bytes))
}

fn from_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    STANDARD.decode(text).map_err(serde::de::Error::custom)
}

/// Ids as their text.
mod text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<T: Display, S: Serializer>(id: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub(super) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_survives_and_its_debug_text_holds_no_secret() {
        let start = HostStart {
            host_id: HostId::from_bits(1),
            lease_id: LeaseId::from_bits(2),
            app: AppId::default(),
            region: String::new(),
            fleet_url: "http://127.0.0.1:7000".into(),
            live_url: "http://127.0.0.1:7000".into(),
            otlp_url: None,
            public_host: "127.0.0.1".into(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            data_dir: "/tmp/x".into(),
            journals: JournalLimits::default(),
            rooms_max: 8,
            jwks: "{}".into(),
            tokens: HostTokens { fleet_report: "secret-a".into(), live_publish: "secret-b".into() },
            tls: HostTls { cert_der: vec![1, 2, 3], key_der: vec![4, 5], until_us: Some(6) },
        };
        let line = serde_json::to_string(&start).unwrap();
        assert!(!line.contains('\n'));
        let back: HostStart = serde_json::from_str(&line).unwrap();
        assert_eq!((back.host_id, back.lease_id, back.tls.key_der), (start.host_id, start.lease_id, vec![4, 5]));
        assert!(!format!("{start:?}").contains("secret"));
        assert!(serde_json::from_str::<HostStart>(&line.replace("hst_", "usr_")).is_err());
    }
}

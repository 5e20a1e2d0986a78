//! The peer: quinn with its defaults, on one tokio thread, which sends each datagram back.

use std::sync::Arc;

use amphi_shared_edge::certificate::Certificate;
use amphi_shared_edge::clock::Clock;
use amphi_shared_wire::ALPN_AMPHI;
use quinn::crypto::rustls::QuicServerConfig;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};

use crate::harness::Stage;

pub(super) fn serve(stage: Stage) -> anyhow::Result<()> {
    // One thread is the cheapest way to run it on one core.
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(run(stage))
}

async fn run(mut stage: Stage) -> anyhow::Result<()> {
    let certificate = Certificate::generate(Clock::start().now())?;
    let cert = CertificateDer::from(certificate.der().to_vec());
    let key = PrivatePkcs8KeyDer::from(certificate.key_der().to_vec());
    let mut tls = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(vec![cert], key.into())?;
    tls.alpn_protocols = vec![ALPN_AMPHI.to_vec()];
    let config = quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls)?));
    let endpoint = quinn::Endpoint::server(config, "127.0.0.1:0".parse()?)?;
    stage.ready(endpoint.local_addr()?.to_string());
    loop {
        tokio::select! {
            Some(incoming) = endpoint.accept() => {
                tokio::spawn(async move {
                    let Ok(connection) = incoming.await else { return };
                    while let Ok(datagram) = connection.read_datagram().await {
                        // One that does not fit is lost like any other.
                        let _ = connection.send_datagram(datagram);
                    }
                });
            }
            () = stage.stopped() => return Ok(()),
        }
    }
}

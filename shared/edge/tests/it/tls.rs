//! HTTPS and WSS on the port of HTTP and WS.

use std::path::Path;

use amphi_shared_edge::certificate::Certificate;
use amphi_shared_edge::clock::Clock;
use amphi_shared_edge::http::{Access, probes};
use amphi_shared_edge::{Origins, Refused, TlsError, TlsFiles};
use amphi_shared_wire::Code;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{Duplex, Ws, connect_tls, hello};
use crate::server::{Server, patient};

fn write_pem(path: &Path, label: &str, der: &[u8]) {
    let text = format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der));
    std::fs::write(path, text).unwrap();
}

fn write(files: &TlsFiles, certificate: &Certificate) {
    write_pem(&files.certificate, "CERTIFICATE", certificate.der());
    write_pem(&files.key, "PRIVATE KEY", certificate.key_der());
}

fn certificate() -> Certificate {
    Certificate::generate(Clock::start().now()).unwrap()
}

/// A server, the files of its certificate, and the folder they lie in.
fn server() -> (Server, TlsFiles, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let files = TlsFiles { certificate: folder.path().join("chain.pem"), key: folder.path().join("key.pem") };
    write(&files, &certificate());
    let routes = probes(|| Ok(()), Access::Public);
    (Server::with_tls(routes, Origins::Any, Some(files.clone())), files, folder)
}

async fn check_health(mut stream: impl Duplex) {
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    patient(stream.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("ok\n"), "{answer}");
}

#[tokio::test]
async fn one_port_speaks_plain_and_tls() {
    let (server, ..) = server();
    check_health(TcpStream::connect(server.addr()).await.unwrap()).await;
    check_health(connect_tls(server.addr()).await.0).await;
    let endpoints = server.listening.endpoints("play.example", "");
    assert_eq!(endpoints[2].url, format!("wss://play.example:{}/session", server.addr().port()));
    let noise = TcpStream::connect(server.addr()).await.unwrap();
    noise.writable().await.unwrap();
    noise.try_write(&[22; 100]).unwrap();
    server.refused(Refused::Handshake).await;
}

#[tokio::test]
async fn a_session_runs_under_tls() {
    let (mut server, ..) = server();
    let mut client = Ws::secure(server.addr()).await;
    client.write(0, &hello()).await;
    let (pipe, handle) = server.accept().await;
    // More than what TLS takes at a time.
    let large = Bytes::from(vec![5; 60_000]);
    for _ in 0..8 {
        handle.frame(2, large.clone()).unwrap();
        client.write(2, &large).await;
    }
    for _ in 0..8 {
        assert_eq!(client.read().await, (2, large.clone()));
        assert_eq!(server.frame(pipe).await, (2, large.clone()));
    }
    handle.close(Code::Draining, "going away");
    assert_eq!(client.closed().await, 4_116);
    assert_eq!(server.closed(pipe).await, Some(Code::Draining));
}

#[tokio::test]
async fn a_new_certificate_needs_no_restart() {
    let (server, files, _folder) = server();
    let (old, shown) = connect_tls(server.addr()).await;
    let (first, second) = (shown, certificate());
    // A chain without its key changes nothing.
    write_pem(&files.certificate, "CERTIFICATE", second.der());
    let error = server.listening.reload_tls().unwrap_err();
    assert!(error.to_string().contains("key.pem"), "{error}");
    assert_eq!(connect_tls(server.addr()).await.1, first);
    write(&files, &second);
    server.listening.reload_tls().unwrap();
    assert_eq!(connect_tls(server.addr()).await.1, second.der());
    check_health(old).await;
    std::fs::write(&files.certificate, "nothing").unwrap();
    assert!(server.listening.reload_tls().unwrap_err().to_string().contains("chain.pem"));
    assert!(matches!(Server::start().listening.reload_tls(), Err(TlsError::Absent)));
}

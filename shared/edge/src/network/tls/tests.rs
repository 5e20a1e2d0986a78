use std::io::{Read, Write};

use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion, version};

use super::*;
use crate::certificate::Certificate;
use crate::clock::Clock;

/// Bytes that a server encrypts ahead.
const AHEAD_MAX: usize = 64 * 1024;

/// A client of rustls, and ours, without a network between them.
struct Pair {
    client: ClientConnection,
    server: TlsState,
    /// What the client has heard.
    heard: Vec<u8>,
}

impl Pair {
    /// Before the handshake.
    fn new(version: &'static SupportedProtocolVersion) -> Self {
        let certificate = Certificate::generate(Clock::start().now()).unwrap();
        let cert = CertificateDer::from(certificate.der().to_vec());
        let key = PrivatePkcs8KeyDer::from(certificate.key_der().to_vec());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.clone()], key.into())
            .unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(cert).unwrap();
        let client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let client = ClientConnection::new(Arc::new(client), "localhost".try_into().unwrap()).unwrap();
        Self { client, server: TlsState::new(Arc::new(server)).unwrap(), heard: Vec::new() }
    }

    /// After it.
    fn open(version: &'static SupportedProtocolVersion) -> Self {
        let mut pair = Self::new(version);
        while pair.client.is_handshaking() || pair.server.is_handshaking() {
            pair.carry_up(usize::MAX).unwrap();
            pair.carry_down();
        }
        pair
    }

    /// Carries everything that the client has to send, in pieces.
    fn carry_up(&mut self, piece_bytes: usize) -> io::Result<()> {
        let mut bytes = Vec::new();
        while self.client.wants_write() {
            self.client.write_tls(&mut bytes)?;
        }
        bytes.chunks_mut(piece_bytes.min(1 << 20)).try_for_each(|piece| self.server.receive(piece))
    }

    /// Carries everything that the server has to send, in pieces no socket would make.
    fn carry_down(&mut self) {
        while !self.server.outgoing().is_empty() {
            let read = self.client.read_tls(&mut self.server.outgoing().chunks(1_000).next().unwrap()).unwrap();
            self.server.left(read);
            let said = self.client.process_new_packets().unwrap().plaintext_bytes_to_read();
            let start = self.heard.len();
            self.heard.resize(start + said, 0);
            self.client.reader().read_exact(&mut self.heard[start..]).unwrap();
        }
    }

    fn heard_by_server(&mut self) -> Vec<u8> {
        let (mut heard, mut piece) = (Vec::new(), [0; 300]);
        loop {
            match self.server.read(&mut piece) {
                0 => return heard,
                bytes => heard.extend_from_slice(&piece[..bytes]),
            }
        }
    }

    fn heard_by_client(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.heard)
    }

    fn check_at_rest(&self) {
        let TlsState { incoming, plain, outgoing, .. } = &self.server;
        assert_eq!([incoming.capacity(), plain.bytes.capacity(), outgoing.bytes.capacity()], [0; 3]);
    }
}

#[test]
fn both_versions_carry_bytes_both_ways_and_keep_no_buffer() {
    for version in [&version::TLS13, &version::TLS12] {
        let mut pair = Pair::open(version);
        pair.check_at_rest();
        pair.client.writer().write_all(b"up").unwrap();
        pair.carry_up(usize::MAX).unwrap();
        assert_eq!(pair.heard_by_server(), b"up");
        let slices = [IoSlice::new(b"do"), IoSlice::new(b""), IoSlice::new(b"wn")];
        assert_eq!(pair.server.write(&slices, AHEAD_MAX).unwrap(), 4);
        pair.carry_down();
        assert_eq!(pair.heard_by_client(), b"down");
        pair.check_at_rest();
    }
}

#[test]
fn bytes_may_come_one_by_one() {
    let mut pair = Pair::new(&version::TLS13);
    while pair.client.is_handshaking() || pair.server.is_handshaking() {
        pair.carry_up(1).unwrap();
        pair.carry_down();
    }
    let large: Vec<u8> = (0..40_000_u32).map(|n| n as u8).collect();
    pair.client.writer().write_all(&large).unwrap();
    pair.carry_up(1).unwrap();
    assert_eq!(pair.heard_by_server(), large);
    pair.check_at_rest();
}

#[test]
fn what_is_encrypted_ahead_is_bounded() {
    let mut pair = Pair::open(&version::TLS13);
    let large = vec![7; 200_000];
    let mut written = 0;
    for _ in 0..10 {
        written += pair.server.write(&[IoSlice::new(&large[written..])], AHEAD_MAX).unwrap();
    }
    assert!((AHEAD_MAX - RECORD_BYTES_MAX..=AHEAD_MAX).contains(&written), "{written}");
    while written < large.len() {
        pair.carry_down();
        written += pair.server.write(&[IoSlice::new(&large[written..])], AHEAD_MAX).unwrap();
    }
    pair.carry_down();
    assert_eq!(pair.heard_by_client(), large);
}

#[test]
fn a_client_may_change_its_keys_and_ask_for_new_ones() {
    let mut pair = Pair::open(&version::TLS13);
    for round in 0..3_u8 {
        // Asks for an update in return.
        pair.client.refresh_traffic_keys().unwrap();
        pair.client.writer().write_all(&[round; 10]).unwrap();
        pair.carry_up(usize::MAX).unwrap();
        assert_eq!(pair.heard_by_server(), [round; 10]);
        assert_eq!(pair.server.write(&[IoSlice::new(&[round; 20])], AHEAD_MAX).unwrap(), 20);
        pair.carry_down();
        assert_eq!(pair.heard_by_client(), [round; 20]);
    }
    pair.check_at_rest();
}

#[test]
fn each_side_may_end() {
    let mut pair = Pair::open(&version::TLS13);
    pair.client.writer().write_all(b"last").unwrap();
    pair.client.send_close_notify();
    pair.carry_up(usize::MAX).unwrap();
    assert_eq!(pair.heard_by_server(), b"last");
    assert!(pair.server.is_ended());
    // It may still be told something.
    assert_eq!(pair.server.write(&[IoSlice::new(b"bye")], AHEAD_MAX).unwrap(), 3);
    pair.server.close().unwrap();
    pair.carry_down();
    assert_eq!(pair.heard_by_client(), b"bye");
    assert_eq!(pair.client.reader().read(&mut [0]).unwrap(), 0);
}

#[test]
fn noise_is_refused_with_an_alert() {
    let mut pair = Pair::new(&version::TLS13);
    assert!(pair.server.receive(&mut [22; 100]).is_err());
    // Forged after the handshake: an alert that the client can read.
    let mut pair = Pair::open(&version::TLS13);
    let mut forged = [0x17, 3, 3, 0, 40].to_vec();
    forged.extend([9; 40]);
    assert!(pair.server.receive(&mut forged).is_err());
    assert!(!pair.server.outgoing().is_empty());
    let alert = pair.server.outgoing().to_vec();
    pair.client.read_tls(&mut &alert[..]).unwrap();
    assert!(matches!(pair.client.process_new_packets(), Err(Error::AlertReceived(_))));
}

#[test]
fn a_record_that_never_ends_is_bounded() {
    let mut pair = Pair::open(&version::TLS13);
    // The largest length there is, and then no end of it.
    let mut endless = [0x17, 3, 3, 0xff, 0xff].to_vec();
    endless.extend([0; 2 * INCOMING_BYTES_MAX]);
    assert!(endless.chunks_mut(1_000).try_for_each(|piece| pair.server.receive(piece)).is_err());
}

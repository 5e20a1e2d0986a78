//! TLS of a TCP connection without its socket: what arrives and what leaves is given and taken as bytes.
//!
//! A connection at rest has no buffer: one holds what is left of a record that has not arrived whole, one what the
//! reader or the socket has not taken, and each goes when it is empty.

use std::io::{self, ErrorKind, IoSlice};
use std::sync::Arc;

use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    AppDataRecord, ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus, WriteTraffic,
};
use rustls::{Error, ServerConfig};

/// Bytes that wait for the rest of their record, or of their handshake. A record has at most 16,645 bytes (RFC 8446
/// section 5.2). Beyond: the connection is closed.
const INCOMING_BYTES_MAX: usize = 64 * 1024;
/// Bytes of one record's content (RFC 8446 section 5.1).
const RECORD_BYTES_MAX: usize = 16 * 1024;
/// What encryption adds to a record at most, bytes: header, nonce of TLS 1.2, type, tag.
const RECORD_EXTRA_BYTES_MAX: usize = 5 + 8 + 1 + 16;

/// The server's side of one connection.
pub(crate) struct TlsState {
    session: UnbufferedServerConnection,
    /// What has arrived of a record that is not whole.
    incoming: Vec<u8>,
    /// What was said, and how much of it was taken.
    plain: Taken,
    /// What is to leave, and how much of it has left.
    outgoing: Taken,
    /// The other side has said that nothing follows.
    is_ended: bool,
    /// It broke a rule: nothing more is taken from it.
    is_broken: bool,
}

/// Bytes that are taken from the front.
#[derive(Default)]
struct Taken {
    bytes: Vec<u8>,
    taken: usize,
}

impl TlsState {
    /// A connection on which nothing was said.
    pub(crate) fn new(config: Arc<ServerConfig>) -> Result<Self, Error> {
        let session = UnbufferedServerConnection::new(config)?;
        let (plain, outgoing) = (Taken::default(), Taken::default());
        Ok(Self { session, incoming: Vec::new(), plain, outgoing, is_ended: false, is_broken: false })
    }

    /// Whether the handshake goes on.
    pub(crate) fn is_handshaking(&self) -> bool {
        self.session.is_handshaking()
    }

    /// Takes what has arrived, which is overwritten. After an error what there is to send says why.
    pub(crate) fn receive(&mut self, arrived: &mut [u8]) -> io::Result<()> {
        if self.is_broken {
            return Err(ErrorKind::BrokenPipe.into());
        }
        if self.incoming.is_empty() {
            let taken = self.process(arrived)?;
            self.incoming = arrived[taken..].to_vec();
        } else {
            let mut incoming = std::mem::take(&mut self.incoming);
            incoming.extend_from_slice(arrived);
            let taken = self.process(&mut incoming)?;
            if taken < incoming.len() {
                incoming.drain(..taken);
                self.incoming = incoming;
            }
        }
        if self.incoming.len() > INCOMING_BYTES_MAX {
            self.is_broken = true;
            return Err(io::Error::new(ErrorKind::InvalidData, "a message of TLS that is too large"));
        }
        Ok(())
    }

    /// Moves what was said into `out`: 0 when there is nothing.
    pub(crate) fn read(&mut self, out: &mut [u8]) -> usize {
        let plain = self.plain.rest();
        let bytes = plain.len().min(out.len());
        out[..bytes].copy_from_slice(&plain[..bytes]);
        self.plain.take(bytes);
        bytes
    }

    /// Whether something was said that nobody has read.
    pub(crate) fn has_plain(&self) -> bool {
        !self.plain.rest().is_empty()
    }

    /// Whether nothing will be said any more.
    pub(crate) fn is_ended(&self) -> bool {
        self.is_ended
    }

    /// Encrypts as much of `slices` as keeps what is to leave below `ahead_max` bytes, or a little more; says how much.
    pub(crate) fn write(&mut self, slices: &[IoSlice<'_>], ahead_max: usize) -> io::Result<usize> {
        let mut room = ahead_max.saturating_sub(self.outgoing().len());
        let mut plain = Vec::with_capacity(slices.iter().map(|slice| slice.len()).sum::<usize>().min(room));
        for slice in slices {
            let bytes = slice.len().min(room);
            plain.extend_from_slice(&slice[..bytes]);
            room -= bytes;
        }
        if plain.is_empty() {
            return Ok(0);
        }
        let bytes = plain.len() + plain.len().div_ceil(RECORD_BYTES_MAX) * RECORD_EXTRA_BYTES_MAX;
        self.encode(bytes, |traffic, out| traffic.encrypt(&plain, out))?;
        Ok(plain.len())
    }

    /// Says that nothing follows from here.
    pub(crate) fn close(&mut self) -> io::Result<()> {
        self.encode(RECORD_EXTRA_BYTES_MAX + 2, |traffic, out| traffic.queue_close_notify(out))
    }

    /// What is to leave.
    pub(crate) fn outgoing(&self) -> &[u8] {
        self.outgoing.rest()
    }

    /// The socket has taken this much of it.
    pub(crate) fn left(&mut self, bytes: usize) {
        self.outgoing.take(bytes);
    }

    /// Lets TLS do everything that it can do with what has arrived; says how much of that it has taken.
    fn process(&mut self, arrived: &mut [u8]) -> io::Result<usize> {
        let mut taken = 0;
        let mut failed = None;
        loop {
            // After a failure only its alert is wanted.
            let unread = if failed.is_none() { &mut arrived[taken..] } else { &mut [][..] };
            let UnbufferedStatus { mut discard, state } = self.session.process_tls_records(unread);
            let goes_on = match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let AppDataRecord { discard: more, payload } = record.map_err(invalid)?;
                        discard += more;
                        self.plain.bytes.extend_from_slice(payload);
                    }
                    true
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    self.outgoing.append(0, |out| match data.encode(out) {
                        Ok(bytes) => Ok(bytes),
                        Err(EncodeError::InsufficientSize(wanted)) => Err(Some(wanted)),
                        Err(EncodeError::AlreadyEncoded) => Err(None),
                    })?;
                    true
                }
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    // It lies in `outgoing`, before everything that follows.
                    data.done();
                    true
                }
                Ok(ConnectionState::PeerClosed) => {
                    self.is_ended = true;
                    true
                }
                Ok(ConnectionState::Closed) => {
                    self.is_ended = true;
                    false
                }
                Ok(ConnectionState::WriteTraffic(_) | ConnectionState::BlockedHandshake) => false,
                // The configuration allows none over TCP; what a later version may want is not there either.
                Ok(ConnectionState::ReadEarlyData(_)) | Ok(_) => {
                    return Err(io::Error::new(ErrorKind::InvalidData, "TLS wants what is not offered"));
                }
                Err(error) if failed.is_none() => {
                    self.is_broken = true;
                    failed = Some(error);
                    true
                }
                Err(_) => false,
            };
            taken += discard;
            if !goes_on {
                break;
            }
        }
        failed.map_or(Ok(taken), |error| Err(invalid(error)))
    }

    /// Encodes something into what is to leave; `bytes` is room enough as a rule.
    fn encode(
        &mut self,
        bytes: usize,
        mut encode: impl FnMut(
            &mut WriteTraffic<'_, rustls::server::ServerConnectionData>,
            &mut [u8],
        ) -> Result<usize, EncryptError>,
    ) -> io::Result<()> {
        let UnbufferedStatus { state, discard } = self.session.process_tls_records(&mut self.incoming);
        debug_assert_eq!(discard, 0, "everything was processed when it arrived");
        let Ok(ConnectionState::WriteTraffic(mut traffic)) = state else {
            return Err(ErrorKind::BrokenPipe.into());
        };
        self.outgoing.append(bytes, |out| match encode(&mut traffic, out) {
            Ok(bytes) => Ok(bytes),
            Err(EncryptError::InsufficientSize(wanted)) => Err(Some(wanted)),
            Err(EncryptError::EncryptExhausted) => Err(None),
        })
    }
}

impl Taken {
    fn rest(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    fn take(&mut self, bytes: usize) {
        self.taken += bytes;
        if self.taken == self.bytes.len() {
            *self = Self::default();
        }
    }

    /// Lets `encode` write into `bytes` of new room, or as many as it wants then.
    fn append(
        &mut self,
        bytes: usize,
        mut encode: impl FnMut(&mut [u8]) -> Result<usize, Option<InsufficientSizeError>>,
    ) -> io::Result<()> {
        let start = self.bytes.len();
        self.bytes.resize(start + bytes, 0);
        let mut encoded = encode(&mut self.bytes[start..]);
        if let Err(Some(InsufficientSizeError { required_size })) = encoded {
            self.bytes.resize(start + required_size, 0);
            encoded = encode(&mut self.bytes[start..]);
        }
        self.bytes.truncate(start + encoded.unwrap_or_default());
        encoded.map(drop).map_err(|_| io::Error::other("TLS cannot encrypt any more"))
    }
}

fn invalid(error: Error) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests;

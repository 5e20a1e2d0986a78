//! The peers: WebSocket servers of other makes, which publish from inside when they are told to.

use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;

use anyhow::{Context, bail, ensure};
use bytes::Bytes;

use super::reader;
use super::{Measured, PAYLOAD_BYTES, TOPIC, Work};
use crate::harness::Server;
use crate::load::{Message, Socket};

/// What a peer's clients say.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text messages of JSON to the server, bare text from it.
    Plain,
    /// Socket.IO 4 over WebSocket alone: Engine.IO packets (protocol 4) as text messages.
    SocketIo,
}

pub(super) fn measure(command: &[OsString], kind: Kind, work: Work) -> anyhow::Result<Measured> {
    let (program, args) = command.split_first().context("an empty command")?;
    let args: Vec<&str> = args.iter().map(|arg| arg.to_str().context("not UTF-8")).collect::<Result<_, _>>()?;
    let server = Server::start_program(OsStr::new(program), &args)?;
    let address: SocketAddr = server.ready().parse().context("the peer said no address")?;
    let payload = match kind {
        Kind::Plain => plain_payload,
        Kind::SocketIo => socketio_payload,
    };
    let open = move |number| subscribe(number, address, kind);
    let (spent_ns, arrivals) = reader::read(&server, work, payload, open, publish(address, kind, work))?;
    let resident_kib = server.resident_kib()?;
    server.stop()?;
    Ok(Measured { work, spent_ns, arrivals, resident_kib })
}

fn plain_payload(message: &Bytes) -> Option<&[u8]> {
    Some(message)
}

fn socketio_payload(message: &Bytes) -> Option<&[u8]> {
    message.strip_prefix(br#"42["m",""#)?.strip_suffix(br#""]"#)
}

/// A connection that has said who it is.
async fn open(number: usize, address: SocketAddr, kind: Kind) -> anyhow::Result<Socket> {
    match kind {
        Kind::Plain => Socket::open(number, address, ("/", ""), None).await,
        Kind::SocketIo => {
            let path = "/socket.io/?EIO=4&transport=websocket";
            let mut socket = Socket::open(number, address, (path, ""), None).await?;
            ensure!(text(&mut socket).await?.starts_with(b"0"), "Engine.IO did not open");
            socket.push_text("40");
            ensure!(text(&mut socket).await?.starts_with(b"40"), "Socket.IO did not connect");
            Ok(socket)
        }
    }
}

async fn subscribe(number: usize, address: SocketAddr, kind: Kind) -> anyhow::Result<Socket> {
    let mut socket = open(number, address, kind).await?;
    match kind {
        Kind::Plain => socket.push_text(&format!(r#"{{"subscribe":["{TOPIC}"]}}"#)),
        Kind::SocketIo => socket.push_text(&format!(r#"420["subscribe",["{TOPIC}"]]"#)),
    }
    text(&mut socket).await?;
    Ok(socket)
}

async fn publish(address: SocketAddr, kind: Kind, work: Work) -> anyhow::Result<()> {
    let Work { hz, burst, rounds, .. } = work;
    let work = serde_json::json!({
        "topic": TOPIC, "hz": hz, "burst": burst, "rounds": rounds, "bytes": PAYLOAD_BYTES,
    });
    let mut socket = open(0, address, kind).await?;
    match kind {
        Kind::Plain => socket.push_text(&format!(r#"{{"publish":{work}}}"#)),
        Kind::SocketIo => socket.push_text(&format!(r#"42["publish",{work}]"#)),
    }
    Ok(socket.flush().await?)
}

async fn text(socket: &mut Socket) -> anyhow::Result<Bytes> {
    match socket.next().await? {
        Message::Text(text) => Ok(text),
        Message::Binary(_) | Message::Closed(_) => bail!("the peer said no text"),
    }
}

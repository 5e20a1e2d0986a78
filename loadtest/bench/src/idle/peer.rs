//! The peers: WebSocket servers of other makes, whose clients subscribe to three topics and stay.

use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;

use anyhow::{Context, bail, ensure};
use tokio::task::LocalSet;

use super::{Place, Work, hold};
use crate::harness::{Sample, Server};
use crate::load::{Message, Socket};

/// What a peer's clients say.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// One text message that names the topics, answered by one.
    Plain,
    /// Socket.IO 4 over WebSocket alone: Engine.IO packets (protocol 4) as text messages.
    SocketIo,
}

/// Runs a peer and its clients. The figures have no names of their own: the peer's stands before them.
pub(super) fn measure(command: &[OsString], kind: Kind, work: Work) -> anyhow::Result<Sample> {
    let (program, args) = command.split_first().context("an empty command")?;
    let args: Vec<&str> = args.iter().map(|arg| arg.to_str().context("not UTF-8")).collect::<Result<_, _>>()?;
    let server = Server::start_program(OsStr::new(program), &args)?;
    let address: SocketAddr = server.ready().parse().context("the peer said no address")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let client = |number, place| watch(number, address, kind, place);
    Ok(LocalSet::new().block_on(&runtime, hold(&server, work, client))?.named(""))
}

async fn watch(number: usize, address: SocketAddr, kind: Kind, mut place: Place) -> anyhow::Result<()> {
    let turn = place.turn().await?;
    let path = match kind {
        Kind::Plain => "/",
        Kind::SocketIo => "/socket.io/?EIO=4&transport=websocket",
    };
    let mut socket = Socket::open(number, address, (path, ""), None).await?;
    let topics = format!(r#"["view:{0}","chat:{0}","stats:{0}"]"#, number / 100);
    match kind {
        Kind::Plain => socket.push_text(&format!(r#"{{"subscribe":{topics}}}"#)),
        Kind::SocketIo => {
            // Open, connect to the default namespace, then an event that is acknowledged.
            ensure!(text(&mut socket).await?.starts_with(b"0"), "Engine.IO did not open");
            socket.push_text("40");
            ensure!(text(&mut socket).await?.starts_with(b"40"), "Socket.IO did not connect");
            socket.push_text(&format!(r#"420["subscribe",{topics}]"#));
        }
    }
    text(&mut socket).await?;
    drop(turn);
    place.opened();
    loop {
        tokio::select! {
            () = place.over() => return Ok(()),
            message = socket.next() => match message? {
                // Engine.IO's own ping and its answer.
                Message::Text(ping) if &ping[..] == b"2" => {
                    socket.push_text("3");
                    socket.flush().await?;
                }
                Message::Text(_) | Message::Binary(_) => {}
                Message::Closed(code) => bail!("client {number} was closed: {code:?}"),
            },
        }
    }
}

async fn text(socket: &mut Socket) -> anyhow::Result<bytes::Bytes> {
    match socket.next().await? {
        Message::Text(text) => Ok(text),
        Message::Binary(_) | Message::Closed(_) => bail!("the peer said no text"),
    }
}

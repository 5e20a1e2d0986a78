//! Connections of a test client: QUIC and WebSocket.

use amphi_shared_edge::dial::Dialer;
use amphi_shared_edge::endpoint::Endpoint;
use amphi_shared_edge::session::{PipeEvent, PipeEventKind, PipeHandle, PipeId};
use amphi_shared_session::{PipeInfo, PipeKind};
use amphi_shared_wire::{Code, LANE_DATAGRAM, Lane, Micros, decode_pipe_frame, encode_pipe_frame};
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::world::{World, patient};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Which connection a client makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Quic,
    Ws,
}

/// A connection; what arrives goes into the client's mailbox.
pub(crate) enum Pipe {
    /// With what dialled it, which closes its connections when it goes.
    Quic(PipeHandle, Dialer),
    Ws {
        sink: SplitSink<Socket, Message>,
        reader: AbortHandle,
    },
}

impl Pipe {
    pub(crate) async fn open(
        world: &World,
        transport: Transport,
        pipe: PipeId,
        mailbox: mpsc::Sender<PipeEvent>,
    ) -> (Self, PipeInfo) {
        match transport {
            Transport::Quic => {
                let endpoint: &Endpoint = &world.host.ready().endpoints[0];
                let dialer = Dialer::new(world.clock).unwrap();
                let dialled = dialer.dial(endpoint, &[0, 2, 8], pipe, mailbox).await.unwrap();
                (Self::Quic(dialled.handle, dialer), dialled.info)
            }
            Transport::Ws => {
                let mut request = format!("ws://{}/session", world.addr()).into_client_request().unwrap();
                request.headers_mut().insert("sec-websocket-protocol", "amphi.v1".parse().unwrap());
                let (socket, _) = patient(tokio_tungstenite::connect_async(request)).await.unwrap();
                let (sink, source) = socket.split();
                let reader = tokio::spawn(read(source, pipe, mailbox)).abort_handle();
                (
                    Self::Ws { sink, reader },
                    PipeInfo { id: pipe, kind: PipeKind::Ordered, max_datagram: 1_150, early: false },
                )
            }
        }
    }

    /// Writes a frame; a connection that is gone takes it in silence.
    pub(crate) async fn frame(&mut self, lane: Lane, payload: Bytes) {
        match self {
            Self::Quic(handle, _) => handle.frame(lane, payload).unwrap(),
            Self::Ws { sink, .. } => {
                let _ = sink.send(Message::Binary(encode_pipe_frame(lane, &payload))).await;
            }
        }
    }

    pub(crate) async fn datagram(&mut self, bytes: Bytes) {
        match self {
            Self::Quic(handle, _) => handle.datagram(bytes),
            Self::Ws { .. } => self.frame(LANE_DATAGRAM, bytes).await,
        }
    }

    /// Closes the connection, or just drops it when there is nothing to say.
    pub(crate) async fn close(self, code: Option<Code>) {
        match (self, code) {
            (Self::Quic(handle, _dialer), code) => handle.close(code.unwrap_or(Code::Silent), ""),
            (Self::Ws { mut sink, .. }, Some(_)) => {
                let _ = sink.close().await;
            }
            (Self::Ws { reader, .. }, None) => reader.abort(),
        }
    }
}

async fn read(mut source: SplitStream<Socket>, pipe: PipeId, mailbox: mpsc::Sender<PipeEvent>) {
    let mut closed = None;
    while let Some(Ok(message)) = source.next().await {
        let kind = match message {
            Message::Binary(frame) => match decode_pipe_frame(frame).unwrap() {
                (LANE_DATAGRAM, bytes) => PipeEventKind::Datagram(bytes),
                (lane, payload) => PipeEventKind::Frame { lane, payload },
            },
            Message::Close(frame) => {
                closed = frame.and_then(|frame| Code::from_number(u32::from(u16::from(frame.code)) - 4_000));
                continue;
            }
            Message::Ping(_) | Message::Pong(_) | Message::Text(_) | Message::Frame(_) => continue,
        };
        if mailbox.send(PipeEvent { pipe, at: Micros(0), kind }).await.is_err() {
            return;
        }
    }
    let _ = mailbox.send(PipeEvent { pipe, at: Micros(0), kind: PipeEventKind::Closed(closed) }).await;
}

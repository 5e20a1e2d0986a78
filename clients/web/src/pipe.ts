// Connections under a session: WebTransport (a stream per lane, datagrams) and WebSocket (one ordered pipe).

import { decodePipeFrame, encodePipeFrame, encodeStreamMessage, LANE_CONTROL, LANE_DATAGRAM, StreamDecoder } from "./frame.ts";
import type { PipeKind } from "./session-types.ts";

/** Largest datagram to and from a browser, session header included. */
const DATAGRAM_BYTES_MAX = 1_000;
const WS_CLOSE_BASE = 4_000;
const WS_BINARY = "amphi.v1";
/** The server names this one when it has read the Hello that was offered beside it. */
const WS_HELLO = "amphi.v1+hello";
const WS_HELLO_PREFIX = "amphi.hello.";
/** A longer Hello is the first message instead: proxies bound the headers of a request. */
const UPGRADE_HELLO_BYTES_MAX = 3 * 1024;
/** More than this waiting in the socket and a `latest` frame is not worth sending. */
const WS_BUFFERED_MAX = 256 * 1024;

/** One way to reach a service, as `/api/v1` gives it out. */
export interface Endpoint {
  transport: string;
  url: string;
  cert_sha256: string[];
  region?: string;
}

/** Where a pipe reports. */
export interface PipeSink {
  frame(lane: number, payload: Uint8Array): void;
  datagram(bytes: Uint8Array): void;
  closed(code: number | undefined): void;
}

/** An open connection. */
export interface Pipe {
  readonly kind: PipeKind;
  readonly transport: "ws" | "webtransport";
  readonly maxDatagram: number;
  frame(lane: number, payload: Uint8Array): void;
  datagram(bytes: Uint8Array): void;
  close(code: number, message: string): void;
}

/** What makes WebSockets: the browser's own class, or one like `ws` for Node. */
export type WebSocketClass = new (url: string, protocols: string[]) => WebSocketLike;

/** As much of a WebSocket as a pipe uses. */
export interface WebSocketLike {
  binaryType: string;
  readonly readyState: number;
  readonly bufferedAmount: number;
  readonly protocol: string;
  // Members and not methods: classes of other makers declare events of their own, wider or narrower.
  onopen: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
  send(bytes: Uint8Array<ArrayBuffer>): void;
  close(code?: number, reason?: string): void;
}

const WS_OPEN = 1;

/** Opens a WebSocket that says `hello` (a payload of lane 0) as it opens; rejects when it cannot be reached. */
export function openWebSocket(url: string, hello: Uint8Array, sink: PipeSink, make: WebSocketClass = WebSocket): Promise<Pipe> {
  return new Promise((resolve, reject) => {
    const socket = new make(url.replace(/^http/, "ws"), subprotocols(hello));
    socket.binaryType = "arraybuffer";
    let open = false;
    const pipe: Pipe = {
      kind: "ordered",
      transport: "ws",
      maxDatagram: DATAGRAM_BYTES_MAX,
      frame: (lane, payload) => socket.readyState === WS_OPEN && socket.send(encodePipeFrame(lane, payload)),
      datagram: (bytes) => {
        if (socket.readyState !== WS_OPEN || socket.bufferedAmount > WS_BUFFERED_MAX) return;
        socket.send(encodePipeFrame(LANE_DATAGRAM, bytes));
      },
      close: (code, message) => socket.close(WS_CLOSE_BASE + code, message.slice(0, 40)),
    };
    socket.onopen = () => {
      open = true;
      if (socket.protocol !== WS_HELLO) pipe.frame(LANE_CONTROL, hello);
      resolve(pipe);
    };
    socket.onmessage = (event: { data: ArrayBuffer }) => {
      const { lane, payload } = decodePipeFrame(new Uint8Array(event.data));
      if (lane === LANE_DATAGRAM) sink.datagram(payload);
      else sink.frame(lane, payload);
    };
    // The close that follows says it too; `ws` wants it heard.
    socket.onerror = () => undefined;
    socket.onclose = (event: { code: number }) => {
      if (open) sink.closed(event.code > WS_CLOSE_BASE ? event.code - WS_CLOSE_BASE : undefined);
      else reject(new Error(`no WebSocket to ${url}`));
    };
  });
}

/** What an upgrade offers: the Hello inside, when it fits. */
export function subprotocols(hello: Uint8Array): string[] {
  if (hello.length > UPGRADE_HELLO_BYTES_MAX) return [WS_BINARY];
  return [WS_BINARY, WS_HELLO, WS_HELLO_PREFIX + toBase64Url(hello)];
}

/** True when this browser can use the endpoint. */
export function canUse(endpoint: Endpoint): boolean {
  return endpoint.transport === "ws" || (endpoint.transport === "webtransport" && typeof WebTransport !== "undefined");
}

/** Opens a WebTransport session; rejects when it cannot be reached. `lanes` are the reliable lanes in use, 0 first. */
export async function openWebTransport(endpoint: Endpoint, lanes: number[], sink: PipeSink): Promise<Pipe> {
  const hashes = endpoint.cert_sha256.map((hex) => ({ algorithm: "sha-256", value: fromHex(hex) as BufferSource }));
  const transport = new WebTransport(endpoint.url, { serverCertificateHashes: hashes, congestionControl: "low-latency" });
  let gone = false;
  const end = (code: number | undefined) => {
    if (!gone) sink.closed(code);
    gone = true;
  };
  const closed = transport.closed.then((info) => info.closeCode, () => undefined);
  try {
    await transport.ready;
  } catch (error) {
    throw new Error(`no WebTransport to ${endpoint.url}: ${String(error)}`);
  }
  void closed.then((code) => end(code === 0 ? undefined : code));
  const writers = new Map<number, WritableStreamDefaultWriter<Uint8Array>>();
  for (const lane of lanes) {
    const stream = await transport.createBidirectionalStream();
    const writer = stream.writable.getWriter() as WritableStreamDefaultWriter<Uint8Array>;
    void writer.write(Uint8Array.of(lane)).catch(() => undefined);
    writers.set(lane, writer);
    void readStream(stream.readable, (payload) => sink.frame(lane, payload)).catch(() => end(undefined));
  }
  const datagrams = transport.datagrams;
  const datagramWriter = datagrams.writable.getWriter();
  void readDatagrams(datagrams.readable, (bytes) => sink.datagram(bytes)).catch(() => undefined);
  return {
    kind: "streams",
    transport: "webtransport",
    maxDatagram: Math.min(DATAGRAM_BYTES_MAX, datagrams.maxDatagramSize),
    frame: (lane, payload) => void writers.get(lane)?.write(encodeStreamMessage(payload)).catch(() => undefined),
    datagram: (bytes) => void datagramWriter.write(bytes).catch(() => undefined),
    close: (closeCode, reason) => {
      gone = true;
      try {
        transport.close({ closeCode, reason });
      } catch {
        // Closed already by the other side.
      }
    },
  };
}

async function readStream(readable: ReadableStream<Uint8Array>, message: (payload: Uint8Array) => void): Promise<void> {
  const decoder = new StreamDecoder();
  const reader = readable.getReader();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    decoder.push(value);
    for (let next = decoder.poll(); next !== undefined; next = decoder.poll()) message(next);
  }
}

async function readDatagrams(readable: ReadableStream<Uint8Array>, datagram: (bytes: Uint8Array) => void): Promise<void> {
  const reader = readable.getReader();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    datagram(value);
  }
}

function toBase64Url(bytes: Uint8Array): string {
  const text = btoa(String.fromCharCode(...bytes));
  return text.replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

function fromHex(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

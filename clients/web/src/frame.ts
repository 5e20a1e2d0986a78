// Lane framing: how messages of lanes lie on a stream, on an ordered pipe and in a datagram (`docs/wire.md`).

export const LANE_CONTROL = 0;
export const LANE_TOPICS = 1;
export const LANE_ROOM = 2;
export const LANE_BULK = 8;
export const LANE_SNAPSHOT = 16;
export const LANE_INPUT = 17;
/** On an ordered pipe: the frame holds a datagram, session header included. */
export const LANE_DATAGRAM = 63;

/** Lanes that deliver exactly once, over any number of connections. */
export const RESUMED_LANES = [0, 2, 3, 4, 5, 6, 7, 8];

/** One message on a reliable lane, bytes. */
export const FRAME_BYTES_MAX = 64 * 1024;
const DATAGRAM_HEADER_BYTES = 9;

export type LaneKind = "resumed" | "ordered" | "latest" | "unordered";

/** How a lane delivers; `undefined` when there is no such lane. */
export function laneKind(lane: number): LaneKind | undefined {
  if (lane === LANE_TOPICS) return "ordered";
  if (lane <= LANE_BULK) return "resumed";
  if (lane >= 16 && lane <= 31) return "latest";
  return lane === 32 ? "unordered" : undefined;
}

/** Bytes that are not a frame. */
export class FrameError extends Error {}

/** LEB128 bytes of a number below 2^53. */
export function encodeVarint(value: number): Uint8Array {
  const out: number[] = [];
  while (value >= 0x80) {
    out.push((value % 0x80) | 0x80);
    value = Math.floor(value / 0x80);
  }
  out.push(value);
  return Uint8Array.from(out);
}

/** A varint at `offset`: its value and length, or `undefined` when the bytes end first. Values beyond 2^53 are refused. */
export function decodeVarint(bytes: Uint8Array, offset = 0): { value: number; length: number } | undefined {
  let value = 0;
  for (let i = 0; i < 10; i++) {
    const byte = bytes[offset + i];
    if (byte === undefined) return undefined;
    value += (byte & 0x7f) * 2 ** (7 * i);
    if (value > Number.MAX_SAFE_INTEGER) throw new FrameError("the varint is too large");
    if (byte < 0x80) return { value, length: i + 1 };
  }
  throw new FrameError("the varint does not end");
}

/** Joins byte arrays. */
export function concat(...parts: Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** One message of a lane that has a stream of its own: `varint length, payload`. */
export function encodeStreamMessage(payload: Uint8Array): Uint8Array {
  return concat(encodeVarint(payload.length), payload);
}

/** One frame on an ordered message pipe: `u8 lane, payload`. */
export function encodePipeFrame(lane: number, payload: Uint8Array): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(payload.length + 1);
  out[0] = lane;
  out.set(payload, 1);
  return out;
}

/** Splits a frame of an ordered message pipe into lane and payload. */
export function decodePipeFrame(frame: Uint8Array): { lane: number; payload: Uint8Array } {
  if (frame.length > FRAME_BYTES_MAX + 1) throw new FrameError("the frame is too large");
  const lane = frame[0];
  if (lane === undefined) throw new FrameError("the frame is empty");
  if (lane !== LANE_DATAGRAM && lane > LANE_BULK) throw new FrameError(`there is no lane ${lane}`);
  return { lane, payload: frame.subarray(1) };
}

/** Cuts the bytes of one lane's stream into messages. */
export class StreamDecoder {
  private buffer: Uint8Array = new Uint8Array(0);

  /** Appends bytes as they arrive. */
  push(bytes: Uint8Array): void {
    this.buffer = this.buffer.length === 0 ? bytes.slice() : concat(this.buffer, bytes);
  }

  /** The next whole message; `undefined` when more bytes are needed. */
  poll(): Uint8Array | undefined {
    const header = decodeVarint(this.buffer);
    if (header === undefined) return undefined;
    if (header.value > FRAME_BYTES_MAX) throw new FrameError("the frame is too large");
    const end = header.length + header.value;
    if (this.buffer.length < end) return undefined;
    const message = this.buffer.subarray(header.length, end);
    this.buffer = this.buffer.subarray(end);
    return message;
  }
}

/** A datagram: session header, lane, payload. An empty payload on lane 0 only acknowledges. */
export interface Datagram {
  /** Sequence number modulo 2^16; the first of a session is 1. */
  seq: number;
  /** Newest sequence number received from the peer; 0 before the first. */
  ack: number;
  /** Bit `i`: sequence number `ack - 1 - i` was received too. */
  ackBits: number;
  lane: number;
  payload: Uint8Array;
}

/** Layout: `u16 seq, u16 ack, u32 ack_bits` (little-endian), `u8 lane`, payload. */
export function encodeDatagram(datagram: Datagram): Uint8Array {
  const out = new Uint8Array(DATAGRAM_HEADER_BYTES + datagram.payload.length);
  const view = new DataView(out.buffer);
  view.setUint16(0, datagram.seq, true);
  view.setUint16(2, datagram.ack, true);
  view.setUint32(4, datagram.ackBits, true);
  view.setUint8(8, datagram.lane);
  out.set(datagram.payload, DATAGRAM_HEADER_BYTES);
  return out;
}

/** Parses a datagram. */
export function decodeDatagram(bytes: Uint8Array): Datagram {
  if (bytes.length < DATAGRAM_HEADER_BYTES) throw new FrameError("the datagram has no header");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const lane = view.getUint8(8);
  const payload = bytes.subarray(DATAGRAM_HEADER_BYTES);
  const kind = laneKind(lane);
  const acksOnly = lane === LANE_CONTROL && payload.length === 0;
  if (kind !== "latest" && kind !== "unordered" && !acksOnly) throw new FrameError(`there is no datagram lane ${lane}`);
  return { seq: view.getUint16(0, true), ack: view.getUint16(2, true), ackBits: view.getUint32(4, true), lane, payload };
}

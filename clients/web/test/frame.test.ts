import { describe, expect, it } from "vitest";
import { concat, decodeDatagram, decodePipeFrame, decodeVarint, encodeDatagram, encodePipeFrame, encodeStreamMessage, encodeVarint, FRAME_BYTES_MAX, FrameError, StreamDecoder } from "../src/frame.ts";
import { random } from "./vectors.ts";

describe("frames", () => {
  it("survive as varints", () => {
    for (const value of [0, 1, 127, 128, 300, 2 ** 32, Number.MAX_SAFE_INTEGER]) {
      const bytes = encodeVarint(value);
      expect(decodeVarint(bytes)).toEqual({ value, length: bytes.length });
      expect(decodeVarint(bytes.subarray(0, -1))).toBeUndefined();
    }
    expect(() => decodeVarint(new Uint8Array(11).fill(0xff))).toThrow(FrameError);
  });

  it("are the same however the stream is cut", () => {
    const next = random(3);
    const messages = Array.from({ length: 40 }, () => Uint8Array.from({ length: Math.floor(next() * 300) }, () => Math.floor(next() * 256)));
    const stream = concat(...messages.map(encodeStreamMessage));
    for (const cut of [1, 2, 3, 64, 5_000]) {
      const decoder = new StreamDecoder();
      const seen: number[][] = [];
      for (let at = 0; at < stream.length; at += cut) {
        decoder.push(stream.subarray(at, at + cut));
        for (let message = decoder.poll(); message !== undefined; message = decoder.poll()) seen.push([...message]);
      }
      expect(seen).toEqual(messages.map((message) => [...message]));
    }
  });

  it("are refused when too large, before they are buffered", () => {
    const decoder = new StreamDecoder();
    decoder.push(encodeVarint(FRAME_BYTES_MAX + 1));
    expect(() => decoder.poll()).toThrow(FrameError);
    expect(() => decodePipeFrame(new Uint8Array(FRAME_BYTES_MAX + 2))).toThrow(FrameError);
  });

  it("carry lanes and datagrams", () => {
    expect(decodePipeFrame(encodePipeFrame(2, Uint8Array.of(9)))).toEqual({ lane: 2, payload: Uint8Array.of(9) });
    expect(() => decodePipeFrame(Uint8Array.of(9))).toThrow(FrameError);
    const datagram = { seq: 7, ack: 65_535, ackBits: 0x80000001, lane: 17, payload: Uint8Array.of(1, 2) };
    expect(decodeDatagram(encodeDatagram(datagram))).toEqual(datagram);
    expect(() => decodeDatagram(new Uint8Array(8))).toThrow(FrameError);
    expect(() => decodeDatagram(encodeDatagram({ ...datagram, lane: 2 }))).toThrow(FrameError);
  });
});

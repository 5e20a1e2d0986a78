import { describe, expect, it } from "vitest";
import { BitReader, BitWriter, OutOfBits } from "../src/bits.ts";
import { random } from "./vectors.ts";

describe("bits", () => {
  it("reads what was written", () => {
    const next = random(7);
    const values = Array.from({ length: 500 }, () => {
      const count = Math.floor(next() * 33);
      return { count, value: Math.floor(next() * 2 ** count), uint: Math.floor(next() * 2 ** Math.floor(next() * 33)) };
    });
    const writer = new BitWriter();
    for (const { count, value, uint } of values) {
      writer.bits(value, count);
      writer.uint(uint);
    }
    const bits = writer.lengthBits;
    const reader = new BitReader(writer.finish());
    for (const { count, value, uint } of values) {
      expect(reader.bits(count)).toBe(value);
      expect(reader.uint()).toBe(uint);
    }
    expect(reader.position).toBe(bits);
  });

  it("puts the least significant bit first", () => {
    const writer = new BitWriter();
    writer.bit(true);
    writer.bits(0b101, 3);
    writer.bits(0xabcd, 16);
    expect([...writer.finish()]).toEqual([0xdb, 0xbc, 0x0a]);
  });

  it("ends with an error where the bytes end", () => {
    const reader = new BitReader(Uint8Array.of(0xff));
    expect(() => reader.uint()).toThrow(OutOfBits);
  });
});

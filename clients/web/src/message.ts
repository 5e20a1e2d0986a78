// Numbers of messages (events, requests, answers) and of inputs, by their schema (`docs/wire.md`).

import type { BitWriter } from "./bits.ts";
import type { InputField, InputSchema, NumberSchema } from "./schema.ts";

const VARINT_BYTES_MAX = 5;
const U32_END = 2 ** 32;

/** What one step of a number means; 1 where the unit is no number. */
export function stepOf(unit: string): number {
  const [, above, below] = /^([0-9.]+)(?:\/([0-9.]+))?/.exec(unit) ?? [];
  const step = Number(above) / Number(below ?? 1);
  return step > 0 && Number.isFinite(step) ? step : 1;
}

/** The integer of a row or a body as the game computes with it; of a `bool` 0 or 1. */
export function valueOf({ kind, unit }: NumberSchema, integer: number): number {
  if (kind === "bool") return Number(integer !== 0);
  if (kind === "u8") return integer & 0xff;
  if (kind === "u16") return integer & 0xffff;
  if (kind === "u32") return integer >>> 0;
  if (kind === "i8") return (integer << 24) >> 24;
  if (kind === "i16") return (integer << 16) >> 16;
  return kind === "f32" ? Math.fround(integer * stepOf(unit)) : integer;
}

/** Bounds of the integers of a kind. */
export function boundsOf(kind: NumberSchema["kind"]): [min: number, max: number] {
  if (kind === "bool") return [0, 1];
  if (kind === "f32") return boundsOf("i32");
  const bits = Number(kind.slice(1));
  return kind.startsWith("u") ? [0, 2 ** bits - 1] : [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1];
}

/** The integer of a value: steps of an `f32`, halves rounded away from 0 as the server does; within the kind's bounds. */
export function integerOf({ kind, unit }: NumberSchema, value: number): number {
  if (Number.isNaN(value)) return 0;
  const steps = kind === "f32" ? value / stepOf(unit) : value;
  const [min, max] = boundsOf(kind);
  return Math.max(min, Math.min(max, Math.sign(steps) * Math.round(Math.abs(steps))));
}

/** The integers of a body: missing ones are 0, further ones are left out; `undefined` when the bytes are no body. */
export function readNumbers(body: Uint8Array, count: number): number[] | undefined {
  const row = new Array<number>(count).fill(0);
  for (let at = 0, i = 0; at < body.length && i < count; i++) {
    const number = readVarint(body, at);
    if (number === undefined) return undefined;
    at = number.next;
    row[i] = (number.value >>> 1) ^ -(number.value & 1);
  }
  return row;
}

function readVarint(body: Uint8Array, start: number): { value: number; next: number } | undefined {
  let value = 0;
  for (let i = 0; i < VARINT_BYTES_MAX; i++) {
    const byte = body[start + i];
    if (byte === undefined) return undefined;
    value += (byte & 0x7f) * 2 ** (7 * i);
    if (byte < 0x80) return value < U32_END ? { value, next: start + i + 1 } : undefined;
  }
  return undefined;
}

/** The body of these integers. */
export function writeNumbers(numbers: readonly number[]): Uint8Array {
  const bytes: number[] = [];
  for (const number of numbers) {
    let rest = ((number << 1) ^ (number >> 31)) >>> 0;
    for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
    bytes.push(rest);
  }
  return Uint8Array.from(bytes);
}

/** Writes an input given in steps, each number clamped to its range. */
export function writeInput(writer: BitWriter, fields: readonly InputField[], steps: readonly number[]): void {
  fields.forEach(({ min, max, bits }, i) => writer.bits(Math.max(min, Math.min(max, steps[i] ?? 0)) - min, bits));
}

/** Writes inputs as a host with this schema reads them: numbers that this build does not know are 0, or the nearest to it. */
export function fitted<I>(schema: InputSchema | undefined, write: (writer: BitWriter, input: I) => void): (writer: BitWriter, input: I) => void {
  return (writer, input) => {
    const start = writer.lengthBits;
    write(writer, input);
    let written = writer.lengthBits - start;
    for (const { bits, min, max } of schema?.fields ?? []) {
      if (written === 0) writer.bits(Math.max(min, Math.min(max, 0)) - min, bits);
      else written = Math.max(0, written - bits);
    }
  };
}

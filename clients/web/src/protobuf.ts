// Protobuf for the few messages of a session and of topics, by tables: a tenth of what a general runtime weighs.
// Unknown fields are skipped; bytes that are not Protobuf throw a `FrameError`.

import { concat, decodeVarint, encodeVarint, FrameError } from "./frame.ts";

const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;

const UTF8 = new TextEncoder();
const TEXT = new TextDecoder("utf-8", { fatal: true });

/** What a field holds: how its value lies in bytes, and what it is when the field is not there. */
interface Kind<T> {
  readonly wire: number;
  readonly absent: T;
  /** The value lies alone in `bytes`: a varint, 8 bytes, or what a length stood before. */
  read(bytes: Uint8Array): T;
  write(value: T): Uint8Array;
}

function whole(bytes: Uint8Array): number {
  return decodeVarint(bytes)!.value;
}

/** `uint32` and `uint64` up to 2^53. */
export const number: Kind<number> = { wire: VARINT, absent: 0, read: whole, write: encodeVarint };
export const bool: Kind<boolean> = { wire: VARINT, absent: false, read: (bytes) => whole(bytes) !== 0, write: (value) => encodeVarint(value ? 1 : 0) };
export const fixed64: Kind<bigint> = { wire: FIXED64, absent: 0n, read: (bytes) => view(bytes).getBigUint64(0, true), write: writeFixed64 };
export const string: Kind<string> = { wire: BYTES, absent: "", read: readText, write: (value) => UTF8.encode(value) };
export const bytes: Kind<Uint8Array> = { wire: BYTES, absent: new Uint8Array(0), read: (value) => value, write: (value) => value };

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function writeFixed64(value: bigint): Uint8Array {
  const out = new Uint8Array(8);
  view(out).setBigUint64(0, value, true);
  return out;
}

function readText(bytes: Uint8Array): string {
  try {
    return TEXT.decode(bytes);
  } catch {
    throw new FrameError("a string is not UTF-8");
  }
}

interface Field<T> {
  no: number;
  kind: Kind<T>;
  many?: boolean;
}
interface Choice {
  oneof: Record<string, Field<never>>;
}
type Fields = Record<string, Field<never> | Choice>;

/** One value. */
export function one<T>(no: number, kind: Kind<T>): { no: number; kind: Kind<T> } {
  return { no, kind };
}

/** Any number of values. */
export function many<T>(no: number, kind: Kind<T>): { no: number; kind: Kind<T>; many: true } {
  return { no, kind, many: true };
}

/** At most one of these. */
export function oneof<C extends Record<string, { no: number; kind: unknown }>>(oneof: C): { oneof: C } {
  return { oneof };
}

type Held<F> = F extends { kind: Kind<infer T> } ? (F extends { many: true } ? NonNullable<T>[] : T) : never;
type Chosen<C> = { [K in keyof C]: { case: K; value: NonNullable<Held<C[K]>> } }[keyof C] | { case: undefined; value?: undefined };
type Values<F> = { [K in keyof F]: F[K] extends { oneof: infer C } ? Chosen<C> : Held<F[K]> };

/** A message, which is also a kind of field: absent until it is there. */
export interface Message<T> extends Kind<T | undefined> {
  decode(bytes: Uint8Array): T;
  /** What is left out is absent. */
  encode(value: Partial<T>): Uint8Array;
}
/** The values of a message. */
export type Of<M> = M extends { decode(bytes: Uint8Array): infer T } ? T : never;

/** A message with these fields. */
export function message<F extends Record<string, unknown>>(table: F): Message<Values<F>> {
  const fields = table as unknown as Fields;
  const places = new Map<number, { name: string; field: Field<unknown>; choice: string | undefined }>();
  for (const [name, field] of Object.entries(fields)) {
    if (!("oneof" in field)) places.set(field.no, { name, field: field as Field<unknown>, choice: undefined });
    else for (const [choice, inner] of Object.entries(field.oneof)) places.set(inner.no, { name, field: inner as Field<unknown>, choice });
  }
  const decode = (input: Uint8Array) => {
    const out: Record<string, unknown> = {};
    for (const [name, field] of Object.entries(fields)) out[name] = "oneof" in field ? { case: undefined } : field.many ? [] : field.kind.absent;
    for (const { no, wire, value } of split(input)) {
      const place = places.get(no);
      if (place === undefined || place.field.kind.wire !== wire) continue;
      const read = place.field.kind.read(value);
      if (place.choice !== undefined) out[place.name] = { case: place.choice, value: read };
      else if (place.field.many) (out[place.name] as unknown[]).push(read);
      else out[place.name] = read;
    }
    return out as Values<F>;
  };
  const encode = (values: Partial<Values<F>>) => {
    const parts: Uint8Array[] = [];
    for (const { name, field, choice } of places.values()) {
      const value = (values as Record<string, unknown>)[name];
      if (value === undefined) continue;
      if (choice !== undefined) {
        const chosen = value as { case?: string; value: unknown };
        if (chosen.case === choice) put(parts, field, chosen.value);
      } else if (field.many) for (const item of value as unknown[]) put(parts, field, item);
      else if (value !== field.kind.absent && !(value instanceof Uint8Array && value.length === 0)) put(parts, field, value);
    }
    return concat(...parts);
  };
  return { wire: BYTES, absent: undefined, read: decode, write: (value) => encode(value ?? {}), decode, encode };
}

function put(parts: Uint8Array[], { no, kind }: Field<unknown>, value: unknown): void {
  const written = kind.write(value);
  parts.push(encodeVarint(no * 8 + kind.wire));
  if (kind.wire === BYTES) parts.push(encodeVarint(written.length));
  parts.push(written);
}

/** Length of a varint, whatever its value: a field that is not known here may hold any. */
function varintLength(input: Uint8Array, start: number): number {
  let end = start;
  while ((input[end] ?? 0) >= 0x80) end += 1;
  return end + 1 - start;
}

/** The fields of a message as they lie there. */
function* split(input: Uint8Array): Generator<{ no: number; wire: number; value: Uint8Array }> {
  let at = 0;
  const varint = () => {
    const read = decodeVarint(input, at);
    if (read === undefined) throw new FrameError("a message ends too early");
    at += read.length;
    return read.value;
  };
  while (at < input.length) {
    const tag = varint();
    const [no, wire] = [Math.floor(tag / 8), tag % 8];
    const start = at;
    let length = 0;
    if (wire === VARINT) length = varintLength(input, start);
    else if (wire === BYTES) length = varint();
    else if (wire === FIXED64 || wire === FIXED32) length = wire === FIXED64 ? 8 : 4;
    else throw new FrameError(`there is no wire type ${wire}`);
    const from = wire === BYTES ? at : start;
    at = from + length;
    if (at > input.length) throw new FrameError("a message ends too early");
    yield { no, wire, value: input.subarray(from, at) };
  }
}

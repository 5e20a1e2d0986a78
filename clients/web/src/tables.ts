// Trained code tables of one schema: coefficients, weights and prefix codes (`shared/replica/src/coding/tables.rs`).

import { type BitReader, OutOfBits } from "./bits.ts";
import type { Schema } from "./schema.ts";

const MAGIC = [0x41, 0x4d, 0x54, 0x42];
const FORMAT = 1;
const NONE = 255;
const BUCKETS = 32;
const CLUES = 9;
const DEPTHS = 3;
const LITERALS = 12;
const SYMBOLS = LITERALS + 30 + 1;
const LENGTH_MAX = 15;
const SHIFT_MAX = 20;
const COEFFICIENT_MAX = 1_023;
const VELOCITY_MAX = 2 ** 20;
const STEPS_MAX = 4_095;
const PEEK_BITS = 8;

/** The shapes by number: what moves, what is a rotation, what jumps. */
export const NUMBERS = 0;
const ROTATIONS = 1;
const SHAPES = 3;

/** Stands for an error that is none: a rotation whose largest part changed. */
export const ESCAPE = 2 ** 40;

export type Weights = readonly number[];

export interface NumberModel {
  field: number;
  shape: number;
  /** A field that says how fast this one changes. */
  velocity: number | undefined;
  /** With one, two or three baselines. */
  depths: readonly { linear: number; quadratic: number; velocity: number; weights: Weights }[];
}

export interface TurnModel {
  /** The first of four. */
  field: number;
  shape: number;
  /** Range of a part. */
  steps: number;
  weights: readonly Weights[];
}

export interface ComponentModel {
  numbers: readonly NumberModel[];
  turns: readonly TurnModel[];
}

interface Bucket {
  /** Low bits that are written plainly. */
  shift: number;
  code: PrefixCode;
}

/** Bytes that are no tables for a schema. */
export class TablesError extends Error {}

/** Trained tables. */
export class Tables {
  private constructor(
    readonly shapes: readonly (readonly Bucket[])[],
    readonly components: readonly ComponentModel[],
  ) {}

  /** Reads tables for a schema. Throws `TablesError`. */
  static read(bytes: Uint8Array, schema: Schema): Tables {
    const input = new Input(bytes);
    if (MAGIC.some((byte) => input.u8() !== byte) || input.u8() !== FORMAT) throw new TablesError("no tables that this build can read");
    input.skip(8);
    const shapes = input.list(() => input.times(BUCKETS, () => input.bucket()));
    const components = input.list(() => input.component());
    const widths = schema.components.map(({ fields }) => fields.length);
    const whole = components.length === widths.length && components.every((model, i) => fits(model, widths[i]!));
    if (!whole || shapes.length !== SHAPES || !input.isAtEnd) throw new TablesError("the tables do not fit the schema");
    shapes.forEach((shape, number) => shape.forEach(({ code }) => code.check(number === ROTATIONS)));
    return new Tables(shapes, components);
  }
}

/** Reads the error of a prediction; `ESCAPE` where there is none. */
export function readError(reader: BitReader, tables: Tables, shape: number, bucket: number): number {
  const { shift, code } = tables.shapes[shape]![bucket]!;
  const symbol = code.read(reader);
  if (symbol === SYMBOLS - 1) return ESCAPE;
  const restBits = symbol < LITERALS ? 0 : symbol - LITERALS + 2;
  const first = symbol < LITERALS ? symbol : 2 ** restBits + LITERALS - 4;
  const folded = (first + reader.bits(restBits)) * 2 ** shift + reader.bits(shift);
  if (folded >= 2 ** 32) throw new OutOfBits();
  return (folded >>> 1) ^ -(folded & 1);
}

/** Every field of a component of this width is coded once, with numbers in their bounds. */
function fits({ numbers, turns }: ComponentModel, width: number): boolean {
  const fields = [...numbers.map(({ field }) => field), ...turns.flatMap(({ field }) => [field, field + 1, field + 2, field + 3])];
  const once = new Set(fields).size === fields.length && fields.length === width && fields.every((field) => field < width);
  const small = (coefficient: number) => Math.abs(coefficient) <= COEFFICIENT_MAX;
  const bounded = numbers.every(
    ({ shape, velocity, depths }) =>
      shape < SHAPES &&
      shape !== ROTATIONS &&
      (velocity ?? -1) < width &&
      depths.every((depth) => small(depth.linear) && small(depth.quadratic) && Math.abs(depth.velocity) <= VELOCITY_MAX),
  );
  return once && bounded && turns.every(({ shape, steps }) => shape === ROTATIONS && steps >= 1 && steps <= STEPS_MAX);
}

/** A complete canonical prefix code, first bit lowest. */
class PrefixCode {
  /** By the next eight bits: symbol and length; length 0 for longer words. */
  private readonly short: [symbol: number, length: number][] = new Array(2 ** PEEK_BITS).fill([0, 0]);
  /** By length: the first word of that length, and where its symbols begin in `order`. */
  private readonly first: [word: number, at: number][] = [];
  private readonly order: number[] = [];

  constructor(private readonly lengths: readonly number[]) {
    const space = lengths.reduce((sum, length) => sum + (length > 0 ? 2 ** (LENGTH_MAX - length) : 0), 0);
    if (space !== 2 ** LENGTH_MAX) throw new TablesError("a code is not complete");
    let word = 0;
    for (let length = 1; length <= LENGTH_MAX; length++) {
      this.first[length] = [word, this.order.length];
      for (let symbol = 0; symbol < SYMBOLS; symbol++) {
        if (lengths[symbol] !== length) continue;
        this.order.push(symbol);
        if (length <= PEEK_BITS) this.fill(reversed(word, length), symbol, length);
        word += 1;
      }
      word *= 2;
    }
  }

  /** All symbols have a word; the escape only where rotations are written. */
  check(rotations: boolean): void {
    const missing = this.lengths.slice(0, -1).includes(0);
    if (missing || this.lengths.at(-1)! > 0 !== rotations) throw new TablesError("a code lacks a symbol");
  }

  read(reader: BitReader): number {
    const [symbol, length] = this.short[reader.peek(PEEK_BITS)]!;
    if (length > 0) {
      reader.bits(length);
      return symbol;
    }
    let word = 0;
    for (let bits = 1; bits <= LENGTH_MAX; bits++) {
      word = word * 2 + reader.bits(1);
      const [first, at] = this.first[bits]!;
      const end = this.first[bits + 1]?.[1] ?? this.order.length;
      if (word - first < end - at) return this.order[at + word - first]!;
    }
    throw new OutOfBits();
  }

  private fill(word: number, symbol: number, length: number): void {
    for (let at = word; at < 2 ** PEEK_BITS; at += 2 ** length) this.short[at] = [symbol, length];
  }
}

function reversed(word: number, length: number): number {
  let out = 0;
  for (let bit = 0; bit < length; bit++) out = out * 2 + ((word >> bit) & 1);
  return out;
}

/** Bytes that are not yet read. */
class Input {
  private at = 0;
  private readonly view: DataView;

  constructor(bytes: Uint8Array) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get isAtEnd(): boolean {
    return this.at === this.view.byteLength;
  }

  /** Goes on by `count` bytes; their place. */
  skip(count: number): number {
    const at = this.at;
    if (at + count > this.view.byteLength) throw new TablesError("the tables end too early");
    this.at += count;
    return at;
  }

  u8(): number {
    return this.view.getUint8(this.skip(1));
  }

  i16(): number {
    return this.view.getInt16(this.skip(2), true);
  }

  times<T>(count: number, read: () => T): T[] {
    return Array.from({ length: count }, read);
  }

  /** Items behind their number. */
  list<T>(read: () => T): T[] {
    return this.times(this.u8(), read);
  }

  bucket(): Bucket {
    const shift = this.u8();
    const halves = this.times((SYMBOLS + 1) / 2, () => this.u8());
    const lengths = halves.flatMap((byte) => [byte & 15, byte >> 4]);
    if (shift > SHIFT_MAX || lengths.pop() !== 0) throw new TablesError("a code cannot be");
    return { shift, code: new PrefixCode(lengths) };
  }

  component(): ComponentModel {
    const [numbers, turns] = [this.u8(), this.u8()];
    return { numbers: this.times(numbers, () => this.number()), turns: this.times(turns, () => this.turn()) };
  }

  private number(): NumberModel {
    const [field, shape, velocity] = [this.u8(), this.u8(), this.u8()];
    const depths = this.times(DEPTHS, () => ({ linear: this.i16(), quadratic: this.i16(), velocity: this.view.getInt32(this.skip(4), true), weights: this.weights() }));
    return { field, shape, velocity: velocity === NONE ? undefined : velocity, depths };
  }

  private turn(): TurnModel {
    const [field, shape, steps] = [this.u8(), this.u8(), this.view.getUint16(this.skip(2), true)];
    return { field, shape, steps, weights: this.times(DEPTHS, () => this.weights()) };
  }

  private weights(): Weights {
    return this.times(CLUES + 1, () => this.i16());
  }
}

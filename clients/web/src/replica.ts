// Reads snapshots and view frames: rows of integers, coded against rows that were received before (`docs/wire.md`).

import { BitReader, BitWriter, OutOfBits } from "./bits.ts";
import type { Row, Schema } from "./schema.ts";

const KEYFRAME_TICKS = 8;
const BASELINE_TICKS_MAX = 256;
const NOTHING_NEW = -128;

/** Bits that cannot be read: nothing of them counts. */
export class ReplicaError extends Error {}

type CodeTable = readonly { base: number; bits: number }[];
const table = (...bits: number[]): CodeTable => {
  let base = 1;
  const classes = bits.map((count) => {
    const entry = { base, bits: count };
    base += 2 ** count;
    return entry;
  });
  return [{ base: 0, bits: 0 }, ...classes, { base: 0, bits: 32 }];
};
const GAP = table(2, 5, 9, 16);
const RESIDUAL = table(4, 7, 10, 14);
const ABSOLUTE = table(4, 8, 13, 18);
const CLASS_LAST = 5;

function read(reader: BitReader, codes: CodeTable): number {
  let number = 0;
  while (number < CLASS_LAST && reader.bit()) number += 1;
  const { base, bits } = codes[number]!;
  return base + (bits === 0 ? 0 : reader.bits(bits));
}

function unfold(value: number): number {
  return (value >>> 1) ^ -(value & 1);
}

/** What a snapshot says. */
export interface Snapshot {
  tick: number;
  /** True: everything known before is to be forgotten. */
  reset: boolean;
  /** Newest input tick that was applied for this seat. */
  applied: number | undefined;
  /** Least time between arrival and use of this seat's inputs, in quarters of a tick. */
  margin: number | undefined;
  /** Inputs that came too late, modulo 256. */
  late: number;
  gone: number[];
  rows: [number, Row][];
}

interface Baseline {
  tick: number;
  row: Row;
}

/** Decodes lane 16 and keeps the baselines for it. */
export class SnapshotDecoder {
  private epoch: number | undefined;
  private baselines = new Map<number, Baseline[]>();

  constructor(private readonly schema: Schema) {}

  /** Reads one snapshot. Throws `ReplicaError`; then nothing of it counts. */
  decode(payload: Uint8Array): Snapshot {
    return guarded(() => this.read(new BitReader(payload)));
  }

  private read(reader: BitReader): Snapshot {
    const tick = reader.bits(32);
    if (reader.bits(4) !== 0) throw new ReplicaError("the table set is unknown");
    const epoch = reader.bits(4);
    const reset = epoch !== this.epoch;
    const applied = reader.bit() ? tick - read(reader, GAP) : undefined;
    const margin = (reader.bits(8) << 24) >> 24;
    const late = reader.bits(8);
    const gone = readIds(reader, () => undefined).map(([id]) => id);
    const rows = readIds(reader, (id) => readBody(reader, this.schema, () => this.baseline(id, tick, reader.bits(4), reset)));
    if (reset) this.baselines.clear();
    this.epoch = epoch;
    for (const [id, row] of rows) this.keep(id, { tick, row });
    this.forget(tick);
    return { tick, reset, applied, margin: margin === NOTHING_NEW ? undefined : margin, late, gone, rows };
  }

  private baseline(id: number, tick: number, age: number, reset: boolean): Row {
    const bound = tick - (tick % KEYFRAME_TICKS) - KEYFRAME_TICKS * age;
    const row = reset ? undefined : this.baselines.get(id)?.findLast((baseline) => baseline.tick <= bound)?.row;
    if (row === undefined) throw new ReplicaError(`there is no baseline of ${age} for ${id}`);
    return row;
  }

  private keep(id: number, baseline: Baseline): void {
    const known = this.baselines.get(id);
    if (known === undefined) {
      this.baselines.set(id, [baseline]);
      return;
    }
    const span = (tick: number) => Math.ceil(tick / KEYFRAME_TICKS);
    if (span(known.at(-1)!.tick) === span(baseline.tick)) known.pop();
    known.push(baseline);
  }

  private forget(newest: number): void {
    for (const known of this.baselines.values()) {
      while (known.length > 1 && known[1]!.tick < newest - BASELINE_TICKS_MAX) known.shift();
    }
  }
}

/** Decodes the rows of view frames: each builds on the one before, a keyframe on nothing. */
export class ViewDecoder {
  /** Tick of the newest frame; −1 before the first keyframe. */
  tick = -1;
  private rows = new Map<number, Row>();

  constructor(private readonly schema: Schema) {}

  /** Reads the rows of one frame; `undefined` when the frame before it is missing. Throws `ReplicaError`. */
  decode(tick: number, previous: number, keyframe: boolean, payload: Uint8Array): Pick<Snapshot, "gone" | "rows"> | undefined {
    if (!keyframe && (this.tick < 0 || previous !== this.tick)) return undefined;
    const reader = new BitReader(payload);
    const before = this.rows;
    const decoded = guarded(() => ({
      gone: readIds(reader, () => undefined).map(([id]) => id),
      rows: readIds(reader, (id) => readBody(reader, this.schema, () => known(keyframe ? undefined : before.get(id), id))),
    }));
    const gone = keyframe ? [...before.keys()].filter((id) => !decoded.rows.some(([kept]) => kept === id)) : decoded.gone;
    this.rows = keyframe ? new Map() : before;
    for (const id of decoded.gone) this.rows.delete(id);
    for (const [id, row] of decoded.rows) this.rows.set(id, row);
    this.tick = tick;
    return { gone, rows: decoded.rows };
  }
}

/** The payload of lane 17: inputs for the ticks up to `newest`, oldest first, at most 32. */
export function encodeInputs<I>(newest: number, inputs: readonly I[], write: (writer: BitWriter, input: I) => void, same: (a: I, b: I) => boolean): Uint8Array {
  const writer = new BitWriter();
  writer.bits(newest, 32);
  writer.bits(inputs.length - 1, 5);
  inputs.forEach((input, i) => {
    const repeated = i > 0 && same(input, inputs[i - 1]!);
    if (i > 0) writer.bit(repeated);
    if (!repeated) write(writer, input);
  });
  return writer.finish();
}

function known(row: Row | undefined, id: number): Row {
  if (row === undefined) throw new ReplicaError(`there is no row of ${id} to build on`);
  return row;
}

function readIds<T>(reader: BitReader, value: (id: number) => T): [number, T][] {
  const out: [number, T][] = [];
  let previous = 0;
  while (reader.bit()) {
    const id = previous + read(reader, GAP) + 1;
    out.push([id, value(id)]);
    previous = id;
  }
  return out;
}

function readBody(reader: BitReader, schema: Schema, baseline: () => Row): Row {
  if (reader.bit()) {
    const mask = schema.components.map(() => reader.bit());
    return schema.components.map(({ fields }, i) => (mask[i] ? fields.map(() => unfold(read(reader, ABSOLUTE))) : undefined));
  }
  return baseline().map((values) => {
    if (values === undefined || !reader.bit()) return values;
    return values.map((value) => (value + unfold(read(reader, RESIDUAL))) | 0);
  });
}

function guarded<T>(step: () => T): T {
  try {
    return step();
  } catch (error) {
    if (error instanceof OutOfBits) throw new ReplicaError("the bits end too early");
    throw error;
  }
}

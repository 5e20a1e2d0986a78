// Reads snapshots and view frames: rows of integers, coded against rows that were received before (`docs/wire.md`).

import { BitReader, BitWriter, OutOfBits } from "./bits.ts";
import type { Row, Schema } from "./schema.ts";

const KEYFRAME_TICKS = 8;
const STALE_TICKS = 128;
const KEPT_TICKS = 256;
const ID_MAX = 2 ** 32 - 1;
const NOTHING_NEW = -128;

/** Bits that cannot be read: nothing of them counts. */
export class ReplicaError extends Error {}

export type CodeTable = readonly { base: number; bits: number }[];
/** Classes of a code: see "Codes" in `docs/wire.md`. */
const table = (...bits: number[]): CodeTable => {
  let base = 1;
  const classes = bits.map((count) => {
    const entry = { base, bits: count };
    base += 2 ** count;
    return entry;
  });
  return [{ base: 0, bits: 0 }, ...classes, { base: 0, bits: 32 }];
};
export const GAP = table(2, 5, 9, 16);
export const RESIDUAL = table(4, 7, 10, 14);
export const ABSOLUTE = table(4, 8, 13, 18);
const CLASS_LAST = 5;

/** Reads an unsigned number of a code. */
export function readCode(reader: BitReader, codes: CodeTable): number {
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
  epoch: number;
  /** True: everything known before was forgotten. */
  restarted: boolean;
  /** Newest input tick that was applied for this seat. */
  applied: number | undefined;
  /** Least time between arrival and use of this seat's inputs, in quarters of a tick. */
  margin: number | undefined;
  /** Inputs that came too late, modulo 256. */
  late: number;
  /** Entities that are no more. */
  gone: number[];
  /** Entities that are not told of any more, for now or for good. */
  hidden: number[];
  /** Entities whose newest row it carries. */
  rows: [number, Row][];
}

interface Header extends Omit<Snapshot, "restarted" | "gone" | "hidden" | "rows"> {}

/** Decodes lane 16 and keeps the rows that later snapshots build on. */
export class SnapshotDecoder {
  private epoch: number | undefined;
  private newest = 0;
  private known = new Map<number, Known>();
  private left: { tick: number; id: number }[] = [];

  constructor(private readonly schema: Schema) {}

  /** Reads one snapshot; `undefined` when it is too old to count. Throws `ReplicaError`; then nothing of it counts. */
  decode(payload: Uint8Array): Snapshot | undefined {
    return guarded(() => this.read(new BitReader(payload)));
  }

  /** Entities that are there, with their newest rows. */
  *entities(): Generator<[number, Row]> {
    for (const [id, known] of this.known) if (known.current !== undefined) yield [id, known.current.row];
  }

  private read(reader: BitReader): Snapshot | undefined {
    const header = readHeader(reader);
    const restarted = this.epoch !== undefined && header.epoch !== this.epoch;
    if (!restarted && header.tick + STALE_TICKS < this.newest) return undefined;
    const baselines = restarted ? new Map<number, Known>() : this.known;
    const left = readLeft(reader);
    const rows = readIds(reader, (id) => readBody(reader, this.schema, () => baselineOf(baselines.get(id), header.tick, reader.bits(4))));
    if (restarted) {
      this.known = baselines;
      this.left = [];
      this.newest = 0;
    }
    this.epoch = header.epoch;
    this.newest = Math.max(this.newest, header.tick);
    const gone = left.filter(({ id }) => this.leave(id, header.tick));
    const changed = rows.filter(([id, row]) => this.entity(id).store(header.tick, row, this.newest));
    this.forget();
    return { ...header, restarted, ...sorted(gone), rows: changed };
  }

  /** Marks an entity as left, also before its first row: that one may still be on its way. True when it was there. */
  private leave(id: number, tick: number): boolean {
    const known = this.entity(id);
    const [wasThere, leftAt] = [known.current !== undefined, known.leftAt];
    known.leave(tick);
    if (known.leftAt !== leftAt) this.left.push({ tick, id });
    return wasThere && known.current === undefined;
  }

  private entity(id: number): Known {
    let known = this.known.get(id);
    if (known === undefined) this.known.set(id, (known = new Known()));
    return known;
  }

  private forget(): void {
    while (this.left.length > 0 && this.left[0]!.tick + KEPT_TICKS < this.newest) {
      const { tick, id } = this.left.shift()!;
      const known = this.known.get(id);
      // One that has come back stays.
      if (known?.leftAt === tick && known.current === undefined) this.known.delete(id);
    }
  }
}

/** The rows of one entity: at most one per span of keyframe ticks, oldest first. */
class Known {
  leftAt: number | undefined;
  private rows: { tick: number; row: Row }[] = [];

  get current(): { tick: number; row: Row } | undefined {
    const newest = this.rows.at(-1);
    return newest !== undefined && (this.leftAt === undefined || this.leftAt < newest.tick) ? newest : undefined;
  }

  /** The newest row that is not after `tick`. */
  at(tick: number): Row | undefined {
    return this.rows.findLast((entry) => entry.tick <= tick)?.row;
  }

  /** Marks it as left, unless a newer row is known. */
  leave(tick: number): void {
    const newest = this.rows.at(-1)?.tick ?? 0;
    if (newest <= tick) this.leftAt = Math.max(this.leftAt ?? 0, tick);
  }

  /** Keeps a row; true when it is the newest one. */
  store(tick: number, row: Row, newest: number): boolean {
    const span = (of: number) => Math.ceil(of / KEYFRAME_TICKS);
    const at = this.rows.findLastIndex((entry) => entry.tick <= tick) + 1;
    const isNewest = at === this.rows.length && (this.leftAt === undefined || this.leftAt < tick);
    const next = this.rows[at];
    if (next !== undefined && span(next.tick) === span(tick)) return false;
    const same = at > 0 && span(this.rows[at - 1]!.tick) === span(tick);
    this.rows.splice(same ? at - 1 : at, same ? 1 : 0, { tick, row });
    while (this.rows.length > 1 && this.rows[1]!.tick + KEPT_TICKS < newest) this.rows.shift();
    return isNewest;
  }
}

function readHeader(reader: BitReader): Header {
  const tick = reader.bits(32);
  if (reader.bits(4) !== 0) throw new ReplicaError("the table set is unknown");
  const epoch = reader.bits(4);
  const applied = reader.bit() ? tick - readCode(reader, GAP) : undefined;
  const margin = (reader.bits(8) << 24) >> 24;
  return { tick, epoch, applied, margin: margin === NOTHING_NEW ? undefined : margin, late: reader.bits(8) };
}

function baselineOf(known: Known | undefined, tick: number, age: number): Row {
  const row = known?.at(tick - (tick % KEYFRAME_TICKS) - KEYFRAME_TICKS * age);
  if (row === undefined) throw new ReplicaError("the row it builds on was not received");
  return row;
}

/** Decodes the rows of view frames: each builds on the one before, a keyframe on nothing. */
export class ViewDecoder {
  /** Tick of the newest frame; −1 before the first keyframe. */
  tick = -1;
  private rows = new Map<number, Row>();

  constructor(private readonly schema: Schema) {}

  /** Reads the rows of one frame; `undefined` when the frame before it is missing. Throws `ReplicaError`. */
  decode(tick: number, previous: number, keyframe: boolean, payload: Uint8Array): Pick<Snapshot, "gone" | "hidden" | "rows"> | undefined {
    if (!keyframe && (this.tick < 0 || previous !== this.tick)) return undefined;
    const reader = new BitReader(payload);
    const before = this.rows;
    const decoded = guarded(() => ({
      left: readLeft(reader),
      rows: readIds(reader, (id) => readBody(reader, this.schema, () => known(keyframe ? undefined : before.get(id), id))),
    }));
    // A keyframe does not tell what became of the others.
    const missing = () => [...before.keys()].filter((id) => !decoded.rows.some(([kept]) => kept === id)).map((id) => ({ id, hidden: false }));
    const left = keyframe ? missing() : decoded.left;
    this.rows = keyframe ? new Map() : before;
    for (const { id } of decoded.left) this.rows.delete(id);
    for (const [id, row] of decoded.rows) this.rows.set(id, row);
    this.tick = tick;
    return { ...sorted(left), rows: decoded.rows };
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

/** An entity that left: it is no more, or it is only not told of. */
interface Left {
  id: number;
  hidden: boolean;
}

function readLeft(reader: BitReader): Left[] {
  return readIds(reader, () => reader.bit()).map(([id, hidden]) => ({ id, hidden }));
}

function sorted(left: readonly Left[]): Pick<Snapshot, "gone" | "hidden"> {
  const ids = (hidden: boolean) => left.filter((entity) => entity.hidden === hidden).map(({ id }) => id);
  return { gone: ids(false), hidden: ids(true) };
}

function readIds<T>(reader: BitReader, value: (id: number) => T): [number, T][] {
  const out: [number, T][] = [];
  let previous = 0;
  while (reader.bit()) {
    const id = previous + readCode(reader, GAP) + 1;
    if (id > ID_MAX) throw new ReplicaError("the id is too large");
    out.push([id, value(id)]);
    previous = id;
  }
  return out;
}

function readBody(reader: BitReader, schema: Schema, baseline: () => Row): Row {
  if (reader.bit()) {
    const mask = schema.components.map(() => reader.bit());
    return schema.components.map(({ fields }, i) => (mask[i] ? fields.map(() => unfold(readCode(reader, ABSOLUTE))) : undefined));
  }
  return baseline().map((values) => {
    if (values === undefined || !reader.bit()) return values;
    return values.map((value) => (value + unfold(readCode(reader, RESIDUAL))) | 0);
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

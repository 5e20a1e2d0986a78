// Reads snapshots and view frames: rows of integers, coded against rows that were received before (`docs/wire.md`).

import { BitReader, BitWriter, OutOfBits } from "./bits.ts";
import { DEPTH_MAX, readComponent } from "./coding.ts";
import type { Ledger } from "./ledger.ts";
import { reckoned } from "./reckon.ts";
import type { Row, Schema } from "./schema.ts";
import type { Tables } from "./tables.ts";

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
export const RUN = table(2, 4, 7, 16);
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

interface Header extends Omit<Snapshot, "restarted" | "gone" | "hidden" | "rows"> {
  /** Table set of the codes. */
  tables: number;
}

/** Decodes lane 16 and keeps the rows that later snapshots build on. */
export class SnapshotDecoder {
  private epoch: number | undefined;
  private newest = 0;
  private known = new Map<number, Known>();
  private left: { tick: number; id: number }[] = [];
  private tables = new Map<number, Tables>();
  /** Ids of the rows of snapshots in trained tables, by tick. */
  private lists = new Map<number, number[]>();

  /** A ledger is told what each part takes. */
  constructor(
    private readonly schema: Schema,
    private readonly tickHz = 60,
    private readonly ledger?: Ledger,
  ) {}

  /** Reads one snapshot; `undefined` when it is too old to count. Throws `ReplicaError`; then nothing of it counts. */
  decode(payload: Uint8Array): Snapshot | undefined {
    this.ledger?.snapshot(payload.length);
    return guarded(() => this.read(new BitReader(payload)));
  }

  /**
   * Reads a part of the world, which is a snapshot beside the datagrams: it never starts anything over. `undefined` when
   * what it tells must be told again.
   */
  decodePart(payload: Uint8Array): Snapshot | undefined {
    return guarded(() => {
      const { epoch } = readHeader(new BitReader(payload));
      return this.epoch === undefined || this.epoch === epoch ? this.read(new BitReader(payload)) : undefined;
    });
  }

  /** Takes the tables of a set, 1 to 15, which belong to this decoder's schema. */
  addTables(set: number, tables: Tables): void {
    if (set >= 1 && set <= 15) this.tables.set(set, tables);
  }

  /** Entities that are there, with their newest rows. */
  *entities(): Generator<[number, Row]> {
    for (const [id, known] of this.known) if (known.current !== undefined) yield [id, known.current.row];
  }

  private read(reader: BitReader): Snapshot | undefined {
    const { tables, ...header } = readHeader(reader);
    const restarted = this.epoch !== undefined && header.epoch !== this.epoch;
    if (!restarted && header.tick + STALE_TICKS < this.newest) return undefined;
    const baselines = restarted ? new Map<number, Known>() : this.known;
    const left = readLeft(reader);
    const base = (id: number, age: number, older = 0) => baselineOf(baselines.get(id), header.tick, age + older);
    const pace = this.pace(header.tick);
    const rows = tables === 0 ? readIds(reader, (id) => this.row(reader, id, () => readBody(reader, pace, () => base(id, reader.bits(4))))) : this.readSections(reader, tables, header.tick, restarted, base);
    if (restarted) {
      this.lists.clear();
      this.known = baselines;
      this.left = [];
      this.newest = 0;
    }
    this.epoch = header.epoch;
    this.newest = Math.max(this.newest, header.tick);
    if (tables !== 0) this.lists.set(header.tick, rows.map(([id]) => id));
    const gone = left.filter(({ id }) => this.leave(id, header.tick));
    const changed = rows.filter(([id, row]) => this.entity(id).store(header.tick, row, this.newest));
    this.forget();
    return { ...header, restarted, ...sorted(gone), rows: changed };
  }

  /** The rows of a trained table set: sections of one kind of body, each with its ids first. */
  private readSections(reader: BitReader, set: number, tick: number, restarted: boolean, base: (id: number, age: number, older: number) => Row): [number, Row][] {
    const tables = this.tables.get(set);
    if (tables === undefined) throw new ReplicaError("the table set is unknown");
    let reference: number[] = [];
    if (reader.bit()) {
      const list = restarted ? undefined : this.lists.get(tick - readCode(reader, GAP) - 1);
      if (list === undefined) throw new ReplicaError("the snapshot it names was not received");
      reference = list;
    }
    const rows: [number, Row][] = [];
    while (reader.bit()) {
      const depth = reader.bits(2);
      const age = depth > 0 ? reader.bits(4) : 0;
      const ids = readIdsByReference(reader, reader.bit() ? reference : []);
      for (const id of ids) {
        const past = () => Array.from({ length: depth }, (_, older) => base(id, age, older));
        const body = () => (depth === 0 ? readAbsolute(reader, this.pace(tick)) : readModelled(reader, this.pace(tick), tables, past(), (tick % KEYFRAME_TICKS) + KEYFRAME_TICKS * age));
        rows.push([id, this.row(reader, id, body)]);
      }
    }
    return rows.sort(([a], [b]) => a - b);
  }

  private pace(tick: number): Pace {
    return { schema: this.schema, tick, tickHz: this.tickHz, ledger: this.ledger };
  }

  /** Reads the row of an entity and notes what it takes. */
  private row(reader: BitReader, id: number, read: () => Row): Row {
    const start = reader.position;
    const row = read();
    this.ledger?.row(id, reader.position - start);
    return row;
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
    for (const tick of this.lists.keys()) if (tick + STALE_TICKS < this.newest) this.lists.delete(tick);
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
  const tables = reader.bits(4);
  const epoch = reader.bits(4);
  const applied = reader.bit() ? tick - readCode(reader, GAP) : undefined;
  const margin = (reader.bits(8) << 24) >> 24;
  return { tick, tables, epoch, applied, margin: margin === NOTHING_NEW ? undefined : margin, late: reader.bits(8) };
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

  constructor(private readonly schema: Schema, private readonly tickHz = 60) {}

  /** Reads the rows of one frame; `undefined` when the frame before it is missing. Throws `ReplicaError`. */
  decode(tick: number, previous: number, keyframe: boolean, payload: Uint8Array): Pick<Snapshot, "gone" | "hidden" | "rows"> | undefined {
    if (!keyframe && (this.tick < 0 || previous !== this.tick)) return undefined;
    const reader = new BitReader(payload);
    const before = this.rows;
    const pace = { schema: this.schema, tick, tickHz: this.tickHz };
    const decoded = guarded(() => ({
      left: readLeft(reader),
      rows: readIds(reader, (id) => readBody(reader, pace, () => known(keyframe ? undefined : before.get(id), id))),
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

/** Ascending ids: runs of those of a list that are there again, then the new ones. */
function readIdsByReference(reader: BitReader, before: readonly number[]): number[] {
  const ids = new Set<number>();
  for (let at = 0; at < before.length; ) {
    const run = readCode(reader, RUN);
    for (const id of before.slice(at, at + run)) ids.add(id);
    at += run + 1;
  }
  for (const [id] of readIds(reader, () => undefined)) ids.add(id);
  return [...ids].sort((a, b) => a - b);
}

/** What a body means beside its bits, and who is told what its parts take. */
interface Pace {
  schema: Schema;
  tick: number;
  tickHz: number;
  ledger?: Ledger | undefined;
}

/** Since when what is reckoned goes by itself, behind the components. */
function readSince(reader: BitReader, { schema, tick }: Pace, has: (component: number) => boolean): Row {
  if (!schema.courses.some((course, i) => course !== undefined && has(i))) return [];
  const since = tick - readCode(reader, GAP);
  if (since < 0) throw new ReplicaError("it goes on since before the match");
  return [[since]];
}

/** A row that others build on, as it is when the new one begins to go by itself. */
function readGone(reader: BitReader, pace: Pace, base: Row): { base: Row; since: Row } {
  const since = readSince(reader, pace, (i) => base[i] !== undefined);
  const gone = since.length === 0 ? base : reckoned(pace.schema, base, since[0]![0]!, pace.tickHz);
  return { base: gone.slice(0, pace.schema.components.length), since };
}

/** Reads the numbers of a component and notes what they take. */
function counted(reader: BitReader, { ledger }: Pace, component: number, read: () => number[]): number[] {
  const start = reader.position;
  const values = read();
  ledger?.component(component, reader.position - start);
  return values;
}

function readBody(reader: BitReader, pace: Pace, baseline: () => Row): Row {
  if (reader.bit()) return readAbsolute(reader, pace);
  const { base, since } = readGone(reader, pace, baseline());
  const row = base.map((values, i) => {
    if (values === undefined || !reader.bit()) return values;
    return counted(reader, pace, i, () => values.map((value) => (value + unfold(readCode(reader, RESIDUAL))) | 0));
  });
  return [...row, ...since];
}

function readAbsolute(reader: BitReader, pace: Pace): Row {
  const { components } = pace.schema;
  const mask = components.map(() => reader.bit());
  const since = readSince(reader, pace, (i) => mask[i]!);
  const read = (fields: readonly unknown[]) => fields.map(() => unfold(readCode(reader, ABSOLUTE)));
  const row = components.map(({ fields }, i) => (mask[i] ? counted(reader, pace, i, () => read(fields)) : undefined));
  return [...row, ...since];
}

/** A row against those in one to three baselines, `age` ticks after the newest. */
function readModelled(reader: BitReader, pace: Pace, tables: Tables, past: readonly Row[], age: number): Row {
  const { schema } = pace;
  const [newest, before] = past.map((row) => row.slice(0, schema.components.length));
  const differs = (a: readonly number[], b: readonly number[] | undefined) => b === undefined || a.some((value, i) => value !== b[i]);
  if (past.some((row) => newest!.some((values, i) => (values === undefined) !== (row[i] === undefined)))) {
    throw new ReplicaError("the rows it builds on differ in their components");
  }
  const moving = newest!.map((values, i) => before !== undefined && values !== undefined && differs(values, before[i]));
  const { base, since } = readGone(reader, pace, past[0]!);
  const coded = readCoded(reader, schema, newest!, moving);
  const row = base.map((values, i) => {
    if (values === undefined || !coded[i]) return values;
    // What is reckoned has gone on to this, and more is not known.
    const rows = schema.courses[i] === undefined ? past.slice(0, DEPTH_MAX).map((row) => row[i]!) : [values];
    return counted(reader, pace, i, () => readComponent(tables, reader, i, { rows, age, step: KEYFRAME_TICKS }));
  });
  return [...row, ...since];
}

/** Which components are coded; most often those that were moving. */
function readCoded(reader: BitReader, schema: Schema, row: Row, moving: readonly boolean[]): readonly boolean[] {
  const sent = row.map((values, i) => values !== undefined && schema.components[i]!.fields.length > 0);
  if (sent.filter(Boolean).length < 2) return sent;
  if (moving.includes(true) && reader.bit()) return moving;
  return sent.map((there) => there && reader.bit());
}

function guarded<T>(step: () => T): T {
  try {
    return step();
  } catch (error) {
    if (error instanceof OutOfBits) throw new ReplicaError("the bits end too early");
    throw error;
  }
}

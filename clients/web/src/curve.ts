// Where a component is shown between its samples, and for a moment beyond the newest one (`docs/wire.md`; the arithmetic is that
// of `shared/replica/src/curve.rs`). Doubles with + − × ÷ and square roots alone.

import { unitOf } from "./reckon.ts";
import type { ComponentSchema, FieldSchema } from "./schema.ts";

/** Ticks for which a component goes on beyond its newest sample. */
const EXTRAPOLATED_TICKS_MAX = 3;
/** Over a longer gap than this, ticks, velocities at its ends say little about what was between. */
const CURVED_TICKS_MAX = 12;
/** A component that went this many times as far as its velocities allow was put there, unless it had gone that way before. */
const TELEPORT = 4;

/** The integers of a component at a tick. */
export interface Sample {
  tick: number;
  row: readonly number[];
}

/** The samples of a component around the time to show. */
export interface Around {
  /** The last ones before `from`, newest first. */
  before: readonly [Sample | undefined, Sample | undefined];
  /** The newest one that is not later than the time. */
  from: Sample;
  /** The one after it, if it is known. */
  to: Sample | undefined;
}

interface Velocity {
  field: number;
  /** Steps of the moved field per second, per step of the velocity. */
  steps: number;
  /** One step of the moved field, in its unit. */
  unit: number;
}

interface Line {
  kind: "line";
  velocity: Velocity | undefined;
  /** Without a velocity: it goes on as between its last samples. Counts do not. */
  goesOn: boolean;
  /** Differences wrap at 32 bits, as those of a `u32`. */
  wraps: boolean;
}

/** A rotation is the first of its four numbers; the others are "rotated". */
type Part = Line | { kind: "turn"; full: number } | { kind: "step" | "rotation" | "rotated" };
type Quaternion = readonly [number, number, number, number];
type Way = (from: readonly number[], to: readonly number[]) => number;

/** How a component is shown in time. Its numbers are steps, which need not be whole. */
export class Curve {
  private readonly parts: readonly Part[];
  private readonly moved: readonly { at: number; line: Line; velocity: Velocity }[];

  constructor({ fields, reckon }: ComponentSchema) {
    const find = (name: string) => fields.findIndex((field) => field.name === name);
    const moves = new Map<number, number>((reckon?.moves ?? []).map(([field, by]) => [find(field), find(by)]));
    fields.forEach(({ velocity }, field) => velocity !== undefined && find(velocity) >= 0 && moves.set(field, find(velocity)));
    const parts = partsOf(fields, moves);
    this.parts = parts;
    this.moved = parts.flatMap((part, at) => (part.kind === "line" && part.velocity !== undefined ? [{ at, line: part, velocity: part.velocity }] : []));
  }

  /** The component as it is shown at `tick`: on the curve between two samples; beyond the newest one as it goes on, for at most 3 ticks. */
  at(around: Around, tick: number, tickHz: number): number[] {
    const past = tick - around.from.tick;
    if (around.to !== undefined) return this.between(around.before[0], around.from, around.to, past, tickHz);
    return this.beyond(around, Math.min(past, EXTRAPOLATED_TICKS_MAX), tickHz);
  }

  /** The straight way from one row to another at the fraction `t`. */
  line(from: readonly number[], to: readonly number[], t: number): number[] {
    const out = [...from];
    this.parts.forEach((part, i) => {
      if (part.kind === "line") out[i]! += wayOf(part, from[i]!, to[i]!) * t;
      else if (part.kind === "turn") out[i]! += shorterWay(to[i]! - from[i]!, part.full) * t;
      else if (part.kind === "rotation") rotate(out, i, wayRound(from, to, i).map((way) => way * t));
    });
    return out;
  }

  /** Between two samples it did not move but was put somewhere else. */
  isTeleport(before: Sample | undefined, from: Sample, to: Sample, tickHz: number): boolean {
    const ticks = to.tick - from.tick;
    if (ticks > CURVED_TICKS_MAX) return false;
    const seconds = ticks / tickHz;
    let [way, news, reach, slack] = [0, 0, 0, 0];
    for (const { at, line, velocity } of this.moved) {
      const moved = wayOf(line, from.row[at]!, to.row[at]!);
      // What is carried goes on as it went, without a velocity of its own.
      const carried = before === undefined ? 0 : wayOf(line, before.row[at]!, from.row[at]!) * (ticks / (from.tick - before.tick));
      way += Math.abs(moved) * velocity.unit;
      news += Math.abs(moved - carried) * velocity.unit;
      const step = velocity.steps * velocity.unit * seconds;
      reach += Math.max(Math.abs(from.row[velocity.field]!), Math.abs(to.row[velocity.field]!)) * step;
      slack += 2 * velocity.unit + step;
    }
    return way > TELEPORT * reach + slack && news > way / 2;
  }

  /** What to add to `now` to be at `shown`; nothing where a number goes in steps. */
  error(shown: readonly number[], now: readonly number[]): number[] {
    const error = now.map(() => 0);
    this.parts.forEach((part, i) => {
      if (part.kind === "line") error[i] = shown[i]! - now[i]!;
      else if (part.kind === "turn") error[i] = shorterWay(shown[i]! - now[i]!, part.full);
      else if (part.kind === "rotation") {
        const sign = dot(shown, i, now, i) < 0 ? -1 : 1;
        for (let j = i; j < i + 4; j++) error[j] = shown[j]! * sign - now[j]!;
      }
    });
    return error;
  }

  /** Adds a share of an error to what is shown. `of`: what it was the error of. */
  correct(shown: number[], error: readonly number[], of: readonly number[], share: number): void {
    this.parts.forEach((part, i) => {
      if (part.kind === "line" || part.kind === "turn") shown[i]! += error[i]! * share;
      else if (part.kind === "rotation") {
        // The same rotation has two signs, and samples come with either.
        const signed = dot(shown, i, of, i) < 0 ? -share : share;
        rotate(shown, i, error.slice(i, i + 4).map((part) => part * signed));
      }
    });
  }

  private between(before: Sample | undefined, from: Sample, to: Sample, past: number, tickHz: number): number[] {
    const ticks = to.tick - from.tick;
    const t = past / ticks;
    if (this.isTeleport(before, from, to, tickHz)) return this.line(from.row, from.row, t);
    const out = this.line(from.row, to.row, t);
    if (ticks > CURVED_TICKS_MAX) return out;
    const seconds = ticks / tickHz;
    for (const { at, line, velocity } of this.moved) {
      const way = wayOf(line, from.row[at]!, to.row[at]!);
      const speed = ({ row }: Sample) => row[velocity.field]! * velocity.steps * seconds;
      const ends = tangents(speed(from), speed(to), way);
      if (ends !== undefined) out[at] = from.row[at]! + hermite(ends, way, t);
    }
    return out;
  }

  private beyond(around: Around, past: number, tickHz: number): number[] {
    const { row } = around.from;
    const out = [...row];
    if (past <= 0) return out;
    this.parts.forEach((part, i) => {
      if (part.kind === "line" && part.velocity !== undefined) out[i]! += row[part.velocity.field]! * part.velocity.steps * (past / tickHz);
      else if (part.kind === "line" && part.goesOn) out[i]! += lastPace(around, (from, to) => wayOf(part, from[i]!, to[i]!)) * past;
      else if (part.kind === "turn") out[i]! += lastPace(around, (from, to) => shorterWay(to[i]! - from[i]!, part.full)) * past;
      else if (part.kind === "rotation") {
        rotate(out, i, [0, 1, 2, 3].map((j) => lastPace(around, (from, to) => -wayRound(to, from, i)[j]!) * past));
      }
    });
    return out;
  }
}

/** What each field does. `moves`: by which other it moves. */
function partsOf(fields: readonly FieldSchema[], moves: ReadonlyMap<number, number>): Part[] {
  const moving = new Set(moves.values());
  const parts: Part[] = [];
  while (parts.length < fields.length) {
    const at = parts.length;
    const four = fields.slice(at, at + 4);
    if (four.length === 4 && four.every(({ lerp }) => lerp === "quaternion")) {
      parts.push({ kind: "rotation" }, { kind: "rotated" }, { kind: "rotated" }, { kind: "rotated" });
    } else parts.push(partOf(fields, at, moves.get(at), moving.has(at)));
  }
  return parts;
}

function partOf(fields: readonly FieldSchema[], at: number, by: number | undefined, movesAnother: boolean): Part {
  const { lerp, kind, unit } = fields[at]!;
  if (lerp === "angle") return { kind: "turn", full: fullTurn(kind, unit) };
  if (lerp !== "linear" || kind === "bool") return { kind: "step" };
  const velocity = by === undefined ? undefined : { field: by, steps: unitOf(fields[by]!.unit) / unitOf(unit), unit: unitOf(unit) };
  return { kind: "line", velocity, goesOn: (kind === "f32" || unit !== "1") && !movesAnother, wraps: kind === "u32" };
}

/** Steps of a whole turn. */
function fullTurn(kind: FieldSchema["kind"], unit: string): number {
  if (kind === "f32") return (2 * Math.PI) / unitOf(unit);
  return kind === "i8" || kind === "u8" || kind === "bool" ? 256 : kind === "i16" || kind === "u16" ? 65_536 : 2 ** 32;
}

function wayOf({ wraps }: Line, from: number, to: number): number {
  return wraps ? (to - from) | 0 : to - from;
}

function shorterWay(way: number, full: number): number {
  return way - Math.floor(way / full + 0.5) * full;
}

function dot(a: readonly number[], i: number, b: readonly number[], j: number): number {
  return a[i]! * b[j]! + a[i + 1]! * b[j + 1]! + a[i + 2]! * b[j + 2]! + a[i + 3]! * b[j + 3]!;
}

/** From the rotation at `i` to the nearer of the two signs of another. */
function wayRound(from: readonly number[], to: readonly number[], i: number): Quaternion {
  const sign = dot(from, i, to, i) < 0 ? -1 : 1;
  const part = (j: number) => to[i + j]! * sign - from[i + j]!;
  return [part(0), part(1), part(2), part(3)];
}

/** Moves the rotation at `i` this way, at its length. */
function rotate(out: number[], i: number, way: readonly number[]): void {
  const wanted = Math.sqrt(dot(out, i, out, i));
  const moved = way.map((part, j) => out[i + j]! + part);
  const length = Math.sqrt(dot(moved, 0, moved, 0));
  if (length > 0) moved.forEach((part, j) => (out[i + j] = (part * wanted) / length));
}

/**
 * What a number does per tick by its last samples: the lesser of its last two paces, and nothing when it turned back. So a jump is
 * not continued.
 */
function lastPace({ before, from }: Around, way: Way): number {
  const pace = (a: Sample, b: Sample) => (b.tick - a.tick > CURVED_TICKS_MAX ? 0 : way(a.row, b.row) / (b.tick - a.tick));
  if (before[0] === undefined) return 0;
  const last = pace(before[0], from);
  if (before[1] === undefined) return last;
  const earlier = pace(before[1], before[0]);
  if (last * earlier <= 0) return 0;
  return Math.abs(last) < Math.abs(earlier) ? last : earlier;
}

/**
 * Slopes at both ends of a way, in the way's unit over its whole time, that do not lead far beyond it: at most three times the
 * straight line's (Fritsch and Carlson). `undefined` when they contradict the way.
 */
function tangents(start: number, end: number, way: number): readonly [number, number] | undefined {
  // It turns in between. That leads beyond the ends by at most a quarter of what the velocities allow.
  if (start * end < 0) return Math.abs(way) <= Math.max(Math.abs(start), Math.abs(end)) ? [start, end] : undefined;
  if ((start + end) * way <= 0) return undefined;
  const limit = 3 * Math.abs(way);
  const within = (slope: number) => Math.max(-limit, Math.min(limit, slope));
  return [within(start), within(end)];
}

/** A cubic from 0 to `way` with these slopes at its ends, at the fraction `t`. */
function hermite([start, end]: readonly [number, number], way: number, t: number): number {
  const [squared, rest] = [t * t, 1 - t];
  return start * (t * rest * rest) - end * (squared * rest) + way * (squared * (3 - 2 * t));
}

// Dead reckoning: where a component goes by itself until the host says otherwise (`docs/wire.md`; the arithmetic is that of
// `shared/replica/src/reckon.rs`). Doubles with + − × ÷, square roots and `floor` alone: the same integers everywhere.

import type { ComponentSchema, Row, Schema } from "./schema.ts";

/** Ticks for which a row is reckoned. */
const TICKS_MAX = 4_096;
const QUARTER = Math.PI / 2;

interface Move {
  field: number;
  velocity: number;
  /** Steps of the field in a second, per step of the velocity. */
  steps: number;
}

interface Turn {
  field: number;
  /** Unit of the four parts, or steps of smallest three. */
  form: { unit: number } | { steps: number };
  spin: readonly [number, number, number];
  unit: number;
}

type Quaternion = readonly [number, number, number, number];

/** How one component goes on by itself. */
export class Course {
  private constructor(private readonly moves: readonly Move[], private readonly turns: readonly Turn[]) {}

  static of({ fields, reckon }: ComponentSchema): Course | undefined {
    if (reckon === undefined) return undefined;
    const find = (name: string) => fields.findIndex((field) => field.name === name);
    const unit = (field: number) => unitOf(fields[field]!.unit);
    const moves = reckon.moves.map(([field, velocity]) => ({ field: find(field), velocity: find(velocity), steps: unit(find(velocity)) / unit(find(field)) }));
    const turns = reckon.turns.map(([first, x, y, z]): Turn => {
      const field = find(first);
      const form = fields[field]!.lerp === "quaternion" ? { unit: unit(field) } : { steps: 1 / unit(field) };
      return { field, form, spin: [find(x), find(y), find(z)], unit: unit(find(x)) };
    });
    return new Course(moves, turns);
  }

  /** The integers after so many ticks, if nothing happens. */
  goOn(values: readonly number[], ticks: number, tickHz: number): number[] {
    const row = [...values];
    if (ticks === 0) return row;
    const seconds = ticks / tickHz;
    for (const { field, velocity, steps } of this.moves) row[field] = nearest(row[field]! + row[velocity]! * steps * seconds);
    for (const { field, form, spin, unit } of this.turns) {
      const [x, y, z] = [row[spin[0]]! * unit, row[spin[1]]! * unit, row[spin[2]]! * unit];
      const speed = Math.sqrt(x * x + y * y + z * z);
      const rotation = readRotation(row, field, form);
      if (!(speed > 0) || rotation === undefined) continue;
      const [sine, cosine] = sineCosine((speed * seconds) / 2);
      const share = sine / speed;
      writeRotation(product([x * share, y * share, z * share, cosine], rotation), row, field, form);
    }
    return row;
  }
}

/** For how many ticks a row is reckoned between two others. */
function ticksBetween(from: number, to: number): number {
  return Math.max(0, Math.min(to - from, TICKS_MAX));
}

/** The tick that what is reckoned of a row is of; `undefined` when nothing is. */
export function sinceOf(schema: Schema, row: Row): number | undefined {
  return row[schema.components.length]?.[0];
}

/** The row as it is at a later tick, if nothing happens. */
export function reckoned(schema: Schema, row: Row, tick: number, tickHz: number): Row {
  const since = sinceOf(schema, row);
  if (since === undefined) return row;
  const ticks = ticksBetween(since, tick);
  const gone = row.map((values, i) => (values === undefined ? undefined : schema.courses[i]?.goOn(values, ticks, tickHz) ?? values));
  gone[schema.components.length] = [tick];
  return gone;
}

/** The number that a unit stands for. */
export function unitOf(text: string): number {
  const [above, below] = text.split("/");
  return below === undefined ? Number(above) : Number(above) / Number(below);
}

function readRotation(row: readonly number[], at: number, form: Turn["form"]): Quaternion | undefined {
  if ("unit" in form) return [row[at]! * form.unit, row[at + 1]! * form.unit, row[at + 2]! * form.unit, row[at + 3]! * form.unit];
  const largest = row[at]!;
  if (largest < 0 || largest > 3) return undefined;
  const parts: [number, number, number, number] = [0, 0, 0, 0];
  let squares = 0;
  [0, 1, 2, 3].filter((part) => part !== largest).forEach((part, i) => {
    parts[part] = (row[at + 1 + i]! / form.steps - 0.5) * Math.SQRT2;
    squares += parts[part]! * parts[part]!;
  });
  parts[largest] = squares < 1 ? Math.sqrt(1 - squares) : 0;
  return parts;
}

function writeRotation(parts: Quaternion, row: number[], at: number, form: Turn["form"]): void {
  if ("unit" in form) {
    parts.forEach((part, i) => (row[at + i] = nearest(part / form.unit)));
    return;
  }
  const largest = [1, 2, 3].reduce((most, part) => (Math.abs(parts[part]!) > Math.abs(parts[most]!) ? part : most), 0);
  const sign = parts[largest]! < 0 ? -1 : 1;
  row[at] = largest;
  [0, 1, 2, 3].filter((part) => part !== largest).forEach((part, i) => {
    row[at + 1 + i] = nearest(((parts[part]! * sign) / Math.SQRT2 + 0.5) * form.steps);
  });
}

function product([ax, ay, az, aw]: Quaternion, [bx, by, bz, bw]: Quaternion): Quaternion {
  return [
    aw * bx + ax * bw + ay * bz - az * by,
    aw * by - ax * bz + ay * bw + az * bx,
    aw * bz + ax * by - ay * bx + az * bw,
    aw * bw - ax * bx - ay * by - az * bz,
  ];
}

/** The nearest 32-bit integer, a half upwards; 0 for what is no number. */
function nearest(value: number): number {
  return Math.max(-(2 ** 31), Math.min(Math.floor(value + 0.5), 2 ** 31 - 1)) || 0;
}

/** Sine and cosine of an angle that is not negative. */
function sineCosine(angle: number): [number, number] {
  const quarters = Math.floor(angle / QUARTER + 0.5);
  const rest = angle - quarters * QUARTER;
  const square = rest * rest;
  let [sine, cosine] = [1, 1];
  for (const n of [12, 10, 8, 6, 4, 2]) {
    sine = 1 - (square / (n * (n + 1))) * sine;
    cosine = 1 - (square / (n * (n - 1))) * cosine;
  }
  sine *= rest;
  switch (quarters % 4) {
    case 0: return [sine, cosine];
    case 1: return [cosine, -sine];
    case 2: return [-sine, -cosine];
    default: return [-cosine, sine];
  }
}

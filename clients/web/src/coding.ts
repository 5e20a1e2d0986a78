// Components in trained tables: numbers and rotations against what the rows before predict (`docs/wire.md`; the arithmetic
// is that of `shared/replica/src/coding`). Whole numbers below 2⁵³ throughout, and divisions that round down: the same bits
// give the same integers everywhere.

import { type BitReader, OutOfBits } from "./bits.ts";
import { type ComponentModel, ESCAPE, NUMBERS, type NumberModel, readError, type Tables, type TurnModel, type Weights } from "./tables.ts";
import { extrapolated, largestOf, partsOf, turn, type Vector3 } from "./turns.ts";

/** Baselines a row is predicted from at most. */
export const DEPTH_MAX = 3;
/** Differences beyond this predict nothing. */
const DIFFERENCE_MAX = 2 ** 20;
const EIGHTHS = [0, 1, 3, 4, 5, 6, 6, 7];

/** A component in the last one to three baselines, the newest first. */
export interface Past {
  rows: readonly (readonly number[])[];
  /** Ticks from the newest baseline to the row. */
  age: number;
  /** Ticks between baselines. */
  step: number;
}

/** Reads a component against its past. */
export function readComponent(tables: Tables, reader: BitReader, component: number, past: Past): number[] {
  const model = tables.components[component]!;
  const row = [...past.rows[0]!];
  const motion = new Motion(past, model);
  const halfTurns = model.turns.map((of) => motion.turning(past, of));
  for (const number of model.numbers) {
    const predicted = predict(number, past, motion);
    const { weights } = number.depths[past.rows.length - 1]!;
    const clues = motion.clues(motion.first[number.field]!, motion.second[number.field]!);
    const error = readError(reader, tables, number.shape, bucketOf(weights, clues));
    row[number.field] = (predicted + error) | 0;
    motion.numberErrors += Math.abs(error);
  }
  model.turns.forEach((of, i) => readTurn(tables, reader, of, halfTurns[i]!, past, motion, row));
  return row;
}

/** What is known of a component's motion before it is read, and of the errors while it is. */
class Motion {
  readonly first: number[] = [];
  readonly second: number[] = [];
  numberErrors = 0;
  turnErrors = 0;
  private readonly numbers: [number, number];
  private turns: [number, number] = [0, 0];
  private readonly age: number;

  constructor({ rows, age }: Past, model: ComponentModel) {
    const sums: [number, number] = [0, 0];
    const between = (newer: number, field: number) => (rows[newer]![field]! - rows[newer + 1]![field]!) | 0;
    for (const { field } of model.numbers) {
      this.first[field] = rows.length < 2 ? 0 : bounded(between(0, field));
      this.second[field] = rows.length < 3 ? 0 : bounded((between(0, field) - between(1, field)) | 0);
      sums[0] += Math.abs(this.first[field]);
      sums[1] += Math.abs(this.second[field]);
    }
    this.numbers = [log8(sums[0]), log8(sums[1])];
    this.age = log8(age);
  }

  /** How a rotation turns per step of baselines. */
  turning({ rows }: Past, { field, steps }: TurnModel): Vector3 {
    const of = (n: number) => rows[n]!.slice(field, field + 4);
    const now: Vector3 = rows.length >= 2 ? turn(of(1), of(0), steps) : [0, 0, 0];
    const before = rows.length >= 3 ? turn(of(2), of(1), steps) : now;
    const sum = (parts: readonly number[]) => Math.floor(parts.reduce((all, part) => all + Math.abs(part), 0) / 32);
    this.turns = [log8(sum(now)), log8(sum(now.map((part, i) => part - before[i]!)))];
    return now;
  }

  clues(first: number, second: number): number[] {
    return [log8(Math.abs(first)), log8(Math.abs(second)), ...this.numbers, ...this.turns, log8(this.numberErrors), log8(this.turnErrors), this.age];
  }
}

function bounded(difference: number): number {
  return Math.max(-DIFFERENCE_MAX, Math.min(DIFFERENCE_MAX, difference));
}

/** `8 · log2(1 + magnitude)`, rounded by a table of eighths; magnitudes end at 2³² − 1. */
function log8(magnitude: number): number {
  const number = Math.min(magnitude + 1, 2 ** 32 - 1);
  const octave = 31 - Math.clz32(number);
  const eighth = Math.floor((number * 8) / 2 ** octave) % 8;
  return 8 * octave + EIGHTHS[eighth]!;
}

/** Which of the 32 codes an error is written in. */
function bucketOf(weights: Weights, clues: readonly number[]): number {
  const sum = clues.reduce((all, clue, i) => all + weights[i]! * clue, 8 * weights[clues.length]! + 128);
  return Math.max(0, Math.min(31, Math.floor(sum / 256)));
}

/** What a number will be if it goes on like this. */
function predict({ field, velocity, depths }: NumberModel, { rows, age, step }: Past, motion: Motion): number {
  const depth = depths[rows.length - 1]!;
  const linear = depth.linear * motion.first[field]! * age * 2 * step;
  const quadratic = depth.quadratic * motion.second[field]! * age * (age + step);
  const scale = 512 * step * step;
  let change = Math.floor((linear + quadratic + scale / 2) / scale);
  if (velocity !== undefined) change += Math.floor((depth.velocity * bounded(rows[0]![velocity]!) * age + 2 ** 15) / 2 ** 16);
  return (rows[0]![field]! + change) | 0;
}

function readTurn(tables: Tables, reader: BitReader, model: TurnModel, halfTurn: Vector3, past: Past, motion: Motion, row: number[]): void {
  const { field, steps } = model;
  const weights = model.weights[past.rows.length - 1]!;
  const predicted = extrapolated(past.rows[0]!.slice(field, field + 4), steps, halfTurn, past.age, past.step);
  let largest = largestOf(predicted);
  let parts = partsOf(predicted, largest, steps);
  let shape = model.shape;
  const take = (part: number, error: number) => {
    row[field + 1 + part] = (parts[part]! + error) | 0;
    motion.turnErrors += Math.abs(error);
  };
  const read = () => readError(reader, tables, shape, bucketOf(weights, motion.clues(0, 0)));
  let start = 0;
  const first = read();
  if (first !== ESCAPE) {
    take(0, first);
    start = 1;
  } else {
    const other = reader.bits(2);
    if (other === 0) {
      // No rotation: four plain numbers.
      for (let part = 0; part < 4; part++) row[field + part] = reader.bits(32) | 0;
      return;
    }
    largest = (largest + other) & 3;
    parts = partsOf(predicted, largest, steps);
    shape = NUMBERS;
  }
  row[field] = largest;
  for (let part = start; part < 3; part++) {
    const error = read();
    if (error === ESCAPE) throw new OutOfBits();
    take(part, error);
  }
}

// Rows of entities over the last ticks, and what they were in between: how remote things move smoothly.

import { reckoned, sinceOf } from "./reckon.ts";
import { blend, blendComponent, type Row, type Schema } from "./schema.ts";

/** Ticks of history per entity. */
const SAMPLES_MAX = 48;
/** An entity without a sample for more ticks than this was at rest until just before the next one. */
const REST_TICKS = 8;

interface Sample {
  tick: number;
  row: Row;
}

/** The recent past of a world. */
export class Timeline {
  /** Newest tick that was pushed; −1 before the first. */
  newest = -1;
  private entities = new Map<number, Sample[]>();

  constructor(readonly schema: Schema, private readonly tickHz = 60) {}

  /**
   * Takes the rows that changed in `tick`, and the entities that left. A tick may come late: of an entity at rest it can
   * hold the only row that ever comes.
   */
  push(tick: number, rows: Iterable<[number, Row]>, removed: Iterable<number>): void {
    this.newest = Math.max(this.newest, tick);
    for (const [id, row] of rows) this.add(id, { tick, row });
    for (const id of removed) if ((this.entities.get(id)?.at(-1)?.tick ?? 0) <= tick) this.entities.delete(id);
  }

  /** Forgets everything, for instance after a gap in a view. */
  clear(): void {
    this.newest = -1;
    this.entities.clear();
  }

  /** The newest row of an entity. */
  row(id: number): Row | undefined {
    return this.entities.get(id)?.at(-1)?.row;
  }

  /** The newest rows of all entities. */
  *rows(): Generator<[number, Row]> {
    for (const [id, samples] of this.entities) yield [id, samples.at(-1)!.row];
  }

  /** All entities as they were at `tick`, which need not be whole; after the newest tick they stand still. */
  *at(tick: number): Generator<[number, Row]> {
    for (const [id, samples] of this.entities) {
      const row = this.between(samples, tick);
      if (row !== undefined) yield [id, row];
    }
  }

  private add(id: number, sample: Sample): void {
    const samples = this.entities.get(id);
    if (samples === undefined) {
      this.entities.set(id, [sample]);
      return;
    }
    const last = samples.at(-1)!;
    if (sample.tick <= last.tick) return;
    if (sample.tick - last.tick > REST_TICKS) samples.push({ tick: sample.tick - 2, row: last.row });
    samples.push(sample);
    if (samples.length > SAMPLES_MAX) samples.splice(0, samples.length - SAMPLES_MAX);
  }

  private between(samples: Sample[], tick: number): Row | undefined {
    let i = samples.length - 1;
    while (i >= 0 && samples[i]!.tick > tick) i -= 1;
    if (i < 0) return samples[0]!.row;
    const [from, to] = [samples[i]!, samples[i + 1]];
    const row = to === undefined ? from.row : blend(this.schema, from.row, to.row, (tick - from.tick) / (to.tick - from.tick));
    return sinceOf(this.schema, from.row) === undefined ? row : this.goneOn(row, from.row, tick);
  }

  /** What is reckoned goes on from the older row: that is right until the tick of the newer one. */
  private goneOn(row: Row, from: Row, tick: number): Row {
    const whole = Math.floor(tick);
    const [a, b] = [reckoned(this.schema, from, whole, this.tickHz), reckoned(this.schema, from, whole + 1, this.tickHz)];
    return row.map((values, i) => {
      if (this.schema.courses[i] === undefined || a[i] === undefined) return values;
      return blendComponent(this.schema.components[i]!, a[i], b[i]!, tick - whole);
    });
  }
}

// What was told of one entity lately, and where it is drawn by that (as `clients/rust/src/playout/track.rs`).

import type { Around } from "./curve.ts";
import { reckoned, sinceOf } from "./reckon.ts";
import type { Row, Schema } from "./schema.ts";

/** Ticks of history per entity. */
const SAMPLES_MAX = 48;
/** An entity without news for longer than this has rested. */
const GAP_TICKS_MAX = 8;
/** In this time what is drawn goes over to what came late, ticks. */
const BLEND_TICKS = 6;

/** What there is to know beside the samples. */
export interface Scene {
  schema: Schema;
  tickHz: number;
  /** Tick of the newest snapshot. */
  newest: number;
}

interface Told {
  tick: number;
  row: Row;
  /** Nobody told it: the entity was as before when this tick was told. */
  rested: boolean;
}

/** A correction that is drawn little by little. */
interface Offset {
  /** The tick at which it was drawn in full. */
  since: number;
  error: Row;
  /** The numbers that it was the error of. */
  of: Row;
}

/** Samples of an entity, by tick, and what is left of the last correction. */
export class Track {
  private samples: Told[] = [];
  private offset: Offset | undefined;
  /** What was drawn beyond the last sample, before something newer became known. */
  private ahead: { last: number; shown: Row } | undefined;

  get newest(): Told | undefined {
    return this.samples.at(-1);
  }

  /** Takes a row, unless a newer one is there. */
  push(newest: number, tick: number, row: Row): void {
    const last = this.newest;
    if (last !== undefined && last.tick >= tick) return;
    if (last !== undefined && newest < tick && this.rests(newest)) this.samples.push({ tick: newest, row: last.row, rested: true });
    this.samples.push({ tick, row, rested: false });
    if (this.samples.length > SAMPLES_MAX) this.samples.splice(0, this.samples.length - SAMPLES_MAX);
  }

  /**
   * The snapshot of `newest` says that it rests: it would have told otherwise. Where there is too much to tell, an entity is not
   * told in every snapshot. So it takes as long as it took the last time.
   */
  rests(newest: number): boolean {
    const last = this.newest;
    if (last === undefined) return false;
    const told: number[] = [];
    for (let i = this.samples.length - 1; i >= 0 && told.length < 2; i--) if (!this.samples[i]!.rested) told.push(this.samples[i]!.tick);
    const gap = told.length < 2 ? 1 : told[0]! - told[1]!;
    return newest - last.tick >= (gap > GAP_TICKS_MAX ? 1 : gap);
  }

  /** It is drawn at a later tick than it was told of. */
  isAhead(tick: number): boolean {
    return this.newest !== undefined && this.newest.tick < tick;
  }

  /** Keeps what is drawn at `tick`, for `settle`. */
  hold(scene: Scene, tick: number): void {
    const shown = this.at(scene, tick);
    if (shown !== undefined) this.ahead = { last: this.newest!.tick, shown };
  }

  /** Goes on from what was held: whatever is different now is drawn going over. */
  settle(scene: Scene, tick: number): void {
    const { ahead } = this;
    if (ahead === undefined) return;
    this.ahead = this.offset = undefined;
    const { schema } = scene;
    const { i, moment } = this.moment(scene, tick);
    if (!sameComponents(schema, this.samples[i]!.row, ahead.shown)) return;
    const of = this.steps(scene, i, tick, moment);
    const error = schema.components.map(({ interpolate }, number) => {
      const [shown, now] = [ahead.shown[number], of[number]];
      if (shown === undefined || now === undefined || !interpolate || this.jumped(scene, number, i, ahead.last)) return undefined;
      return schema.curves[number]!.error(shown, now);
    });
    if (error.some((numbers) => numbers?.some((number) => number !== 0))) this.offset = { since: tick, error, of };
  }

  /** The row as it is drawn at `tick`: numbers that need not be whole. */
  at(scene: Scene, tick: number): Row | undefined {
    if (this.samples.length === 0) return undefined;
    const { schema } = scene;
    const { i, moment } = this.moment(scene, tick);
    const { tick: since, row } = this.samples[i]!;
    const offset = this.offset !== undefined && sameComponents(schema, row, this.offset.of) ? this.offset : undefined;
    const share = offset === undefined ? 0 : shareAt(offset.since, tick);
    const next = this.samples[i + 1];
    const goes = next === undefined ? moment > since : next.row !== row;
    if (share === 0 && !goes && sinceOf(schema, row) === undefined) return row;
    const steps = this.steps(scene, i, tick, moment);
    if (offset !== undefined && share > 0) {
      offset.error.forEach((error, number) => error && schema.curves[number]!.correct(steps[number]!, error, offset.of[number]!, share));
    }
    return steps;
  }

  /** The newest sample that is not later than `tick`, and the tick to draw by it: its own when it rests from there on. */
  private moment({ newest }: Scene, tick: number): { i: number; moment: number } {
    let i = this.samples.length - 1;
    while (i > 0 && this.samples[i]!.tick > tick) i -= 1;
    const since = this.samples[i]!.tick;
    const held = i + 1 === this.samples.length && this.rests(newest);
    return { i, moment: held ? since : Math.max(since, tick) };
  }

  /** The numbers of sample `i` at a tick; what is not reckoned at the moment that belongs to it. */
  private steps({ schema, tickHz }: Scene, i: number, tick: number, moment: number): (number[] | undefined)[] {
    const { row } = this.samples[i]!;
    const whole = Math.floor(Math.max(0, tick));
    const goneOn = sinceOf(schema, row) === undefined ? undefined : [reckoned(schema, row, whole, tickHz), reckoned(schema, row, whole + 1, tickHz)] as const;
    return row.map((values, number) => {
      const [curve, component] = [schema.curves[number], schema.components[number]];
      if (values === undefined) return undefined;
      if (curve === undefined || component === undefined || !component.interpolate) return [...values];
      if (goneOn !== undefined && schema.courses[number] !== undefined) return curve.line(goneOn[0][number]!, goneOn[1][number]!, Math.max(0, tick) - whole);
      const around = this.around(i, number)!;
      // A component that the next row does not have is held.
      const held = around.to === undefined && i + 1 < this.samples.length;
      return curve.at(around, held ? around.from.tick : moment, tickHz);
    });
  }

  private around(i: number, component: number): Around | undefined {
    const sample = (i: number) => {
      const row = this.samples[i]?.row[component];
      return row && { tick: this.samples[i]!.tick, row };
    };
    const from = sample(i);
    return from && { before: [sample(i - 1), sample(i - 2)], from, to: sample(i + 1) };
  }

  /** A component was put elsewhere by sample `i`, which came after tick `last`. */
  private jumped({ schema, tickHz }: Scene, component: number, i: number, last: number): boolean {
    const around = this.around(i, component);
    const [from, before] = around?.before ?? [];
    if (around === undefined || from === undefined) return false;
    return around.from.tick > last && schema.curves[component]!.isTeleport(before, from, around.from, tickHz);
  }
}

/** How much of a correction is drawn at a tick: all at first, without a bend at either end. */
function shareAt(since: number, tick: number): number {
  const gone = Math.max(0, Math.min(1, (tick - since) / BLEND_TICKS));
  return (1 - gone) * (1 - gone) * (1 + 2 * gone);
}

function sameComponents({ components }: Schema, a: Row, b: Row): boolean {
  return components.every((_, number) => (a[number] === undefined) === (b[number] === undefined));
}

// Rows of entities over the last ticks, and what they were in between: how remote things move smoothly.

import type { Row, Schema } from "./schema.ts";
import { type Scene, Track } from "./track.ts";

/** The recent past of a world. */
export class Timeline {
  /** Newest tick of a snapshot; −1 before the first. */
  newest = -1;
  private entities = new Map<number, Track>();
  /** The tick that was drawn last. */
  private drawn = 0;

  constructor(readonly schema: Schema, private readonly tickHz = 60) {}

  /**
   * Takes the rows that changed in `tick`, and the entities that left. A tick may come late: of an entity at rest it can
   * hold the only row that ever comes.
   */
  push(tick: number, rows: Iterable<[number, Row]>, removed: Iterable<number>): void {
    const before = this.scene();
    this.add(tick, rows);
    for (const id of removed) if ((this.entities.get(id)?.newest?.tick ?? 0) <= tick) this.entities.delete(id);
    this.newest = Math.max(this.newest, tick);
    this.settle(before);
  }

  /** Takes rows of a part of the world, which is no snapshot: it says nothing of what it does not hold. */
  pushPart(tick: number, rows: Iterable<[number, Row]>): void {
    this.add(tick, rows);
    this.settle(this.scene());
  }

  /** Forgets everything, for instance after a gap in a view. */
  clear(): void {
    this.newest = -1;
    this.entities.clear();
  }

  /** The newest row of an entity. */
  row(id: number): Row | undefined {
    return this.entities.get(id)?.newest?.row;
  }

  /** The newest rows of all entities. */
  *rows(): Generator<[number, Row]> {
    for (const [id, { newest }] of this.entities) if (newest !== undefined) yield [id, newest.row];
  }

  /**
   * All entities as they are to be drawn at `tick`, which need not be whole. What should have been told after the newest tick goes
   * on for a moment; what comes then is drawn going over.
   */
  *at(tick: number): Generator<[number, Row]> {
    this.drawn = tick;
    const scene = this.scene();
    for (const [id, track] of this.entities) {
      const row = track.at(scene, tick);
      if (row !== undefined) yield [id, row];
    }
  }

  private scene(): Scene {
    return { schema: this.schema, tickHz: this.tickHz, newest: this.newest };
  }

  private add(tick: number, rows: Iterable<[number, Row]>): void {
    const scene = this.scene();
    for (const [id, row] of rows) {
      let track = this.entities.get(id);
      if (track === undefined) this.entities.set(id, (track = new Track()));
      if (track.isAhead(this.drawn)) track.hold(scene, this.drawn);
      track.push(this.newest, tick, row);
    }
  }

  private settle(before: Scene): void {
    const scene = this.scene();
    for (const track of this.entities.values()) {
      // It went on, and now it is known that it rests.
      if (track.isAhead(this.drawn) && track.rests(scene.newest) && !track.rests(before.newest)) track.hold(before, this.drawn);
      track.settle(scene, this.drawn);
    }
  }
}

// A match of any game as a spectator sees it.

import type { TopicsClient } from "../../src/topics.ts";
import { ViewReader } from "../watch/view-reader.ts";
import { type Thing, World } from "./world.ts";

/** Reads one view until `stop`. */
export class BenchView extends ViewReader<World> {
  constructor(home: TopicsClient, matchId: string) {
    super(home, matchId, (tickHz) => new World(tickHz));
  }

  get world(): World {
    return this.model;
  }

  /** Everything that is somewhere, for the next picture. */
  things(seconds: number): Thing[] {
    const tick = this.drawTick(seconds);
    if (this.match !== undefined) {
      const left = Math.max(0, Math.ceil((this.match.endsAtTick - tick) / this.tickHz));
      this.world.setScore(this.result.value?.teamScores ?? this.match.teamScores, this.result.value === undefined ? left : 0);
    }
    return this.world.things(tick);
  }
}

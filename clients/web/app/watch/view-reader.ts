// A match as its view topic tells it: frames, roster, score and result.

import { fromBinary } from "@bufbuild/protobuf";
import type { AmphiError } from "../../src/error.ts";
import { type MatchResult, type ViewFrame, ViewFrameSchema, type ViewMatch } from "../../src/gen/room_pb.ts";
import { nowMicros } from "../../src/link.ts";
import { Playout } from "../../src/pace.ts";
import { ViewDecoder } from "../../src/replica.ts";
import { Schema } from "../../src/schema.ts";
import { Timeline } from "../../src/timeline.ts";
import type { Publication } from "../../src/subscription.ts";
import type { TopicsClient } from "../../src/topics.ts";
import type { SeatInfo } from "../match/arena.ts";
import { Store } from "../store.ts";

/** What a view is told to. */
export interface Viewed {
  setSchema(schema: Schema, timeline: Timeline): void;
  setRoster(roster: readonly SeatInfo[]): void;
  addEvent(tick: number, kind: number, body: Uint8Array): void;
}

/** Reads one view until `stop`. */
export class ViewReader<Model extends Viewed> {
  readonly model: Model;
  readonly state = new Store<"loading" | "live" | "ended" | "missing">("loading");
  readonly failure = new Store<AmphiError | undefined>(undefined);
  readonly result = new Store<MatchResult | undefined>(undefined);
  /** Roster, scores and clock as they were said last. */
  match: ViewMatch | undefined;
  tickHz = 60;
  private tick0: number | undefined;
  private decoder: ViewDecoder | undefined;
  private timeline: Timeline | undefined;
  private schemaJson = "";
  private readonly playout = new Playout();
  private readonly unsubscribe: () => void;

  constructor(private readonly home: TopicsClient, matchId: string, model: (tickHz: () => number) => Model) {
    this.model = model(() => this.tickHz);
    this.unsubscribe = home.subscribe(`match:${matchId}:view:0`, {
      onPublication: (publication) => this.take(publication),
      onError: (error) => {
        if (error.action !== "stop") return;
        this.failure.set(error);
        if (this.state.value === "loading") this.state.set("missing");
      },
    });
  }

  stop(): void {
    this.unsubscribe();
  }

  /** The tick to draw. */
  drawTick(seconds: number): number {
    return this.playout.tick(this.serverTick(), seconds);
  }

  private serverTick(): number {
    return this.tick0 === undefined ? 0 : ((this.home.serverTime(nowMicros()) - this.tick0) * this.tickHz) / 1e6;
  }

  private take({ data }: Publication): void {
    if (!(data instanceof Uint8Array)) return;
    const frame = fromBinary(ViewFrameSchema, data);
    this.describe(frame);
    if (frame.result !== undefined) {
      this.result.set(frame.result);
      this.state.set("ended");
    }
    const decoded = this.decoder?.decode(frame.tick, frame.previous, frame.keyframe, frame.rows);
    if (decoded === undefined) return;
    this.timeline?.push(frame.tick, decoded.rows, [...decoded.gone, ...decoded.hidden]);
    for (const { tick, kind, body } of frame.events) this.model.addEvent(tick, kind, body);
    this.playout.arrived(this.serverTick(), frame.tick);
    if (this.state.value === "loading") this.state.set("live");
  }

  private describe(frame: ViewFrame): void {
    if (frame.schemaJson !== "" && frame.schemaJson !== this.schemaJson) {
      this.schemaJson = frame.schemaJson;
      const schema = Schema.parse(frame.schemaJson);
      const tickHz = frame.match?.tickHz || this.tickHz;
      this.decoder = new ViewDecoder(schema, tickHz);
      this.timeline = new Timeline(schema, tickHz);
      this.model.setSchema(schema, this.timeline);
    }
    if (frame.match === undefined) return;
    this.match = frame.match;
    this.tickHz = frame.match.tickHz || this.tickHz;
    this.tick0 = Number(frame.match.tick0Us);
    this.model.setRoster(frame.match.roster);
  }
}

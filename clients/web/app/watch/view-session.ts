// A match as a spectator sees it: the view topic, its frames, and a camera.

import { fromBinary } from "@bufbuild/protobuf";
import { type MatchResult, type ViewFrame, ViewFrameSchema } from "../../src/gen/room_pb.ts";
import { nowMicros } from "../../src/link.ts";
import { Playout } from "../../src/pace.ts";
import { ViewDecoder } from "../../src/replica.ts";
import { Schema } from "../../src/schema.ts";
import type { Publication, TopicsClient } from "../../src/topics.ts";
import { BallCamera, behind } from "../match/camera.ts";
import { MatchModel } from "../match/model.ts";
import { Store } from "../store.ts";
import type { Camera, Effect, WorldFrame } from "../world/frame.ts";

/** Follows the ball, or the player in this seat. */
export type CameraChoice = "ball" | number;

/** Reads one view until `stop`. */
export class ViewSession {
  readonly model = new MatchModel(() => this.tickHz);
  readonly state = new Store<"loading" | "live" | "ended" | "missing">("loading");
  readonly failure = new Store<{ code: number; message: string } | undefined>(undefined);
  readonly result = new Store<MatchResult | undefined>(undefined);
  readonly camera = new Store<CameraChoice>("ball");
  private tickHz = 60;
  private tick0: number | undefined;
  private decoder: ViewDecoder | undefined;
  private schemaJson = "";
  private readonly playout = new Playout();
  private readonly ballCamera = new BallCamera();
  private readonly unsubscribe: () => void;

  constructor(private readonly home: TopicsClient, matchId: string) {
    this.unsubscribe = home.subscribe(`match:${matchId}:view:0`, {
      publication: (publication) => this.take(publication),
      failed: (code, message) => {
        this.failure.set({ code, message });
        if (this.state.value === "loading") this.state.set("missing");
      },
    });
  }

  stop(): void {
    this.unsubscribe();
  }

  frame(seconds: number): { frame: WorldFrame; camera: Camera; effects: Effect[] } {
    const tick = this.playout.tick(this.serverTick(), seconds);
    const frame = this.model.frame(tick);
    this.model.refresh(tick);
    const { effects } = this.model.due(tick, performance.now());
    return { frame, camera: this.look(frame, seconds), effects };
  }

  private look(frame: WorldFrame, seconds: number): Camera {
    const narrow = innerWidth < innerHeight;
    const choice = this.camera.value;
    const followed = choice === "ball" ? undefined : frame.players.find(({ seat }) => seat === choice);
    const ball = this.ballCamera.at(frame, seconds, narrow);
    return followed === undefined ? ball : behind(followed.at, followed.yaw, followed.pitch * 0.5 - 0.12, false);
  }

  private serverTick(): number {
    return this.tick0 === undefined ? 0 : ((this.home.serverTime(nowMicros()) - this.tick0) * this.tickHz) / 1e6;
  }

  private take({ payload }: Publication): void {
    if (payload.case !== "binary") return;
    const frame = fromBinary(ViewFrameSchema, payload.value);
    this.describe(frame);
    if (frame.result !== undefined) {
      this.result.set(frame.result);
      this.state.set("ended");
    }
    const decoded = this.decoder?.decode(frame.tick, frame.previous, frame.keyframe, frame.rows);
    if (decoded === undefined) return;
    this.model.timeline?.push(frame.tick, decoded.rows, decoded.gone);
    for (const { tick, kind, body } of frame.events) this.model.addEvent(tick, kind, body);
    this.playout.arrived(this.serverTick(), frame.tick);
    if (this.state.value === "loading") this.state.set("live");
  }

  private describe(frame: ViewFrame): void {
    if (frame.schemaJson !== "" && frame.schemaJson !== this.schemaJson) {
      this.schemaJson = frame.schemaJson;
      const schema = Schema.parse(frame.schemaJson);
      this.decoder = new ViewDecoder(schema);
      this.model.setSchema(schema);
    }
    if (frame.match === undefined) return;
    this.tickHz = frame.match.tickHz || this.tickHz;
    this.tick0 = Number(frame.match.tick0Us);
    this.model.setRoster(frame.match.roster);
  }
}

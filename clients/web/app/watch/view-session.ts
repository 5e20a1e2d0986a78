// A match of the Arena as a spectator sees it: the view's frames, and a camera.

import type { TopicsClient } from "../../src/topics.ts";
import { BallCamera, behind } from "../match/camera.ts";
import { MatchModel } from "../match/model.ts";
import { Store } from "../store.ts";
import type { Camera, Effect, WorldFrame } from "../world/frame.ts";
import { ViewReader } from "./view-reader.ts";

/** Follows the ball, or the player in this seat. */
export type CameraChoice = "ball" | number;

/** Reads one view until `stop`. */
export class ViewSession extends ViewReader<MatchModel> {
  readonly camera = new Store<CameraChoice>("ball");
  private readonly ballCamera = new BallCamera();

  constructor(home: TopicsClient, matchId: string) {
    super(home, matchId, (tickHz) => new MatchModel(tickHz));
  }

  frame(seconds: number): { frame: WorldFrame; camera: Camera; effects: Effect[] } {
    const tick = this.drawTick(seconds);
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
}

// Cameras: over a shoulder, and looking at the play from above.

import { EYE_HEIGHT, METRE, type Vec3 } from "../../src/arena-move.ts";
import { type Camera, direction, FIELD, type WorldFrame } from "../world/frame.ts";

const EYE = EYE_HEIGHT / METRE;
const BACK_M = 4.9;
const UP_M = 1.05;
const SIDE_M = 0.9;
/** The crosshair of the camera and the eye meet at this distance. */
const MEET_M = 22;

/** Distance to the first solid block along a direction, at most `far`. */
export function raycast(from: Vec3, way: Vec3, far: number): number {
  let nearest = far;
  for (const { kind, min, max } of FIELD.blocks) {
    if (kind === "ceiling") continue;
    const at = enter(from, way, min, max);
    if (at !== undefined && at < nearest) nearest = at;
  }
  return nearest;
}

function enter(from: Vec3, way: Vec3, min: Vec3, max: Vec3): number | undefined {
  let [near, far] = [0, Infinity];
  for (const axis of [0, 1, 2] as const) {
    if (Math.abs(way[axis]) < 1e-9) {
      if (from[axis] < min[axis] || from[axis] > max[axis]) return undefined;
      continue;
    }
    const [a, b] = [(min[axis] - from[axis]) / way[axis], (max[axis] - from[axis]) / way[axis]];
    near = Math.max(near, Math.min(a, b));
    far = Math.min(far, Math.max(a, b));
  }
  return near <= far ? near : undefined;
}

/** Behind the player's right shoulder, or in its eyes; never inside a wall. */
export function behind(feet: Vec3, yaw: number, pitch: number, firstPerson: boolean): Camera {
  const eye: Vec3 = [feet[0], feet[1] + EYE, feet[2]];
  if (firstPerson) return { at: eye, yaw, pitch, fov: 78 };
  const way = direction(yaw, pitch);
  const right: Vec3 = [Math.sin(yaw), 0, Math.cos(yaw)];
  const wish: Vec3 = [eye[0] - way[0] * BACK_M + right[0] * SIDE_M, eye[1] - way[1] * BACK_M + UP_M, eye[2] - way[2] * BACK_M + right[2] * SIDE_M];
  const offset: Vec3 = [wish[0] - eye[0], wish[1] - eye[1], wish[2] - eye[2]];
  const length = Math.hypot(...offset);
  const unit: Vec3 = [offset[0] / length, offset[1] / length, offset[2] / length];
  const free = Math.max(0.3, Math.min(length, raycast(eye, unit, length + 0.3) - 0.25));
  const at: Vec3 = [eye[0] + unit[0] * free, Math.max(0.25, eye[1] + unit[1] * free), eye[2] + unit[2] * free];
  return { ...lookAt(at, [eye[0] + way[0] * MEET_M, eye[1] + way[1] * MEET_M, eye[2] + way[2] * MEET_M]), fov: 70 };
}

/** A camera at `at` that looks at `target`. */
export function lookAt(at: Vec3, target: Vec3): Camera {
  const [x, y, z] = [target[0] - at[0], target[1] - at[1], target[2] - at[2]];
  return { at, yaw: Math.atan2(-z, x), pitch: Math.atan2(y, Math.hypot(x, z)), fov: 55 };
}

/** Follows the ball from the long side, calmly. */
export class BallCamera {
  private target: Vec3 = [0, 1, 0];

  at(frame: WorldFrame, seconds: number, narrow: boolean): Camera {
    const ball = frame.ball?.at ?? [0, 1, 0];
    const wish: Vec3 = [Math.max(-15, Math.min(15, ball[0])), 0.6, Math.max(-7, Math.min(7, ball[2])) * 0.55];
    const part = 1 - Math.exp(-seconds * 2.2);
    this.target = this.target.map((value, axis) => value + (wish[axis]! - value) * part) as Vec3;
    const far = narrow ? 1.35 : 1;
    const camera = lookAt([this.target[0] * 0.82, 13.5 * far, this.target[2] + 21 * far], this.target);
    return { ...camera, fov: 52 };
  }
}

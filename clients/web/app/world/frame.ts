// What a renderer draws: metres and radians, y up, team 0 defends −x.

import mapJson from "../../../../shared/vectors/arena-move/map.json";
import { type Box, METRE, TURN, type Vec3 } from "../../src/arena-move.ts";

/** A player at one moment. */
export interface PlayerView {
  id: number;
  seat: number;
  team: number;
  name: string;
  bot: boolean;
  own: boolean;
  /** Feet. */
  at: Vec3;
  yaw: number;
  pitch: number;
  health: number;
  alive: boolean;
  /** Metres per second on the ground, for the run cycle. */
  speed: number;
}

/** A body that rolls or tumbles. */
export interface BodyView {
  id: number;
  at: Vec3;
  /** Quaternion x y z w. */
  turn: [number, number, number, number];
}

/** One picture of the world. */
export interface WorldFrame {
  players: PlayerView[];
  ball: BodyView | undefined;
  crates: BodyView[];
}

/** A short effect. */
export type Effect =
  | { kind: "pulse"; from: Vec3; to: Vec3; team: number }
  | { kind: "hit"; at: Vec3; team: number }
  | { kind: "shove"; at: Vec3; team: number }
  | { kind: "goal"; at: Vec3; team: number };

/** Where the picture is taken from; yaw 0 looks along +x, positive turns to −z. */
export interface Camera {
  at: Vec3;
  yaw: number;
  pitch: number;
  /** Vertical field of view, degrees. */
  fov: number;
}

/** Draws worlds into an element. */
export interface Renderer {
  readonly kind: "3d" | "2d";
  draw(frame: WorldFrame, camera: Camera, seconds: number): void;
  effect(effect: Effect): void;
  /** Pixel position of a point, or where to look for it when it is not in the picture. */
  project(point: Vec3): { x: number; y: number; inside: boolean };
  dispose(): void;
}

export type BlockKind = "floor" | "wall" | "glass" | "ceiling" | "goal" | "platform" | "step" | "cover";

/** A static box in metres. */
export interface Block {
  kind: BlockKind;
  min: Vec3;
  max: Vec3;
}

type Corners = [Vec3, Vec3];
interface MapFile {
  field: { half_length: number; half_width: number; ceiling: number };
  goals: { team: number; box: Corners }[];
  ball: { radius: number };
  crates: { half: number };
  blocks: { kind: BlockKind; box: Corners }[];
}

const map = mapJson as unknown as MapFile;
const metres = (units: Vec3): Vec3 => [units[0] / METRE, units[1] / METRE, units[2] / METRE];

/** The field in metres. */
export const FIELD = {
  halfLength: map.field.half_length / METRE,
  halfWidth: map.field.half_width / METRE,
  ballRadius: map.ball.radius / METRE,
  crateHalf: map.crates.half / METRE,
  blocks: map.blocks.map(({ kind, box }): Block => ({ kind, min: metres(box[0]), max: metres(box[1]) })),
  goals: map.goals.map(({ team, box }) => ({ team, min: metres(box[0]), max: metres(box[1]) })),
};

/** The same blocks in the integers of the simulation. */
export const STATIC_BLOCKS: Box[] = map.blocks.map(({ box }) => ({ min: box[0], max: box[1] }));

/** Radians of an angle of the simulation. */
export function radians(angle: number): number {
  return (angle / TURN) * 2 * Math.PI;
}

/** Unit vector of a direction of view. */
export function direction(yaw: number, pitch: number): Vec3 {
  return [Math.cos(yaw) * Math.cos(pitch), Math.sin(pitch), -Math.sin(yaw) * Math.cos(pitch)];
}

/** Team colours, as numbers for renderers. */
export const TEAM_COLOURS = [0xff9f43, 0x4dabf7] as const;
/** Team letters: colour is never the only signal. */
export const TEAM_LETTERS = ["A", "B"] as const;

// Written by `amphi schema generate --lang ts` from the schema of arena. Do not edit.

/** Hash of the schema that this was made from. */
export const SCHEMA_HASH = 0xce55a76cdb776bcen;

/** Takes numbers in bits, the least significant first. */
export interface BitSink {
  bits(value: number, count: number): void;
}

function readNumbers(body: Uint8Array, count: number): number[] | undefined {
  const numbers: number[] = [];
  let at = 0;
  while (numbers.length < count && at < body.length) {
    let value = 0;
    let scale = 1;
    for (;;) {
      const byte = body[at++];
      if (byte === undefined || scale > 2 ** 28) return undefined;
      value += (byte & 127) * scale;
      if (value > 0xffff_ffff) return undefined;
      if (byte < 128) break;
      scale *= 128;
    }
    numbers.push((value >>> 1) ^ -(value & 1));
  }
  while (numbers.length < count) numbers.push(0);
  return numbers;
}

function clamp(value: number, least: number, greatest: number): number {
  return Math.max(least, Math.min(greatest, value));
}

export interface PlayerBody {
  /** one step is 1/4096 */
  x: number;
  /** one step is 1/4096 */
  y: number;
  /** one step is 1/4096 */
  z: number;
  /** one step is 1/4096 */
  vx: number;
  /** one step is 1/4096 */
  vy: number;
  /** one step is 1/4096 */
  vz: number;
  yaw: number;
  pitch: number;
  air: number;
  hold: number;
}

/** Number of the component PlayerBody in the schema. */
export const PLAYER_BODY = 1;

/** A row of integers as PlayerBody. */
export function readPlayerBody(row: ArrayLike<number>): PlayerBody {
  return {
    x: row[0]!,
    y: row[1]!,
    z: row[2]!,
    vx: row[3]!,
    vy: row[4]!,
    vz: row[5]!,
    yaw: row[6]! & 65535,
    pitch: (row[7]! << 16) >> 16,
    air: row[8]! & 255,
    hold: row[9]! & 255,
  };
}

export interface Player {
  team: number;
  index: number;
  health: number;
  respawnAt: number;
  firedAt: number;
  shovedAt: number;
  points: number;
}

/** Number of the component Player in the schema. */
export const PLAYER = 2;

/** A row of integers as Player. */
export function readPlayer(row: ArrayLike<number>): Player {
  return {
    team: row[0]! & 255,
    index: row[1]! & 255,
    health: row[2]! & 255,
    respawnAt: row[3]! >>> 0,
    firedAt: row[4]! >>> 0,
    shovedAt: row[5]! >>> 0,
    points: (row[6]! << 16) >> 16,
  };
}

export interface Thing {
  kind: number;
  index: number;
}

/** Number of the component Thing in the schema. */
export const THING = 3;

/** A row of integers as Thing. */
export function readThing(row: ArrayLike<number>): Thing {
  return {
    kind: row[0]! & 255,
    index: row[1]! & 255,
  };
}

export interface Pose {
  /** one step is 1/512 */
  x: number;
  /** one step is 1/512 */
  y: number;
  /** one step is 1/512 */
  z: number;
  /** one step is 1/511 */
  rotation: [number, number, number, number];
  /** one step is 1/64 */
  velocity: [number, number, number];
}

/** Number of the component Pose in the schema. */
export const POSE = 4;

/** A row of integers as Pose. */
export function readPose(row: ArrayLike<number>): Pose {
  return {
    x: row[0]!,
    y: row[1]!,
    z: row[2]!,
    rotation: [(row[3]! << 16) >> 16, (row[4]! << 16) >> 16, (row[5]! << 16) >> 16, (row[6]! << 16) >> 16],
    velocity: [(row[7]! << 16) >> 16, (row[8]! << 16) >> 16, (row[9]! << 16) >> 16],
  };
}

export interface Scoreboard {
  phase: number;
  phaseUntil: number;
  endsAt: number;
  goals: [number, number];
}

/** Number of the component Scoreboard in the schema. */
export const SCOREBOARD = 5;

/** A row of integers as Scoreboard. */
export function readScoreboard(row: ArrayLike<number>): Scoreboard {
  return {
    phase: row[0]! & 255,
    phaseUntil: row[1]! >>> 0,
    endsAt: row[2]! >>> 0,
    goals: [row[3]! & 65535, row[4]! & 65535],
  };
}

export interface ArenaInput {
  buttons: number;
  /** one step is 1/127 */
  moveX: number;
  /** one step is 1/127 */
  moveY: number;
  yaw: number;
  pitch: number;
}

/** Writes an input, each number clamped to its range. */
export function writeArenaInput(to: BitSink, input: ArenaInput): void {
  to.bits(clamp(input.buttons, 0, 7), 3);
  to.bits(clamp(input.moveX, -127, 127) - (-127), 8);
  to.bits(clamp(input.moveY, -127, 127) - (-127), 8);
  to.bits(clamp(input.yaw, 0, 65535), 16);
  to.bits(clamp(input.pitch, -15000, 15000) - (-15000), 15);
}

export interface Pulse {
  seat: number;
  hit: number;
  target: number;
  /** one step is 1/512 */
  from: [number, number, number];
  /** one step is 1/512 */
  to: [number, number, number];
}

/** A row of integers as Pulse. */
export function readPulse(row: ArrayLike<number>): Pulse {
  return {
    seat: row[0]! & 255,
    hit: row[1]! & 255,
    target: row[2]! & 255,
    from: [(row[3]! << 16) >> 16, (row[4]! << 16) >> 16, (row[5]! << 16) >> 16],
    to: [(row[6]! << 16) >> 16, (row[7]! << 16) >> 16, (row[8]! << 16) >> 16],
  };
}

export interface Shove {
  seat: number;
  /** one step is 1/512 */
  feet: [number, number, number];
}

/** A row of integers as Shove. */
export function readShove(row: ArrayLike<number>): Shove {
  return {
    seat: row[0]! & 255,
    feet: [(row[1]! << 16) >> 16, (row[2]! << 16) >> 16, (row[3]! << 16) >> 16],
  };
}

export interface Death {
  seat: number;
  killer: number;
  /** one step is 1/512 */
  feet: [number, number, number];
}

/** A row of integers as Death. */
export function readDeath(row: ArrayLike<number>): Death {
  return {
    seat: row[0]! & 255,
    killer: row[1]! & 255,
    feet: [(row[2]! << 16) >> 16, (row[3]! << 16) >> 16, (row[4]! << 16) >> 16],
  };
}

export interface Goal {
  team: number;
  seat: number;
  goals: [number, number];
}

/** A row of integers as Goal. */
export function readGoal(row: ArrayLike<number>): Goal {
  return {
    team: row[0]! & 255,
    seat: row[1]! & 255,
    goals: [row[2]! & 255, row[3]! & 255],
  };
}

/** What the game says. */
export type GameEvent =
  | ({ event: "Pulse" } & Pulse)
  | ({ event: "Shove" } & Shove)
  | ({ event: "Death" } & Death)
  | ({ event: "Goal" } & Goal);

/** The event of a kind; `undefined` when this build does not know it, or the bytes are no body. */
export function readEvent(kind: number, body: Uint8Array): GameEvent | undefined {
  let row: number[] | undefined;
  switch (kind) {
    case 1:
      row = readNumbers(body, 9);
      return row && { event: "Pulse", ...readPulse(row) };
    case 2:
      row = readNumbers(body, 4);
      return row && { event: "Shove", ...readShove(row) };
    case 3:
      row = readNumbers(body, 5);
      return row && { event: "Death", ...readDeath(row) };
    case 4:
      row = readNumbers(body, 4);
      return row && { event: "Goal", ...readGoal(row) };
    default:
      return undefined;
  }
}

// Rows and events of the Arena as views: the page's knowledge of the sample game (`server/arena`).

import { HOLD_DEAD, METRE, type Box, type PlayerBody, type Vec3 } from "../../src/arena-move.ts";
import type { Row, Schema } from "../../src/schema.ts";
import { type BodyView, type Effect, FIELD, type PlayerView, radians } from "../world/frame.ts";
import { readEvent as readGameEvent } from "./arena-schema.ts";

export const HEALTH_MAX = 100;
export const FIRE_TICKS = 24;
export const SHOVE_TICKS = 45;
export const PHASES = ["kick-off", "play", "goal", "over"] as const;
export type Phase = (typeof PHASES)[number];
const POSE_UNIT = 512;
const CRATE_HALF = 2_048;
const NOBODY = 255;
const BALL = 0;

/** Who sits where. */
export interface SeatInfo {
  seat: number;
  team: number;
  name: string;
  user: string;
  bot: boolean;
}

/** Score and clock. */
export interface Board {
  phase: Phase;
  phaseUntil: number;
  endsAt: number;
  goals: [number, number];
}

/** A player's numbers beyond its body. */
export interface PlayerState {
  team: number;
  index: number;
  health: number;
  respawnAt: number;
  firedAt: number;
  shovedAt: number;
  points: number;
}

/** Reads rows by the names in the schema. */
export class ArenaReader {
  private readonly body: number;
  private readonly player: number;
  private readonly thing: number;
  private readonly pose: number;
  private readonly scoreboard: number;

  constructor(schema: Schema) {
    this.body = schema.component("PlayerBody");
    this.player = schema.component("Player");
    this.thing = schema.component("Thing");
    this.pose = schema.component("Pose");
    this.scoreboard = schema.component("Scoreboard");
  }

  playerBody(row: Row): PlayerBody | undefined {
    const b = row[this.body];
    if (b === undefined) return undefined;
    const [x, y, z, vx, vy, vz, yaw, pitch, air, hold] = b as number[];
    return { x: x!, y: y!, z: z!, vx: vx!, vy: vy!, vz: vz!, yaw: yaw!, pitch: pitch!, air: air!, hold: hold! };
  }

  playerState(row: Row): PlayerState | undefined {
    const p = row[this.player];
    if (p === undefined) return undefined;
    const [team, index, health, respawnAt, firedAt, shovedAt, points] = p as number[];
    return { team: team!, index: index!, health: health!, respawnAt: respawnAt! >>> 0, firedAt: firedAt! >>> 0, shovedAt: shovedAt! >>> 0, points: points! };
  }

  board(row: Row): Board | undefined {
    const s = row[this.scoreboard];
    if (s === undefined) return undefined;
    const [phase, until, endsAt, a, b] = s as number[];
    return { phase: PHASES[phase!] ?? "over", phaseUntil: until! >>> 0, endsAt: endsAt! >>> 0, goals: [a!, b!] };
  }

  /** The ball or a crate. */
  thingView(id: number, row: Row): { ball: boolean; view: BodyView } | undefined {
    const [t, p] = [row[this.thing], row[this.pose]];
    if (t === undefined || p === undefined) return undefined;
    const [x, y, z, i, j, k, w] = p as number[];
    const length = Math.hypot(i!, j!, k!, w!) || 1;
    const turn: BodyView["turn"] = [i! / length, j! / length, k! / length, w! / length];
    return { ball: t[0] === BALL, view: { id, at: [x! / POSE_UNIT, y! / POSE_UNIT, z! / POSE_UNIT], turn } };
  }

  /** The top of a crate, on which feet find hold: exact integers, from an unblended row. */
  ledge(row: Row): Box | undefined {
    const [t, p] = [row[this.thing], row[this.pose]];
    if (t === undefined || p === undefined || t[0] === BALL) return undefined;
    const [px, py, pz, x, y, z, w] = p as [number, number, number, number, number, number, number];
    const square = Math.max(1, x * x + y * y + z * z + w * w);
    const rows = [
      [square - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
      [2 * (x * y + w * z), square - 2 * (x * x + z * z), 2 * (y * z - w * x)],
      [2 * (x * z - w * y), 2 * (y * z + w * x), square - 2 * (x * x + y * y)],
    ];
    const half = rows.map((row) => Math.trunc((CRATE_HALF * row.reduce((sum, v) => sum + Math.abs(v), 0)) / square));
    const centre = [px * 8, py * 8, pz * 8];
    const side = (sign: number) => centre.map((c, axis) => c + sign * half[axis]!) as Vec3;
    return { min: side(-1), max: side(1) };
  }

  /** A player from its row; `undefined` for other things. */
  playerView(id: number, row: Row, seats: Map<string, SeatInfo>): PlayerView | undefined {
    const [body, state] = [this.playerBody(row), this.playerState(row)];
    if (body === undefined || state === undefined) return undefined;
    const seat = seats.get(`${state.team}:${state.index}`);
    return {
      id,
      seat: seat?.seat ?? -1,
      team: state.team,
      name: seat?.name ?? "",
      bot: seat?.bot ?? true,
      own: false,
      health: state.health,
      alive: state.health > 0 && body.hold !== HOLD_DEAD,
      ...bodyView(body),
    };
  }
}

/** A body in metres and radians. */
export function bodyView(body: PlayerBody): Pick<PlayerView, "at" | "yaw" | "pitch" | "speed"> {
  const speed = (Math.hypot(body.vx, body.vz) / METRE) * 60;
  return { at: [body.x / METRE, body.y / METRE, body.z / METRE], yaw: radians(body.yaw), pitch: radians(body.pitch), speed };
}

/** Seats by `team:index`, as the Arena numbers players within their team. */
export function seatsByIndex(roster: readonly SeatInfo[]): Map<string, SeatInfo> {
  const next = new Map<number, number>();
  const seats = new Map<string, SeatInfo>();
  for (const seat of [...roster].sort((a, b) => a.seat - b.seat)) {
    const index = next.get(seat.team) ?? 0;
    next.set(seat.team, index + 1);
    seats.set(`${seat.team}:${index}`, seat);
  }
  return seats;
}

/** What a one-shot event of the Arena says. */
export type ArenaEvent =
  | { kind: "pulse"; seat: number; hit: "nothing" | "block" | "player" | "ball" | "crate"; target: number; from: Vec3; to: Vec3 }
  | { kind: "shove"; seat: number; at: Vec3 }
  | { kind: "death"; seat: number; killer: number; at: Vec3 }
  | { kind: "goal"; team: number; seat: number; goals: [number, number] };

const HITS = ["nothing", "block", "player", "ball", "crate"] as const;
const metres = (point: readonly [number, number, number]): Vec3 => [point[0] / POSE_UNIT, point[1] / POSE_UNIT, point[2] / POSE_UNIT];

/** Reads an event's bytes; `undefined` when they are none. */
export function readEvent(kind: number, body: Uint8Array): ArenaEvent | undefined {
  const said = readGameEvent(kind, body);
  if (said === undefined) return undefined;
  if (said.event === "Pulse") {
    const { seat, target } = said;
    return { kind: "pulse", seat, hit: HITS[said.hit] ?? "nothing", target, from: metres(said.from), to: metres(said.to) };
  }
  if (said.event === "Shove") return { kind: "shove", seat: said.seat, at: metres(said.feet) };
  if (said.event === "Death") return { kind: "death", seat: said.seat, killer: said.killer, at: metres(said.feet) };
  return { kind: "goal", team: said.team, seat: said.seat, goals: said.goals };
}

/** What an event looks like. */
export function effectsOf(event: ArenaEvent, teamOf: (seat: number) => number): Effect[] {
  if (event.kind === "pulse") {
    const team = teamOf(event.seat);
    const from: Vec3 = [event.from[0], event.from[1] - 0.25, event.from[2]];
    const pulse: Effect = { kind: "pulse", from, to: event.to, team };
    return event.hit === "nothing" ? [pulse] : [pulse, { kind: "hit", at: event.to, team }];
  }
  if (event.kind === "shove") return [{ kind: "shove", at: event.at, team: teamOf(event.seat) }];
  if (event.kind === "death") return [{ kind: "hit", at: [event.at[0], event.at[1] + 1, event.at[2]], team: teamOf(event.seat) }];
  return [{ kind: "goal", at: [event.team === 0 ? FIELD.halfLength : -FIELD.halfLength, 1.5, 0], team: event.team }];
}

/** The seat that stands for nobody. */
export function isNobody(seat: number): boolean {
  return seat === NOBODY;
}

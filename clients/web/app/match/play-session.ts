// A seat of the Arena: the client, the model, and the camera behind the own player.

import { type ArenaInput, type Box, BUTTON_FIRE, EYE_HEIGHT, METRE, type PlayerBody, step, type Vec3 } from "../../src/arena-move.ts";
import { MatchClient, type NetStats, type PlayedGame } from "../../src/client.ts";
import type { MatchResult, RoomMessage } from "../../src/gen/room_pb.ts";
import type { LinkState } from "../../src/link.ts";
import type { Schema } from "../../src/schema.ts";
import type { Saved } from "../../src/session-types.ts";
import type { SeatGrant } from "../api.ts";
import { allowed } from "../home.ts";
import { Store } from "../store.ts";
import { type Camera, direction, type Effect, radians, STATIC_BLOCKS, type WorldFrame } from "../world/frame.ts";
import { ArenaReader, bodyView, FIRE_TICKS, SHOVE_TICKS } from "./arena.ts";
import { writeArenaInput } from "./arena-schema.ts";
import { behind, raycast } from "./camera.ts";
import type { Controls } from "./controls.ts";
import { MatchModel } from "./model.ts";
import { forgetMatch, storeMatch } from "./stored.ts";

const PULSE_RANGE = 60;

/** The own player above the world. */
export interface OwnHud {
  team: number;
  health: number;
  alive: boolean;
  /** Whole seconds until a dead player comes back. */
  respawn: number;
  pulseReady: boolean;
  shoveReady: boolean;
}

/** Plays one seat until `leave`, the match's end, or the loss of the session. */
export class PlaySession {
  readonly model = new MatchModel(() => this.client.tickHz);
  readonly own = new Store<OwnHud | undefined>(undefined);
  readonly link = new Store<LinkState>("connecting");
  readonly net = new Store<NetStats | undefined>(undefined);
  readonly result = new Store<MatchResult | undefined>(undefined);
  readonly over = new Store<{ code: number; message: string } | undefined>(undefined);
  readonly hit = new Store(0);
  controls: Controls | undefined;
  private readonly client: MatchClient<PlayerBody, ArenaInput>;
  private ledges: Box[] = [];
  private firedAt = -1_000;
  private localEffects: Effect[] = [];
  private facedFor = "";
  private timer: ReturnType<typeof setInterval>;

  constructor(readonly grant: SeatGrant, resume?: Saved) {
    this.client = new MatchClient<PlayerBody, ArenaInput>({
      endpoints: allowed(grant.endpoints),
      token: grant.token,
      app: "default",
      resume,
      game: this.game(),
      sample: (tick) => this.sample(tick),
      onRoom: (message) => this.room(message),
      onSchema: (schema, timeline) => this.model.setSchema(schema, timeline),
      onState: (state) => {
        this.link.set(state);
        this.store();
      },
      onOver: (code, message) => {
        forgetMatch();
        this.over.set({ code, message });
      },
    });
    this.timer = setInterval(() => this.slow(), 500);
    this.store();
  }

  /** The world and where it is seen from. */
  frame(seconds: number): { frame: WorldFrame; camera: Camera; effects: Effect[] } {
    const tick = this.client.drawTick(seconds);
    const frame = this.model.frame(tick);
    this.placeOwn(frame, seconds);
    this.model.refresh(this.client.serverTick());
    const { effects, events } = this.model.due(tick, performance.now());
    const seat = this.client.joined?.seat;
    for (const event of events) if (event.kind === "pulse" && event.seat === seat && event.hit !== "nothing" && event.hit !== "block") this.hit.set(performance.now());
    const ownBeams = events.filter((event) => event.kind === "pulse" && event.seat === seat).length;
    const shown = ownBeams === 0 ? effects : effects.filter((effect) => !this.isOwnBeam(effect, frame));
    return { frame, camera: this.camera(frame), effects: [...shown, ...this.localEffects.splice(0)] };
  }

  /** Closes the session; the seat goes back to a bot. */
  leave(): void {
    clearInterval(this.timer);
    forgetMatch();
    this.client.leave();
  }

  private game(): PlayedGame<PlayerBody, ArenaInput> {
    const readers = new WeakMap<Schema, ArenaReader>();
    return {
      name: "arena",
      step: (body, input) => step(body, input, { blocks: STATIC_BLOCKS, ledges: this.ledges }),
      equal: (a, b) => a.x === b.x && a.y === b.y && a.z === b.z && a.vx === b.vx && a.vy === b.vy && a.vz === b.vz && a.air === b.air && a.hold === b.hold,
      place: (body) => [body.x / METRE, body.y / METRE, body.z / METRE],
      write: writeArenaInput,
      same: (a, b) => a.buttons === b.buttons && a.moveX === b.moveX && a.moveY === b.moveY && a.yaw === b.yaw && a.pitch === b.pitch,
      body: (schema, row) => {
        if (row === undefined) return undefined;
        let reader = readers.get(schema);
        if (reader === undefined) readers.set(schema, (reader = new ArenaReader(schema)));
        return reader.playerBody(row);
      },
    };
  }

  private sample(tick: number): ArenaInput {
    this.face();
    const input = this.controls?.sample() ?? { buttons: 0, moveX: 0, moveY: 0, yaw: this.client.predictor.body?.yaw ?? 0, pitch: 0 };
    const { reader, timeline } = this.model;
    if (reader !== undefined && timeline !== undefined) this.ledges = [...timeline.rows()].flatMap(([, row]) => reader.ledge(row) ?? []);
    const phase = this.model.hud.value.phase;
    const mayFire = (phase === "play" || phase === "goal") && this.own.value?.alive === true;
    if ((input.buttons & BUTTON_FIRE) !== 0 && mayFire && tick - this.firedAt >= FIRE_TICKS) this.showPulse(tick, input);
    return input;
  }

  /** After a kick-off and after coming back the view turns to the other goal. */
  private face(): void {
    const own = this.own.value;
    if (own === undefined || this.controls === undefined) return;
    const { score, phase } = this.model.hud.value;
    const moment = `${own.alive}${score[0]}:${score[1]}${phase === "kick-off"}`;
    if (own.alive && (phase === "kick-off" || this.facedFor.startsWith("false") || this.facedFor === "") && moment !== this.facedFor) this.controls.face(own.team === 0 ? 0 : 32_768);
    this.facedFor = moment;
  }

  private showPulse(tick: number, input: ArenaInput): void {
    const body = this.client.predictor.body;
    if (body === undefined) return;
    this.firedAt = tick;
    const eye: Vec3 = [body.x / METRE, (body.y + EYE_HEIGHT) / METRE, body.z / METRE];
    const way = direction(radians(input.yaw), radians(input.pitch));
    const far = Math.min(PULSE_RANGE, raycast(eye, way, PULSE_RANGE));
    const to: Vec3 = [eye[0] + way[0] * far, eye[1] + way[1] * far, eye[2] + way[2] * far];
    const right = [-way[2], 0, way[0]] as const;
    const from: Vec3 = [eye[0] + way[0] * 0.4 + right[0] * 0.3, eye[1] - 0.35, eye[2] + way[2] * 0.4 + right[2] * 0.3];
    this.localEffects.push({ kind: "pulse", from, to, team: this.own.value?.team ?? 0 });
  }

  private isOwnBeam(effect: Effect, frame: WorldFrame): boolean {
    const own = frame.players.find((player) => player.own);
    return effect.kind === "pulse" && own !== undefined && Math.hypot(effect.from[0] - own.at[0], effect.from[2] - own.at[2]) < 1.6;
  }

  private placeOwn(frame: WorldFrame, seconds: number): void {
    const { joined, predictor } = this.client;
    const own = frame.players.find(({ id }) => id === joined?.entity);
    const at = predictor.place(this.client.tickPart(), seconds);
    if (own === undefined || joined === undefined) return;
    own.own = true;
    if (predictor.body !== undefined && at !== undefined) {
      Object.assign(own, bodyView(predictor.body), { at });
      if (this.controls !== undefined && own.alive) Object.assign(own, { yaw: this.controls.yaw, pitch: this.controls.pitch });
    }
    const row = this.model.timeline?.row(own.id);
    const state = row && this.model.reader?.playerState(row);
    if (state === undefined) return;
    const now = this.client.serverTick();
    const next: OwnHud = {
      team: state.team,
      health: state.health,
      alive: state.health > 0,
      respawn: state.health > 0 ? 0 : Math.max(0, Math.ceil((state.respawnAt - now) / this.client.tickHz)),
      pulseReady: now - Math.max(this.firedAt - 12, state.firedAt) >= FIRE_TICKS || state.firedAt === 0,
      shoveReady: now - state.shovedAt >= SHOVE_TICKS || state.shovedAt === 0,
    };
    const old = this.own.value;
    if (old === undefined || (Object.keys(next) as (keyof OwnHud)[]).some((key) => old[key] !== next[key])) this.own.set(next);
  }

  private camera(frame: WorldFrame): Camera {
    const own = frame.players.find((player) => player.own);
    if (own === undefined) return { at: [0, 14, 24], yaw: Math.PI / 2, pitch: -0.5, fov: 60 };
    const [yaw, pitch] = this.controls === undefined ? [own.yaw, own.pitch] : [this.controls.yaw, this.controls.pitch];
    return behind(own.at, yaw, pitch, this.controls?.firstPerson.value === true);
  }

  private room(message: RoomMessage["kind"]): void {
    if (message.case === "joined" || message.case === "roster") this.model.setRoster(message.value.roster);
    else if (message.case === "event") this.model.addEvent(message.value.tick, message.value.kind, message.value.body);
    else if (message.case === "matchEnded" && message.value.result !== undefined) {
      forgetMatch();
      this.result.set(message.value.result);
    }
  }

  private slow(): void {
    this.net.set(this.client.stats());
    // A second path uses up a generation without any change of the state.
    this.store();
  }

  private store(): void {
    if (this.result.value !== undefined || this.over.value !== undefined) return;
    storeMatch(this.grant, this.client?.link.session.saved);
  }
}

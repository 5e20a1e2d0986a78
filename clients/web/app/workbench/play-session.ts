// A seat of any game: nothing is predicted, everything is drawn as the host says it.

import { MatchClient, type NetStats, type PlayedGame } from "../../src/client.ts";
import type { Answer, MatchResult, RoomMessage } from "../../src/gen/room_pb.ts";
import type { LinkState } from "../../src/link.ts";
import { integerOf, readNumbers, writeInput, writeNumbers } from "../../src/message.ts";
import type { Schema } from "../../src/schema.ts";
import type { Saved } from "../../src/session-types.ts";
import { call } from "../../src/http.ts";
import type { MatchInfo, SeatGrant } from "../api.ts";
import { allowed } from "../home.ts";
import { forgetMatch, storeMatch } from "../match/stored.ts";
import { Store } from "../store.ts";
import type { Hands } from "./hands.ts";
import { named } from "./place.ts";
import { restOf } from "./plan.ts";
import { type Thing, World } from "./world.ts";

const SLOW_MS = 500;
/** Score and clock are not in a seat's messages: the list of matches tells them, this often, ms. */
const SCORE_MS = 1_000;

/** What became of the newest request of a kind. */
export type Asked = { state: "waiting" } | { state: "answered"; values: { name: string; value: string }[] } | { state: "refused"; code: number };

/** A body that nobody predicts. */
type Still = "still";

/** Plays one seat until `leave`, the match's end, or the loss of the session. */
export class BenchSession {
  readonly world = new World(() => this.client.tickHz);
  readonly link = new Store<LinkState>("connecting");
  readonly net = new Store<NetStats | undefined>(undefined);
  readonly result = new Store<MatchResult | undefined>(undefined);
  readonly over = new Store<{ code: number; message: string } | undefined>(undefined);
  /** True once there is something to draw. */
  readonly entered = new Store(false);
  /** Answers by kind of request. */
  readonly asked = new Store<ReadonlyMap<number, Asked>>(new Map());
  hands: Hands | undefined;
  private readonly client: MatchClient<Still, number[]>;
  private readonly open = new Map<number, number>();
  private endsAt: number | undefined;
  private readonly timers: ReturnType<typeof setInterval>[];

  constructor(readonly grant: SeatGrant, resume?: Saved) {
    this.client = new MatchClient<Still, number[]>({
      endpoints: allowed(grant.endpoints),
      token: grant.token,
      app: "default",
      resume,
      game: this.game(),
      sample: () => this.sample(),
      onRoom: (message) => this.room(message),
      onSchema: (schema, timeline) => this.world.setSchema(schema, timeline),
      onState: (state) => {
        this.link.set(state);
        this.store();
      },
      onOver: (code, message) => {
        forgetMatch();
        this.over.set({ code, message });
      },
    });
    this.timers = [setInterval(() => this.slow(), SLOW_MS), setInterval(() => void this.askScore(), SCORE_MS)];
    void this.askScore();
    this.store();
  }

  /** Everything that is somewhere, for the next picture. */
  things(seconds: number): Thing[] {
    return this.world.things(this.client.drawTick(seconds));
  }

  /** Asks the game for something: a value for each number of the request's schema. */
  request(kind: number, values: readonly number[]): void {
    const fields = this.world.schema.value?.requests[kind - 1]?.fields ?? [];
    const integers = fields.map((field, i) => integerOf(field, values[i] ?? 0));
    this.open.set(this.client.request(kind, writeNumbers(integers)), kind);
    this.answer(kind, { state: "waiting" });
  }

  /** Closes the session; the seat goes back to a bot. */
  leave(): void {
    for (const timer of this.timers) clearInterval(timer);
    forgetMatch();
    this.client.leave();
  }

  private get schema(): Schema | undefined {
    return this.world.schema.value;
  }

  private game(): PlayedGame<Still, number[]> {
    return {
      name: "",
      step: (body) => body,
      equal: () => true,
      place: () => [0, 0, 0],
      body: () => "still",
      write: (writer, steps) => writeInput(writer, this.schema?.input?.fields ?? [], steps),
      same: (a, b) => a.length === b.length && a.every((steps, i) => steps === b[i]),
    };
  }

  private sample(): number[] {
    return this.hands?.sample() ?? (this.schema?.input?.fields ?? []).map(restOf);
  }

  private room(message: RoomMessage["kind"]): void {
    if (message.case === "joined") this.world.own = message.value.seat;
    if (message.case === "joined" || message.case === "roster") this.world.setRoster(message.value.roster);
    else if (message.case === "event") this.world.addEvent(message.value.tick, message.value.kind, message.value.body);
    else if (message.case === "answer") this.answered(message.value);
    else if (message.case === "matchEnded" && message.value.result !== undefined) this.end(message.value.result);
  }

  private answered({ request, code, body }: Answer): void {
    const kind = this.open.get(request);
    const answer = this.schema?.requests[(kind ?? 0) - 1]?.answer;
    this.open.delete(request);
    if (kind === undefined || answer === undefined) return;
    const integers = readNumbers(body, answer.fields.length) ?? [];
    this.answer(kind, code === 0 ? { state: "answered", values: named(answer.fields, integers) } : { state: "refused", code });
  }

  private answer(kind: number, asked: Asked): void {
    this.asked.set(new Map([...this.asked.value, [kind, asked]]));
  }

  private end(result: MatchResult): void {
    forgetMatch();
    this.endsAt = undefined;
    this.world.setScore(result.teamScores, 0);
    this.result.set(result);
  }

  private async askScore(): Promise<void> {
    if (this.result.value !== undefined || document.hidden) return;
    const match = await call<MatchInfo>("GET", `/api/v1/matches/${this.grant.match_id}`).catch(() => undefined);
    if (match?.state !== "running" || this.result.value !== undefined) return;
    this.endsAt = performance.now() + match.ends_in_ms;
    this.world.setScore(match.score, this.secondsLeft());
  }

  private secondsLeft(): number | undefined {
    return this.endsAt === undefined ? undefined : Math.max(0, Math.ceil((this.endsAt - performance.now()) / 1_000));
  }

  private slow(): void {
    this.net.set(this.client.stats());
    if (this.endsAt !== undefined) this.world.setScore(this.world.score.value.teams, this.secondsLeft());
    if ((this.world.timeline?.newest ?? -1) >= 0) this.entered.set(true);
    // A second path uses up a generation without any change of the state.
    this.store();
  }

  private store(): void {
    if (this.result.value !== undefined || this.over.value !== undefined) return;
    storeMatch(this.grant, this.client?.link.session.saved);
  }
}

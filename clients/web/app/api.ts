// `/api/v1` with types. Every failure becomes a `Failure` that says what happened, its code and what to do.

import { type Action, actionOf, CODE, codeLabel, helpOf, nameOf } from "../src/codes.ts";
import type { Endpoint } from "../src/pipe.ts";

export interface User {
  id: string;
  name: string;
  role: "guest" | "user" | "editor" | "moderator" | "operator";
}
export interface SignedIn {
  token: string;
  user: User;
  expires_us: number;
}
export interface Mode {
  name: string;
  teams: number;
  team_size: number;
  duration_s: number;
}
export interface Games {
  /** Name of the game. */
  game: string;
  modes: Mode[];
}
export interface SeatGrant {
  match_id: string;
  team: number;
  endpoints: Endpoint[];
  token: string;
}
export interface Ticket {
  ticket: string;
  state: "queued" | "claimed" | "matched" | "cancelled" | "failed";
  waited_ms: number;
  estimate_ms?: number;
  explain: string[];
  code?: string;
  match?: SeatGrant;
}
export interface RosterSeat {
  seat: number;
  team: number;
  name: string;
  bot: boolean;
  connected: boolean;
}
export interface MatchInfo {
  id: string;
  mode: string;
  state: "starting" | "running" | "ended" | "lost";
  score: number[];
  roster: RosterSeat[];
  people: number;
  ends_in_ms: number;
}
export interface Rating {
  mode: string;
  rating: number;
  uncertainty: number;
  matches: number;
}
export interface Overview {
  fleet?: {
    hosts: { id: string; state: string; rooms: number; rooms_max: number; tick_load_permille: number; heard_ms_ago: number; age_s: number }[];
    rooms: { id: string; host: string; mode: string; state: string; people: number; bots: number; score: number[]; tick: number; tick_us_p50: number; tick_us_p99: number; overruns: number; inputs: number; inputs_late: number; refused: number; ends_in_ms: number }[];
  };
  live?: { sessions: number; attached: number; topics: number; viewers: number; publications_per_s: number; deliveries_per_s: number; slow_readers: number };
  match?: {
    queues: { mode: string; tickets: number; players: number; oldest_wait_ms: number; typical_wait_ms: number | null }[];
    open_claims: number;
    queued_total: number;
    matched_total: number;
    cancelled_total: number;
    failed_total: number;
    bot_seats_total: number;
  };
}

/** What went wrong, in words for people. */
export class Failure extends Error {
  readonly action: Action;

  constructor(
    readonly code: number,
    message: string,
    readonly retryAfterMs = 0,
    readonly requestId = "",
  ) {
    super(message === "" ? helpOf(code) : message);
    this.action = actionOf(code);
  }

  /** `A0402 AlreadyQueued`. */
  get label(): string {
    return `${codeLabel(this.code)} ${nameOf(this.code)}`;
  }

  static from(error: unknown): Failure {
    if (error instanceof Failure) return error;
    return new Failure(CODE.Unavailable, "The server did not answer. Check the connection and try again.");
  }
}

interface Problem {
  code?: string;
  title?: string;
  detail?: string;
  retry_after_ms?: number;
  request_id?: string;
}

/** One call. `token` is the user token, where the call needs one. */
export async function call<T>(method: string, path: string, options: { token?: string | undefined; body?: unknown; signal?: AbortSignal } = {}): Promise<T> {
  const headers: Record<string, string> = {};
  if (options.token !== undefined) headers.authorization = `Bearer ${options.token}`;
  const init: RequestInit = { method, headers };
  if (options.body !== undefined) {
    headers["content-type"] = "application/json";
    init.body = JSON.stringify(options.body);
  }
  if (options.signal !== undefined) init.signal = options.signal;
  const response = await fetch(path, init);
  if (response.ok) return (response.status === 204 ? undefined : await response.json()) as T;
  const problem = (await response.json().catch(() => ({}))) as Problem;
  const number = Number(problem.code?.slice(1) ?? CODE.Internal);
  throw new Failure(number, problem.detail ?? problem.title ?? "", problem.retry_after_ms ?? 0, problem.request_id ?? "");
}

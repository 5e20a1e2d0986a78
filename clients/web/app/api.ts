// What `/api/v1` answers, as types.

import type { Endpoint } from "../src/pipe.ts";

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

// What goes into the session engine, and what comes out.

import type { Control, Welcome } from "./wire.ts";

/** What a reloaded page needs to find its session again. */
export interface Saved {
  session: string;
  secret: Uint8Array;
  /** The newest generation used. */
  generation: number;
}

/** Who connects, and to what. All times are µs of one local clock. */
export interface ConnectRequest {
  token: string;
  app: string;
  game: string;
  build: string;
  schemaHash: bigint;
  capabilities: string[];
  pingEveryUs: number;
  resume?: Saved | undefined;
  /** Home session: the topics that a resume brings back with its Hello, as many as fit. */
  topics?: () => TopicPosition[];
}

/** A subscription and how far its reader has come; without `since` nothing was read yet. */
export interface TopicPosition {
  topic: string;
  since?: { epoch: bigint; offset: number } | undefined;
}

/** `streams` have a pipe per lane and real datagrams; `ordered` is one message pipe (WebSocket). */
export type PipeKind = "streams" | "ordered";

export type Output =
  | { kind: "frame"; pipe: number; lane: number; payload: Uint8Array }
  | { kind: "datagram"; pipe: number; bytes: Uint8Array }
  | { kind: "close-pipe"; pipe: number; code: number; message: string }
  | { kind: "attached"; resumed: boolean; generation: number; welcome: Welcome; restored: string[] }
  | { kind: "detached" }
  | { kind: "message"; lane: number; payload: Uint8Array }
  | { kind: "control"; control: Control }
  | { kind: "datagram-received"; lane: number; payload: Uint8Array }
  | { kind: "fate"; seq: number; acked: boolean }
  | { kind: "lane-lost"; lane: number; code: number }
  | { kind: "refused" | "closed"; code: number; message: string; retryAfterMs: number };

/** Counters for the net overlay. */
export interface SessionStats {
  bytesIn: number;
  bytesOut: number;
  datagramsIn: number;
  datagramsOut: number;
  datagramsLost: number;
  attaches: number;
}

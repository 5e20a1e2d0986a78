// The entry `amphi/game`: match sessions and replicated worlds. `docs/wire.md` describes the bytes.

export * from "./arena-move.ts";
export { MatchClient, type MatchOptions, type NetStats, type PlayedGame } from "./client.ts";
export { Link, type LinkState, nowMicros } from "./link.ts";
export type { Endpoint } from "./pipe.ts";
export { ReplicaError, SnapshotDecoder, ViewDecoder } from "./replica.ts";
export { type Row, Schema } from "./schema.ts";
export { Session } from "./session.ts";
export type { Saved } from "./session-types.ts";
export { Timeline } from "./timeline.ts";

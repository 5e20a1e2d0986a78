// The messages of a session and of topics (`shared/wire/proto/session.proto`, `topic.proto`), as far as clients speak them.
// A test holds these tables against the descriptors in `gen`.

import { bool, bytes, fixed64, many, message, number, type Of, one, oneof, string } from "./protobuf.ts";

export const LanePosition = message({ lane: one(1, number), nextSeq: one(2, number) });
export const LaneLost = message({ lane: one(1, number), code: one(2, number) });
export const TopicPosition = message({ topic: one(1, string), epoch: one(2, fixed64), offset: one(3, number) });
export const Resume = message({
  session: one(1, string),
  secret: one(2, bytes),
  generation: one(3, number),
  received: many(4, LanePosition),
  welcomed: one(5, number),
  lost: many(6, LaneLost),
  topics: many(7, TopicPosition),
});
export const Hello = message({
  protocolMin: one(1, number),
  protocolMax: one(2, number),
  app: one(3, string),
  game: one(4, string),
  build: one(5, string),
  schemaHash: one(6, fixed64),
  capabilities: many(8, string),
  token: one(9, string),
  resume: one(10, Resume),
});
export const Welcome = message({
  protocol: one(1, number),
  session: one(3, string),
  secret: one(4, bytes),
  generation: one(5, number),
  clockId: one(6, fixed64),
  tick0Us: one(8, number),
  tickHz: one(9, number),
  resumed: one(10, bool),
  received: many(11, LanePosition),
  lost: many(12, LaneLost),
});
export const Refused = message({ code: one(1, number), message: one(2, string), retryAfterMs: one(3, number) });
export const Ack = message({ received: many(1, LanePosition) });
export const Ping = message({ t0Us: one(1, number) });
export const Pong = message({ t0Us: one(1, number), t1Us: one(2, number), t2Us: one(3, number), tick0Us: one(4, number) });
export const Close = message({ code: one(1, number), message: one(2, string), retryAfterMs: one(3, number), sent: many(4, LanePosition) });
export const Link = message({
  kind: oneof({ hello: one(1, Hello), welcome: one(2, Welcome), refused: one(3, Refused), ack: one(4, Ack), ping: one(5, Ping), pong: one(6, Pong), close: one(7, Close) }),
});

export const Endpoint = message({ transport: one(1, string), url: one(2, string), certSha256: many(3, bytes), region: one(4, string) });
export const MatchMoved = message({ matchId: one(1, string), endpoints: many(2, Endpoint) });
export const Notice = message({ code: one(1, number), message: one(2, string) });
export const Refresh = message({ token: one(1, string) });
export const Refreshed = message({ expiresUs: one(1, number), code: one(2, number), message: one(3, string), retryAfterMs: one(4, number) });
export const Control = message({
  kind: oneof({ matchMoved: one(1, MatchMoved), notice: one(2, Notice), refresh: one(3, Refresh), refreshed: one(4, Refreshed) }),
});

export const Position = message({ epoch: one(1, fixed64), offset: one(2, number) });
export const Payload = message({ kind: oneof({ json: one(1, string), text: one(2, string), binary: one(3, bytes) }) });
export const Subscribe = message({ topic: one(1, string), since: one(2, Position), meta: one(3, string) });
export const Unsubscribe = message({ topic: one(1, string) });
export const Publish = message({ topic: one(1, string), payload: one(2, Payload), key: one(3, string) });
export const WatchPresence = message({ topic: one(1, string) });
export const SetPresence = message({ topic: one(1, string), meta: one(2, string) });
export const TopicRequest = message({
  id: one(1, number),
  kind: oneof({ subscribe: one(2, Subscribe), unsubscribe: one(3, Unsubscribe), publish: one(4, Publish), watchPresence: one(5, WatchPresence), setPresence: one(8, SetPresence) }),
});
export const Failed = message({ code: one(1, number), message: one(2, string), retryAfterMs: one(3, number) });
export const Subscribed = message({ topic: one(1, string), alias: one(2, number), epoch: one(3, fixed64), offset: one(4, number), recovered: one(5, bool), replayed: one(6, number) });
export const Unsubscribed = message({ topic: one(1, string), alias: one(2, number), code: one(3, number) });
export const Published = message({ offset: one(1, number) });
export const Member = message({ user: one(1, string), name: one(2, string), connections: one(3, number), meta: one(4, string) });
export const PresenceState = message({ topic: one(1, string), alias: one(2, number), count: one(3, number), listed: one(4, bool), members: many(5, Member) });
export const PresenceDiff = message({ alias: one(1, number), count: one(2, number), listed: one(3, bool), joined: many(4, Member), changed: many(5, Member), left: many(6, string) });
export const Done = message({});
export const TopicReply = message({
  id: one(1, number),
  kind: oneof({ failed: one(2, Failed), subscribed: one(3, Subscribed), unsubscribed: one(4, Unsubscribed), published: one(5, Published), presenceState: one(6, PresenceState), presenceDiff: one(7, PresenceDiff), done: one(9, Done) }),
});

export type LanePosition = Of<typeof LanePosition>;
export type TopicPosition = Of<typeof TopicPosition>;
export type Welcome = Of<typeof Welcome>;
export type Refused = Of<typeof Refused>;
export type Close = Of<typeof Close>;
export type Link = Of<typeof Link>;
export type Control = Of<typeof Control>;
export type Refreshed = Of<typeof Refreshed>;
export type Member = Of<typeof Member>;
export type PresenceState = Of<typeof PresenceState>;
export type PresenceDiff = Of<typeof PresenceDiff>;
export type Payload = Of<typeof Payload>;
export type Subscribed = Of<typeof Subscribed>;
export type Unsubscribed = Of<typeof Unsubscribed>;
export type TopicReply = Of<typeof TopicReply>;
export type TopicRequest = Of<typeof TopicRequest>;

// Topics of a home session: subscriptions that recover by position, and publishing with an idempotency key.

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { CODE } from "./codes.ts";
import { concat, decodeVarint, FrameError, LANE_CONTROL, LANE_TOPICS } from "./frame.ts";
import { type Control, ControlSchema, type Refreshed, RefreshSchema } from "./gen/session_pb.ts";
import * as proto from "./gen/topic_pb.ts";
import { Link, type LinkEvent, type LinkState, nowMicros } from "./link.ts";
import type { Endpoint } from "./pipe.ts";
import { expiryOf, refreshDelay } from "./token.ts";

const PING_EVERY_MS = 25_000;
/** A silent connection is given up after two pings and some more. */
const SILENCE_MS = 2 * PING_EVERY_MS + 10_000;
/** A topic that a Hello should have brought back and that nobody speaks of after this long is asked for. */
const RESTORE_MS_MAX = 3_000;
/** A token that could not be refreshed is tried again after this long. */
const REFRESH_AGAIN_MS = 10_000;

/** One message of a topic. */
export interface Publication {
  offset: number;
  keyframe: boolean;
  payload: proto.Payload["kind"];
}

/** What a subscriber hears. */
export interface Subscriber {
  publication(publication: Publication): void;
  /** `gap` says that publications were missed for good. */
  subscribed?(info: { replayed: number; gap: boolean }): void;
  failed?(code: number, message: string): void;
}

/** Why the server did not do what was asked. */
export class TopicError extends Error {
  constructor(
    readonly code: number,
    message: string,
    readonly retryAfterMs: number,
  ) {
    super(message);
  }
}

interface Subscription {
  topic: string;
  subscriber: Subscriber;
  position: { epoch: bigint; offset: number } | undefined;
  /** What a newcomer gets: so many publications are still to come, behind which it stands at this position. */
  replay: { left: number; epoch: bigint; offset: number } | undefined;
  /** The server has answered on this connection. */
  answered: boolean;
}

interface Pending {
  request: proto.TopicRequest;
  resolve: (reply: proto.TopicReply["kind"]) => void;
  /** Sent again after a reconnect; a subscription is renewed instead. */
  repeat: boolean;
}

export interface TopicsOptions {
  endpoints: Endpoint[];
  token: string;
  /** Gets a newer token of the same person, some time before the current one expires. */
  refresh?: () => Promise<string>;
  onState?: (state: LinkState) => void;
  onControl?: (control: Control) => void;
  onOver?: (code: number, message: string) => void;
}

/** The home session: one connection for every topic a page reads or writes. */
export class TopicsClient {
  private link: Link;
  private subscriptions = new Map<string, Subscription>();
  private aliases = new Map<number, Subscription>();
  private pending = new Map<number, Pending>();
  private nextId = 1;
  private refreshing: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly options: TopicsOptions) {
    const topics = () => [...this.subscriptions.values()].map(({ topic, position }) => ({ topic, since: position }));
    this.link = new Link(
      { token: options.token, app: "", game: "", build: "web", schemaHash: 0n, capabilities: [], pingEveryUs: PING_EVERY_MS * 1_000, topics },
      {
        endpoints: options.endpoints,
        lanes: [LANE_CONTROL, LANE_TOPICS],
        silenceMs: () => SILENCE_MS,
        giveUpMs: Infinity,
        onEvent: (event) => this.handle(event),
        ...(options.onState && { onState: options.onState }),
      },
    );
  }

  get state(): LinkState {
    return this.link.state;
  }

  get transport(): string {
    return this.link.transport;
  }

  get rttMs(): number {
    return this.link.session.clock.srtt / 1_000;
  }

  /** Server time in µs. */
  serverTime(nowUs: number): number {
    return this.link.session.clock.serverTime(nowUs);
  }

  /** Reads a topic until the returned function is called. One subscriber per topic. */
  subscribe(topic: string, subscriber: Subscriber): () => void {
    const subscription: Subscription = { topic, subscriber, position: undefined, replay: undefined, answered: false };
    this.subscriptions.set(topic, subscription);
    if (this.link.state === "live") this.renew(subscription);
    return () => {
      if (this.subscriptions.get(topic) !== subscription) return;
      this.subscriptions.delete(topic);
      for (const [alias, known] of this.aliases) if (known === subscription) this.aliases.delete(alias);
      if (this.link.state === "live") this.leave(topic);
    };
  }

  private leave(topic: string): void {
    void this.request({ case: "unsubscribe", value: create(proto.UnsubscribeSchema, { topic }) }, false);
  }

  /** Publishes text; resolves with its offset, or rejects with a `TopicError`. */
  async publishText(topic: string, text: string): Promise<number> {
    const payload = create(proto.PayloadSchema, { kind: { case: "text", value: text } });
    const value = create(proto.PublishSchema, { topic, payload, key: crypto.randomUUID() });
    const reply = await this.request({ case: "publish", value }, true);
    if (reply.case === "published") return Number(reply.value.offset);
    throw failure(reply);
  }

  /** Ends the session. */
  close(): void {
    clearTimeout(this.refreshing);
    this.link.close();
  }

  private handle(event: LinkEvent): void {
    if (event.kind === "attached") this.attached(event.restored);
    else if (event.kind === "message" && event.lane === LANE_TOPICS) this.message(event.payload);
    else if (event.kind === "control") this.control(event.control);
    else if (event.kind === "closed" || event.kind === "refused") {
      clearTimeout(this.refreshing);
      this.options.onOver?.(event.code, event.message);
    }
  }

  private control(control: Control): void {
    if (control.kind.case === "refreshed") this.refreshed(control.kind.value);
    else this.options.onControl?.(control);
  }

  private attached(restored: string[]): void {
    if (this.refreshing === undefined) this.refreshBefore(expiryOf(this.options.token));
    this.aliases.clear();
    for (const [id, pending] of [...this.pending]) {
      if (pending.repeat) this.write(pending.request);
      else this.pending.delete(id);
    }
    for (const subscription of this.subscriptions.values()) {
      subscription.answered = false;
      if (!restored.includes(subscription.topic)) this.renew(subscription);
    }
    // A node of an older version does not know topics in a Hello.
    if (restored.length > 0) setTimeout(() => this.renewUnanswered(restored), RESTORE_MS_MAX);
  }

  private renewUnanswered(topics: string[]): void {
    if (this.link.state !== "live") return;
    for (const topic of topics) {
      const subscription = this.subscriptions.get(topic);
      if (subscription !== undefined && !subscription.answered) this.renew(subscription);
    }
  }

  /** Plans the next refresh; times in µs of the server's clock. */
  private refreshBefore(expires: number | undefined): void {
    const { refresh } = this.options;
    if (refresh === undefined || expires === undefined) return;
    this.refreshIn(refreshDelay(expires, this.serverTime(nowMicros())), refresh);
  }

  private refreshIn(delayMs: number, refresh: () => Promise<string>): void {
    clearTimeout(this.refreshing);
    this.refreshing = setTimeout(() => {
      const again = () => this.refreshIn(REFRESH_AGAIN_MS, refresh);
      // Until the answer comes, and should it never come.
      again();
      refresh().then((token) => {
        this.link.session.setToken(token);
        const value = create(RefreshSchema, { token });
        const control = toBinary(ControlSchema, create(ControlSchema, { kind: { case: "refresh", value } }));
        this.link.send(LANE_CONTROL, concat(Uint8Array.of(1), control));
      }, again);
    }, delayMs);
  }

  private refreshed({ code, expiresUs }: Refreshed): void {
    if (code === 0) this.refreshBefore(Number(expiresUs));
  }

  private renew(subscription: Subscription): void {
    const { topic, position } = subscription;
    const since = position && create(proto.PositionSchema, { epoch: position.epoch, offset: BigInt(position.offset) });
    const value = create(proto.SubscribeSchema, since === undefined ? { topic } : { topic, since });
    void this.request({ case: "subscribe", value }, false).then((reply) => {
      if (reply.case !== "failed" || this.subscriptions.get(topic) !== subscription) return;
      if (reply.value.code === CODE.AlreadySubscribed) this.renewAfterLeaving(subscription);
      else subscription.subscriber.failed?.(reply.value.code, reply.value.message);
    });
  }

  private renewAfterLeaving(subscription: Subscription): void {
    const value = create(proto.UnsubscribeSchema, { topic: subscription.topic });
    void this.request({ case: "unsubscribe", value }, false).then(() => this.renew(subscription));
  }

  private request(kind: proto.TopicRequest["kind"], repeat: boolean): Promise<proto.TopicReply["kind"]> {
    const id = this.nextId++;
    const request = create(proto.TopicRequestSchema, { id, kind });
    return new Promise((resolve) => {
      this.pending.set(id, { request, resolve, repeat });
      this.write(request);
    });
  }

  private write(request: proto.TopicRequest): void {
    if (this.link.state === "live") this.link.send(LANE_TOPICS, toBinary(proto.TopicRequestSchema, request));
  }

  private message(payload: Uint8Array): void {
    if (payload[0] === 1) return this.publication(payload);
    if (payload[0] !== 0) throw new FrameError("lane 1 holds a reply or a publication");
    const { id, kind } = fromBinary(proto.TopicReplySchema, payload.subarray(1));
    if (kind.case === "subscribed") this.subscribed(kind.value);
    if (kind.case === "unsubscribed" && id === 0) this.dropped(kind.value);
    const pending = this.pending.get(id);
    this.pending.delete(id);
    pending?.resolve(kind);
  }

  private subscribed(info: proto.Subscribed): void {
    const subscription = this.subscriptions.get(info.topic);
    if (subscription === undefined) return this.leave(info.topic);
    subscription.answered = true;
    const before = subscription.position;
    const gap = before !== undefined && (!info.recovered || before.epoch !== info.epoch);
    const newest = { epoch: info.epoch, offset: Number(info.offset) };
    const isNew = gap || before === undefined;
    // In a topic with entries the offsets of a newcomer's publications have holes, so they are counted.
    subscription.replay = isNew && info.replayed > 0 ? { left: info.replayed, ...newest } : undefined;
    subscription.position = !isNew ? before : subscription.replay === undefined ? newest : undefined;
    this.aliases.set(info.alias, subscription);
    subscription.subscriber.subscribed?.({ replayed: info.replayed, gap });
  }

  private dropped({ topic, alias, code }: proto.Unsubscribed): void {
    const subscription = this.aliases.get(alias) ?? this.subscriptions.get(topic);
    this.aliases.delete(alias);
    if (subscription === undefined) return;
    subscription.answered = true;
    subscription.subscriber.failed?.(code, "");
  }

  private publication(bytes: Uint8Array): void {
    const alias = decodeVarint(bytes, 1);
    const offset = alias && decodeVarint(bytes, 1 + alias.length);
    if (alias === undefined || offset === undefined) throw new FrameError("the publication has no header");
    const flagsAt = 1 + alias.length + offset.length;
    const subscription = this.aliases.get(alias.value);
    if (subscription === undefined || !advance(subscription, offset.value)) return;
    const { kind } = fromBinary(proto.PayloadSchema, bytes.subarray(flagsAt + 1));
    subscription.subscriber.publication({ offset: offset.value, keyframe: (bytes[flagsAt]! & 1) === 1, payload: kind });
  }
}

/** Moves a subscription behind a publication; false when it was read before. */
function advance(subscription: Subscription, offset: number): boolean {
  const { replay, position } = subscription;
  if (replay !== undefined) {
    replay.left -= 1;
    if (replay.left === 0) subscription.replay = undefined;
    subscription.position = { epoch: replay.epoch, offset: replay.left === 0 ? replay.offset : offset };
    return true;
  }
  if (position === undefined || offset <= position.offset) return false;
  position.offset = offset;
  return true;
}

function failure(reply: proto.TopicReply["kind"]): TopicError {
  if (reply.case === "failed") return new TopicError(reply.value.code, reply.value.message, reply.value.retryAfterMs);
  return new TopicError(CODE.MessageInvalid, "the reply does not fit the request", 0);
}

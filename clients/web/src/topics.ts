// Topics of a home session: subscriptions that recover by position, and publishing with an idempotency key.

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { CODE } from "./codes.ts";
import { decodeVarint, FrameError, LANE_CONTROL, LANE_TOPICS } from "./frame.ts";
import { type Control } from "./gen/session_pb.ts";
import * as proto from "./gen/topic_pb.ts";
import { Link, type LinkEvent, type LinkState } from "./link.ts";
import type { Endpoint } from "./pipe.ts";

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

  constructor(private readonly options: TopicsOptions) {
    this.link = new Link(
      { token: options.token, app: "", game: "", build: "web", schemaHash: 0n, capabilities: [], pingEveryUs: 5_000_000 },
      {
        endpoints: options.endpoints,
        lanes: [LANE_CONTROL, LANE_TOPICS],
        silenceMs: () => 12_000,
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
    const subscription: Subscription = { topic, subscriber, position: undefined };
    this.subscriptions.set(topic, subscription);
    if (this.link.state === "live") this.renew(subscription);
    return () => {
      if (this.subscriptions.get(topic) !== subscription) return;
      this.subscriptions.delete(topic);
      for (const [alias, known] of this.aliases) if (known === subscription) this.aliases.delete(alias);
      if (this.link.state === "live") void this.request({ case: "unsubscribe", value: create(proto.UnsubscribeSchema, { topic }) }, false);
    };
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
    this.link.close();
  }

  private handle(event: LinkEvent): void {
    if (event.kind === "attached") this.attached();
    else if (event.kind === "message" && event.lane === LANE_TOPICS) this.message(event.payload);
    else if (event.kind === "control") this.options.onControl?.(event.control);
    else if (event.kind === "closed" || event.kind === "refused") this.options.onOver?.(event.code, event.message);
  }

  private attached(): void {
    this.aliases.clear();
    for (const [id, pending] of [...this.pending]) {
      if (pending.repeat) this.write(pending.request);
      else this.pending.delete(id);
    }
    for (const subscription of this.subscriptions.values()) this.renew(subscription);
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
    if (subscription === undefined) return;
    const before = subscription.position;
    const gap = before !== undefined && (!info.recovered || before.epoch !== info.epoch);
    const offset = gap || before === undefined ? Number(info.offset) - info.replayed : before.offset;
    subscription.position = { epoch: info.epoch, offset };
    this.aliases.set(info.alias, subscription);
    subscription.subscriber.subscribed?.({ replayed: info.replayed, gap });
  }

  private dropped({ alias, code }: proto.Unsubscribed): void {
    const subscription = this.aliases.get(alias);
    this.aliases.delete(alias);
    subscription?.subscriber.failed?.(code, "");
  }

  private publication(bytes: Uint8Array): void {
    const alias = decodeVarint(bytes, 1);
    const offset = alias && decodeVarint(bytes, 1 + alias.length);
    if (alias === undefined || offset === undefined) throw new FrameError("the publication has no header");
    const flagsAt = 1 + alias.length + offset.length;
    const subscription = this.aliases.get(alias.value);
    const position = subscription?.position;
    if (subscription === undefined || position === undefined || offset.value <= position.offset) return;
    position.offset = offset.value;
    const { kind } = fromBinary(proto.PayloadSchema, bytes.subarray(flagsAt + 1));
    subscription.subscriber.publication({ offset: offset.value, keyframe: (bytes[flagsAt]! & 1) === 1, payload: kind });
  }
}

function failure(reply: proto.TopicReply["kind"]): TopicError {
  if (reply.case === "failed") return new TopicError(reply.value.code, reply.value.message, reply.value.retryAfterMs);
  return new TopicError(CODE.MessageInvalid, "the reply does not fit the request", 0);
}

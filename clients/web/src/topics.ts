// Topics of a home session: subscriptions that recover by position, publications that are made once.

import { CODE } from "./codes.ts";
import { AmphiError } from "./error.ts";
import { concat, decodeVarint, FrameError, LANE_CONTROL, LANE_TOPICS } from "./frame.ts";
import { type History, type HistoryOptions, readHistory } from "./history.ts";
import { Link, type LinkEvent, type LinkState, nowMicros } from "./link.ts";
import { Outbox, type OutboxLimits, type Outgoing } from "./outbox.ts";
import type { WebSocketClass } from "./pipe.ts";
import type { Presence, Roster } from "./presence.ts";
import { Subscription, type Subscriber } from "./subscription.ts";
import { expiryOf, refreshDelay, subjectOf } from "./token.ts";
import * as wire from "./wire.ts";

const PING_EVERY_MS = 25_000;
/** A silent connection is given up after two pings and some more. */
const SILENCE_MS = 2 * PING_EVERY_MS + 10_000;
/** … and after this long when it owes an answer to a publication. */
const ANSWER_MS_MAX = 10_000;
const TICK_MS = 100;
/** A topic that a Hello should have brought back and that nobody speaks of after this long is asked for. */
const RESTORE_MS_MAX = 3_000;
/** A token that could not be refreshed is tried again after this long. */
const REFRESH_AGAIN_MS = 10_000;
/** What may be tried again is tried after this long, unless the server says when. */
const AGAIN_MS = 1_000;
const OUTBOX: OutboxLimits = { messages: 100, bytes: 256 * 1024 };
/** Random bytes of an idempotency key. */
const KEY_BYTES = 16;

export interface PublishOptions {
  /** Idempotency key, at most 64 bytes; made here when there is none. With the same key a message is made once. */
  key?: string | undefined;
  /** Gives up waiting. What was already sent may still be published. */
  signal?: AbortSignal | undefined;
}

export interface ConnectOptions {
  /** Address of the server: `https://live.example.org`. */
  url: string;
  /** User token. */
  token: string;
  /** Gets a newer token of the same person, some time before the current one ends. */
  refresh?: (() => Promise<string>) | undefined;
  /** App of the token when it is not `default`. */
  app?: string | undefined;
  /** A WebSocket class where there is none in the surroundings: `ws` in Node before 22. */
  WebSocket?: unknown;
  /** How much `publish` keeps while there is no connection. */
  outbox?: Partial<OutboxLimits> | undefined;
  onState?: ((state: LinkState) => void) | undefined;
  /** How many publications wait for an answer of the server. */
  onWaiting?: ((waiting: number) => void) | undefined;
  /** Words of the operators, and where a match has moved to. */
  onControl?: ((control: wire.Control) => void) | undefined;
  /** The client has ended and will not come back by itself. */
  onOver?: ((error: AmphiError) => void) | undefined;
}

interface Sending extends Outgoing {
  readonly publish: { topic: string; payload: wire.Payload; key: string };
  resolve(offset: number): void;
  reject(reason: unknown): void;
}

/** Connects to the topics of a server; goes on for as long as it is not closed, over lost connections and new tokens. */
export function connect(options: ConnectOptions): TopicsClient {
  return new TopicsClient(options);
}

/** The home session: one connection for every topic that is read or written. */
export class TopicsClient {
  /** Why the client has ended. */
  failure: AmphiError | undefined;
  private link: Link;
  private current: LinkState = "connecting";
  private followers = new Set<() => void>();
  private token: string;
  private subscriptions = new Map<string, Subscription>();
  private aliases = new Map<number, Subscription>();
  /** What was asked for on this connection, besides publications. */
  private asked = new Map<number, (reply: wire.TopicReply["kind"]) => void>();
  private nextId = 1;
  private outbox: Outbox<Sending>;
  /** The number of waiting ones that the owner heard last. */
  private said = 0;
  private outboxTimer: ReturnType<typeof setTimeout> | undefined;
  private writtenAt = Infinity;
  private refreshing: ReturnType<typeof setTimeout> | undefined;
  private reopening: ReturnType<typeof setTimeout> | undefined;
  private readonly network = { online: () => this.link.hurry(), offline: () => this.link.drop() };

  constructor(private readonly options: ConnectOptions) {
    if (socketClass(options) === undefined) throw new TypeError("there is no WebSocket here: pass one as the option `WebSocket`, for instance that of the package `ws`");
    this.token = options.token;
    this.outbox = new Outbox({ ...OUTBOX, ...options.outbox });
    this.link = this.open();
    // Only where there are windows or workers.
    if (typeof globalThis.addEventListener === "function") for (const [name, heard] of Object.entries(this.network)) addEventListener(name, heard);
  }

  get state(): LinkState {
    return this.current;
  }

  /** Publications that the server has not answered. */
  get waiting(): number {
    return this.outbox.size;
  }

  /** Whom the token is for. */
  get user(): string | undefined {
    return subjectOf(this.token);
  }

  /** Calls after each change of `state` and `waiting`, until the returned function is called. */
  follow(changed: () => void): () => void {
    this.followers.add(changed);
    return () => void this.followers.delete(changed);
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

  /** Reads a topic until the returned function is called. A client reads a topic once: throws `AlreadySubscribed`. */
  subscribe(topic: string, subscriber: Subscriber): () => void {
    if (this.subscriptions.has(topic)) throw new AmphiError(CODE.AlreadySubscribed);
    const subscription = new Subscription(topic, subscriber);
    this.subscriptions.set(topic, subscription);
    this.renew(subscription);
    return () => {
      if (!this.forget(subscription)) return;
      this.leave(topic);
    };
  }

  /**
   * Publishes a value as JSON, or bytes as they are. Waits for the connection as long as there is none, and tries again what
   * the server may take later; publications of one topic arrive in order, each one once. Resolves with the offset, rejects
   * with an `AmphiError`.
   */
  publish(topic: string, data: unknown, options: PublishOptions = {}): Promise<number> {
    if (data instanceof Uint8Array) return this.send(topic, { kind: { case: "binary", value: data } }, options);
    const json = JSON.stringify(data) as string | undefined;
    if (json === undefined) return Promise.reject(new AmphiError(CODE.MessageInvalid, "the data has no JSON form"));
    return this.send(topic, { kind: { case: "json", value: json } }, options);
  }

  /** The same for a text, which is what a chat takes. */
  publishText(topic: string, text: string, options: PublishOptions = {}): Promise<number> {
    return this.send(topic, { kind: { case: "text", value: text } }, options);
  }

  /** Changes what others see beside this person in a topic that is read, here and on later connections. */
  setPresence(topic: string, meta: unknown): void {
    const subscription = this.subscriptions.get(topic);
    if (subscription === undefined) throw new AmphiError(CODE.NotSubscribed);
    subscription.meta = meta === undefined ? "" : JSON.stringify(meta);
    if (subscription.answered) this.showPresence(subscription);
  }

  /** What a topic remembers, oldest first, without reading it. */
  history(topic: string, options: HistoryOptions = {}): Promise<History> {
    return readHistory(this.options.url, this.token, topic, options);
  }

  /** Ends the session. What waits is rejected. */
  close(): void {
    this.link.close();
    this.end(new AmphiError(CODE.Bye, "The client was closed."));
  }

  private open(): Link {
    const { app = "" } = this.options;
    const topics = () => [...this.subscriptions.values()].map(({ topic, place }) => ({ topic, since: place }));
    return new Link(
      { token: this.token, app, game: "", build: "web", schemaHash: 0n, capabilities: [], pingEveryUs: PING_EVERY_MS * 1_000, topics },
      {
        endpoints: [{ transport: "ws", url: sessionUrl(this.options.url), cert_sha256: [] }],
        lanes: [LANE_CONTROL, LANE_TOPICS],
        silenceMs: () => (performance.now() - this.writtenAt > ANSWER_MS_MAX ? ANSWER_MS_MAX : SILENCE_MS),
        giveUpMs: Infinity,
        tickMs: TICK_MS,
        webSocket: socketClass(this.options),
        onEvent: (event) => this.handle(event),
        onState: (state) => {
          // Whether the client ends with its session says the event that follows.
          if (state !== "over") this.setState(state);
        },
      },
    );
  }

  private handle(event: LinkEvent): void {
    if (event.kind === "attached") this.attached(event.restored);
    else if (event.kind === "message" && event.lane === LANE_TOPICS) this.message(event.payload);
    else if (event.kind === "control") this.control(event.control);
    else if (event.kind === "closed" || event.kind === "refused") this.ended(event);
  }

  private setState(state: LinkState): void {
    if (this.current === state) return;
    this.current = state;
    this.say(() => this.options.onState?.(state));
    this.changed();
  }

  private changed(): void {
    for (const follower of this.followers) this.say(follower);
  }

  /** The session has ended: another one goes on where it stood, unless the server said to stop. */
  private ended({ code, message, retryAfterMs }: { code: number; message: string; retryAfterMs: number }): void {
    if (this.link.state !== "over") return;
    clearTimeout(this.refreshing);
    this.refreshing = undefined;
    const error = new AmphiError(code, message, retryAfterMs);
    const { refresh } = this.options;
    if (code === CODE.TokenExpired && refresh !== undefined) return void this.reopenAs(refresh);
    const mayReturn = error.action !== "stop" || code === CODE.SessionUnknown || code === CODE.SessionSecret;
    if (mayReturn) this.reopenIn(Math.max(retryAfterMs, AGAIN_MS));
    else this.end(error);
  }

  private async reopenAs(refresh: () => Promise<string>): Promise<void> {
    this.setState("lost");
    try {
      this.token = await refresh();
      this.reopenIn(AGAIN_MS);
    } catch {
      if (this.current !== "over") this.reopening = setTimeout(() => void this.reopenAs(refresh), REFRESH_AGAIN_MS);
    }
  }

  private reopenIn(delayMs: number): void {
    if (this.current === "over") return;
    this.setState("lost");
    this.reopening = setTimeout(() => (this.link = this.open()), delayMs);
  }

  private end(error: AmphiError): void {
    if (this.current === "over") return;
    for (const timer of [this.refreshing, this.reopening, this.outboxTimer]) clearTimeout(timer);
    if (typeof globalThis.removeEventListener === "function") for (const [name, heard] of Object.entries(this.network)) removeEventListener(name, heard);
    this.failure = error;
    this.setState("over");
    for (const sending of this.outbox.drain()) sending.reject(error);
    this.countWaiting();
    this.say(() => this.options.onOver?.(error));
  }

  /** Calls a callback of the owner, whose mistakes must not end the session. */
  private say(callback: () => void): void {
    try {
      callback();
    } catch (error) {
      queueMicrotask(() => {
        throw error;
      });
    }
  }

  private control(control: wire.Control): void {
    if (control.kind.case === "refreshed") this.refreshed(control.kind.value);
    else this.say(() => this.options.onControl?.(control));
  }

  private attached(restored: string[]): void {
    if (this.refreshing === undefined) this.refreshBefore(expiryOf(this.token));
    this.aliases.clear();
    this.asked.clear();
    this.outbox.lost();
    this.writtenAt = Infinity;
    for (const subscription of this.subscriptions.values()) {
      subscription.answered = false;
      if (!restored.includes(subscription.topic)) this.renew(subscription);
    }
    this.flush();
    // A node of an older version does not know topics in a Hello.
    if (restored.length > 0) setTimeout(() => this.renewUnanswered(restored), RESTORE_MS_MAX);
  }

  private renewUnanswered(topics: string[]): void {
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
        this.token = token;
        this.link.session.setToken(token);
        const control = wire.Control.encode({ kind: { case: "refresh", value: { token } } });
        this.link.send(LANE_CONTROL, concat(Uint8Array.of(1), control));
      }, again);
    }, delayMs);
  }

  private refreshed({ code, expiresUs }: wire.Refreshed): void {
    if (code === 0) this.refreshBefore(expiresUs);
  }

  private send(topic: string, payload: wire.Payload, { key = newKey(), signal }: PublishOptions): Promise<number> {
    return new Promise((resolve, reject) => {
      if (this.current === "over") throw new AmphiError(CODE.Bye, "The client has ended.");
      signal?.throwIfAborted();
      const publish = { topic, payload, key };
      const sending: Sending = { topic, bytes: wire.Publish.encode(publish).length, due: 0, request: undefined, publish, resolve, reject };
      this.outbox.add(sending);
      signal?.addEventListener("abort", () => {
        this.outbox.remove(sending);
        this.flush();
        reject(signal.reason as Error);
      }, { once: true });
      this.flush();
    });
  }

  /** Sends what may be sent now, and comes back when something else is due. */
  private flush(): void {
    this.countWaiting();
    if (this.link.state !== "live") return;
    const now = nowMicros();
    for (const sending of this.outbox.due(now)) {
      sending.request = this.nextId++;
      this.writtenAt = Math.min(this.writtenAt, performance.now());
      this.write({ id: sending.request, kind: { case: "publish", value: sending.publish } });
    }
    clearTimeout(this.outboxTimer);
    const next = this.outbox.nextDue(now);
    if (next !== undefined) this.outboxTimer = setTimeout(() => this.flush(), (next - now) / 1_000);
  }

  private countWaiting(): void {
    if (this.said === this.outbox.size) return;
    this.said = this.outbox.size;
    this.say(() => this.options.onWaiting?.(this.said));
    this.changed();
  }

  private published(sending: Sending, reply: wire.TopicReply["kind"]): void {
    this.writtenAt = Infinity;
    const error = reply.case === "published" ? undefined : failure(reply);
    if (error !== undefined && error.action !== "stop") {
      sending.request = undefined;
      sending.due = nowMicros() + (error.retryAfterMs || AGAIN_MS) * 1_000;
    } else {
      this.outbox.remove(sending);
      if (reply.case === "published") sending.resolve(reply.value.offset);
      else sending.reject(error);
    }
    this.flush();
  }

  private renew(subscription: Subscription): void {
    if (this.link.state !== "live") return;
    const { topic, place, meta } = subscription;
    this.ask({ case: "subscribe", value: { topic, since: place, meta } }, (reply) => {
      if (this.subscriptions.get(topic) !== subscription) return;
      if (reply.case === "subscribed") this.subscribed(subscription, reply.value);
      else if (reply.case === "failed" && reply.value.code === CODE.AlreadySubscribed) this.renewAfterLeaving(subscription);
      else this.refused(subscription, failure(reply));
    });
  }

  private renewAfterLeaving(subscription: Subscription): void {
    this.ask({ case: "unsubscribe", value: { topic: subscription.topic } }, () => {
      if (this.subscriptions.get(subscription.topic) === subscription) this.renew(subscription);
    });
  }

  /** A subscription is not, or no longer, there. */
  private refused(subscription: Subscription, error: AmphiError): void {
    subscription.answered = true;
    if (error.action === "stop") this.forget(subscription);
    else setTimeout(() => this.subscriptions.get(subscription.topic) === subscription && this.renew(subscription), Math.max(error.retryAfterMs, AGAIN_MS));
    this.say(() => subscription.subscriber.onError?.(error));
  }

  private forget(subscription: Subscription): boolean {
    if (this.subscriptions.get(subscription.topic) !== subscription) return false;
    this.subscriptions.delete(subscription.topic);
    for (const [alias, known] of this.aliases) if (known === subscription) this.aliases.delete(alias);
    return true;
  }

  private leave(topic: string): void {
    if (this.link.state === "live") this.ask({ case: "unsubscribe", value: { topic } }, () => undefined);
  }

  /** Asks on this connection; nobody hears the answer when it breaks. */
  private ask(kind: wire.TopicRequest["kind"], heard: (reply: wire.TopicReply["kind"]) => void): void {
    const id = this.nextId++;
    this.asked.set(id, heard);
    this.write({ id, kind });
  }

  private write(request: wire.TopicRequest): void {
    this.link.send(LANE_TOPICS, wire.TopicRequest.encode(request));
  }

  private message(payload: Uint8Array): void {
    if (payload[0] === 1) return this.publication(payload);
    if (payload[0] !== 0) throw new FrameError("lane 1 holds a reply or a publication");
    const { id, kind } = wire.TopicReply.decode(payload.subarray(1));
    const heard = this.asked.get(id);
    this.asked.delete(id);
    const sending = id === 0 ? undefined : this.outbox.find(id);
    if (heard !== undefined) heard(kind);
    else if (sending !== undefined) this.published(sending, kind);
    else if (kind.case === "unsubscribed") this.dropped(kind.value);
    else if (kind.case === "subscribed") {
      const subscription = this.subscriptions.get(kind.value.topic);
      if (subscription === undefined) this.leave(kind.value.topic);
      else {
        const isRestored = !subscription.answered;
        this.subscribed(subscription, kind.value);
        // A Hello brings topics back without what others see.
        if (isRestored && subscription.meta !== "") this.showPresence(subscription);
      }
    } else if (kind.case === "presenceState") this.present(this.subscriptions.get(kind.value.topic), (roster) => roster.begin(kind.value));
    else if (kind.case === "presenceDiff") this.present(this.aliases.get(kind.value.alias), (roster) => roster.apply(kind.value));
  }

  private present(subscription: Subscription | undefined, told: (roster: Roster) => Presence): void {
    if (subscription === undefined) return;
    const presence = told(subscription.roster);
    this.say(() => subscription.subscriber.onPresence?.(presence));
  }

  /** Watches on each connection anew. */
  private watch(subscription: Subscription): void {
    if (this.link.state !== "live") return;
    const { topic } = subscription;
    this.ask({ case: "watchPresence", value: { topic } }, (reply) => {
      if (this.subscriptions.get(topic) !== subscription) return;
      if (reply.case === "presenceState") return this.present(subscription, (roster) => roster.begin(reply.value));
      const error = failure(reply);
      if (error.action !== "stop") setTimeout(() => subscription.answered && this.subscriptions.get(topic) === subscription && this.watch(subscription), Math.max(error.retryAfterMs, AGAIN_MS));
      else this.say(() => subscription.subscriber.onError?.(error));
    });
  }

  private showPresence({ topic, meta }: Subscription): void {
    this.ask({ case: "setPresence", value: { topic, meta } }, () => undefined);
  }

  private subscribed(subscription: Subscription, info: wire.Subscribed): void {
    this.aliases.set(info.alias, subscription);
    const isFirst = !subscription.answered;
    this.say(subscription.begin(info));
    if (isFirst && subscription.subscriber.onPresence !== undefined) this.watch(subscription);
  }

  private dropped({ topic, alias, code }: wire.Unsubscribed): void {
    const subscription = this.aliases.get(alias) ?? this.subscriptions.get(topic);
    this.aliases.delete(alias);
    if (subscription !== undefined) this.refused(subscription, new AmphiError(code));
  }

  private publication(bytes: Uint8Array): void {
    const alias = decodeVarint(bytes, 1);
    const offset = alias && decodeVarint(bytes, 1 + alias.length);
    if (alias === undefined || offset === undefined) throw new FrameError("the publication has no header");
    const flagsAt = 1 + alias.length + offset.length;
    const subscription = this.aliases.get(alias.value);
    const position = subscription?.advance(offset.value);
    if (subscription === undefined || position === undefined) return;
    const { topic, subscriber } = subscription;
    const { kind } = wire.Payload.decode(bytes.subarray(flagsAt + 1));
    if (kind.case === undefined) return;
    const data: unknown = kind.case === "json" ? JSON.parse(kind.value) : kind.value;
    this.say(() => subscriber.onPublication({ topic, position, data, format: kind.case, keyframe: (bytes[flagsAt]! & 1) === 1 }));
  }
}

function failure(reply: wire.TopicReply["kind"]): AmphiError {
  if (reply.case === "failed") return new AmphiError(reply.value.code, reply.value.message, reply.value.retryAfterMs);
  return new AmphiError(CODE.MessageInvalid, "the reply does not fit the request");
}

/** A key of one's own. `crypto.randomUUID` is missing on pages without TLS. */
function newKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(KEY_BYTES)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function socketClass({ WebSocket: given }: ConnectOptions): WebSocketClass | undefined {
  return (given ?? (globalThis as { WebSocket?: unknown }).WebSocket) as WebSocketClass | undefined;
}

function sessionUrl(url: string): string {
  return new URL("/session", url).href;
}

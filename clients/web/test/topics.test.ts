// Topics over connections that break, under a seed: nothing is lost, nothing comes twice, and resets are honest.

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { CODE } from "../src/codes.ts";
import { AmphiError } from "../src/error.ts";
import type { Presence } from "../src/presence.ts";
import type { Publication } from "../src/subscription.ts";
import { type ConnectOptions, connect, type TopicsClient } from "../src/topics.ts";
import { LiveNode, randomOf } from "./live-node.ts";

const SEEDS = Number(process.env.AMPHI_SEEDS ?? 60);
const STEPS = 150;
const QUIET_MS = 120_000;

const clients: TopicsClient[] = [];

function open(node: LiveNode, options: Partial<ConnectOptions> = {}): TopicsClient {
  const client = connect({ url: "http://node", token: "t", WebSocket: node.WebSocket, ...options });
  clients.push(client);
  return client;
}

/** What a reader heard, in order. */
type Heard = { kind: "got"; epoch: string; offset: number; data: unknown } | { kind: "began" | "recovered" | "reset"; epoch: string; offset: number; replayed: number } | { kind: "error"; code: number };

function read(client: TopicsClient, topic: string, since?: Publication["position"]): { heard: Heard[]; stop: () => void } {
  const heard: Heard[] = [];
  const told = (kind: "began" | "recovered" | "reset") => ({ position, replayed }: { position: Publication["position"]; replayed: number }) => void heard.push({ kind, ...position, replayed });
  const stop = client.subscribe(topic, {
    since,
    onPublication: ({ position, data }) => void heard.push({ kind: "got", ...position, data }),
    onSubscribed: told("began"),
    onRecovered: told("recovered"),
    onReset: told("reset"),
    onError: ({ code }) => void heard.push({ kind: "error", code }),
  });
  return { heard, stop };
}

const gotten = (heard: Heard[]) => heard.flatMap((each) => (each.kind === "got" ? [each.data] : []));

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  for (const client of clients.splice(0)) client.close();
  vi.useRealTimers();
});

/** Every offset behind the one before it, unless a reset or a beginning came between: then the first may be any. */
function checkOrder(heard: Heard[], seed: number): void {
  let last: { epoch: string; offset: number } | undefined;
  let replay = 0;
  for (const each of heard) {
    if (each.kind === "began" || each.kind === "reset") {
      last = each.replayed === 0 ? each : undefined;
      replay = each.replayed;
    } else if (each.kind === "got") {
      if (last !== undefined) expect([each.epoch, each.offset], `seed ${seed}`).toEqual([last.epoch, last.offset + 1]);
      last = each;
      replay = Math.max(0, replay - 1);
    }
  }
  expect(replay, `seed ${seed}: a replay that did not come`).toBe(0);
}

describe("topics over a bad network", () => {
  it.each(Array.from({ length: SEEDS }, (_, seed) => seed))("lose nothing, double nothing, reset only when history is gone: seed %i", async (seed) => {
    const random = randomOf(seed);
    const node = new LiveNode();
    node.historyMax = 5 + random(40);
    node.restoresUnknown = random(2) === 0;
    node.delay = () => 1 + random(60);
    node.doubles = () => random(8) === 0;
    let calm = false;
    node.mood = () => {
      if (calm || random(6) !== 0) return undefined;
      const kind = random(2) === 0 ? "refused" : "unsure";
      return { kind, code: kind === "refused" ? CODE.RateLimited : CODE.Unavailable, retryAfterMs: random(2) * random(2_000) };
    };
    node.log("own");
    const client = open(node);
    const own = read(client, "own");
    const news = read(client, "news");
    const sent: number[] = [];
    const answered: Promise<[number, number]>[] = [];
    /** Offset of each publication, in every epoch. */
    const made: { epoch: string; offset: number; data: unknown }[] = [];
    for (let step = 0; step < STEPS; step++) {
      const chance = random(24);
      if (chance < 6) {
        const number = sent.length;
        sent.push(number);
        answered.push(client.publish("own", number).then((offset) => [number, offset]));
      } else if (chance < 12) {
        const offset = node.publish("news", { kind: { case: "json", value: String(step) } });
        made.push({ epoch: String(node.log("news").epoch), offset, data: step });
      } else if (chance < 14) node.dropAll();
      else if (chance === 14) node.restart();
      else if (chance === 15) node.reachable = random(3) > 0;
      else if (chance === 16 && random(3) === 0) node.reset("news");
      await vi.advanceTimersByTimeAsync(random(1_200));
    }
    calm = true;
    node.reachable = true;
    await vi.advanceTimersByTimeAsync(QUIET_MS);

    expect(client.waiting, `seed ${seed}`).toBe(0);
    for (const [number, offset] of await Promise.all(answered)) expect(offset, `seed ${seed}: publication ${number}`).toBe(number + 1);
    expect(node.log("own").newest, `seed ${seed}: made more or less often than once`).toBe(sent.length);
    checkOrder(own.heard, seed);
    checkOrder(news.heard, seed);

    // What was heard of an epoch is what was made in it, from the first heard to the last, but for what a reset named.
    const heard = news.heard.filter((each) => each.kind === "got");
    for (const { epoch, offset, data } of heard) expect(data, `seed ${seed}`).toBe(made.find((one) => one.epoch === epoch && one.offset === offset)?.data);
    const newest = node.log("news");
    const last = news.heard.findLast(({ kind }) => kind !== "error");
    expect(last, `seed ${seed}: the newest was not heard`).toMatchObject({ epoch: String(newest.epoch), offset: newest.newest });
    const resets = [...own.heard, ...news.heard].filter(({ kind }) => kind === "reset").length;
    expect(resets, `seed ${seed}: resets that the node did not tell`).toBeLessThanOrEqual(node.resetsTold);
    if (node.resetsTold === 0) expect(gotten(news.heard), `seed ${seed}`).toEqual(made.slice(-heard.length).map(({ data }) => data));
    client.close();
  });

  it("resets only when history does not reach back", async () => {
    const node = new LiveNode();
    node.historyMax = 3;
    const { heard } = read(open(node), "news");
    const say = (value: number) => node.publish("news", { kind: { case: "json", value: String(value) } });
    await vi.advanceTimersByTimeAsync(1_000);
    say(1);
    await vi.advanceTimersByTimeAsync(100);
    node.dropAll();
    [2, 3, 4].forEach(say);
    await vi.advanceTimersByTimeAsync(5_000);
    node.dropAll();
    [5, 6, 7, 8].forEach(say);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(heard.map((each) => (each.kind === "got" ? each.data : each.kind))).toEqual(["began", 1, "recovered", 2, 3, 4, "reset", 6, 7, 8]);
  });
});

describe("reading", () => {
  it("begins at a position that was kept, in the same or another process", async () => {
    const node = new LiveNode();
    node.newcomer = 0;
    for (let i = 1; i <= 5; i++) node.publish("news", { kind: { case: "text", value: `n${i}` } });
    const { epoch } = node.log("news");
    const kept = JSON.parse(JSON.stringify({ epoch: String(epoch), offset: 2 })) as Publication["position"];
    const reader = read(open(node), "news", kept);
    const late = read(open(node), "news", { epoch: "99", offset: 2 });
    await vi.advanceTimersByTimeAsync(1_000);
    expect(gotten(reader.heard)).toEqual(["n3", "n4", "n5"]);
    expect([reader.heard[0]?.kind, late.heard.map(({ kind }) => kind)]).toEqual(["recovered", ["reset"]]);
  });

  it("ends with a code when the topic is not open to it, and one topic is read once", async () => {
    const node = new LiveNode();
    const client = open(node);
    const { heard } = read(client, "closed");
    expect(() => read(client, "closed")).toThrow(AmphiError);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(heard).toEqual([{ kind: "error", code: CODE.SubscribeForbidden }]);
    expect(() => read(client, "closed")).not.toThrow();
  });

  it("does not give the past of an earlier reader to the next one", async () => {
    const node = new LiveNode();
    for (let i = 1; i <= 3; i++) node.publish("news", { kind: { case: "json", value: String(i) } });
    const client = open(node);
    await vi.advanceTimersByTimeAsync(100);
    const first = read(client, "news");
    first.stop();
    const second = read(client, "news");
    await vi.advanceTimersByTimeAsync(1_000);
    expect([first.heard, second.heard.map((each) => (each.kind === "got" ? each.data : each.kind))]).toEqual([[], ["began", 1, 2, 3]]);
  });

  it("goes on when a callback throws", async () => {
    const node = new LiveNode();
    const client = open(node);
    const thrown: unknown[] = [];
    const hear = (error: unknown) => void thrown.push(error);
    process.on("uncaughtException", hear);
    const got: unknown[] = [];
    client.subscribe("news", {
      onPublication: ({ data }) => {
        got.push(data);
        throw new Error("the page's own mistake");
      },
    });
    await vi.advanceTimersByTimeAsync(1_000);
    for (let i = 1; i <= 2; i++) node.publish("news", { kind: { case: "json", value: String(i) } });
    await vi.advanceTimersByTimeAsync(1_000);
    process.off("uncaughtException", hear);
    expect([got, thrown.length, client.state]).toEqual([[1, 2], 2, "live"]);
  });
});

describe("presence", () => {
  const member = (user: string, meta = "") => ({ user, name: user.toUpperCase(), connections: 1, meta });

  it("is told at first, with each change, and after an interruption", async () => {
    const node = new LiveNode();
    node.members.set("a", member("a", '{"seat":1}'));
    const heard: Presence[] = [];
    const client = open(node);
    client.subscribe("room", { onPublication: () => undefined, onPresence: (presence) => void heard.push(presence), meta: { seat: 2 } });
    await vi.advanceTimersByTimeAsync(1_000);
    expect(heard.map(({ count, joined }) => [count, joined.length])).toEqual([[1, 0]]);
    expect(heard[0]!.members.get("a")).toEqual({ user: "a", name: "A", connections: 1, meta: { seat: 1 } });
    node.present("room", "b", member("b"));
    node.present("room", "a", member("a", '"away"'));
    node.present("room", "b", undefined);
    await vi.advanceTimersByTimeAsync(1_000);
    const names = (members: { user: string }[]) => members.map(({ user }) => user);
    expect(heard.slice(1).map(({ joined, changed, left }) => [names(joined), names(changed), names(left)])).toEqual([[["b"], [], []], [[], ["a"], []], [[], [], ["b"]]]);
    node.dropAll();
    node.members.delete("a");
    node.members.set("c", member("c"));
    await vi.advanceTimersByTimeAsync(10_000);
    const back = heard.at(-1)!;
    expect([names(back.joined), names(back.left), [...back.members.keys()]]).toEqual([["c"], ["a"], ["c"]]);
    expect(node.metas, "what others see comes back with the topic").toEqual(['{"seat":2}']);
    client.setPresence("room", "away");
    await vi.advanceTimersByTimeAsync(1_000);
    expect(node.metas.at(-1)).toBe('"away"');
    expect(() => client.setPresence("other", 1)).toThrow(AmphiError);
  });
});

describe("publishing", () => {
  it("waits for a connection, in order, and says how much waits", async () => {
    const node = new LiveNode();
    node.reachable = false;
    const counts: number[] = [];
    const client = open(node, { onWaiting: (waiting) => void counts.push(waiting) });
    const offsets = Promise.all([1, 2, 3].map((value) => client.publish("own", value)));
    await vi.advanceTimersByTimeAsync(10_000);
    expect([client.state, client.waiting]).toEqual(["connecting", 3]);
    node.reachable = true;
    await vi.advanceTimersByTimeAsync(10_000);
    expect([await offsets, counts]).toEqual([[1, 2, 3], [1, 2, 3, 2, 1, 0]]);
  });

  it("refuses what is beyond its bound, at once and with a code", async () => {
    const node = new LiveNode();
    node.reachable = false;
    const client = open(node, { outbox: { messages: 2 } });
    const kept = [client.publish("own", 1), client.publish("own", 2)].map((each) => each.catch((error: unknown) => error));
    await expect(client.publish("own", 3)).rejects.toMatchObject({ name: "QueueFull", action: "retry" });
    await expect(open(node, { outbox: { bytes: 100 } }).publish("own", "x".repeat(101))).rejects.toMatchObject({ code: CODE.QueueFull });
    client.close();
    expect(await Promise.all(kept)).toMatchObject([{ name: "Bye" }, { name: "Bye" }]);
    await expect(client.publish("own", 4)).rejects.toMatchObject({ name: "Bye" });
  });

  it("is given up by its signal", async () => {
    const node = new LiveNode();
    node.reachable = false;
    const client = open(node);
    const stop = new AbortController();
    const first = client.publish("own", 1, { signal: stop.signal }).catch((error: unknown) => error);
    const second = client.publish("own", 2);
    stop.abort();
    node.reachable = true;
    await vi.advanceTimersByTimeAsync(10_000);
    expect([await first, await second]).toMatchObject([{ name: "AbortError" }, 1]);
  });

  it("is not held up by a refusal that no repetition changes", async () => {
    const node = new LiveNode();
    const codes = [CODE.MessageTooLarge];
    node.mood = () => (codes.length > 0 ? { kind: "refused", code: codes.pop()!, retryAfterMs: 0 } : undefined);
    const client = open(node);
    const first = client.publish("own", "long").catch((error: unknown) => error);
    const second = client.publish("own", "short");
    await vi.advanceTimersByTimeAsync(1_000);
    expect(await first).toMatchObject({ code: CODE.MessageTooLarge, name: "MessageTooLarge", action: "stop", label: "A0305 MessageTooLarge" });
    expect(await second).toBe(1);
  });

  it("notices a connection that takes and says nothing", async () => {
    const node = new LiveNode();
    const client = open(node);
    await vi.advanceTimersByTimeAsync(1_000);
    for (const socket of node.sockets) socket.mute = true;
    const offset = client.publish("own", 1);
    await vi.advanceTimersByTimeAsync(15_000);
    expect([await offset, client.state]).toEqual([1, "live"]);
  });
});

describe("the session", () => {
  it("gets a new token when its own has ended while it was away", async () => {
    const node = new LiveNode();
    const states: string[] = [];
    const client = open(node, { token: "old", refresh: () => Promise.resolve("new"), onState: (state) => void states.push(state) });
    const { heard } = read(client, "news");
    await vi.advanceTimersByTimeAsync(1_000);
    node.refusesToken = (token) => (token === "old" ? CODE.TokenExpired : undefined);
    node.restart();
    node.publish("news", { kind: { case: "json", value: "1" } });
    const offset = client.publish("own", 1);
    await vi.advanceTimersByTimeAsync(5_000);
    expect([states, node.tokens, await offset, gotten(heard)]).toEqual([["live", "lost", "live"], ["old", "old", "new"], 1, [1]]);
  });

  it("ends with a code when the server says to stop", async () => {
    const node = new LiveNode();
    node.refusesToken = () => CODE.TokenRevoked;
    const over: AmphiError[] = [];
    const client = open(node, { onOver: (error) => void over.push(error) });
    const waits = client.publish("own", 1).catch((error: unknown) => error);
    await vi.advanceTimersByTimeAsync(1_000);
    expect([client.state, over, await waits]).toMatchObject(["over", [{ name: "TokenRevoked" }], { code: CODE.TokenRevoked }]);
  });

  it("says what is missing where there is no WebSocket", () => {
    vi.stubGlobal("WebSocket", undefined);
    expect(() => connect({ url: "http://node", token: "t" })).toThrow(/`WebSocket`/);
    vi.unstubAllGlobals();
  });
});

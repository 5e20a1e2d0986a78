import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { CODE } from "../src/codes.ts";
import { encodePipeFrame } from "../src/frame.ts";
import { type Link as LinkMessage, LinkSchema, WelcomeSchema } from "../src/gen/session_pb.ts";
import { Link, type LinkState } from "../src/link.ts";
import type { Endpoint } from "../src/pipe.ts";

/** What a server at an address does with a new connection. */
type Server = "silent" | "refuses" | "says nothing" | "welcomes" | "reads no upgrade" | "has no room";

let servers: Map<string, Server>;
let dialled: { url: string; at: number }[];
let sockets: FakeSocket[];
let generation = 0;

class FakeSocket {
  static readonly OPEN = 1;
  readyState = 0;
  bufferedAmount = 0;
  binaryType = "";
  protocol = "";
  /** Hellos that came as messages. */
  greeted = 0;
  onopen: (() => void) | undefined;
  onmessage: ((event: { data: ArrayBuffer }) => void) | undefined;
  onclose: ((event: { code: number }) => void) | undefined;

  constructor(readonly url: string, private readonly protocols: string[]) {
    dialled.push({ url, at: performance.now() });
    sockets.push(this);
    const server = servers.get(url);
    if (server === "silent") return;
    setTimeout(() => (server === "refuses" ? this.end(1006) : this.open()), 10);
  }

  send(bytes: Uint8Array): void {
    if (bytes[0] !== 0 || bytes[1] !== 0) return;
    if (fromBinary(LinkSchema, bytes.subarray(2)).kind.case === "hello") this.greeted += 1;
    this.hear(bytes.subarray(1));
  }

  private hear(link: Uint8Array): void {
    const hello = fromBinary(LinkSchema, link.subarray(1)).kind;
    if (hello.case !== "hello") return;
    const server = servers.get(this.url);
    if (server === "has no room") setTimeout(() => this.end(4_000 + CODE.Unavailable), 10);
    if (server !== "welcomes" && server !== "reads no upgrade") return;
    generation = hello.value.resume?.generation ?? 1;
    const welcome = create(WelcomeSchema, { protocol: 1, session: "ses_1", secret: new Uint8Array(16), clockId: 1n, generation, resumed: generation > 1 });
    setTimeout(() => this.tell({ case: "welcome", value: welcome }), 10);
  }

  close(): void {
    this.readyState = 3;
  }

  /** The connection breaks, or the server closes it. */
  end(code: number): void {
    this.readyState = 3;
    this.onclose?.({ code });
  }

  private open(): void {
    this.readyState = 1;
    const hello = this.protocols.find((protocol) => protocol.startsWith("amphi.hello."));
    const reads = servers.get(this.url) !== "reads no upgrade" && this.protocols.includes("amphi.v1+hello") && hello !== undefined;
    this.protocol = reads ? "amphi.v1+hello" : "amphi.v1";
    if (reads) this.hear(Buffer.from(hello.slice("amphi.hello.".length), "base64url"));
    this.onopen?.();
  }

  private tell(kind: LinkMessage["kind"]): void {
    const link = toBinary(LinkSchema, create(LinkSchema, { kind }));
    const frame = encodePipeFrame(0, Uint8Array.of(0, ...link));
    this.onmessage?.({ data: frame.buffer.slice(frame.byteOffset, frame.byteOffset + frame.length) as ArrayBuffer });
  }
}

/** A browser whose network drops UDP: nothing ever comes of a WebTransport session. */
class BlockedWebTransport {
  readonly ready = new Promise<void>(() => undefined);
  readonly closed = new Promise<never>(() => undefined);
  constructor(url: string) {
    dialled.push({ url, at: performance.now() });
  }
  close(): void {}
}

const DIRECT_WT: Endpoint = { transport: "webtransport", url: "https://host/session", cert_sha256: [] };
const DIRECT: Endpoint = { transport: "ws", url: "ws://host/session", cert_sha256: [] };
const RELAY: Endpoint = { transport: "ws", url: "ws://live/session?match=mch_1", cert_sha256: [] };

function connect(endpoints: Endpoint[], token = "t"): { link: Link; states: LinkState[] } {
  const states: LinkState[] = [];
  const request = { token, app: "", game: "arena", build: "test", schemaHash: 0n, capabilities: [], pingEveryUs: 1e9 };
  const link = new Link(request, { endpoints, lanes: [0], silenceMs: () => Infinity, giveUpMs: 60_000, onEvent: () => undefined, onState: (state) => states.push(state) });
  return { link, states };
}

describe("a link", () => {
  beforeEach(() => {
    vi.useFakeTimers();
    vi.stubGlobal("WebSocket", FakeSocket);
    vi.stubGlobal("WebTransport", BlockedWebTransport);
    [servers, dialled, sockets, generation] = [new Map(), [], [], 0];
  });
  afterEach(() => {
    vi.unstubAllGlobals();
    vi.useRealTimers();
  });

  it("falls back to the relay within a few seconds, and comes back there", async () => {
    servers.set(DIRECT.url, "silent").set(RELAY.url, "welcomes");
    const { link, states } = connect([DIRECT_WT, DIRECT, RELAY]);
    await vi.advanceTimersByTimeAsync(4_000);
    expect(dialled.map(({ url }) => url)).toEqual([DIRECT_WT.url, DIRECT.url, RELAY.url]);
    expect(states).toEqual(["live"]);
    sockets.at(-1)!.end(1006);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(dialled.slice(3).map(({ url }) => url)).toEqual([RELAY.url]);
    // A Hello counts, also when its upgrade fails: it may have been read.
    expect([states, generation]).toEqual([["live", "lost", "live"], 3]);
    link.close();
  });

  it("goes from the relay to the host when the relay is gone", async () => {
    servers.set(DIRECT.url, "refuses").set(RELAY.url, "welcomes");
    const { link, states } = connect([DIRECT, RELAY]);
    await vi.advanceTimersByTimeAsync(1_000);
    servers.set(DIRECT.url, "welcomes").set(RELAY.url, "refuses");
    sockets.at(-1)!.end(4_000 + CODE.Draining);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(dialled.map(({ url }) => url)).toEqual([DIRECT.url, RELAY.url, RELAY.url, DIRECT.url]);
    expect([states, generation]).toEqual([["live", "lost", "live"], 4]);
    link.close();
  });

  it.each([["welcomes", 0], ["reads no upgrade", 1]] as const)("says Hello once to a server that %s", async (server, messages) => {
    servers.set(DIRECT.url, server);
    const { link, states } = connect([DIRECT]);
    await vi.advanceTimersByTimeAsync(1_000);
    expect([states, sockets.map(({ greeted }) => greeted)]).toEqual([["live"], [messages]]);
    sockets.at(-1)!.end(1006);
    await vi.advanceTimersByTimeAsync(1_000);
    expect([states, sockets.map(({ greeted }) => greeted), generation]).toEqual([["live", "lost", "live"], [messages, messages], 2]);
    link.close();
  });

  it("says a Hello that is too long for an upgrade as the first message", async () => {
    servers.set(DIRECT.url, "welcomes");
    const { link, states } = connect([DIRECT], "t".repeat(3_500));
    await vi.advanceTimersByTimeAsync(1_000);
    expect([states, sockets.map(({ greeted }) => greeted)]).toEqual([["live"], [1]]);
    link.close();
  });

  it.each(["says nothing", "has no room"] as const)("tries the others when an endpoint opens but %s", async (server) => {
    servers.set(DIRECT.url, server).set(RELAY.url, "welcomes");
    const { link, states } = connect([DIRECT, RELAY]);
    await vi.advanceTimersByTimeAsync(7_000);
    expect(dialled.map(({ url }) => url)).toEqual([DIRECT.url, RELAY.url]);
    expect(states).toEqual(["live"]);
    link.close();
  });
});

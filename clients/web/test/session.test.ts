import { create, fromBinary, fromJson, toBinary, toJson } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { CODE } from "../src/codes.ts";
import { concat, decodeDatagram, decodePipeFrame, decodeVarint, encodeDatagram, LANE_ROOM, LANE_SNAPSHOT, StreamDecoder } from "../src/frame.ts";
import { AckSchema, CloseSchema, ControlSchema, type Hello, type Link, LinkSchema, PongSchema, WelcomeSchema } from "../src/gen/session_pb.ts";
import { PayloadSchema } from "../src/gen/topic_pb.ts";
import { subprotocols } from "../src/pipe.ts";
import { Session } from "../src/session.ts";
import type { ConnectRequest, Output } from "../src/session-types.ts";
import { fromHex, toHex, vector } from "./vectors.ts";

interface Vectors {
  cases: { name: string; hex: string; json: never }[];
}
const cases = (name: string) => vector<Vectors>(`session/${name}.json`).cases;

describe("session bytes", () => {
  it.each(cases("hellos").concat(cases("links")))("read and write a Link: $name", ({ hex, json }) => {
    const bytes = fromHex(hex);
    expect(bytes[0]).toBe(0);
    const link = fromBinary(LinkSchema, bytes.subarray(1));
    expect(toJson(LinkSchema, link)).toEqual(toJson(LinkSchema, fromJson(LinkSchema, json)));
    expect(fromBinary(LinkSchema, toBinary(LinkSchema, link))).toEqual(link);
  });

  it.each(cases("controls"))("read a Control: $name", ({ hex, json }) => {
    const bytes = fromHex(hex);
    expect(bytes[0]).toBe(1);
    expect(toJson(ControlSchema, fromBinary(ControlSchema, bytes.subarray(1)))).toEqual(json);
  });

  it.each(cases("datagrams"))("read and write a datagram: $name", ({ hex, json }) => {
    const { payload, ...header } = decodeDatagram(fromHex(hex));
    expect({ ...header, payload: toHex(payload) }).toEqual(json);
    expect(toHex(encodeDatagram({ ...header, payload }))).toBe(hex);
  });

  it.each(cases("pipe_frames"))("read a WebSocket message: $name", ({ hex, json }) => {
    const { lane, payload } = decodePipeFrame(fromHex(hex));
    expect({ lane, payload: toHex(payload) }).toEqual(json);
  });

  it.each(cases("streams"))("cut a stream: $name", ({ hex, json }) => {
    const bytes = fromHex(hex);
    const decoder = new StreamDecoder();
    decoder.push(bytes.subarray(1));
    const messages: string[] = [];
    for (let message = decoder.poll(); message !== undefined; message = decoder.poll()) messages.push(toHex(message));
    expect({ lane: bytes[0], messages }).toEqual(json);
  });

  it.each(cases("upgrades"))("say a Hello inside an upgrade: $name", ({ hex, json }) => {
    expect({ subprotocols: subprotocols(fromHex(hex)) }).toEqual(json);
  });

  it.each(cases("publications"))("read a publication: $name", ({ hex, json }) => {
    const bytes = fromHex(hex);
    const alias = decodeVarint(bytes, 1)!;
    const offset = decodeVarint(bytes, 1 + alias.length)!;
    const at = 1 + alias.length + offset.length;
    const payload = toJson(PayloadSchema, fromBinary(PayloadSchema, bytes.subarray(at + 1)));
    expect({ alias: alias.value, offset: offset.value, keyframe: (bytes[at]! & 1) === 1, payload }).toEqual(json);
  });
});

const REQUEST: ConnectRequest = { token: "t", app: "", game: "arena", build: "test", schemaHash: 0n, capabilities: [], pingEveryUs: 5e6 };
const link = (kind: Link["kind"]) => concat(Uint8Array.of(0), toBinary(LinkSchema, create(LinkSchema, { kind })));
const welcome = (fields: object) => link({ case: "welcome", value: create(WelcomeSchema, { protocol: 1, session: "ses_1", secret: new Uint8Array(16).fill(7), clockId: 1n, ...fields }) });

function drain(session: Session): Output[] {
  const out: Output[] = [];
  for (let next = session.poll(); next !== undefined; next = session.poll()) out.push(next);
  return out;
}

function links(outputs: Output[]): Link["kind"][] {
  return outputs.flatMap((output) => (output.kind === "frame" && output.payload[0] === 0 && output.lane === 0 ? [fromBinary(LinkSchema, output.payload.subarray(1)).kind] : []));
}

function connected(kind: "streams" | "ordered" = "streams"): Session {
  const session = new Session(REQUEST);
  session.dial(0, 1, kind);
  session.handleFrame(0, 1, 0, welcome({ generation: 1 }));
  drain(session);
  return session;
}

const messages = (outputs: Output[]) => outputs.flatMap((output) => (output.kind === "message" ? [output.payload[0]] : []));

describe("a session", () => {
  it("keeps what overtakes the Welcome", () => {
    const session = new Session(REQUEST);
    session.dial(0, 1, "streams");
    session.handleFrame(0, 1, LANE_ROOM, Uint8Array.of(5));
    expect(messages(drain(session))).toEqual([]);
    session.handleFrame(0, 1, 0, welcome({ generation: 1 }));
    expect(messages(drain(session))).toEqual([5]);
  });

  it("keeps the newest datagrams that overtake the Welcome", () => {
    const session = new Session(REQUEST);
    session.dial(0, 1, "streams");
    for (let seq = 1; seq <= 9; seq++) session.handleDatagram(0, 1, encodeDatagram({ seq, ack: 0, ackBits: 0, lane: LANE_SNAPSHOT, payload: Uint8Array.of(seq) }));
    drain(session);
    session.handleFrame(0, 1, 0, welcome({ generation: 1 }));
    const outputs = drain(session).filter(({ kind }) => kind === "attached" || kind === "datagram-received");
    expect(outputs.map((output) => (output.kind === "datagram-received" ? output.payload[0] : output.kind))).toEqual(["attached", 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  it("goes on over a parallel dial without loss or repetition", () => {
    const session = connected();
    session.handleFrame(1, 1, LANE_ROOM, Uint8Array.of(1));
    session.send(LANE_ROOM, Uint8Array.of(100));
    session.dial(2, 2, "ordered");
    // Received on the old pipe after the Hello: comes again on the new one.
    session.handleFrame(3, 1, LANE_ROOM, Uint8Array.of(2));
    const before = drain(session);
    const hello = links(before).find(({ case: kind }) => kind === "hello");
    expect(hello?.value).toMatchObject({ resume: { session: "ses_1", generation: 2, welcomed: 1, received: [{ lane: 2, nextSeq: 1n }] } });
    session.handleFrame(4, 2, 0, welcome({ generation: 2, resumed: true }));
    session.handleFrame(5, 2, LANE_ROOM, Uint8Array.of(2));
    session.handleFrame(6, 2, LANE_ROOM, Uint8Array.of(3));
    const after = drain(session);
    expect(messages([...before, ...after])).toEqual([1, 2, 3]);
    expect(after).toContainEqual({ kind: "close-pipe", pipe: 1, code: CODE.GenerationStale, message: "" });
    expect(after).toContainEqual({ kind: "frame", pipe: 2, lane: LANE_ROOM, payload: Uint8Array.of(100) });
  });

  it("drops what the server has confirmed", () => {
    const session = connected();
    session.send(LANE_ROOM, Uint8Array.of(1));
    session.send(LANE_ROOM, Uint8Array.of(2));
    session.handleFrame(1, 1, 0, link({ case: "ack", value: create(AckSchema, { received: [{ lane: 2, nextSeq: 1n }] }) }));
    session.handlePipeClosed(1, undefined);
    session.dial(2, 2, "streams");
    drain(session);
    session.handleFrame(3, 2, 0, welcome({ generation: 2, resumed: true, received: [{ lane: 2, nextSeq: 1n }] }));
    const sent = drain(session).flatMap((output) => (output.kind === "frame" && output.lane === LANE_ROOM ? [output.payload[0]] : []));
    expect(sent).toEqual([2]);
  });

  it("says after a reload that it remembers nothing", () => {
    const saved = connected().saved!;
    const session = new Session({ ...REQUEST, resume: saved });
    session.dial(0, 1, "streams");
    const hello = links(drain(session))[0]!;
    expect(hello.value).toMatchObject({ resume: { generation: 2, welcomed: 0, received: [] } });
    expect((hello.value as { resume: { lost: unknown[] } }).resume.lost).toHaveLength(8);
    session.handleFrame(1, 1, 0, welcome({ generation: 2, resumed: true, lost: [{ lane: 2, code: CODE.LaneLost }] }));
    session.handleFrame(2, 1, LANE_ROOM, Uint8Array.of(9));
    const outputs = drain(session);
    expect(outputs).toContainEqual({ kind: "lane-lost", lane: 2, code: CODE.LaneLost });
    expect(messages(outputs)).toEqual([9]);
  });

  it("names the topics that fit into the Hello of a resume", () => {
    const name = (n: number) => `${n}:${"t".repeat(120)}`;
    const topics = () => Array.from({ length: 64 }, (_, n) => ({ topic: name(n), since: n === 0 ? undefined : { epoch: 7n, offset: n } }));
    const session = new Session({ ...REQUEST, token: "t".repeat(2_000), topics });
    session.dial(0, 1, "ordered");
    session.handleFrame(0, 1, 0, welcome({ generation: 1 }));
    expect(links(drain(session))[0]!.value).not.toHaveProperty("resume");
    session.handlePipeClosed(1, undefined);
    session.dial(1, 2, "ordered");
    const outputs = drain(session);
    const sent = outputs.find((output) => output.kind === "frame" && output.pipe === 2) as { payload: Uint8Array };
    const resume = (links(outputs).at(-1)!.value as Hello).resume!;
    expect(sent.payload.length).toBeLessThanOrEqual(8_192);
    expect(sent.payload.length).toBeGreaterThan(7_900);
    expect(resume.topics.slice(0, 2)).toMatchObject([{ topic: name(0), epoch: 0n, offset: 0n }, { topic: name(1), epoch: 7n, offset: 1n }]);
    session.handleFrame(2, 2, 0, welcome({ generation: 2, resumed: true }));
    const attached = drain(session).find(({ kind }) => kind === "attached") as { restored: string[] };
    expect(attached.restored).toEqual(resume.topics.map(({ topic }) => topic));
  });

  it("waits for everything that was sent before it ends", () => {
    const session = connected();
    session.handleFrame(1, 1, 0, link({ case: "close", value: create(CloseSchema, { code: CODE.MatchEnded, sent: [{ lane: 2, nextSeq: 1n }] }) }));
    expect(session.isClosed).toBe(false);
    session.handleFrame(2, 1, LANE_ROOM, Uint8Array.of(1));
    expect(drain(session).map(({ kind }) => kind).slice(-3)).toEqual(["message", "close-pipe", "closed"]);
  });

  it("acknowledges messages and datagrams in time", () => {
    const session = connected();
    session.handleFrame(1_000, 1, LANE_ROOM, Uint8Array.of(1));
    session.handleDatagram(1_000, 1, encodeDatagram({ seq: 1, ack: 0, ackBits: 0, lane: LANE_SNAPSHOT, payload: Uint8Array.of(1) }));
    session.handleTimeout(21_000);
    const datagrams = drain(session).flatMap((output) => (output.kind === "datagram" ? [decodeDatagram(output.bytes)] : []));
    expect(datagrams).toMatchObject([{ seq: 0, ack: 1, lane: 0 }]);
    session.handleTimeout(201_000);
    expect(links(drain(session)).find(({ case: kind }) => kind === "ack")?.value).toMatchObject({ received: [{ lane: 2, nextSeq: 1n }] });
  });

  it("has at most two datagrams in flight on an ordered pipe, the newest waits", () => {
    const session = connected("ordered");
    for (const n of [1, 2, 3, 4]) session.sendDatagram(n, 17, Uint8Array.of(n));
    const outputs = drain(session);
    expect(outputs.filter(({ kind }) => kind === "datagram")).toHaveLength(2);
    expect(outputs).toContainEqual({ kind: "fate", seq: 3, acked: false });
    session.handleDatagram(9, 1, encodeDatagram({ seq: 0, ack: 1, ackBits: 0, lane: 0, payload: new Uint8Array(0) }));
    const after = drain(session);
    expect(after).toContainEqual({ kind: "fate", seq: 1, acked: true });
    expect(after.flatMap((output) => (output.kind === "datagram" ? [decodeDatagram(output.bytes).seq] : []))).toEqual([4]);
  });

  it("waits for no datagram that an ack has passed on an ordered pipe", () => {
    const session = connected("ordered");
    const ack = (ack: number) => encodeDatagram({ seq: 0, ack, ackBits: 0, lane: 0, payload: new Uint8Array(0) });
    for (let n = 1; n <= 50; n += 1) session.sendDatagram(n, 17, Uint8Array.of(n));
    session.handleDatagram(60, 1, ack(1));
    // 2 and 50 arrived together, and 2 lies too far below 50 for the bits.
    session.handleDatagram(70, 1, ack(50));
    expect(drain(session)).toContainEqual({ kind: "fate", seq: 2, acked: false });
    for (const n of [51, 52]) session.sendDatagram(n, 17, Uint8Array.of(n));
    expect(drain(session).filter(({ kind }) => kind === "datagram")).toHaveLength(2);
  });

  it("ends when another page carries it, not when its own second dial does", () => {
    const session = connected();
    session.dial(1, 2, "streams");
    session.handlePipeClosed(1, CODE.GenerationStale);
    session.handleFrame(2, 2, 0, welcome({ generation: 2, resumed: true }));
    expect([session.isClosed, session.isAttached]).toEqual([false, true]);
    session.handlePipeClosed(2, CODE.GenerationStale);
    expect(session.isClosed).toBe(true);
  });

  it("goes on when the server has read a Hello whose dial was given up", () => {
    const session = connected();
    session.dial(1, 2, "ordered");
    session.handlePipeClosed(2, undefined);
    session.handlePipeClosed(1, CODE.GenerationStale);
    expect([session.isClosed, session.isAttached]).toEqual([false, false]);
    session.dial(2, 3, "ordered");
    session.handleFrame(3, 3, 0, welcome({ generation: 3, resumed: true }));
    expect(session.isAttached).toBe(true);
  });

  it("takes its place back after a reload, a few times", () => {
    const secret = new Uint8Array(16);
    const session = new Session({ ...REQUEST, resume: { session: "ses_1", secret, generation: 5 } });
    for (const generation of [6, 11, 16]) {
      session.dial(1, generation, "streams");
      const hello = links(drain(session)).find(({ case: kind }) => kind === "hello");
      expect(hello?.value).toMatchObject({ resume: { generation } });
      session.handleFrame(2, generation, 0, welcome({ generation, resumed: true }));
      session.handlePipeClosed(generation, CODE.GenerationStale);
      expect(session.isClosed).toBe(false);
    }
    session.dial(3, 21, "streams");
    session.handleFrame(4, 21, 0, welcome({ generation: 21, resumed: true }));
    session.handlePipeClosed(21, CODE.GenerationStale);
    expect(session.isClosed).toBe(true);
  });

  it("estimates the server's clock", () => {
    const session = connected();
    session.handleFrame(1_000, 1, 0, link({ case: "pong", value: create(PongSchema, { t0Us: 0n, t1Us: 1_000_400n, t2Us: 1_000_600n }) }));
    expect([session.clock.offset(1_000), session.clock.srtt, session.clock.error(1_000)]).toEqual([1_000_000, 800, 400]);
  });
});

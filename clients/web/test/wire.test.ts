// The tables of `src/wire.ts` against the descriptors that `npm run proto` writes from the .proto files.

import { create, type DescMessage, fromBinary, toBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { FrameError } from "../src/frame.ts";
import * as session from "../src/gen/session_pb.ts";
import * as topic from "../src/gen/topic_pb.ts";
import type { Message } from "../src/protobuf.ts";
import * as wire from "../src/wire.ts";

const tables = Object.entries(wire) as unknown as [string, Message<Record<string, unknown>>][];
const descriptors = { ...session, ...topic } as unknown as Record<string, DescMessage>;
const RANDOM_RUNS = 500;

/** A message whose every field says something of its own, nested ones too; of several choices the one at `choice`. */
function filled(desc: DescMessage, choice: number, seed = 3): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  const value = (field: DescMessage["fields"][number], no: number): unknown => {
    if (field.message) return filled(field.message, choice, no + 10);
    const scalar = field.scalar;
    if (scalar === 9) return `text ${no} ü`;
    if (scalar === 12) return Uint8Array.of(no, 255, 0);
    if (scalar === 8) return true;
    if (scalar === 6) return 2n ** 63n + BigInt(no);
    return scalar === 4 ? 2n ** 52n + BigInt(no) : 70_000 + no;
  };
  for (const member of desc.members) {
    if (member.kind === "oneof") {
      const field = member.fields[choice % member.fields.length]!;
      out[member.localName] = { case: field.localName, value: value(field, seed + field.number) };
    } else {
      const one = value(member, seed + member.number);
      out[member.localName] = member.fieldKind === "list" ? [one, value(member, seed + member.number + 1)] : one;
    }
  }
  return out;
}

/** The same with what the table does not know left out, and numbers as numbers. */
function plain(known: unknown, told: unknown): unknown {
  if (typeof told === "bigint" && typeof known === "number") return Number(told);
  if (Array.isArray(told) && Array.isArray(known)) return told.map((each, i) => plain(known[i], each));
  if (typeof told !== "object" || told === null || told instanceof Uint8Array || typeof known !== "object" || known === null) return told;
  // Clients need not speak of every choice.
  if ("case" in known && known.case === undefined) return known;
  return Object.fromEntries(Object.keys(known).map((key) => [key, plain((known as Record<string, unknown>)[key], (told as Record<string, unknown>)[key])]));
}

describe("the tables of messages", () => {
  it.each(tables)("read and write %s as the descriptors do", (name, table) => {
    const desc = descriptors[`${name}Schema`]!;
    for (let choice = 0; choice < 8; choice++) {
      const told = create(desc, filled(desc, choice));
      const read = table.decode(toBinary(desc, told));
      const { $typeName: _, ...expected } = told as unknown as Record<string, unknown>;
      expect(read).toEqual(plain(read, expected));
      expect(plain(read, fromBinary(desc, table.encode(read)))).toEqual(read);
    }
  });

  it("skip what they do not know, whatever number it holds", () => {
    const unknown = [0xf8, 0x07, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0xfd, 0x07, 1, 2, 3, 4];
    expect(wire.Refresh.decode(Uint8Array.of(...unknown, 0x0a, 1, 0x78))).toEqual({ token: "x" });
  });

  it.each([
    ["a length beyond the end", [0x0a, 9, 1]],
    ["a number without an end", [0x08, 0xff]],
    ["a group", [0x0b, 0x0c]],
    ["text that is not UTF-8", [0x0a, 1, 0xff]],
    ["half a number of 8 bytes", [0x19, 1, 2, 3]],
  ])("refuse %s", (_, bytes) => {
    expect(() => tables.forEach(([, table]) => table.decode(Uint8Array.from(bytes)))).toThrow(FrameError);
  });

  it("throw nothing but a FrameError at bytes of chance", () => {
    let state = 7;
    const random = (below: number) => (state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0) % below;
    for (let run = 0; run < RANDOM_RUNS; run++) {
      const bytes = Uint8Array.from({ length: random(40) }, () => random(256) & (random(3) === 0 ? 0xff : 0x1f));
      for (const [, table] of tables) {
        try {
          table.decode(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(FrameError);
        }
      }
    }
  });
});

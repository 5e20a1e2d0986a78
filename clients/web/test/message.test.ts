// Numbers of messages and inputs give what the server and generated code give: `shared/vectors/schema`.

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { BitWriter } from "../src/bits.ts";
import { boundsOf, fitted, integerOf, readNumbers, stepOf, valueOf, writeInput, writeNumbers } from "../src/message.ts";
import { type NumberSchema, Schema } from "../src/schema.ts";
import { fromHex, toHex } from "./vectors.ts";

const vectors = (name: string) => readFileSync(new URL(`../../../shared/vectors/schema/${name}`, import.meta.url), "utf8");
const schema = Schema.parse(vectors("sample.json"));
const lines = vectors("sample.txt").split("\n").filter((line) => line !== "" && !line.startsWith("#")).map((line) => {
  const [question, answer] = line.split(" = ") as [string, string];
  const [what, ...words] = question.split(" ");
  return { line, what: what!, words: words.filter((word) => word !== ""), answer };
});

/** A value as the vectors write it: a float is x and its bits. */
function written(field: NumberSchema, integer: number): string {
  const value = valueOf(field, integer);
  if (field.kind !== "f32") return String(value);
  return `x${new Uint32Array(Float32Array.of(value).buffer)[0]!.toString(16).padStart(8, "0")}`;
}

/** The integer of a value as the vectors write it. */
function parsed(field: NumberSchema, word: string): number {
  return integerOf(field, word.startsWith("x") ? new Float32Array(Uint32Array.of(parseInt(word.slice(1), 16)).buffer)[0]! : Number(word));
}

function answerTo(what: string, words: string[]): string {
  const read = (fields: NumberSchema[]) => {
    const integers = readNumbers(fromHex(words[0] ?? ""), fields.length);
    return integers === undefined ? "none" : integers.map((integer, i) => written(fields[i]!, integer)).join(" ");
  };
  const [buy, hit] = [schema.requests[0]!, schema.events[0]!];
  if (what === "Body") return schema.components[1]!.fields.map((field, i) => written(field, Number(words[i]))).join(" ");
  if (what === "Hit") return read(hit.fields);
  if (what === "Bought") return read(buy.answer.fields);
  if (what === "Buy") return toHex(writeNumbers(buy.fields.map((field, i) => parsed(field, words[i]!))));
  const writer = new BitWriter();
  writeInput(writer, schema.input!.fields, schema.input!.fields.map((field, i) => parsed(field, words[i]!)));
  return toHex(writer.finish());
}

describe("an input for a host that reads more", () => {
  const field = (min: number, max: number, bits: number) => ({ name: "n", unit: "1", kind: "i8" as const, min, max, bits, late: "hold" as const });
  const schema = { name: "Stick", fields: [field(-1, 1, 2), field(2, 5, 2), field(-8, 7, 4)] };

  it.each([
    [1, [[1, 2]], "10000001"],
    [2, [[1, 2], [3, 2]], "10110001"],
    [3, [[1, 2], [3, 2], [15, 4]], "10111111"],
  ])("gets what %d of 3 numbers leave open", (_, numbers, bits) => {
    const writer = new BitWriter();
    // Whatever is before it does not count.
    writer.bits(0, 8);
    fitted(schema, (writer) => numbers.forEach(([value, width]) => writer.bits(value!, width!)))(writer, undefined);
    const byte = writer.finish()[1]!;
    expect([...byte.toString(2).padStart(8, "0")].reverse().join("")).toBe(bits);
  });
});

describe("a schema", () => {
  it.each(lines)("is enough to read and write $line", ({ what, words, answer }) => {
    expect(answerTo(what, words)).toBe(answer);
  });

  it("keeps input, events and requests", () => {
    expect([schema.input?.name, schema.events.map(({ name }) => name), schema.requests.map(({ name, answer }) => [name, answer.name])]).toEqual(["Stick", ["Hit"], [["Buy", "Bought"]]]);
    const bare = Schema.parse('{"components":[]}');
    expect([bare.input, bare.events, bare.requests]).toEqual([undefined, [], []]);
  });

  it("says what steps mean, and how far numbers go", () => {
    expect(["1", "1/512", "0.25", "0", "m"].map(stepOf)).toEqual([1, 1 / 512, 0.25, 1, 1]);
    expect([boundsOf("bool"), boundsOf("i8"), boundsOf("u16")]).toEqual([[0, 1], [-128, 127], [0, 65_535]]);
    expect(integerOf({ name: "n", unit: "1", kind: "u8" }, 300)).toBe(255);
  });
});

// Answers each line of standard input with what the generated module makes of it.

declare const process: { stdout: { write(text: string): void } };

import * as game from "./sample.js";

const floats = new Float32Array(1);
const bits = new Uint32Array(floats.buffer);
const hex = (bytes: ArrayLike<number>) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
const unhex = (text: string) => Uint8Array.from(text.match(/../g) ?? [], (byte) => parseInt(byte, 16));

function float(value: number): string {
  floats[0] = value;
  return `x${bits[0]!.toString(16).padStart(8, "0")}`;
}

function unfloat(text: string): number {
  bits[0] = parseInt(text.slice(1), 16);
  return floats[0]!;
}

class Bits implements game.BitSink {
  private text = "";

  bits(value: number, count: number): void {
    for (let i = 0; i < count; i++) this.text += Math.floor(value / 2 ** i) % 2;
  }

  finish(): Uint8Array {
    const bytes = this.text.match(/.{1,8}/g) ?? [];
    return Uint8Array.from(bytes, (byte) => parseInt([...byte].reverse().join(""), 2));
  }
}

function answer(what: string, words: string[]): string {
  const numbers = words.map(Number);
  if (what === "Body") {
    const body = game.readBody(numbers);
    return [...body.at, float(body.height), body.turn, body.owner, body.level, body.tilt, Number(body.awake)].join(" ");
  }
  if (what === "Hit") {
    const hit = game.readEvent(1, unhex(words[0] ?? ""));
    if (hit === undefined) return "none";
    return [hit.seat, ...hit.at, float(hit.strength)].join(" ");
  }
  if (what === "Bought") {
    const bought = game.readBoughtBody(unhex(words[0] ?? ""));
    return bought === undefined ? "none" : [Number(bought.ok), bought.gold].join(" ");
  }
  if (what === "Buy") {
    return hex(game.writeBuy({ item: numbers[0]!, count: numbers[1]!, price: unfloat(words[2]!) }));
  }
  const to = new Bits();
  const [x, y, , slot, jump] = numbers;
  game.writeStick(to, { way: [x!, y!], aim: unfloat(words[2]!), slot: slot!, jump: jump === 1 });
  return hex(to.finish());
}

const { readFileSync } = (await import("node:fs" as string)) as { readFileSync(file: number, encoding: string): string };
for (const line of readFileSync(0, "utf8").split("\n").filter((line) => line !== "")) {
  const [what, ...words] = line.split(" ");
  process.stdout.write(`${answer(what!, words)}\n`);
}

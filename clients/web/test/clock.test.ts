import { describe, expect, it } from "vitest";
import { Clock } from "../src/clock.ts";
import { expiryOf, refreshDelay } from "../src/token.ts";
import { random } from "./vectors.ts";

/** A probe sent at `now` to a clock that is `offset` ahead, with these delays there and back. */
function probe(clock: Clock, now: number, offset: number, there: number, back: number): number {
  const arrives = now + there + offset;
  clock.answer(now, arrives, arrives + 50, now + there + 50 + back);
  return now + there + 50 + back;
}

describe("the server's clock", () => {
  it("is known within its error bound", () => {
    const next = random(7);
    for (let run = 0; run < 50; run += 1) {
      const clock = new Clock();
      const [offset, drift] = [(next() - 0.5) * 2e9, (next() - 0.5) * 400e-6];
      const at = (time: number) => offset + (time - 2e9) * drift;
      for (let i = 0; i < 60; i += 1) {
        const now = 2e9 + i * 5e6;
        const end = probe(clock, now, at(now), next() * 3e5, next() * 3e5);
        for (const then of [end, end + next() * 6e8]) expect(Math.abs(clock.offset(then) - at(then))).toBeLessThanOrEqual(clock.error(then) + 130);
      }
    }
  });

  it("is learned with its speed", () => {
    const clock = new Clock();
    for (let i = 0; i < 20; i += 1) probe(clock, 1e9 + i * 5e6, i * 5 * 120, 4_000 + ((i * 7) % 5) * 40, 4_000);
    expect(Math.abs(clock.offset(1e9 + 155e6) - 155 * 120)).toBeLessThan(500);
  });
});

describe("a token", () => {
  it("says when it ends, and is refreshed before", () => {
    const claims = btoa(JSON.stringify({ exp: 1_763_000_600, sub: "usr_1" })).replaceAll("=", "");
    expect(expiryOf(`e30.${claims}.c2ln`)).toBe(1_763_000_600_000_000);
    expect([expiryOf("t"), expiryOf("a.!!.c"), expiryOf("a.e30.c")]).toEqual([undefined, undefined, undefined]);
    expect([refreshDelay(600e6, 0), refreshDelay(80e6, 0), refreshDelay(1e6, 5e6)]).toEqual([540_000, 40_000, 0]);
  });
});

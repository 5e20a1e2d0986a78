import { describe, expect, it } from "vitest";
import { InputLead } from "../src/input-lead.ts";
import { vector } from "./vectors.ts";

interface History {
  period_us: number;
  rtt_us: number;
  steps: [number, number, number | null, number, number, number][];
}

describe("input lead", () => {
  for (const name of ["near", "far", "mobile"]) {
    it(`follows the recorded margins: ${name}`, () => {
      const { period_us, rtt_us, steps } = vector<History>(`input-lead/${name}.json`);
      const lead = new InputLead(period_us, rtt_us);
      for (const [now, offset, margin, late, leadUs, wantedUs] of steps) {
        lead.advance(now, offset);
        if (margin !== null) lead.onMargin(now, margin, late, rtt_us);
        expect([now, lead.lead, lead.wanted]).toEqual([now, leadUs, wantedUs]);
      }
      expect(steps.length).toBeGreaterThan(800);
    });
  }
});

// A player whose network is far and lossy, goes dead for a while, and comes back as another one.

import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { View } from "../app/match/stage.tsx";
import { inMatch, joinQueue, launch, matchOf, open, shot, transportOf } from "./browser.ts";
import { Network, type Weather } from "./network.ts";

/** Round trips of 100 ms, and one packet in fifty lost each way. */
const FAR: Weather = { delay_ms: 50, jitter_ms: 5, loss_permille: 20 };
const PRESSES = 5;
/** Drawn frames from a key press to a step that is seen. */
const FRAMES_MAX = 2;
/** A step that is seen, metres: a standing player may still slide by less after a correction. */
const STEP_M = 0.001;
/** Frames without a step after which a player stands. */
const STILL_FRAMES = 10;
const PATIENCE_MS = 30_000;

/** What the page has seen of its players, frame by frame. */
interface Eye {
  frames: number;
  /** Frames since the own player was last seen to move, or to be dead. */
  still: number;
  /** Frame of the newest key press, and of the first step after it. */
  pressed: number;
  stepped: number | undefined;
  /** Frames in which another player was drawn elsewhere. */
  others: number;
}
type Watched = Window & { eye: Eye };

let browser: Browser;

beforeAll(async () => {
  browser = await launch(true);
});
afterAll(async () => {
  await browser?.close();
});

/** Starts to watch what the page draws. */
async function watch(page: Page): Promise<void> {
  await page.evaluate((step) => {
    const eye: Eye = { frames: 0, still: 0, pressed: 0, stepped: undefined, others: 0 };
    (window as unknown as Watched).eye = eye;
    const view = document.querySelector<View>(".stage .view")!;
    const drawn = () => {
      const players = view.shown?.players ?? [];
      const own = players.find((player) => player.own);
      const others = players.filter((player) => !player.own).map(({ at }) => at);
      return { at: own?.at ?? [0, 0, 0], alive: own?.alive === true, others };
    };
    const far = (a: readonly number[], b: readonly number[]) => Math.hypot(a[0]! - b[0]!, a[2]! - b[2]!) > step;
    let last = drawn();
    let from: readonly number[] = last.at;
    addEventListener("keydown", () => {
      from = drawn().at;
      eye.pressed = eye.frames;
      eye.stepped = undefined;
    }, { capture: true });
    const look = () => {
      requestAnimationFrame(look);
      const now = drawn();
      eye.frames += 1;
      eye.still = far(now.at, last.at) || !now.alive ? 0 : eye.still + 1;
      if (eye.stepped === undefined && far(now.at, from)) eye.stepped = eye.frames;
      if (now.others.length === last.others.length && now.others.some((at, i) => far(at, last.others[i]!))) eye.others += 1;
      last = now;
    };
    requestAnimationFrame(look);
  }, STEP_M);
}

/** Presses a key while the own player stands, and counts the frames until it is drawn elsewhere. */
async function framesToStep(page: Page, key: string): Promise<number> {
  await page.waitForFunction((frames) => (window as unknown as Watched).eye.still > frames, STILL_FRAMES, { timeout: PATIENCE_MS });
  await page.keyboard.down(key);
  const stepped = await page.waitForFunction(() => {
    const { eye } = window as unknown as Watched;
    return eye.stepped !== undefined && eye.stepped - eye.pressed;
  }, undefined, { timeout: PATIENCE_MS });
  await page.keyboard.up(key);
  return (await stepped.jsonValue()) as number;
}

/** Waits until other players have been drawn elsewhere: news of the host arrive. */
async function othersMove(page: Page): Promise<void> {
  const before = await page.evaluate(() => (window as unknown as Watched).eye.others);
  await page.waitForFunction((before) => (window as unknown as Watched).eye.others > before + 5, before, { timeout: PATIENCE_MS });
}

/** What this tab would resume, and the seat it plays. */
async function held(page: Page): Promise<{ session: string; generation: number; seat: number }> {
  return page.evaluate(() => {
    const { saved } = JSON.parse(sessionStorage.getItem("amphi.match")!) as { saved: { session: string; generation: number } };
    const own = document.querySelector<View>(".stage .view")!.shown?.players.find((player) => player.own);
    return { session: saved.session, generation: saved.generation, seat: own?.seat ?? -1 };
  });
}

describe.each(["", "?transport=ws"])("a player on a bad network, with the page opened as /%s", (query) => {
  it("sees own steps at once and keeps the seat over a cut", async () => {
    const ada = await open(browser, `/${query}`);
    const network = await Network.around(ada.page, FAR);
    await joinQueue(ada.page, "Ada", "2v2");
    await inMatch(ada.page);
    const match = await matchOf(ada.page);
    const transport = query === "" ? "WebTransport" : "WebSocket";
    expect(await transportOf(ada.page)).toBe(transport);
    await ada.page.locator(".overlay .button.primary").click();
    await watch(ada.page);
    // Before the kick-off nobody moves.
    await framesToStep(ada.page, "w");

    const frames: number[] = [];
    for (let press = 0; press < PRESSES; press += 1) frames.push(await framesToStep(ada.page, press % 2 === 0 ? "s" : "w"));
    const before = await held(ada.page);
    network.weather({ ...FAR, dead: true, path: 1 });
    // What no host can have answered is seen as well.
    frames.push(await framesToStep(ada.page, "w"));
    await shot(ada.page, `network-cut${query === "" ? "" : "-ws"}`);
    console.log(`frames from key to step at 100 ms round trip, the last one with a dead network: ${frames.join(", ")}`);
    expect(frames.toSorted((a, b) => a - b)[PRESSES >> 1], "frames from key to step").toBeLessThanOrEqual(FRAMES_MAX);

    network.weather({ ...FAR, path: 1 });
    const back = Date.now();
    await othersMove(ada.page);
    console.log(`play went on ${Date.now() - back} ms after there was another path`);
    const resumed = async () => {
      const { session, generation, seat } = await held(ada.page);
      return generation > before.generation ? { session, seat } : undefined;
    };
    await expect.poll(resumed, { timeout: PATIENCE_MS }).toEqual({ session: before.session, seat: before.seat });
    expect([await matchOf(ada.page), await transportOf(ada.page)]).toEqual([match, transport]);
    expect(ada.errors).toEqual([]);
    network.end();
    await ada.context.close();
  });
});

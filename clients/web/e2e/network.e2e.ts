// A player whose network is far, lossy and, for a while, dead.

import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { View } from "../app/match/stage.tsx";
import { inMatch, joinQueue, launch, matchOf, open, seesMoving, shot, transportOf } from "./browser.ts";
import { Network, type Weather } from "./network.ts";

/** Round trips of 100 ms, and one packet in fifty lost each way. */
const FAR: Weather = { delay_ms: 50, jitter_ms: 5, loss_permille: 20 };
const PRESSES = 5;
/** Drawn frames from a key press to a step that is seen. */
const FRAMES_MAX = 2;
/** A step that is seen, metres: a standing player may still slide by less after a correction. */
const STEP_M = 0.001;
const CUT_MS = 4_000;

let browser: Browser;

beforeAll(async () => {
  browser = await launch(true);
});
afterAll(async () => {
  await browser?.close();
});

/** Presses a key and counts the frames until the own player is drawn elsewhere. */
async function framesToMove(page: Page, key: string): Promise<number> {
  const moved = page.evaluate(
    (step) =>
      new Promise<number>((resolve) => {
        const view = document.querySelector<View>(".stage .view")!;
        const own = () => view.shown?.players.find((player) => player.own)?.at ?? [0, 0, 0];
        addEventListener(
          "keydown",
          () => {
            const from = own();
            let frames = 0;
            const look = () => {
              frames += 1;
              const at = own();
              if (Math.hypot(at[0] - from[0], at[2] - from[2]) > step || frames === 600) resolve(frames);
              else requestAnimationFrame(look);
            };
            requestAnimationFrame(look);
          },
          { once: true, capture: true },
        );
      }),
    STEP_M,
  );
  await page.keyboard.down(key);
  const frames = await moved;
  await page.keyboard.up(key);
  return frames;
}

/** Waits until the own player stands for some frames. */
async function stands(page: Page): Promise<void> {
  await page.evaluate(
    (step) =>
      new Promise<void>((resolve) => {
        const view = document.querySelector<View>(".stage .view")!;
        const own = () => view.shown?.players.find((player) => player.own)?.at ?? [0, 0, 0];
        let [last, still] = [own(), 0];
        const look = () => {
          const at = own();
          still = Math.hypot(at[0] - last[0], at[2] - last[2]) < step ? still + 1 : 0;
          last = at;
          if (still > 10) resolve();
          else requestAnimationFrame(look);
        };
        look();
      }),
    STEP_M / 2,
  );
}

/** The session that this tab would resume. */
async function sessionOf(page: Page): Promise<{ session: string; generation: number }> {
  return page.evaluate(() => (JSON.parse(sessionStorage.getItem("amphi.match")!) as { saved: { session: string; generation: number } }).saved);
}

describe.each(["", "?transport=ws"])("a player on a bad network, with the page opened as /%s", (query) => {
  it("sees own steps at once and keeps the seat over a cut", async () => {
    const ada = await open(browser, `/${query}`);
    const network = await Network.around(ada.page, FAR);
    await joinQueue(ada.page, "Ada", "2v2");
    await inMatch(ada.page);
    const match = await matchOf(ada.page);
    expect(await transportOf(ada.page)).toBe(query === "" ? "WebTransport" : "WebSocket");
    await ada.page.locator(".overlay .button.primary").click();
    await seesMovingAfterKickOff(ada.page);

    const frames: number[] = [];
    for (let press = 0; press < PRESSES; press += 1) {
      await stands(ada.page);
      frames.push(await framesToMove(ada.page, press % 2 === 0 ? "w" : "s"));
    }
    console.log(`frames from key to step at 100 ms round trip: ${frames.join(", ")}`);
    expect(frames.sort((a, b) => a - b)[PRESSES >> 1]).toBeLessThanOrEqual(FRAMES_MAX);

    const before = await sessionOf(ada.page);
    network.weather({ ...FAR, dead: true });
    await ada.page.waitForTimeout(CUT_MS);
    await shot(ada.page, `network-cut${query === "" ? "" : "-ws"}`);
    network.weather(FAR);
    const back = Date.now();
    await ada.page.keyboard.down("w");
    await seesMoving(ada.page, "Ada", 1, 20_000);
    await othersMove(ada.page);
    console.log(`play went on within ${Date.now() - back} ms of the end of a cut of ${CUT_MS} ms`);
    const after = await sessionOf(ada.page);
    expect(after.session, "the session has resumed").toBe(before.session);
    expect(await matchOf(ada.page)).toBe(match);
    expect(ada.errors).toEqual([]);
    network.end();
    await ada.context.close();
  });
});

/** Before the kick-off nobody moves. */
async function seesMovingAfterKickOff(page: Page): Promise<void> {
  await page.keyboard.down("w");
  await seesMoving(page, "Ada", 1);
  await page.keyboard.up("w");
}

/** Waits until somebody else has moved: news of the host arrive again. */
async function othersMove(page: Page): Promise<void> {
  await page.evaluate(
    () =>
      new Promise<void>((resolve) => {
        const view = document.querySelector<View>(".stage .view")!;
        const others = () => JSON.stringify(view.shown?.players.filter((player) => !player.own).map(({ at }) => at));
        const from = others();
        const look = () => (others() === from ? void requestAnimationFrame(look) : resolve());
        look();
      }),
  );
}

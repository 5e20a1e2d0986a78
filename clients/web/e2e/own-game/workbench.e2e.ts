// The page plays and shows a game of which it knows nothing but the schema: tag, as `amphi new` makes it.

import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { joinQueue, launch, matchOf, open, players, seesMoving, shot } from "../browser.ts";

/** Steps of a runner, at 6 a tick, that nobody does without a key. */
const FAR = 100;
const PATIENCE_MS = 30_000;

let browser: Browser;

beforeAll(async () => {
  browser = await launch(true);
});
afterAll(async () => {
  await browser?.close();
});

/** Waits until the page draws a seat of this name. */
async function draws(page: Page, name: string): Promise<void> {
  try {
    await page.locator(`.stage .view[data-players*="${name}@"]`).waitFor({ timeout: PATIENCE_MS });
  } catch (error) {
    await shot(page, "bench-failed");
    throw new Error(`the page does not draw ${name}; it says: ${await page.locator("body").innerText()}`, { cause: error });
  }
}

/** Asks for a colour, and waits for what the game answers. */
async function pick(page: Page, colour: number, answer: string): Promise<void> {
  await page.getByLabel("colour", { exact: true }).fill(String(colour));
  await page.getByRole("button", { name: "PickColour" }).click();
  await page.locator('[data-answer="PickColour"]', { hasText: answer }).waitFor({ timeout: PATIENCE_MS });
}

describe("a game of one's own", () => {
  it("is played by its schema, watched by somebody else, finished and played again", async () => {
    const [ada, eve] = await Promise.all([open(browser, "/"), open(browser, "/watch")]);
    await ada.page.getByRole("heading", { name: "Tag", exact: true }).waitFor();
    await ada.page.locator(".modes").waitFor();
    expect(await ada.page.locator(".hero-art").count(), "the Arena's art").toBe(0);
    await shot(ada.page, "bench-1-lobby");
    await joinQueue(ada.page, "Ada", "tag");
    await draws(ada.page, "Ada");
    const match = await matchOf(ada.page);
    expect((await players(ada.page)).size).toBe(4);

    await ada.page.keyboard.down("ArrowRight");
    await seesMoving(ada.page, "Ada", FAR, PATIENCE_MS);
    await ada.page.keyboard.up("ArrowRight");
    await ada.page.keyboard.press("Space");
    await ada.page.locator(".bench-log li", { hasText: /Dashed.*\(Ada\)/ }).first().waitFor({ timeout: PATIENCE_MS });
    await pick(ada.page, 7, "free yes");
    await pick(ada.page, 7, "free no");
    const colour = ada.page.locator(".bench-fields-table tr", { has: ada.page.getByRole("rowheader", { name: "colour" }) });
    await expect.poll(() => colour.locator("td").textContent(), { timeout: PATIENCE_MS }).toBe("7");

    await eve.page.goto(new URL(`/m/${match}`, eve.page.url()).href);
    await draws(eve.page, "Ada");
    await Promise.all([ada.page.keyboard.down("w"), ada.page.keyboard.down("a")]);
    await seesMoving(eve.page, "Ada", FAR, PATIENCE_MS);
    await Promise.all([ada.page.keyboard.up("w"), ada.page.keyboard.up("a")]);
    // Nobody need be caught while she stands there: a dash is heard for certain.
    await ada.page.keyboard.press("Space");
    await eve.page.locator(".bench-log li").first().waitFor({ timeout: PATIENCE_MS });
    await eve.page.locator("[data-clock]").waitFor();
    await shot(ada.page, "bench-2-match");
    await shot(eve.page, "bench-3-watch");

    await ada.page.locator("[data-result]").waitFor({ timeout: 120_000 });
    await eve.page.getByText("Full time").waitFor({ timeout: PATIENCE_MS });
    await ada.page.locator("[data-rating]").waitFor({ timeout: PATIENCE_MS });
    await shot(ada.page, "bench-4-result");
    await shot(eve.page, "bench-5-ended");
    await ada.page.getByRole("button", { name: "Play again" }).click();
    await draws(ada.page, "Ada");
    expect(await matchOf(ada.page)).not.toBe(match);
    expect([...ada.errors, ...eve.errors]).toEqual([]);
    await Promise.all([ada, eve].map(({ context }) => context.close()));
  });

  it("is watched and played on a phone", async () => {
    const bea = await open(browser, "/", { phone: true });
    await bea.page.locator(".modes").waitFor();
    await shot(bea.page, "bench-phone-1-lobby");
    await joinQueue(bea.page, "Bea", "tag");
    await draws(bea.page, "Bea");
    const eve = await open(browser, `/m/${await matchOf(bea.page)}`, { phone: true });
    await draws(eve.page, "Bea");
    await shot(eve.page, "bench-phone-2-watch");
    await bea.page.locator("summary", { hasText: "Events" }).tap();
    // A thumb presses again when a stalled machine sent the first press too late.
    const dashed = bea.page.locator(".bench-log li", { hasText: /Dashed.*\(Bea\)/ }).first();
    await expect.poll(async () => {
      await bea.page.getByRole("button", { name: "dash" }).tap();
      return dashed.isVisible();
    }, { timeout: PATIENCE_MS, interval: 1_000 }).toBe(true);
    await shot(bea.page, "bench-phone-3-match");
    expect([...bea.errors, ...eve.errors]).toEqual([]);
    await Promise.all([bea, eve].map(({ context }) => context.close()));
  });
});

// Two people and bots meet in a match, a third watches and chats with them, the match ends and counts.

import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { inMatch, joinQueue, launch, matchOf, open, players, seesMoving, shot, transportOf } from "./browser.ts";

const MODE = "blitz";
const SEATS = 6;

let rich: Browser;
let plain: Browser;

beforeAll(async () => {
  [rich, plain] = await Promise.all([launch(), launch(true)]);
});
afterAll(async () => {
  await Promise.all([rich?.close(), plain?.close()]);
});

/** Both join the queue together until they are in one match. */
async function meet(ada: Page, ben: Page, mode: string): Promise<string> {
  await Promise.all([joinQueue(ada, "Ada", mode), joinQueue(ben, "Ben", mode)]);
  await Promise.all([inMatch(ada), inMatch(ben)]);
  const [a, b] = await Promise.all([matchOf(ada), matchOf(ben)]);
  expect(a, "both are in one match").toBe(b);
  return a;
}

async function say(page: Page, text: string): Promise<void> {
  await page.getByLabel("Say something").fill(text);
  await page.getByLabel("Say something").press("Enter");
}

describe.each(["", "?transport=ws"])("a match with the page opened as /%s", (query) => {
  it("is played, watched, talked about, finished and counted", async () => {
    const name = query === "" ? "story" : "story-ws";
    const [ada, ben, eve] = await Promise.all([open(plain, `/${query}`), open(plain, `/${query}`), open(plain, `/watch${query}`)]);
    await ada.page.locator(".modes").waitFor();
    await shot(ada.page, `${name}-1-lobby`);
    const match = await meet(ada.page, ben.page, MODE);

    await eve.page.goto(new URL(`/m/${match}${query}`, eve.page.url()).href);
    const opened = Date.now();
    await eve.page.locator('.stage .view[data-players*="@"]').waitFor();
    console.log(`first frame for the spectator after ${Date.now() - opened} ms`);

    const wanted = query === "" ? "WebTransport" : "WebSocket";
    expect([await transportOf(ada.page), await transportOf(ben.page)]).toEqual([wanted, wanted]);
    expect((await players(ada.page)).size).toBe(SEATS);

    await ada.page.locator(".overlay .button.primary").click();
    await ada.page.keyboard.down("w");
    await Promise.all([seesMoving(ben.page, "Ada", 1), seesMoving(eve.page, "Ada", 1), seesMoving(ada.page, "Ada", 1)]);
    await ben.page.locator(".overlay .button.primary").click();
    await ben.page.keyboard.down("w");
    await ben.page.keyboard.down("d");
    await seesMoving(ada.page, "Ben", 1);
    await shot(ada.page, `${name}-2-match`);

    await say(eve.page, "Good luck to both of you!");
    await ada.page.getByText("Good luck to both of you!").waitFor();
    await ada.page.keyboard.up("w");
    await ada.page.keyboard.press("Enter");
    await say(ada.page, "Thank you, Eve");
    await eve.page.getByText("Thank you, Eve").waitFor();
    await shot(eve.page, `${name}-3-spectate`);
    expect(await eve.page.locator("[data-viewers]").textContent()).toMatch(/[1-9]\d* viewer/);

    await Promise.all([ada, ben].map(({ page }) => page.locator("[data-result]").waitFor({ timeout: 60_000 })));
    await Promise.all([ada, ben].map(({ page }) => page.locator("[data-rating]").waitFor({ timeout: 30_000 })));
    expect(await ada.page.locator("[data-rating]").textContent()).toMatch(/after 1 match,/);
    expect(await ada.page.locator(".overlay tbody tr").count()).toBe(SEATS);
    await shot(ada.page, `${name}-4-result`);
    await eve.page.getByText("Full time").first().waitFor();
    await shot(eve.page, `${name}-5-ended`);

    expect([...ada.errors, ...ben.errors, ...eve.errors]).toEqual([]);
    await Promise.all([ada, ben, eve].map(({ context }) => context.close()));
  });
});

describe("a longer match", () => {
  it("keeps a seat over a reload, and a phone watches, talks and takes another seat", async () => {
    const ada = await open(rich, "/");
    await ada.page.locator(".modes").waitFor();
    await shot(ada.page, "lobby");
    await joinQueue(ada.page, "Ada", "2v2");
    await inMatch(ada.page);
    const match = await matchOf(ada.page);
    await shot(ada.page, "keys");
    await ada.page.locator(".overlay .button.primary").click();
    await ada.page.keyboard.down("w");
    await seesMoving(ada.page, "Ada", 1);
    await ada.page.keyboard.up("w");
    await shot(ada.page, "match");
    await ada.page.reload();
    await inMatch(ada.page);
    expect(await matchOf(ada.page)).toBe(match);

    const eve = await open(plain, "/", { phone: true });
    await eve.page.locator(".modes").waitFor();
    await shot(eve.page, "phone-1-lobby");
    await eve.page.getByRole("link", { name: "Watch", exact: true }).click();
    await eve.page.locator(`.match-card[href*="${match}"]`).waitFor();
    await shot(eve.page, "phone-2-watch");
    await eve.page.locator(`.match-card[href*="${match}"]`).click();
    await eve.page.locator('.stage .view[data-players*="@"]').waitFor();
    await eve.page.getByRole("button", { name: "Open the chat" }).click();
    await say(eve.page, "Hello from the stands");
    await ada.page.getByText("Hello from the stands").waitFor();
    await shot(eve.page, "phone-3-spectate");
    await eve.page.getByRole("button", { name: "Close the chat" }).click();
    await eve.page.getByRole("button", { name: "Take a seat" }).click();
    await inMatch(eve.page);
    expect(await matchOf(eve.page)).toBe(match);
    await eve.page.waitForTimeout(1_000);
    await shot(eve.page, "phone-4-match");

    expect([...ada.errors, ...eve.errors]).toEqual([]);
    await Promise.all([ada, eve].map(({ context }) => context.close()));
    const wide = await open(rich, "/watch");
    await wide.page.locator(".match-card").first().waitFor();
    await shot(wide.page, "watch");
    await wide.page.locator(`.match-card[href*="${match}"]`).click();
    await wide.page.getByText("Hello from the stands").waitFor();
    await wide.page.locator('.stage .view[data-players*="@"]').waitFor();
    await shot(wide.page, "spectate");
    expect(wide.errors).toEqual([]);
    await wide.context.close();
  });
});

// A page of another origin chats by `<amphi-chat>`, and Node by the same client: over a lost network, with words for all that goes wrong.

import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { connect, signInAsGuest } from "../../src/index.ts";
import { launch, open, shot } from "../browser.ts";

const SITE = process.env.AMPHI_SITE!;
const SERVER = process.env.AMPHI_URL!;
const TOPIC = "lobby:evening";
const PATIENCE_MS = 20_000;

let browser: Browser;

beforeAll(async () => {
  browser = await launch(true);
});
afterAll(async () => {
  await browser?.close();
});

const input = (page: Page) => page.getByLabel("Say something");
const status = (page: Page) => page.getByRole("status");

async function say(page: Page, text: string): Promise<void> {
  await input(page).fill(text);
  await input(page).press("Enter");
}

/** The lines that a page shows which contain `word`, without time and name. */
async function lines(page: Page, word: string): Promise<string[]> {
  return (await page.locator(".line .text").allTextContents()).filter((text) => text.includes(word));
}

async function shows(page: Page, word: string, expected: string[]): Promise<void> {
  await expect.poll(() => lines(page, word), { timeout: PATIENCE_MS }).toEqual(expected);
}

describe("a page of another origin", () => {
  it("chats with a second page, and sends what was said without a network when it is back", async () => {
    expect(new URL(SITE).origin).not.toBe(new URL(SERVER).origin);
    const [ada, eve] = await Promise.all([open(browser, SITE), open(browser, SITE, { phone: true })]);
    await say(ada.page, "hello from Ada");
    await shows(eve.page, "hello", ["hello from Ada"]);
    await say(eve.page, "hello <b>from</b> Eve");
    await shows(ada.page, "hello", ["hello from Ada", "hello <b>from</b> Eve"]);
    expect(await ada.page.locator(".own .who").textContent()).toMatch(/^Guest \d{4} \(you\)$/);
    await shot(ada.page, "site-chat-1280");
    await shot(eve.page, "site-chat-390");

    await ada.context.setOffline(true);
    await status(ada.page).getByText("Offline").waitFor({ timeout: PATIENCE_MS });
    await say(ada.page, "away 1");
    await say(ada.page, "away 2");
    await status(ada.page).getByText("Offline. 2 lines wait").waitFor();
    await shot(ada.page, "site-chat-offline-1280");
    await say(eve.page, "away 0");
    await shows(eve.page, "away", ["away 0"]);
    await ada.context.setOffline(false);
    await shows(eve.page, "away", ["away 0", "away 1", "away 2"]);
    await shows(ada.page, "away", ["away 0", "away 1", "away 2"]);
    await expect.poll(() => status(ada.page).textContent(), { timeout: PATIENCE_MS }).toBe("");
    expect(await ada.page.locator(".waits").count()).toBe(0);

    await ada.page.reload();
    await shows(ada.page, "away", ["away 0", "away 1", "away 2"]);
    expect(await ada.page.locator(".own").count(), "the same guest after a reload").toBe(3);
    expect([...ada.errors, ...eve.errors]).toEqual([]);
    await Promise.all([ada, eve].map(({ context }) => context.close()));
  });

  it("keeps the place of a reader who is further up, and is used by keyboard", async () => {
    const node = await nodeClient("Nora");
    // A class lets one person publish ten at once, and the client waits for its turn with the rest.
    for (let i = 0; i < 14; i++) await node.publishText(TOPIC, `${i} ${"a long line that needs some room on the page ".repeat(3)}`);
    const { page, context, errors } = await open(browser, SITE);
    const log = page.getByRole("log");
    await page.getByText("13 a long line").waitFor({ timeout: PATIENCE_MS });
    const fromEnd = () => log.evaluate((element) => element.scrollHeight - element.scrollTop - element.clientHeight);
    expect(await fromEnd()).toBeLessThan(2);

    await log.focus();
    await page.keyboard.press("Home");
    await expect.poll(() => log.evaluate(({ scrollTop }) => scrollTop)).toBe(0);
    await node.publishText(TOPIC, "fresh 1");
    await node.publishText(TOPIC, "fresh 2");
    const newest = page.getByRole("button", { name: "2 new lines" });
    await newest.waitFor({ timeout: PATIENCE_MS });
    expect(await log.evaluate(({ scrollTop }) => scrollTop), "the reader's place").toBe(0);
    await shot(page, "site-chat-unread-1280");
    await page.keyboard.press("Tab");
    expect(await newest.evaluate((element) => element.matches(":focus"))).toBe(true);
    await page.keyboard.press("Enter");
    expect(await fromEnd()).toBeLessThan(2);
    expect(await page.locator(".unread + .line .text").textContent()).toBe("fresh 1");
    expect(await newest.isVisible()).toBe(false);
    await page.keyboard.press("Tab");
    await page.keyboard.type("x".repeat(501));
    await page.getByText("1 characters too many").waitFor();
    expect(await page.getByRole("button", { name: "Send" }).isDisabled()).toBe(true);
    await input(page).fill("typed");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Space");
    await shows(page, "typed", ["typed"]);
    expect(errors).toEqual([]);
    await context.close();
    node.close();
  });

  it("says what is refused, with its code", async () => {
    const { page, context } = await open(browser, SITE);
    await page.locator("amphi-chat").evaluate((chat) => chat.setAttribute("topic", "nobody-made-this"));
    await status(page).getByText("A0301 TopicUnknown").waitFor({ timeout: PATIENCE_MS });
    await page.locator("amphi-chat").evaluate((chat) => chat.setAttribute("token", "not.a.token"));
    await status(page).getByText("A0201 TokenInvalid").waitFor({ timeout: PATIENCE_MS });
    await shot(page, "site-chat-refused-1280");
    await context.close();
  });

  it("says which setting keeps a page of an origin out that is not named", async () => {
    const { page, context } = await open(browser, SITE.replace("127.0.0.1", "localhost"));
    await status(page).getByText("live.origins").waitFor({ timeout: PATIENCE_MS });
    await context.close();
  });
});

describe("Node", () => {
  it("reads, publishes, and reads history with the WebSocket of a package", async () => {
    const node = await nodeClient("Nils");
    const got: string[] = [];
    node.subscribe(TOPIC, { onPublication: ({ data }) => void got.push((data as { text: string }).text) });
    const offset = await node.publishText(TOPIC, "from Node");
    await expect.poll(() => got.at(-1), { timeout: PATIENCE_MS }).toBe("from Node");
    const history = await node.history(TOPIC, { limit: 3 });
    expect(history.publications.map(({ data }) => (data as { text: string }).text)).toEqual(got.slice(-3));
    expect(history.publications.at(-1)!.position).toEqual({ epoch: history.position.epoch, offset });
    const behind = await node.history(TOPIC, { since: { ...history.position, offset: offset - 1 } });
    expect([behind.recovered, behind.publications.length]).toEqual([true, 1]);
    await expect(node.history("nobody-made-this")).rejects.toMatchObject({ name: "TopicUnknown", action: "stop" });
    node.close();
  });
});

async function nodeClient(name: string) {
  const { token } = await signInAsGuest(SERVER, name);
  return connect({ url: SERVER, token, WebSocket });
}

// Chromium for the stories, and what they do in it.

import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";

const SHOTS = fileURLToPath(new URL("../../../screenshots/", import.meta.url));
const FLAGS = ["--no-sandbox", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-background-timer-throttling", "--disable-renderer-backgrounding", "--disable-backgrounding-occluded-windows"];

/** Address of the server under test. */
export const URL_BASE = process.env.AMPHI_URL ?? "http://127.0.0.1:7000";
export const DESKTOP = { width: 1280, height: 800 };
export const PHONE = { width: 390, height: 844 };

/** Starts a browser. Without WebGL (`flat`) the page draws its 2D map, which is light on small machines. */
export async function launch(flat = false): Promise<Browser> {
  const args = flat ? [...FLAGS.filter((flag) => !flag.includes("swiftshader")), "--disable-gpu", "--disable-3d-apis"] : FLAGS;
  return chromium.launch({ executablePath: process.env.AMPHI_CHROMIUM ?? "/usr/bin/chromium", args });
}

/** A page of a person of its own; `errors` collects what the page throws. */
export async function open(browser: Browser, path: string, options: { size?: typeof DESKTOP; phone?: boolean } = {}): Promise<{ page: Page; context: BrowserContext; errors: string[] }> {
  const phone = options.phone === true;
  const context = await browser.newContext({ viewport: options.size ?? (phone ? PHONE : DESKTOP), colorScheme: "dark", ...(phone && { hasTouch: true, isMobile: true, deviceScaleFactor: 2 }) });
  const page = await context.newPage();
  const errors: string[] = [];
  page.on("pageerror", (error) => errors.push(String(error.stack ?? error)));
  await page.goto(new URL(path, URL_BASE).href);
  return { page, context, errors };
}

/** Takes a picture into `screenshots/`, which git ignores. */
export async function shot(page: Page, name: string): Promise<void> {
  mkdirSync(SHOTS, { recursive: true });
  await page.screenshot({ path: `${SHOTS}${name}.png` });
}

/** From the lobby into the queue. */
export async function joinQueue(page: Page, name: string, mode: string): Promise<void> {
  await page.getByLabel("Your name").fill(name);
  await page.locator(`.modes label:has(input[value="${mode}"])`).click();
  await page.getByRole("button", { name: "Play", exact: true }).click();
}

/** Waits until the page plays. */
export async function inMatch(page: Page): Promise<void> {
  try {
    await page.locator("[data-health]").waitFor({ timeout: 40_000 });
  } catch (error) {
    await shot(page, "failed-to-enter");
    throw new Error(`the page does not play; it says: ${await page.locator("body").innerText()}`, { cause: error });
  }
}

/** Where the page draws the players, in metres. */
export async function players(page: Page): Promise<Map<string, [number, number]>> {
  const text = (await page.locator(".stage .view").getAttribute("data-players")) ?? "";
  const entries = text.split(";").filter((entry) => entry !== "");
  return new Map(entries.map((entry) => {
    const [name, at] = entry.split("@") as [string, string];
    return [name, at.split(",").map(Number) as [number, number]];
  }));
}

/** Waits until the page has drawn `name` at least `metres` away from where it stood. */
export async function seesMoving(page: Page, name: string, metres: number, timeoutMs = 15_000): Promise<void> {
  const start = Date.now();
  let from: [number, number] | undefined;
  for (;;) {
    const at = (await players(page)).get(name);
    from ??= at;
    if (at !== undefined && from !== undefined && Math.hypot(at[0] - from[0], at[1] - from[1]) >= metres) return;
    if (Date.now() - start > timeoutMs) throw new Error(`${name} stands at ${String(at)} since ${String(from)}; seen: ${[...(await players(page)).keys()].join(", ")}`);
    await page.waitForTimeout(100);
  }
}

/** The match this page shows. */
export async function matchOf(page: Page): Promise<string> {
  return (await page.locator(".stage").getAttribute("data-match")) ?? "";
}

/** What the sign of the connection calls the transport. */
export async function transportOf(page: Page): Promise<string> {
  const label = await page.getByRole("button", { name: /^Connection/ }).getAttribute("aria-label");
  return /: (\w+),/.exec(label ?? "")?.[1] ?? "";
}

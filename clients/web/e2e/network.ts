// A bad network between a page and its match hosts: `amphi-loadtest-bots shape`, one in front of each host.

import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Page } from "playwright-core";

/** What each direction does to a packet. */
export interface Weather {
  delay_ms?: number;
  jitter_ms?: number;
  /** Packets lost, in 1/1000. */
  loss_permille?: number;
  /** Nothing passes, and nobody is told. */
  dead?: boolean;
  /** Number of the way to the host. What began on another one is dead for ever, and nobody is told. */
  path?: number;
}

interface Found {
  match?: { endpoints: { url: string }[] };
}

/** The network of one page. Its own server is reached as ever; every host that the queue names is behind the weather. */
export class Network {
  private readonly shapers = new Map<string, { child: ChildProcess; port: Promise<string> }>();
  private current: Weather;

  private constructor(weather: Weather) {
    this.current = weather;
  }

  /** Puts a page behind the weather, before it queues. */
  static async around(page: Page, weather: Weather): Promise<Network> {
    const network = new Network(weather);
    await page.route("**/api/v1/matchmaking/queue**", async (route) => {
      const response = await route.fetch();
      const ticket = (await response.json()) as Found;
      for (const endpoint of ticket.match?.endpoints ?? []) endpoint.url = await network.shaped(endpoint.url);
      await route.fulfill({ response, json: ticket });
    });
    return network;
  }

  /** The weather from now on. */
  weather(weather: Weather): void {
    this.current = weather;
    for (const { child } of this.shapers.values()) this.tell(child);
  }

  /** Ends the shapers. */
  end(): void {
    for (const { child } of this.shapers.values()) child.kill();
  }

  private async shaped(url: string): Promise<string> {
    const port = /:(\d+)/.exec(url)?.[1] ?? "";
    let shaper = this.shapers.get(port);
    if (shaper === undefined) this.shapers.set(port, (shaper = this.start(port)));
    return url.replace(`:${port}`, `:${await shaper.port}`);
  }

  private start(port: string): { child: ChildProcess; port: Promise<string> } {
    const program = process.env.AMPHI_BOTS ?? "amphi-loadtest-bots";
    const child = spawn(program, ["shape", "--to", `127.0.0.1:${port}`], { stdio: ["pipe", "pipe", "inherit"] });
    this.tell(child);
    const lines = createInterface({ input: child.stdout! });
    return {
      child,
      port: new Promise((resolve, reject) => {
        lines.once("line", (line) => resolve(line.split(":").at(-1)!));
        child.once("error", reject);
        child.once("exit", () => reject(new Error(`${program} ended`)));
      }),
    };
  }

  private tell(child: ChildProcess): void {
    child.stdin!.write(`${JSON.stringify(this.current)}\n`);
  }
}

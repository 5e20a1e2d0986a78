// `examples/own-game` as a studio runs it: `cargo run -- up`, on a free port and with data of its own.

import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const MANIFEST = fileURLToPath(new URL("../../../../examples/own-game/Cargo.toml", import.meta.url));

/** Starts the game before the tests, and ends it after them. */
export default async function setup(): Promise<() => Promise<void>> {
  const data = mkdtempSync(join(tmpdir(), "amphi-own-game-"));
  // Cargo turns into the game once it is built, so signals reach the game.
  const game = spawn("cargo", ["run", "--locked", "--quiet", "--manifest-path", MANIFEST, "--", "up", "--listen", "127.0.0.1:0", "--data", data], { stdio: ["ignore", "ignore", "pipe"] });
  process.env.AMPHI_URL = await address(game);
  return async () => {
    await end(game);
    rmSync(data, { recursive: true, force: true });
  };
}

/** Where it listens, as it says itself. */
function address(game: ChildProcess): Promise<string> {
  const said: string[] = [];
  return new Promise((resolve, reject) => {
    createInterface({ input: game.stderr! }).on("line", (line) => {
      said.push(line);
      const url = /^\s*Open (\S+)/.exec(line)?.[1];
      if (url !== undefined) resolve(url);
    });
    game.once("error", reject);
    game.once("exit", () => reject(new Error(`the game ended: ${said.join("\n")}`)));
  });
}

/** A first signal drains; the second ends running matches at once. */
function end(game: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    game.once("exit", () => resolve());
    createInterface({ input: game.stderr! }).on("line", (line) => line.includes("Draining") && game.kill("SIGTERM"));
    game.kill("SIGTERM");
  });
}

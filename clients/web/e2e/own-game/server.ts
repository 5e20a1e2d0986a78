// `examples/own-game` as a studio runs it: `cargo run -- up`, on a free port and with data of its own.

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { address, end } from "../up.ts";

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

// `examples/site-chat` on a port of its own, and `amphi up` beside it, which lets pages of that origin in.

import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { address, end } from "../up.ts";

const EXAMPLE = fileURLToPath(new URL("../../../../examples/site-chat/index.html", import.meta.url));
const PROGRAM = process.env.AMPHI_PROGRAM ?? fileURLToPath(new URL("../../../../target/debug/amphi", import.meta.url));
const EXAMPLE_SERVER = "http://127.0.0.1:7000";

/** Starts both before the tests, and ends them after. */
export default async function setup(): Promise<() => Promise<void>> {
  const site = createServer((_, response) => {
    response.setHeader("content-type", "text/html; charset=utf-8");
    response.end(readFileSync(EXAMPLE, "utf8").replaceAll(EXAMPLE_SERVER, process.env.AMPHI_URL!));
  });
  await new Promise<void>((resolve) => site.listen(0, "127.0.0.1", resolve));
  const { port } = site.address() as AddressInfo;
  process.env.AMPHI_SITE = `http://127.0.0.1:${port}`;
  const data = mkdtempSync(join(tmpdir(), "amphi-site-chat-"));
  const settings = join(data, "amphi.toml");
  writeFileSync(settings, `
    [live]
    origins = ["${process.env.AMPHI_SITE}"]
    [[live.class]]
    prefix = "lobby"
    content = "chat"
    publish = "guest"
    newcomer = 50
  `);
  const amphi = spawn(PROGRAM, ["--config", settings, "up", "--listen", "127.0.0.1:0", "--data", join(data, "data")], { stdio: ["ignore", "ignore", "pipe"], env: {} });
  process.env.AMPHI_URL = await address(amphi);
  return async () => {
    await end(amphi);
    site.close();
    rmSync(data, { recursive: true, force: true });
  };
}

// The package as npm would publish it: what is in it, what it weighs, and that a stranger's project can use it.

import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "vite";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import pack from "../package.json" with { type: "json" };

const WEB = fileURLToPath(new URL("..", import.meta.url));
const GZIP_BYTES_MAX = 20_000;
const PATIENCE_MS = 60_000;

let project: string;
let files: string[];

/** A project that has installed the package, and nothing else but what it depends on. */
beforeAll(() => {
  project = mkdtempSync(join(tmpdir(), "amphi-package-"));
  const said = execFileSync("npm", ["pack", "--json", "--silent", "--pack-destination", project], { cwd: WEB, encoding: "utf8" });
  const [packed] = JSON.parse(said.slice(said.indexOf("["))) as [{ filename: string; files: { path: string }[] }];
  files = packed.files.map(({ path }) => path);
  mkdirSync(join(project, "node_modules/@bufbuild"), { recursive: true });
  execFileSync("tar", ["-xzf", packed.filename], { cwd: project });
  symlinkSync(join(project, "package"), join(project, "node_modules/amphi"));
  symlinkSync(join(WEB, "node_modules/@bufbuild/protobuf"), join(project, "node_modules/@bufbuild/protobuf"));
  writeFileSync(join(project, "package.json"), JSON.stringify({ type: "module" }));
}, PATIENCE_MS);
afterAll(() => rmSync(project, { recursive: true, force: true }));

describe("the package", () => {
  it("holds modules and their types, and nothing of the page, the tests or the tools", () => {
    expect(files.filter((file) => !/^lib\/[a-z0-9-/_]+(\.d)?\.(js|ts)$/.test(file))).toEqual(["README.md", "package.json"]);
    for (const entry of Object.values(pack.exports).flatMap((entry) => Object.values(entry))) expect(files).toContain(entry.slice(2));
    const names = files.filter((file) => file.endsWith(".js")).map((file) => file.replace(/\.js$/, ".d.ts"));
    expect(files).toEqual(expect.arrayContaining(names));
  });

  it("is of the version of the server", () => {
    const cargo = readFileSync(join(WEB, "../../Cargo.toml"), "utf8");
    expect(/^version = "(.+)"$/m.exec(cargo)?.[1]).toBe(pack.version);
  });

  it("is imported by Node without a bundler", () => {
    const script = `
      import { AmphiError, CODE, connect } from "amphi";
      import { MatchClient } from "amphi/game";
      const { name, action, label } = new AmphiError(CODE.RateLimited);
      let missing = "nothing";
      try { if (globalThis.WebSocket === undefined) connect({ url: "http://127.0.0.1:1", token: "" }); else missing = "WebSocket"; } catch (error) { missing = /WebSocket/.exec(error.message)[0]; }
      console.log(JSON.stringify([name, action, label, missing, typeof MatchClient]));`;
    writeFileSync(join(project, "use.mjs"), script);
    const said = execFileSync(process.execPath, ["use.mjs"], { cwd: project, encoding: "utf8" });
    expect(JSON.parse(said)).toEqual(["RateLimited", "retry", "A0114 RateLimited", "WebSocket", "function"]);
  });

  it.each(["nodenext", "bundler"])("has types that a strict project reads with moduleResolution %s", (moduleResolution) => {
    writeFileSync(join(project, "use.ts"), `
      import { AmphiError, connect, type Position, type Publication, type TopicsClient } from "amphi";
      import { Schema } from "amphi/game";
      const client: TopicsClient = connect({ url: "https://live.example.org", token: "", refresh: async () => "" });
      let last: Position | undefined;
      client.subscribe("news", { since: last, onPublication: ({ data, position }: Publication) => void ([data, last] = [data, position]) });
      client.publish("news", { a: 1 }, { key: "k" }).then((offset: number) => offset, (error: AmphiError) => error.action === "retry");
      // @ts-expect-error: an offset is no text
      const wrong: string = await client.publish("news", 1);
      console.log(wrong, Schema);`);
    const options = { module: moduleResolution === "bundler" ? "esnext" : moduleResolution, moduleResolution, target: "es2022", lib: ["es2023", "dom"], strict: true, noEmit: true, types: [] };
    writeFileSync(join(project, "tsconfig.json"), JSON.stringify({ compilerOptions: options, files: ["use.ts"] }));
    execFileSync(process.execPath, [join(WEB, "node_modules/typescript/bin/tsc"), "-p", project], { encoding: "utf8", stdio: ["ignore", "inherit", "inherit"] });
  }, PATIENCE_MS);

  it("weighs little without the game, and so does what the server serves", async () => {
    const weighed = await Promise.all([["index.ts", "topics"], ["sdk.ts", "sdk"]].map(async ([entry, name]) => [name, await gzipBytes(`src/${entry}`)] as const));
    console.log(weighed.map(([name, bytes]) => `${name}: ${bytes} bytes gzipped`).join(", "));
    for (const [name, bytes] of weighed) expect(bytes, name).toBeLessThanOrEqual(GZIP_BYTES_MAX);
  }, PATIENCE_MS);
});

async function gzipBytes(input: string): Promise<number> {
  const built = await build({ root: WEB, configFile: "vite.sdk.config.ts", logLevel: "error", build: { write: false, rolldownOptions: { input } } });
  if (!("output" in built)) throw new Error("nothing was built");
  expect(built.output.length).toBe(1);
  return gzipSync(built.output[0].code, { level: 9 }).length;
}

// A running `amphi up` of a test.

import type { ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";

/** Where it listens, as it says itself. */
export function address(amphi: ChildProcess): Promise<string> {
  const said: string[] = [];
  return new Promise((resolve, reject) => {
    createInterface({ input: amphi.stderr! }).on("line", (line) => {
      said.push(line);
      const url = /^\s*Open (\S+)/.exec(line)?.[1];
      if (url !== undefined) resolve(url);
    });
    amphi.once("error", reject);
    amphi.once("exit", () => reject(new Error(`it ended: ${said.join("\n")}`)));
  });
}

/** A first signal drains; the second ends running matches at once. */
export function end(amphi: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    amphi.once("exit", () => resolve());
    createInterface({ input: amphi.stderr! }).on("line", (line) => line.includes("Draining") && amphi.kill("SIGTERM"));
    amphi.kill("SIGTERM");
  });
}

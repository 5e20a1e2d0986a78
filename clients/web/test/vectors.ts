// Golden vectors that every client language reads.

import { readdirSync, readFileSync } from "node:fs";

const root = new URL("../../../shared/vectors/", import.meta.url);

/** Parses one vector file. */
export function vector<T>(path: string): T {
  return JSON.parse(readFileSync(new URL(path, root), "utf8")) as T;
}

/** File names of a folder of vectors. */
export function vectors(folder: string): string[] {
  return readdirSync(new URL(`${folder}/`, root)).filter((name) => name.endsWith(".json")).sort();
}

/** Bytes of a hex string. */
export function fromHex(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

/** Hex string of bytes. */
export function toHex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** A small seeded generator, so that a failure can be repeated. */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

// The renderer this browser can run: three.js, else the flat map.

import { createFlat } from "./flat.ts";
import type { Renderer } from "./frame.ts";

function hasWebGl(): boolean {
  try {
    return document.createElement("canvas").getContext("webgl2") !== null;
  } catch {
    return false;
  }
}

/** Fetches the code of the renderer ahead of its use. */
export function preloadRenderer(): void {
  if (hasWebGl()) void import("./scene.ts");
}

/** Loads and starts a renderer in `host`. */
export async function createRenderer(host: HTMLElement): Promise<Renderer> {
  if (!hasWebGl()) return createFlat(host);
  const { createScene } = await import("./scene.ts");
  try {
    return createScene(host);
  } catch {
    host.replaceChildren();
    return createFlat(host);
  }
}

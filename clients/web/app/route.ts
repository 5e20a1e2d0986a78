// Where the page is: the path, without a library.

import { useSyncExternalStore } from "react";

const listeners = new Set<() => void>();

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  window.addEventListener("popstate", listener);
  return () => {
    listeners.delete(listener);
    window.removeEventListener("popstate", listener);
  };
}

/** The path of the page, followed live. */
export function usePath(): string {
  return useSyncExternalStore(subscribe, () => location.pathname);
}

/** Goes to a path of this page; keeps `?transport=`. */
export function go(path: string): void {
  history.pushState(null, "", withTransport(path));
  for (const listener of listeners) listener();
}

/** The path with the forced transport, if the page was opened with one. */
export function withTransport(path: string): string {
  const forced = forcedTransport();
  return forced === undefined ? path : `${path}?transport=${forced}`;
}

/** `?transport=ws|wt` forces one transport. */
export function forcedTransport(): "ws" | "wt" | undefined {
  const value = new URLSearchParams(location.search).get("transport");
  return value === "ws" || value === "wt" ? value : undefined;
}

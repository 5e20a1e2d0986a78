// Hooks about time and loading.

import { useEffect, useRef, useState } from "react";
import { type Store, useStore } from "../store.ts";

/** True after `ms`: what is shorter shows nothing. */
export function useAfter(ms: number): boolean {
  const [after, setAfter] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setAfter(true), ms);
    return () => clearTimeout(timer);
  }, [ms]);
  return after;
}

/** Asks again and again while the page is visible. */
export function usePolled<T>(load: (signal: AbortSignal) => Promise<T>, everyMs: number): { value: T | undefined; error: unknown } {
  const [state, setState] = useState<{ value: T | undefined; error: unknown }>({ value: undefined, error: undefined });
  const latest = useRef(load);
  latest.current = load;
  useEffect(() => {
    const stop = new AbortController();
    let timer: ReturnType<typeof setTimeout>;
    const ask = async () => {
      if (!document.hidden) {
        await latest.current(stop.signal).then(
          (value) => setState({ value, error: undefined }),
          (error: unknown) => stop.signal.aborted || setState((old) => ({ ...old, error })),
        );
      }
      if (!stop.signal.aborted) timer = setTimeout(() => void ask(), everyMs);
    };
    void ask();
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, [everyMs]);
  return state;
}

/** A store's value, shown `ms` after it came. */
export function useLater<T>(store: Store<T | undefined>, ms: number): T | undefined {
  const value = useStore(store);
  const [shown, setShown] = useState<T>();
  useEffect(() => {
    if (value === undefined) return;
    const timer = setTimeout(() => setShown(value), ms);
    return () => clearTimeout(timer);
  }, [value, ms]);
  return shown;
}

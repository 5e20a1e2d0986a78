// What this server plays: the name of its game and the modes of its queue.

import { useEffect, useState } from "react";
import { call } from "../src/http.ts";
import type { Games } from "./api.ts";

/** The game that the page knows by itself; every other one is shown by its schema. */
const ARENA = "arena";
const AGAIN_MS = 1_000;

let asked: Promise<Games> | undefined;

/** Game and modes; asked for once. A failed answer is asked for again by the next caller. */
export function games(): Promise<Games> {
  if (asked === undefined) {
    asked = call<Games>("GET", "/api/v1/modes");
    asked.catch(() => {
      asked = undefined;
    });
  }
  return asked;
}

/** Game and modes, once they are known; asks until they are. */
export function useGames(): { value: Games | undefined; error: unknown } {
  const [state, setState] = useState<{ value: Games | undefined; error: unknown }>({ value: undefined, error: undefined });
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout>;
    let gone = false;
    const ask = () => void games().then((value) => gone || setState({ value, error: undefined }), (error: unknown) => {
      if (gone) return;
      setState({ value: undefined, error });
      timer = setTimeout(ask, AGAIN_MS);
    });
    ask();
    return () => {
      gone = true;
      clearTimeout(timer);
    };
  }, []);
  return state;
}

/** True when the page has views made for this game. */
export function isArena({ game }: Games): boolean {
  return game === ARENA;
}

/** The game's name as a title: `my_tag` is `My tag`. */
export function titleOf({ game }: Games): string {
  const words = game.replaceAll(/[_-]+/g, " ").trim();
  return words.slice(0, 1).toUpperCase() + words.slice(1);
}

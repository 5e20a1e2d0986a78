// A seat, with the view that fits its game.

import { lazy, Suspense } from "react";
import type { Saved } from "../../src/session-types.ts";
import type { SeatGrant } from "../api.ts";
import { isArena, useGames } from "../game.ts";
import { PlayView } from "./play-view.tsx";

const BenchPlay = lazy(() => import("../workbench/play.tsx").then(({ BenchPlay }) => ({ default: BenchPlay })));

/** Plays a seat: the Arena by its own view, every other game by its schema. */
export function SeatView(props: { grant: SeatGrant; resume?: Saved | undefined; onAgain: () => void; onLeave: () => void }) {
  const { value: known } = useGames();
  if (known === undefined) return <section className="stage" />;
  if (isArena(known)) return <PlayView {...props} />;
  return <Suspense fallback={<section className="stage" />}><BenchPlay {...props} /></Suspense>;
}

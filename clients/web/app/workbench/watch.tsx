// A match of any game on the page for those who watch.

import type { TopicsClient } from "../../src/topics.ts";
import type { SeatGrant } from "../api.ts";
import { Around, useView } from "../watch/around.tsx";
import { Canvas } from "./canvas.tsx";
import { InspectorPart, LogPart } from "./panels.tsx";
import { Score } from "./score.tsx";
import { BenchView } from "./watch-session.ts";

/** The map of a match, and beside it what a spectator may inspect. */
export function BenchSpectating({ topics, matchId, onSeat }: { topics: TopicsClient | undefined; matchId: string; onSeat: (grant: SeatGrant) => void }) {
  const view = useView(topics, (home) => new BenchView(home, matchId));
  if (view === undefined) return <section className="stage" />;
  return (
    <>
      <Canvas source={view} matchId={matchId}>
        <Score world={view.world} />
        <Around view={view} matchId={matchId} onSeat={onSeat} />
      </Canvas>
      <aside className="bench-side" aria-label="Workbench">
        <InspectorPart world={view.world} />
        <LogPart world={view.world} />
      </aside>
    </>
  );
}

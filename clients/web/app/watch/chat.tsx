// Chat beside a match: `<amphi-chat>` on the page's own session. On a phone it is a sheet that opens.

import { useState } from "react";
import "../../src/chat.ts";
import type { AmphiChat } from "../../src/chat.ts";
import type { TopicsClient } from "../../src/topics.ts";
import { ChatIcon } from "../parts/icons.tsx";

declare module "react" {
  namespace JSX {
    interface IntrinsicElements {
      "amphi-chat": DetailedHTMLProps<HTMLAttributes<AmphiChat>, AmphiChat> & { topic: string; client: TopicsClient };
    }
  }
}

/** The chat of a match. */
export function Chat({ home, matchId, viewers }: { home: TopicsClient | undefined; matchId: string; viewers: number | undefined }) {
  const [open, setOpen] = useState(() => !matchMedia("(max-width: 760px)").matches);
  return (
    <aside className={open ? "chat" : "chat closed"} aria-label="Chat of the match">
      <header>
        <h3 className="row tight"><button type="button" className="button quiet" style={{ minHeight: 32, padding: "0 6px" }} aria-expanded={open} aria-label={open ? "Close the chat" : "Open the chat"} onClick={() => setOpen(!open)}><ChatIcon /></button>Chat</h3>
        <span className="muted" data-viewers>{viewers === undefined ? "" : `${viewers} ${viewers === 1 ? "viewer" : "viewers"}`}</span>
      </header>
      {home === undefined ? null : <amphi-chat topic={`match:${matchId}:chat`} client={home} />}
    </aside>
  );
}

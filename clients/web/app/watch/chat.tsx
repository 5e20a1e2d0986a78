// Chat beside a match: history, new lines, a box with its limits.

import { type FormEvent, useEffect, useRef, useState } from "react";
import type { TopicsClient } from "../../src/topics.ts";
import { account } from "../account.ts";
import { AmphiError } from "../../src/error.ts";
import { homeState } from "../home.ts";
import { ChatIcon } from "../parts/icons.tsx";
import { useStore } from "../store.ts";

const CHARS_MAX = 500;
const LINES_MAX = 300;
const COUNT_FROM = 400;
const NEAR_END_PX = 60;
const NAME_HUES = [28, 205, 140, 330, 265, 175, 50, 0];

/** A line as the server publishes it. */
export interface Line {
  id: number;
  from: { id: string; name: string; role: string };
  text: string;
  at_us: number;
}

/** The lines of a match's chat, followed live; `gap` says that some are missing. */
export function useChat(home: TopicsClient | undefined, matchId: string): { lines: Line[]; gap: boolean } {
  const [lines, setLines] = useState<Line[]>([]);
  const [gap, setGap] = useState(false);
  useEffect(() => {
    return home?.subscribe(`match:${matchId}:chat`, {
      onPublication: ({ data }) => {
        const line = data as Line;
        setLines((old) => (old.some(({ id }) => id === line.id) ? old : [...old, line].slice(-LINES_MAX)));
      },
      onReset: () => setGap(true),
    });
  }, [home, matchId]);
  return { lines, gap };
}

/** The chat of a match. On a phone it is a sheet that opens. */
export function Chat({ home, matchId, viewers }: { home: TopicsClient | undefined; matchId: string; viewers: number | undefined }) {
  const { lines, gap } = useChat(home, matchId);
  const [open, setOpen] = useState(() => !matchMedia("(max-width: 760px)").matches);
  return (
    <aside className={open ? "chat" : "chat closed"} aria-label="Chat">
      <header>
        <h3 className="row tight"><button type="button" className="button quiet" style={{ minHeight: 32, padding: "0 6px" }} aria-expanded={open} aria-label={open ? "Close the chat" : "Open the chat"} onClick={() => setOpen(!open)}><ChatIcon /></button>Chat</h3>
        <span className="muted" data-viewers>{viewers === undefined ? "" : `${viewers} ${viewers === 1 ? "viewer" : "viewers"}`}</span>
      </header>
      <Lines lines={lines} gap={gap} />
      <Say home={home} matchId={matchId} />
    </aside>
  );
}

function Lines({ lines, gap }: { lines: Line[]; gap: boolean }) {
  const list = useRef<HTMLOListElement>(null);
  const [atEnd, setAtEnd] = useState(true);
  const me = account.value?.user.id;
  const toEnd = () => list.current?.scrollTo({ top: list.current.scrollHeight });
  useEffect(() => {
    if (atEnd) toEnd();
  }, [lines, atEnd]);
  const scrolled = () => {
    const { scrollTop, scrollHeight, clientHeight } = list.current!;
    setAtEnd(scrollHeight - scrollTop - clientHeight < NEAR_END_PX);
  };
  return (
    <ol className="lines" ref={list} role="log" aria-live="polite" tabIndex={0} aria-label="Chat lines" onScroll={scrolled}>
      {gap ? <li className="muted">Some lines were missed while the connection was away.</li> : null}
      {lines.length === 0 ? <li className="muted">No line yet. Say hello to the players and the crowd.</li> : null}
      {lines.map((line) => (
        <li key={line.id}>
          <time dateTime={new Date(line.at_us / 1_000).toISOString()} title={new Date(line.at_us / 1_000).toLocaleString()}>{new Date(line.at_us / 1_000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })}</time>
          <span className="who" style={{ color: nameColour(line.from.id) }}>{line.from.name}{line.from.id === me ? " (you)" : ""}{line.from.role === "guest" || line.from.role === "user" ? null : <span className="badge" style={{ marginLeft: 4 }}>{line.from.role}</span>}</span>
          {line.text}
        </li>
      ))}
      {atEnd ? null : <li className="to-newest"><button type="button" className="button" onClick={toEnd}>Newest lines ↓</button></li>}
    </ol>
  );
}

/** A person's own colour of name. */
export function nameColour(id: string): string {
  let sum = 0;
  for (const char of id) sum = (sum * 31 + char.charCodeAt(0)) >>> 0;
  return `light-dark(hsl(${NAME_HUES[sum % NAME_HUES.length]} 75% 30%), hsl(${NAME_HUES[sum % NAME_HUES.length]} 75% 70%))`;
}

function Say({ home, matchId }: { home: TopicsClient | undefined; matchId: string }) {
  const [text, setText] = useState("");
  const [error, setError] = useState("");
  const [sending, setSending] = useState(false);
  const state = useStore(homeState);
  const characters = [...text].length;
  const say = async (event: FormEvent) => {
    event.preventDefault();
    if (home === undefined || text.trim() === "") return;
    setSending(true);
    setError("");
    try {
      await home.publishText(`match:${matchId}:chat`, text);
      setText("");
    } catch (failure) {
      setError(words(failure));
    }
    setSending(false);
  };
  const tooLong = characters > CHARS_MAX;
  const hint = error !== "" ? error : state === "lost" ? "Connecting again…" : characters > COUNT_FROM ? `${CHARS_MAX - characters} characters left` : "";
  return (
    <form onSubmit={(event) => void say(event)}>
      <div className="row">
        <input className="input" aria-label="Say something" placeholder="Say something" value={text} onChange={(event) => setText(event.target.value)} enterKeyHint="send" autoComplete="off" aria-invalid={tooLong} aria-describedby="chat-hint" />
        <button type="submit" className="button" disabled={sending || tooLong || text.trim() === "" || home === undefined}>Send</button>
      </div>
      <p id="chat-hint" className={error !== "" || tooLong ? "hint bad" : "hint"} role={error === "" ? undefined : "alert"} hidden={hint === ""}>{hint}</p>
    </form>
  );
}

/** What went wrong with a line. */
export function words(failure: unknown): string {
  const { message, retryAfterMs, label } = AmphiError.from(failure);
  const wait = retryAfterMs > 0 ? ` Try again in ${Math.ceil(retryAfterMs / 1_000)} s.` : "";
  return `${message}${wait} ${label}`;
}

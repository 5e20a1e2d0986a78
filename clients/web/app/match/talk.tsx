// Chat during play: the newest lines for a moment, and a box that Enter opens.

import { type FormEvent, useEffect, useState } from "react";
import { type ChatLine, nameColour } from "../../src/chat-line.ts";
import { AmphiError } from "../../src/error.ts";
import type { TopicsClient } from "../../src/topics.ts";
import { home } from "../home.ts";
import { ChatIcon } from "../parts/icons.tsx";
import { type Store, useStore } from "../store.ts";

const SHOWN_MAX = 5;
const SHOWN_MS = 12_000;
const CHARS_MAX = 500;

/** The newest lines of a match's chat, followed live. */
function useChat(home: TopicsClient | undefined, matchId: string): ChatLine[] {
  const [lines, setLines] = useState<ChatLine[]>([]);
  useEffect(() => {
    return home?.subscribe(`match:${matchId}:chat`, {
      onPublication: ({ data }) => {
        const line = data as ChatLine;
        setLines((old) => [...old.filter(({ id }) => id !== line.id), line].slice(-SHOWN_MAX));
      },
    });
  }, [home, matchId]);
  return lines;
}

/** Hands that let go of the game for a chat line. */
interface Writer {
  readonly writing: Store<boolean>;
  write(): void;
}

/** The chat of the match that is being played. */
export function Talk({ matchId, controls }: { matchId: string; controls: Writer }) {
  const [topics, setTopics] = useState<TopicsClient>();
  const [now, setNow] = useState(Date.now());
  const writing = useStore(controls.writing);
  const lines = useChat(topics, matchId);
  useEffect(() => void home().then(setTopics, () => undefined), []);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1_000);
    return () => clearInterval(timer);
  }, []);
  const shown = lines.filter(({ at_us }) => writing || now - at_us / 1_000 < SHOWN_MS);
  return (
    <div className="talk">
      <ol aria-live="polite" aria-label="Chat lines">
        {shown.map(({ id, from, text }) => <li key={id}><strong style={{ color: nameColour(from.id) }}>{from.name}</strong> {text}</li>)}
      </ol>
      {writing ? <Box topics={topics} matchId={matchId} onDone={() => controls.writing.set(false)} /> : (
        <button type="button" className="chip" aria-label="Chat" onClick={() => controls.write()}><ChatIcon /><span className="wide">Chat</span> <span className="kbd wide">Enter</span></button>
      )}
    </div>
  );
}

function Box({ topics, matchId, onDone }: { topics: TopicsClient | undefined; matchId: string; onDone: () => void }) {
  const [text, setText] = useState("");
  const [error, setError] = useState("");
  const say = (event: FormEvent) => {
    event.preventDefault();
    if (text.trim() === "") return onDone();
    topics?.publishText(`match:${matchId}:chat`, text).then(onDone, (failure: unknown) => {
      const { message, label } = AmphiError.from(failure);
      setError(`${message} ${label}`);
    });
  };
  return (
    <form className="takes-clicks" onSubmit={say}>
      <input className="input" autoFocus aria-label="Say something" placeholder="Say something" maxLength={CHARS_MAX} value={text} onChange={(event) => setText(event.target.value)} onKeyDown={(event) => event.key === "Escape" && onDone()} onBlur={() => text === "" && onDone()} autoComplete="off" />
      {error === "" ? null : <p className="bad" role="alert">{error}</p>}
    </form>
  );
}

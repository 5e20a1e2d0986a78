// The entry `amphi/chat`: `<amphi-chat topic="…" token="…" server="…">`, a chat for any page.

import { ChatLines } from "./chat-lines.ts";
import { type ChatLine, part } from "./chat-line.ts";
import { STYLE } from "./chat-style.ts";
import { AmphiError } from "./error.ts";
import { forgetGuest, guestAt } from "./guest.ts";
import { connect, type TopicsClient } from "./topics.ts";

const CHARS_MAX = 500;
const COUNT_FROM = 400;
/** A connection that takes longer than this is told of. */
const PATIENCE_MS = 4_000;
/** A line that waits no longer than this is not shown as waiting. */
const WAITS_MS = 400;
const AGAIN_MS_MAX = 30_000;

/** Node has no elements; there the class only stands for its type. */
const Base = (globalThis.HTMLElement ?? class {}) as typeof HTMLElement;

/**
 * Attributes: `topic`; `token`, without which the reader is a guest, called `name` if that is there; `server`, else the
 * page's own. Events: `amphi-error` with an `AmphiError` as its `detail`.
 */
export class AmphiChat extends Base {
  static observedAttributes = ["topic", "token", "server", "name"];
  /** Where chats without `server` go. */
  static server: string | undefined;
  /** Gets a newer token when the one in `token` ends. */
  refresh: (() => Promise<string>) | undefined;

  private given: TopicsClient | undefined;
  private current: TopicsClient | undefined;
  private lines = new ChatLines();
  private status = part("p", "status");
  private hint = part("p", "hint");
  private input = part("input", "input");
  private button = part("button", "send", "Send");
  private refusal: AmphiError | undefined;
  private undo: (() => void)[] = [];
  private starting = false;
  private runs = 0;
  private attempts = 0;
  private forgave = false;
  private slow = false;

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open", delegatesFocus: true });
    const [style, chat, foot, form] = [document.createElement("style"), part("section", "chat"), part("div", "foot"), part("form", "form")];
    style.textContent = STYLE;
    chat.ariaLabel = "Chat";
    this.status.role = "status";
    this.hint.role = "alert";
    this.hint.id = "hint";
    this.button.type = "submit";
    Object.assign(this.input, { placeholder: "Say something", ariaLabel: "Say something", enterKeyHint: "send", autocomplete: "off" });
    this.input.setAttribute("aria-describedby", "hint");
    this.input.oninput = () => this.typed();
    form.onsubmit = (event) => {
      event.preventDefault();
      this.say();
    };
    form.append(this.input, this.button, this.hint);
    foot.append(this.lines.newest, this.status, form);
    chat.append(this.lines.element, foot);
    root.append(style, chat);
    this.typed();
  }

  /** A client of the page's own, whose connection this chat then uses; `token` and `server` say nothing then. */
  get client(): TopicsClient | undefined {
    return this.given;
  }

  set client(client: TopicsClient | undefined) {
    if (client === this.given) return;
    this.given = client;
    this.restart();
  }

  connectedCallback(): void {
    this.restart();
  }

  disconnectedCallback(): void {
    this.stop();
  }

  attributeChangedCallback(name: string, before: string | null, after: string | null): void {
    if (before === after) return;
    if (name === "topic") this.lines.clear();
    this.restart();
  }

  /** Once for all attributes that change together. */
  private restart(): void {
    if (this.starting || !this.isConnected) return;
    this.starting = true;
    queueMicrotask(() => {
      this.starting = false;
      this.stop();
      if (this.isConnected) void this.start(this.runs);
    });
  }

  private stop(): void {
    this.runs += 1;
    for (const step of this.undo.splice(0)) step();
    this.current = undefined;
    this.refusal = undefined;
  }

  private get server(): string {
    return new URL(this.getAttribute("server") ?? AmphiChat.server ?? "/", location.href).href;
  }

  private async start(run: number): Promise<void> {
    const topic = this.getAttribute("topic");
    if (topic === null) return this.tell("This chat has no topic yet.");
    this.slow = false;
    const timer = setTimeout(() => ((this.slow = true), this.paint()), PATIENCE_MS);
    this.undo.push(() => clearTimeout(timer));
    this.paint();
    try {
      const client = this.given ?? (await this.own());
      if (run !== this.runs) return client === this.given ? undefined : client.close();
      this.read(client, topic);
    } catch (error) {
      if (run === this.runs) this.unreachable(AmphiError.from(error));
    }
  }

  private async own(): Promise<TopicsClient> {
    const { server, refresh } = this;
    const token = this.getAttribute("token") ?? (await guestAt(server, this.getAttribute("name") ?? undefined)).token;
    return connect({ url: server, token, refresh });
  }

  /** There is no token yet: tried again when that can help. */
  private unreachable(error: AmphiError): void {
    this.refused(error);
    if (error.action === "stop") return;
    this.attempts += 1;
    const timer = setTimeout(() => this.restart(), Math.min(AGAIN_MS_MAX, 1_000 * 2 ** this.attempts));
    this.undo.push(() => clearTimeout(timer));
  }

  private read(client: TopicsClient, topic: string): void {
    this.current = client;
    this.undo.push(client.follow(() => this.changed(client)));
    if (client !== this.given) this.undo.push(() => client.close());
    const leave = client.subscribe(topic, {
      onPublication: ({ data, position }) => {
        const line = data as ChatLine;
        if (typeof line?.text === "string") this.lines.add(position, line, line.from?.id === client.user);
      },
      onSubscribed: ({ replayed }) => this.lines.expect(replayed),
      onRecovered: () => this.lines.expect(0),
      onReset: ({ replayed }) => {
        this.lines.note("Some lines were missed while the connection was away.");
        this.lines.expect(replayed);
      },
      onError: (error) => this.refused(error),
    });
    // A client that is closed below needs not leave its topics first.
    this.undo.unshift(leave);
    this.changed(client);
  }

  private changed(client: TopicsClient): void {
    if (client.state === "live") this.attempts = 0;
    const { failure } = client;
    if (failure !== undefined && isOfToken(failure) && client !== this.given && !this.hasAttribute("token") && !this.forgave) {
      this.forgave = true;
      forgetGuest(this.server);
      return this.restart();
    }
    if (failure !== undefined) this.refused(failure);
    this.paint();
  }

  private refused(error: AmphiError): void {
    if (this.refusal === error) return;
    this.refusal = error;
    this.dispatchEvent(new CustomEvent("amphi-error", { detail: error, bubbles: true, composed: true }));
    this.paint();
  }

  /** The state in words. */
  private paint(): void {
    const [client, refusal] = [this.current, this.refusal];
    this.typed();
    if (refusal?.action === "stop") return this.tell(`${refusal.message}${isOfToken(refusal) ? " Reload the page, or sign in again." : ""} ${refusal.label}`, true);
    if (client === undefined || client.state === "connecting") return this.tell(this.slow || refusal !== undefined ? this.slowly() : "Connecting…");
    const waiting = client.waiting === 0 ? "" : client.waiting === 1 ? "1 line waits" : `${client.waiting} lines wait`;
    if (client.state === "lost") return this.tell(waiting === "" ? "Offline. Connecting again…" : `Offline. ${waiting} and will be sent when the connection is back.`);
    this.tell(client.waiting > 1 ? `${waiting} to be sent.` : "");
  }

  private slowly(): string {
    const other = new URL(this.server).origin !== location.origin;
    return other ? `No connection yet. The server is away, or does not name ${location.origin} in its setting \`live.origins\`. Trying again…` : "No connection yet. Trying again…";
  }

  private tell(words: string, bad = false): void {
    this.status.classList.toggle("bad", bad);
    // The same words are not read out again.
    if (this.status.textContent !== words) this.status.textContent = words;
  }

  private typed(): void {
    const characters = [...this.input.value].length;
    const tooLong = characters > CHARS_MAX;
    this.input.ariaInvalid = String(tooLong);
    this.button.disabled = tooLong || this.input.value.trim() === "" || this.current === undefined || this.current.state === "over";
    this.warn(tooLong ? `${characters - CHARS_MAX} characters too many` : characters > COUNT_FROM ? `${CHARS_MAX - characters} characters left` : "", tooLong);
  }

  private warn(words: string, bad: boolean): void {
    this.hint.classList.toggle("bad", bad);
    if (this.hint.textContent !== words) this.hint.textContent = words;
  }

  private say(): void {
    const [client, topic, text] = [this.current, this.getAttribute("topic"), this.input.value];
    if (client === undefined || topic === null || this.button.disabled) return;
    this.input.value = "";
    this.typed();
    let shown: (() => void) | undefined;
    const timer = setTimeout(() => (shown = this.lines.waiting(text)), client.state === "live" ? WAITS_MS : 0);
    const done = () => {
      clearTimeout(timer);
      shown?.();
    };
    client.publishText(topic, text).then(done, (error: unknown) => {
      done();
      if (this.input.value === "") this.input.value = text;
      this.typed();
      const { message, label } = AmphiError.from(error);
      this.warn(`${message} ${label}`, true);
    });
  }
}

/** The codes of tokens: with another token it would go on. */
function isOfToken({ code }: AmphiError): boolean {
  return code >= 200 && code < 300;
}

globalThis.customElements?.define("amphi-chat", AmphiChat);

// The lines of a chat as its element shows them: a log that stays at its end unless its reader is further up.

import { type ChatLine, lineElement, part } from "./chat-line.ts";
import type { Position } from "./subscription.ts";

const LINES_MAX = 300;
const NEAR_END_PX = 60;

/** The log of one chat. */
export class ChatLines {
  readonly element = part("ol", "lines");
  readonly newest = part("button", "newest");
  private shown = new Map<string, HTMLLIElement>();
  private readonly empty = part("li", "note", "No line yet. Say hello.");
  private unreadMark: HTMLLIElement | undefined;
  private unread = 0;
  private atEnd = true;
  /** Lines of the past that are still to come: nobody wants them read out one by one. */
  private past = 0;

  constructor() {
    this.element.tabIndex = 0;
    this.element.role = "log";
    this.element.ariaLabel = "Chat lines";
    this.element.ariaLive = "polite";
    this.newest.type = "button";
    this.newest.hidden = true;
    this.newest.onclick = () => {
      this.toEnd();
      this.element.focus();
    };
    this.element.onscroll = () => this.scrolled();
    // The end stays in sight when what is around the log grows or shrinks.
    new ResizeObserver(() => this.atEnd && this.toEnd()).observe(this.element);
    this.clear();
  }

  /** For another topic. */
  clear(): void {
    this.shown.clear();
    this.unreadMark = undefined;
    this.past = 0;
    this.element.replaceChildren();
    this.toEnd();
  }

  /** So many lines of the past follow. */
  expect(past: number): void {
    this.past = past;
    this.element.ariaLive = past > 0 ? "off" : "polite";
    if (past === 0 && this.shown.size === 0) this.element.prepend(this.empty);
  }

  /** Shows a line once, however often it comes; `own` is one that its reader wrote. */
  add({ epoch, offset }: Position, line: ChatLine, own: boolean): void {
    const isPast = this.past > 0;
    const place = `${epoch}:${offset}`;
    if (!this.shown.has(place)) {
      if (this.atEnd || own) this.unreadMark = void this.unreadMark?.remove();
      else if (!isPast) this.countUnread();
      const element = lineElement(line, own);
      this.shown.set(place, element);
      this.append(element);
      this.forgetOldest();
    }
    if (!isPast) return;
    this.past -= 1;
    // Behind the paint: what came before it is not told.
    if (this.past === 0) setTimeout(() => (this.element.ariaLive = this.past === 0 ? "polite" : "off"), 100);
  }

  /** A note between the lines. */
  note(text: string): void {
    this.append(part("li", "note", text));
  }

  /** A line that waits to be sent; the returned function takes it away. */
  waiting(text: string): () => void {
    const element = part("li", "waits");
    element.append(part("span", "who", "You, waiting"), ` ${text}`);
    this.append(element, true);
    this.toEnd();
    return () => element.remove();
  }

  toEnd(): void {
    this.element.scrollTop = this.element.scrollHeight;
    this.scrolled();
  }

  private append(element: HTMLLIElement, last = false): void {
    this.empty.remove();
    const waiting = last ? null : this.element.querySelector(".waits");
    this.element.insertBefore(element, waiting);
    if (this.atEnd) this.toEnd();
  }

  private countUnread(): void {
    if (this.unreadMark === undefined) {
      this.unreadMark = part("li", "unread", "New");
      this.append(this.unreadMark);
    }
    this.unread += 1;
    this.newest.hidden = false;
    this.newest.textContent = `${this.unread} new ${this.unread === 1 ? "line" : "lines"} ↓`;
  }

  private scrolled(): void {
    const { scrollTop, scrollHeight, clientHeight } = this.element;
    this.atEnd = scrollHeight - scrollTop - clientHeight < NEAR_END_PX;
    if (this.atEnd) this.unread = 0;
    this.newest.hidden = this.atEnd;
    if (!this.atEnd && this.unread === 0) this.newest.textContent = "Newest lines ↓";
  }

  private forgetOldest(): void {
    for (const [place, element] of this.shown) {
      if (this.shown.size <= LINES_MAX) return;
      element.remove();
      this.shown.delete(place);
    }
  }
}

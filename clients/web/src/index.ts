// The entry `amphi`: topics from a page or from Node. `docs/guides/web-kit.md` shows it at work.

export type { Action, CodeName } from "./codes.ts";
export { CODE, codeLabel } from "./codes.ts";
export { AmphiError } from "./error.ts";
export type { History, HistoryOptions } from "./history.ts";
export { signInAsGuest, type SignedIn, type User } from "./http.ts";
export type { LinkState } from "./link.ts";
export type { OutboxLimits } from "./outbox.ts";
export type { Member, Presence } from "./presence.ts";
export type { Position, Publication, Subscriber } from "./subscription.ts";
export { connect, type ConnectOptions, type PublishOptions, type TopicsClient } from "./topics.ts";

// The entry `amphi`: topics from a page or from Node. `docs/guides/web-kit.md` shows it at work.

export type { Action, CodeName } from "./codes.ts";
export { CODE, codeLabel } from "./codes.ts";
export { AmphiError } from "./error.ts";
export { signInAsGuest, type SignedIn, type User } from "./http.ts";
export type { LinkState } from "./link.ts";
export type { OutboxLimits } from "./outbox.ts";
export { connect, type ConnectOptions, type History, type HistoryOptions, type Position, type Publication, type PublishOptions, type Subscriber, type TopicsClient } from "./topics.ts";

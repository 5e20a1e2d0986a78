// `/sdk/amphi.js`: topics and the chat, from the server that the page talks to.

import { AmphiChat } from "./chat.ts";

AmphiChat.server = new URL(import.meta.url).origin;

export { AmphiChat } from "./chat.ts";
export * from "./index.ts";

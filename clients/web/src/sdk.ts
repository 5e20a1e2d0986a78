// `/sdk/amphi.js`: everything a page needs of topics, from the server that it talks to.

export * from "./index.ts";

// `/sdk/amphi.js`: the client and the chat as one file that any page can load from its server.

import { defineConfig } from "vite";
import pack from "./package.json" with { type: "json" };

export default defineConfig({
  build: {
    target: "es2022",
    outDir: "dist/sdk",
    rolldownOptions: {
      input: "src/sdk.ts",
      preserveEntrySignatures: "strict",
      output: { entryFileNames: "amphi.js", codeSplitting: false, postBanner: `/*! amphi ${pack.version}, ${pack.license} */` },
    },
  },
});

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants } from "node:zlib";

import { defineConfig, type Plugin } from "vite";

/** Puts a Brotli twin (`.br`) beside each script and style: a seventh smaller than gzip, and Python has no Brotli. */
function brotli(): Plugin {
  return {
    name: "brotli",
    apply: "build",
    writeBundle: ({ dir = "" }, bundle) => {
      for (const name of Object.keys(bundle).filter((each) => /\.(js|css)$/.test(each))) {
        const content = readFileSync(join(dir, name));
        const params = { [constants.BROTLI_PARAM_SIZE_HINT]: content.length };
        writeFileSync(join(dir, `${name}.br`), brotliCompressSync(content, { params }));
      }
    },
  };
}

/** The languages there are files for, English first, and what each is called in itself: a browser takes long to say. */
function languageNames(): Record<string, string> {
  const codes = readdirSync(new URL("src/locales", import.meta.url)).map((file) => file.replace(/\.json$/, ""));
  const named = (code: string) => [code, new Intl.DisplayNames([code], { type: "language" }).of(code) ?? code];
  return Object.fromEntries(["en", ...codes.filter((code) => code !== "en").sort()].map(named));
}

export default defineConfig({
  plugins: [brotli()],
  define: { LANGUAGE_NAMES: JSON.stringify(languageNames()) },
  // The code is React's; what runs it is Preact, at half the size: the first screen is there a third sooner on a phone.
  resolve: {
    alias: [
      { find: /^react$/, replacement: fileURLToPath(new URL("src/runtime.js", import.meta.url)) },
      { find: /^react\/(.+)$/, replacement: "preact/$1" },
      { find: /^react-dom$/, replacement: "preact/compat" },
      { find: /^react-dom\/(.+)$/, replacement: "preact/compat/$1" },
    ],
  },
  // The server puts a fresh nonce in this place, so that only the page's own styles apply.
  html: { cspNonce: "__STYLE_NONCE__" },
  // Scripts and styles find each other wherever the folder lies, as `pasquin play --export` may be put anywhere.
  experimental: { renderBuiltUrl: (_, { hostType }) => (hostType === "html" ? undefined : { relative: true }) },
  build: {
    outDir: "../src/pasquin/server/static",
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // What the first screen needs is one file: each further one is another way to the server and back.
    rolldownOptions: {
      output: { codeSplitting: { groups: [{ name: "first", tags: ["$initial"] }] } },
      // TanStack marks its modules for servers that render React, which is nothing to tell anybody here.
      onLog: (level, log, say) => log.code !== "MODULE_LEVEL_DIRECTIVE" && say(level, log),
    },
  },
  server: { proxy: { "/api": "http://127.0.0.1:8000" } },
});

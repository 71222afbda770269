import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { build as bundle, type Plugin, type Rollup } from "vite";
import { defineConfig } from "vitest/config";

// hatch_build.py hands over the hash of the sources; a page without one was built or tested by hand.
const build = process.env["CARETS_BUILD"] ?? "unpackaged00";

/** Bytes of a file above which it is kept for offline only once it was used. */
const REST_BYTES_MAX = 512 * 1024;

/**
 * Makes worker.js beside the page, with the names of the files that open it. It needs a build of its own: one file, no
 * imports, and a name that stays, since browsers look there for the next one.
 */
function offlineWorker(): Plugin {
  let shell: string[] = [];
  let rest: string[] = [];
  let outDir = "";
  return {
    name: "carets-offline-worker",
    apply: "build",
    configResolved(config) {
      outDir = config.build.outDir;
    },
    generateBundle(_, files) {
      const bytesOf = (file: Rollup.OutputBundle[string]): number =>
        file.type === "chunk" ? file.code.length : file.source.length;
      const assets = Object.values(files).filter((file) => file.fileName.startsWith("assets/"));
      shell = firstLoad(files).filter((name) => name.startsWith("assets/"));
      const others = assets.filter((file) => !shell.includes(file.fileName) && bytesOf(file) <= REST_BYTES_MAX);
      rest = others.map((file) => file.fileName).filter((name) => !name.endsWith(".map"));
    },
    async closeBundle() {
      // It is called after a build that failed, too.
      if (shell.length === 0) return;
      await bundle({
        configFile: false,
        logLevel: "warn",
        publicDir: false,
        define: {
          __CARETS_BUILD__: JSON.stringify(build),
          __CARETS_SHELL__: JSON.stringify(shell),
          __CARETS_REST__: JSON.stringify(rest),
        },
        build: {
          target: "baseline-widely-available",
          outDir,
          emptyOutDir: false,
          lib: { entry: "src/offline/worker.ts", formats: ["iife"], name: "carets", fileName: () => "worker.js" },
        },
      });
    },
  };
}

/** The entry first, then all that it imports at once, its styles, and pictures. */
function firstLoad(files: Rollup.OutputBundle): string[] {
  const names = new Set<string>();
  const take = (name: string): void => {
    const file = files[name];
    if (names.has(name) || file?.type !== "chunk") return;
    names.add(name);
    for (const style of file.viteMetadata?.importedCss ?? []) names.add(style);
    for (const imported of file.imports) take(imported);
  };
  for (const file of Object.values(files)) if (file.type === "chunk" && file.isEntry) take(file.fileName);
  for (const file of Object.values(files)) if (file.fileName.endsWith(".svg")) names.add(file.fileName);
  return [...names];
}

/** What the frame must know of Python's files: sizes as they are unpacked, and which interpreter it is. */
function pyodideFacts(): object {
  const folder = join(import.meta.dirname, "node_modules", "pyodide");
  const read = (name: string): Record<string, unknown> => JSON.parse(readFileSync(join(folder, name), "utf8"));
  const bytes = (name: string): number => statSync(join(folder, name)).size;
  return {
    version: read("package.json")["version"],
    wasmBytes: bytes("pyodide.asm.wasm"),
    libraryBytes: bytes("python_stdlib.zip"),
    info: read("pyodide-lock.json")["info"],
  };
}

/**
 * The frame in which programs run, and its workers: one script each, without imports, as a document without an origin can
 * load no modules of a worker. They are no part of the page: it only knows their address.
 */
function sandbox(): Plugin {
  let folder = "";
  return {
    name: "carets-sandbox",
    apply: "build",
    configResolved(config) {
      folder = resolve(config.root, config.build.outDir, "run");
    },
    async closeBundle() {
      mkdirSync(folder, { recursive: true });
      for (const name of ["frame", "python", "javascript"]) {
        await bundle({
          configFile: false,
          publicDir: false,
          root: import.meta.dirname,
          logLevel: "warn",
          define: {
            __CARETS_BUILD__: JSON.stringify(build),
            __CARETS_PYODIDE__: JSON.stringify(pyodideFacts()),
          },
          build: {
            target: "baseline-widely-available",
            outDir: folder,
            emptyOutDir: false,
            chunkSizeWarningLimit: 1024,
            lib: {
              entry: join(import.meta.dirname, "src", "run", "sandbox", `${name}.ts`),
              name: "run",
              formats: ["iife"],
              fileName: () => `${name}-${build}.js`,
            },
          },
        });
      }
      const html = `<!doctype html><meta charset="utf-8"><title>Run</title><script src="frame-${build}.js"></script>\n`;
      writeFileSync(join(folder, `frame-${build}.html`), html);
    },
  };
}

/** That package marks the calls that fill its tables of keys and commands as pure, and so they would be left out. */
const emacsKeys: Plugin = {
  name: "carets-emacs-keys",
  enforce: "pre",
  transform: (code, id) =>
    id.includes("@replit/codemirror-emacs") ? code.replaceAll("/*@__PURE__*/EmacsHandler.", "EmacsHandler.") : null,
};

export default defineConfig({
  // Relative, so that one build serves any --base-path.
  base: "./",
  define: { __CARETS_BUILD__: JSON.stringify(build) },
  plugins: [svelte(), emacsKeys, offlineWorker(), sandbox()],
  build: {
    target: "baseline-widely-available",
    // A data: URL would need a hole in the content security policy.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 1024,
    outDir: process.env["CARETS_PAGE"] ?? "dist",
    emptyOutDir: true,
  },
  test: {
    projects: [
      {
        extends: true,
        test: {
          name: "node",
          environment: "node",
          include: ["src/**/*.test.ts", "tests/**/*.test.ts"],
          exclude: ["**/*.effects.test.ts", "**/node_modules/**"],
        },
      },
      {
        // Where effects run as they do in a browser, though there is no document: outside of one Svelte leaves them out.
        extends: true,
        resolve: { conditions: ["browser", "import", "module", "default"] },
        test: {
          name: "effects",
          environment: "./tests/effects.ts",
          include: ["src/**/*.effects.test.ts"],
          server: { deps: { inline: [/svelte/] } },
        },
      },
    ],
  },
});

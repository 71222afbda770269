/**
 * The workspace's files as modules of JavaScript, TypeScript and JSON, which import each other.
 *
 * Owns: which file a name means, and how its text becomes a module. Does not know: timers, output, the worker.
 *
 * Invariants:
 *   1. Nothing is found outside of the workspace but the few modules that are given.
 *   2. A module stands on the lines of its file, so that the places in errors are right.
 */
import { type Transform, transform } from "sucrase";
import type { Files } from "../messages";
import { SOURCE_PREFIX } from "./inspect";

interface Module {
  exports: unknown;
}

type Require = (name: string) => unknown;
type Body = (require: Require, module: Module, exports: unknown, path: string, folder: string) => unknown;

const ENDINGS = ["", ".js", ".mjs", ".cjs", ".ts", ".mts", ".cts", ".jsx", ".tsx", ".json"];
const INDEXES = ENDINGS.slice(1).map((ending) => `/index${ending}`);
/** TypeScript names the file that a compiler would write. */
const COMPILED: Readonly<Record<string, readonly string[]>> = {
  ".js": [".ts", ".tsx"],
  ".jsx": [".tsx"],
  ".mjs": [".mts"],
  ".cjs": [".cts"],
};

export class ModuleError extends Error {
  override readonly name = "ModuleError";
}

/** Return the path that `name` means in the file at `from`; null when there is no such file. */
export function resolve(name: string, from: string, files: Files): string | null {
  const start = name.startsWith("/") ? [] : from.split("/").slice(0, -1);
  const parts = [...start];
  for (const part of name.split("/")) {
    if (part === "" || part === ".") continue;
    if (part !== "..") parts.push(part);
    else if (parts.pop() === undefined) return null;
  }
  const path = parts.join("/");
  const ending = /\.[cm]?jsx?$/.exec(path)?.[0] ?? "";
  const compiled = (COMPILED[ending] ?? []).map((each) => path.slice(0, -ending.length) + each);
  const candidates = [...ENDINGS.map((each) => path + each), ...compiled, ...INDEXES.map((each) => path + each)];
  return candidates.find((candidate) => files.has(candidate)) ?? null;
}

export class Modules {
  readonly #files: Files;
  readonly #given: ReadonlyMap<string, unknown>;
  readonly #loaded = new Map<string, Module>();

  /** `given`: the modules that are no files, by their bare names. */
  constructor(files: Files, given: ReadonlyMap<string, unknown>) {
    this.#files = files;
    this.#given = given;
  }

  /** Run the file at `path`; it may await at its top level. */
  async start(path: string): Promise<void> {
    const module: Module = { exports: {} };
    this.#loaded.set(path, module);
    await this.#run(path, module, true);
  }

  #require(name: string, from: string): unknown {
    if (!/^\.{0,2}\//.test(name) && name !== "." && name !== "..") {
      const given = this.#given.get(name.replace(/^node:/, ""));
      if (given !== undefined) return given;
      throw new ModuleError(
        `There is no module "${name}" here: files of this workspace are imported by "./" and their path, and packages cannot be.`,
      );
    }
    const path = resolve(name, from, this.#files);
    if (path === null) throw new ModuleError(`"${name}", imported by ${from}, is no file of this workspace.`);
    const known = this.#loaded.get(path);
    if (known !== undefined) return known.exports;
    const module: Module = { exports: {} };
    this.#loaded.set(path, module);
    try {
      if (path.endsWith(".json")) module.exports = this.#json(path);
      else this.#run(path, module, false);
    } catch (error) {
      this.#loaded.delete(path);
      throw error;
    }
    return module.exports;
  }

  #json(path: string): unknown {
    try {
      return JSON.parse(this.#files.get(path) ?? "");
    } catch (error) {
      throw new SyntaxError(`${path}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  #run(path: string, module: Module, mayWait: boolean): unknown {
    const code = compiled(path, this.#files.get(path) ?? "");
    const address = SOURCE_PREFIX + encodeURI(path);
    const head = `(${mayWait ? "async " : ""}function (require, module, exports, __filename, __dirname) {`;
    const source = `${head}${code}\n})\n//# sourceURL=${address}`;
    let body: Body;
    try {
      // Indirect, so that the program sees no name of this module.
      // biome-ignore lint/security/noGlobalEval: running code of the workspace is what this worker is for
      // biome-ignore lint/complexity/noCommaOperator: what makes the call indirect
      body = (0, eval)(source) as Body;
    } catch (error) {
      throw error instanceof SyntaxError ? new Unreadable(error.message, path, source) : error;
    }
    const folder = path.split("/").slice(0, -1).join("/");
    return body((name) => this.#require(name, path), module, module.exports, path, folder);
  }
}

/** Code that the engine cannot read; it does not say where, and `source` is for finding out. */
export class Unreadable extends SyntaxError {
  readonly path: string;
  readonly source: string;

  constructor(message: string, path: string, source: string) {
    super(message);
    this.path = path;
    this.source = source;
    this.stack = placed(path);
  }
}

/** A stack that names one place. */
export function placed(path: string, line?: number, column?: number): string {
  const where = [line, column].filter((each) => each !== undefined).map((each) => `:${each}`);
  return `at ${SOURCE_PREFIX}${encodeURI(path)}${where.join("")}`;
}

function compiled(path: string, text: string): string {
  const source = text.replace(/^#!/, "//");
  const transforms: Transform[] = [];
  if (/\.[cm]?tsx?$/.test(path)) transforms.push("typescript");
  if (/\.[jt]sx$/.test(path)) transforms.push("jsx");
  // Without a word of modules it is a script, and stays as sloppy as it is.
  if (!path.endsWith(".cjs") && /\b(import|export)\b/.test(source)) transforms.push("imports");
  if (transforms.length === 0) return source;
  try {
    return transform(source, { transforms, production: true, keepUnusedImports: false }).code;
  } catch (error) {
    const loc = (error as { loc?: { line: number; column: number } }).loc;
    const message = (error instanceof Error ? error.message : String(error)).replace(/ \(\d+:\d+\)$/, "");
    const told = new SyntaxError(message);
    told.stack = placed(path, loc?.line, loc?.column);
    throw told;
  }
}

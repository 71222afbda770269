import { expect, test } from "vitest";
import { format, makeConsole, table } from "./console";
import { errorText, inspect } from "./inspect";
import { Modules, resolve } from "./modules";
import { Printer } from "./printer";

test("values read as their notation", () => {
  class Point {
    x = 1;
    get far(): number {
      throw new Error("called");
    }
  }
  const round: Record<string, unknown> = { a: [1, "two", null, undefined, -0, 3n] };
  round["self"] = round;
  expect(inspect(round)).toBe("{ a: [ 1, 'two', null, undefined, -0, 3n ], self: [Circular] }");
  expect(inspect(new Point())).toBe("Point { x: 1 }");
  expect(
    inspect({
      get far() {
        return 1;
      },
      "a b": Symbol("s"),
      f() {},
    }),
  ).toBe("{ far: [Getter], 'a b': Symbol(s), f: [Function: f] }");
  expect(inspect(new Map([["k", new Set([1])]]))).toBe("Map(1) { 'k' => Set(1) { 1 } }");
  expect(inspect(new Uint8Array([1, 2]))).toBe("Uint8Array(2) [ 1, 2 ]");
  expect(inspect(Object.assign(new Array(3), { 0: 1, 2: 3 }))).toBe("[ 1, <empty>, 3 ]");
  expect(inspect(Object.create(null))).toBe("[Object: null prototype] {}");
  expect(inspect(new Date(Number.NaN))).toBe("Invalid Date");
  expect(
    inspect(
      new Proxy(
        {},
        {
          ownKeys: () => {
            throw new Error("no");
          },
        },
      ),
    ),
  ).toBe("[cannot be shown]");
});

test("however large or deep a value is, what is written of it is not", () => {
  let deep: unknown = 1;
  for (let depth = 0; depth < 10_000; depth++) deep = { deep };
  expect(inspect(deep).length).toBeLessThan(200);
  expect(inspect(Array.from({ length: 1e6 }, (_, at) => at)).length).toBeLessThan(1000);
  expect(inspect("x".repeat(1e6)).length).toBeLessThan(11_000);
  const wide = Array.from({ length: 100 }, () => Array.from({ length: 100 }, () => "y".repeat(100)));
  expect(inspect([wide, wide, wide, wide]).length).toBeLessThan(100_000);
});

test("the console fills in, indents and draws tables", () => {
  const lines: string[] = [];
  const console = makeConsole(
    (stream, text) => lines.push(`${stream}:${text}`),
    () => 0,
  );
  console.log?.("%s is %d%% %j", "it", "50", { a: 1 }, "more");
  console.group?.("head");
  console.error?.("a\nb");
  console.groupEnd?.();
  console.assert?.(false, "no");
  expect(lines).toEqual(['out:it is 50% {"a":1} more\n', "out:head\n", "err:  a\n  b\n", "err:Assertion failed: no\n"]);
  expect(format(["plain", { a: 1 }])).toBe("plain { a: 1 }");
  expect(table([{ a: 1, b: "x" }, { a: 22 }])).toBe(
    [
      "┌─────────┬────┬─────┐",
      "│ (index) │ a  │ b   │",
      "├─────────┼────┼─────┤",
      "│ 0       │ 1  │ 'x' │",
      "│ 1       │ 22 │     │",
      "└─────────┴────┴─────┘",
    ].join("\n"),
  );
  expect(table(7)).toBeNull();
});

test("names lead to files as both languages mean them", () => {
  const paths = ["main.js", "lib/a.ts", "lib/index.js", "lib/b.js", "facts.json", "other.mts"];
  const files = new Map(paths.map((path) => [path, ""]));
  const found = (name: string, from = "main.js"): string | null => resolve(name, from, files);
  expect(found("./lib/a")).toBe("lib/a.ts");
  expect(found("./lib/a.js")).toBe("lib/a.ts");
  expect(found("./lib")).toBe("lib/index.js");
  expect(found("./b", "lib/a.ts")).toBe("lib/b.js");
  expect(found("../facts.json", "lib/a.ts")).toBe("facts.json");
  expect(found("/other.mjs", "lib/a.ts")).toBe("other.mts");
  expect(found("../../facts.json", "lib/a.ts")).toBeNull();
  expect(found("./gone")).toBeNull();
});

async function ran(files: Record<string, string>, path: string): Promise<unknown[]> {
  const told: unknown[] = [];
  const modules = new Modules(new Map(Object.entries(files)), new Map([["told", told]]));
  await modules.start(path);
  return told;
}

test("modules of every kind import each other, once, and in circles", async () => {
  const told = await ran(
    {
      "main.ts":
        'import told from "told";\nimport one, { two as second } from "./a.js";\nimport * as c from "./c.cjs";\nimport facts from "./f.json";\nimport { type T } from "./t";\nconst x: T = await Promise.resolve(3);\ntold.push(one, second, c.three, facts.four, x);\nconst { later } = await import("./later.mjs");\ntold.push(later);',
      "a.js":
        'import { back } from "./b.js";\nexport default 1;\nexport const two = 2;\nexport const seen = () => back;',
      "b.js": 'import { two } from "./a.js";\nexport const back = () => two;',
      "c.cjs": "exports.three = 3;\nexports.again = require('./a.js').two;",
      "f.json": '{"four": 4}',
      "t.ts": "export type T = number;",
      "later.mjs": "export const later = 'late';",
    },
    "main.ts",
  );
  expect(told).toEqual([1, 2, 3, 4, 3, "late"]);
});

test("what is not there is said plainly, with the place", async () => {
  await expect(ran({ "a.js": 'import x from "left-pad";\nx();' }, "a.js")).rejects.toThrow('no module "left-pad"');
  await expect(ran({ "a.js": 'import "./gone.js";' }, "a.js")).rejects.toThrow(
    '"./gone.js", imported by a.js, is no file',
  );
  await expect(ran({ "a.js": 'import "./f.json";', "f.json": "{" }, "a.js")).rejects.toThrow(/^f\.json: /);
  const broken = await ran({ "a.ts": "const x = 1;\nimport y from ;\n" }, "a.ts").catch((error: unknown) => error);
  expect(errorText(broken as Error)).toMatch(/^SyntaxError: [^\n]+\n {4}at a\.ts:2:\d+$/);
  const failed = await ran(
    { "s p.ts": 'import "told";\nconst fails = (): never => {\n  throw new Error("no");\n};\nfails();\n' },
    "s p.ts",
  ).catch((error: unknown) => error);
  expect(errorText(failed as Error)).toMatch(/^Error: no\n {4}at fails \(s p\.ts:3:\d+\)\n {4}at s p\.ts:5:\d+$/);
});

test("little is printed at once, a flood is gathered, and its end is not lost", () => {
  const clock = { ms: 0 };
  const posts: string[] = [];
  const printer = new Printer(
    (chunks) => posts.push(chunks.map(([, text]) => text).join("")),
    () => clock.ms,
  );
  printer.write("out", "one\n");
  printer.write("out", "two\n");
  expect(posts).toEqual(["one\n", "two\n"]);
  for (let line = 0; line < 100_000; line++) {
    clock.ms += 0.001;
    printer.write("out", `line ${line}\n`);
  }
  expect(posts.length).toBeLessThan(1200);
  printer.flush();
  expect(posts.at(-1)?.endsWith("line 99999\n")).toBe(true);
});

/**
 * Which language a file is written in: by hand, by its name, or by its first line. Each is loaded when it is needed.
 *
 * Owns: the list of languages. Does not know: views; a caller puts what was loaded into its own compartment.
 */
import { LanguageDescription, type LanguageSupport } from "@codemirror/language";
import { languages } from "@codemirror/language-data";

/** Names that language-data does not know, by the name of the language in which they are written. */
const ALSO: readonly [RegExp, string][] = [
  [/\.(jsonc|json5|webmanifest|geojson|ipynb|code-workspace)$/i, "JSON"],
  [/^(\.prettierrc|\.eslintrc|\.babelrc|composer\.lock|Pipfile\.lock)$/, "JSON"],
  [/\.(pyi|pyx|pxd)$|^(SConstruct|SConscript|wscript)$/i, "Python"],
  [/\.(svelte|astro|ejs|njk|xhtml)$/i, "HTML"],
  [
    /^(\.gitconfig|\.editorconfig|\.npmrc|\.env(\..+)?|\.flaskenv)$|\.(conf|cfg|env|service|timer|socket)$/i,
    "Properties files",
  ],
  [/^(Cargo\.lock|poetry\.lock|uv\.lock|Pipfile)$/, "TOML"],
  [/^(\.bashrc|\.bash_profile|\.profile|\.zshrc|\.zprofile|APKBUILD)$|\.(zsh|bats)$/i, "Shell"],
  [/^(Containerfile|.+\.dockerfile)$/i, "Dockerfile"],
  [/\.(mdx|mkdn)$|^(README|CHANGELOG|CONTRIBUTING)$/i, "Markdown"],
  [/\.(plist|xaml|csproj|fsproj|vcxproj|resx|wsdl|rss|atom)$/i, "XML"],
  [/\.(clang-format|clang-tidy|cff)$|^\.(clang-format|clang-tidy)$/i, "YAML"],
  [/\.(cu|cuh|ipp|tpp|ixx)$/i, "C++"],
];

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** Return the language of the file at `path`; null when its name tells none. */
export function languageOf(path: string): LanguageDescription | null {
  const name = nameOf(path);
  const known = ALSO.find(([pattern]) => pattern.test(name));
  if (known !== undefined) return languages.find((language) => language.name === known[1]) ?? null;
  return LanguageDescription.matchFilename(languages, name);
}

/** What a first line says, by the name of the language; of a program's path only the program counts. */
const FIRST_LINES: readonly [RegExp, string][] = [
  [/^#!.*\b(python|pypy)[\d.]*\b/, "Python"],
  [/^#!.*\b(ba|da|z|k)?sh\b/, "Shell"],
  [/^#!.*\b(node|nodejs|bun)\b/, "JavaScript"],
  [/^#!.*\b(deno|ts-node|tsx)\b/, "TypeScript"],
  [/^#!.*\bruby\b/, "Ruby"],
  [/^#!.*\bperl\b/, "Perl"],
  [/^#!.*\bphp\b|^<\?php\b/, "PHP"],
  [/^#!.*\b(lua|luajit)\b/, "Lua"],
  [/^#!.*\bRscript\b/, "R"],
  [/^#!.*\b(tclsh|wish)\b/, "Tcl"],
  [/^#!.*\bgroovy\b/, "Groovy"],
  [/^#!.*\bjulia\b/, "Julia"],
  [/^#!.*\brunhaskell\b/, "Haskell"],
  [/^\s*<!doctype html\b|^\s*<html\b/i, "HTML"],
  [/^\s*<\?xml\b|^\s*<!DOCTYPE\b/, "XML"],
  [/^(diff --git |--- \S|Index: \S)/, "diff"],
  [/^%YAML\b|^---\s*$/, "YAML"],
];

/** The first line is looked at no further than this, in UTF-16 units: a minified file is one line. */
const FIRST_LINE_UNITS = 200;

/** Return the language that a file's first line names; null when it names none. */
export function languageOfLine(line: string): LanguageDescription | null {
  const begun = line.slice(0, FIRST_LINE_UNITS);
  const found = FIRST_LINES.find(([pattern]) => pattern.test(begun));
  return found === undefined ? null : languageNamed(found[1]);
}

/** Return the language that `languageNames` calls so; null when there is none. */
export function languageNamed(name: string): LanguageDescription | null {
  return languages.find((language) => language.name === name) ?? null;
}

/** The names of all languages, sorted for a list to choose from. */
export function languageNames(): string[] {
  return languages.map((language) => language.name).sort((a, b) => a.localeCompare(b, "en", { sensitivity: "base" }));
}

/** Return the language of a file: the one `chosen` by hand, else that of its name, else that of its first line. */
export function languageFor(path: string, chosen: string | null, firstLine: string): LanguageDescription | null {
  if (chosen !== null) return languageNamed(chosen);
  return languageOf(path) ?? languageOfLine(firstLine);
}

/** Load a language. Resolves with null for plain text, and when it cannot be fetched. */
export async function loadLanguage(language: LanguageDescription | null): Promise<LanguageSupport | null> {
  try {
    return (await language?.load()) ?? null;
  } catch {
    // Offline before this language was ever fetched: the text is edited without colours.
    return null;
  }
}

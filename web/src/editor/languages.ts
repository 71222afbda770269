/**
 * Which language a file is written in, by its name. Each language is loaded when the first such file is opened.
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

/** Load the language of `path`. Resolves with null for plain text, and when the language cannot be fetched. */
export async function loadLanguage(path: string): Promise<LanguageSupport | null> {
  try {
    return (await languageOf(path)?.load()) ?? null;
  } catch {
    // Offline before this language was ever fetched: the text is edited without colours.
    return null;
  }
}

/**
 * Words of the workspace, to complete what is being typed.
 *
 * Owns: which words there are, and when they are offered. Does not know: the session; someone feeds it texts.
 *
 * Invariants:
 *   1. The index holds at most `WORDS_MAX` words and `UNITS_MAX` units, whatever it is fed; the file that was fed
 *      longest ago makes room.
 *   2. Offering words reads a bounded stretch around the caret, once per word and not per key.
 */
import type { Completion, CompletionContext, CompletionResult, CompletionSource } from "@codemirror/autocomplete";
import { language, syntaxTree } from "@codemirror/language";
import type { EditorState } from "@codemirror/state";

/** Words of other files, as of now. */
export type WordProvider = () => Iterable<string>;

/** Shorter words are typed faster than chosen. */
const WORD_UNITS_MIN = 3;
/** Longer ones are encoded data, which nobody types. */
const WORD_UNITS_MAX = 64;
/** So much of a file is read for its words, in UTF-16 units. */
const FILE_UNITS_MAX = 256 * 1024;
/** One file of generated names does not push out all others. */
const FILE_WORDS_MAX = 8_000;
const WORDS_MAX = 60_000;
/** About 2 MB of memory. */
const UNITS_MAX = 1024 * 1024;
/** Around the caret, to each side, in UTF-16 units: some 600 lines. */
const NEAR_UNITS = 24_000;
/** Without being asked, words are offered once so much of one is typed. */
const TYPED_UNITS_MIN = 2;
/** More than fits in a list that anyone reads. */
const OFFERED_MAX = 200;

const LETTERS = "\\p{L}\\p{M}\\p{N}_$";

function wordsOf(text: string, also = ""): RegExpStringIterator<RegExpExecArray> {
  const more = also.replace(/[\\\]^-]/g, "\\$&");
  return text.matchAll(new RegExp(`[\\p{L}_$${more}][${LETTERS}${more}]*`, "gu"));
}

const isWord = (word: string): boolean => word.length >= WORD_UNITS_MIN && word.length <= WORD_UNITS_MAX;

/** The words of many files. */
export class WordIndex {
  /** The file that was fed last is the last one. */
  private readonly files = new Map<number, { words: ReadonlySet<string>; units: number }>();
  private wordCount = 0;
  private unitCount = 0;

  /** Take a file's text as it is now, in place of what was known of it. */
  feed(fileId: number, text: string): void {
    this.forget(fileId);
    const words = new Set<string>();
    let units = 0;
    for (const [word] of wordsOf(text.slice(0, FILE_UNITS_MAX))) {
      if (!isWord(word) || words.has(word)) continue;
      words.add(word);
      units += word.length;
      if (words.size === FILE_WORDS_MAX) break;
    }
    this.files.set(fileId, { words, units });
    this.wordCount += words.size;
    this.unitCount += units;
    for (const [oldest] of this.files) {
      if (this.wordCount <= WORDS_MAX && this.unitCount <= UNITS_MAX) break;
      this.forget(oldest);
    }
  }

  /** A file is gone. */
  forget(fileId: number): void {
    const known = this.files.get(fileId);
    if (known === undefined) return;
    this.files.delete(fileId);
    this.wordCount -= known.words.size;
    this.unitCount -= known.units;
  }

  /** All words, some perhaps more than once; those of one file may be left out, since its own text is newer. */
  *words(except?: number): Iterable<string> {
    for (const [fileId, { words }] of this.files) if (fileId !== except) yield* words;
  }

  /** For whoever looks at memory. */
  describe(): { files: number; words: number; units: number } {
    return { files: this.files.size, words: this.wordCount, units: this.unitCount };
  }
}

/**
 * Whether words may be offered unasked at `position`: in code, and there neither in comments nor in strings, where
 * people write sentences. Plain text and Markdown outside of its code are sentences, too.
 */
export function isCode(state: EditorState, position: number): boolean {
  const known = state.facet(language);
  if (known === null) return false;
  const isProse = known.name === "markdown" && known.isActiveAt(state, position, -1);
  for (let node = syntaxTree(state).resolveInner(position, -1); ; ) {
    if (isProse && /^(FencedCode|CodeBlock|InlineCode)$/.test(node.name)) return true;
    if (/interpolation/i.test(node.name)) return true;
    if (/comment|string|quasi|^text$/i.test(node.name)) return false;
    if (node.parent === null) return !isProse;
    node = node.parent;
  }
}

/** A source of completions: words near the caret and words of `provider` that begin with what was typed. */
export function wordSource(provider: WordProvider): CompletionSource {
  return (context) => offered(context, provider);
}

function offered(context: CompletionContext, provider: WordProvider): CompletionResult | null {
  const { state, pos, explicit } = context;
  // An input method shows candidates of its own.
  if (context.view?.composing === true) return null;
  const [also] = state.languageDataAt<string>("wordChars", pos);
  const line = state.doc.lineAt(pos);
  const before = state.sliceDoc(Math.max(line.from, pos - WORD_UNITS_MAX), pos);
  let typed = "";
  for (const found of wordsOf(before, also)) if (found.index + found[0].length === before.length) [typed] = found;
  if (!explicit && (typed.length < TYPED_UNITS_MIN || !isCode(state, pos))) return null;
  const from = pos - typed.length;
  const words = new Set<string>();
  const take = (word: string): void => {
    if (words.size < OFFERED_MAX && word.length > typed.length && isWord(word) && word.startsWith(typed))
      words.add(word);
  };
  const near = Math.max(0, from - NEAR_UNITS);
  for (const [word] of wordsOf(state.sliceDoc(near, from), also)) take(word);
  for (const [word] of wordsOf(state.sliceDoc(pos, pos + NEAR_UNITS), also)) take(word);
  for (const word of provider()) take(word);
  if (words.size === 0) return null;
  // Neither type nor boost: so a word that the language offers as well is listed once.
  const options: Completion[] = [...words].map((label) => ({ label }));
  // While these were cut off, the next key asks again.
  return words.size < OFFERED_MAX ? { from, options, validFor: /^[\p{L}\p{M}\p{N}_$-]*$/u } : { from, options };
}

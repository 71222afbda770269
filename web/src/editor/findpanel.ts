/**
 * The panel that finds and replaces in one file.
 *
 * Owns: its controls, and how many matches there are. Does not know: how finding works (@codemirror/search), other files.
 *
 * Invariants:
 *   1. Counting never holds up typing: it waits for a pause, and ends after `COUNT_MS` or `MATCHES_MAX`.
 */
import {
  closeSearchPanel,
  findNext,
  findPrevious,
  getSearchQuery,
  replaceAll,
  replaceNext,
  SearchQuery,
  selectMatches,
  setSearchQuery,
} from "@codemirror/search";
import { type EditorView, type Panel, runScopeHandlers, type ViewUpdate } from "@codemirror/view";
import { strings } from "../strings";
import { tip } from "../tip";

const PAUSE_MS = 120;
const MATCHES_MAX = 1_000;
const COUNT_MS = 30;

/** Whether replacing was shown when a panel was closed last; the next one opens alike. */
let showsReplace = false;

const words = strings.editor.find;

function button(glyph: string, label: string, act: () => void, kind = ""): HTMLButtonElement {
  const made = document.createElement("button");
  made.type = "button";
  made.className = `carets-find-button ${kind}`.trim();
  if (glyph === label) made.textContent = label;
  else {
    // A sign and not words: it is no text of the page, which the name would have to begin with.
    made.dataset["sign"] = glyph;
    made.setAttribute("aria-label", label);
    tip(label)(made);
  }
  made.addEventListener("click", act);
  return made;
}

function field(label: string, value: string, changed: () => void): HTMLInputElement {
  const made = document.createElement("input");
  made.className = "cm-textfield";
  made.placeholder = label;
  made.setAttribute("aria-label", label);
  made.value = value;
  made.autocomplete = "off";
  made.spellcheck = false;
  made.setAttribute("autocapitalize", "off");
  made.addEventListener("input", changed);
  return made;
}

function row(kind: string, ...parts: HTMLElement[]): HTMLDivElement {
  const made = document.createElement("div");
  made.className = kind;
  made.append(...parts);
  return made;
}

export class FindPanel implements Panel {
  readonly top = true;
  readonly dom: HTMLElement;
  private readonly view: EditorView;
  private readonly search: HTMLInputElement;
  private readonly replacement: HTMLInputElement;
  private readonly flags: Record<"caseSensitive" | "wholeWord" | "regexp", HTMLButtonElement>;
  private readonly place: HTMLElement;
  private readonly expand: HTMLButtonElement;
  private readonly replacing: HTMLElement;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(view: EditorView) {
    this.view = view;
    const query = getSearchQuery(view.state);
    const commit = (): void => this.commit();
    this.search = field(words.search, query.search, commit);
    // CodeMirror puts the keyboard here when the panel opens.
    this.search.setAttribute("main-field", "true");
    this.replacement = field(words.replace, query.replace, commit);
    this.flags = {
      caseSensitive: this.flag("Aa", words.matchCase),
      wholeWord: this.flag("ab", words.wholeWord, "carets-find-word"),
      regexp: this.flag(".*", words.regexp),
    };
    this.place = document.createElement("span");
    this.place.className = "carets-find-place";
    this.place.setAttribute("role", "status");
    this.expand = button("›", words.expand, () => this.showReplace(!showsReplace), "carets-find-expand");
    const { caseSensitive, wholeWord, regexp } = this.flags;
    const finding = row(
      "carets-find-row",
      row("carets-find-field", this.search, caseSensitive, wholeWord, regexp),
      row(
        "carets-find-steps",
        this.place,
        button("↑", words.previous, () => findPrevious(view)),
        button("↓", words.next, () => findNext(view)),
        button(words.select, words.select, () => this.selectAll(), "carets-find-wide"),
        button("×", words.close, () => closeSearchPanel(view), "carets-find-close"),
      ),
    );
    this.replacing = row(
      "carets-find-row",
      row("carets-find-field", this.replacement),
      row(
        "carets-find-steps",
        button(words.replaceOne, words.replaceOne, () => replaceNext(view)),
        button(words.replaceAll, words.replaceAll, () => replaceAll(view)),
      ),
    );
    this.dom = row("carets-find", this.expand, row("carets-find-rows", finding, this.replacing));
    this.dom.setAttribute("role", "search");
    this.dom.setAttribute("aria-label", words.label);
    this.dom.addEventListener("keydown", (event) => this.press(event));
    this.showFlags(query);
    this.showReplace(showsReplace);
    this.countSoon();
  }

  mount(): void {
    this.search.select();
  }

  destroy(): void {
    clearTimeout(this.timer);
  }

  update(update: ViewUpdate): void {
    const query = getSearchQuery(update.state);
    if (query !== getSearchQuery(update.startState) && !query.eq(this.query())) {
      this.search.value = query.search;
      this.replacement.value = query.replace;
      this.showFlags(query);
    }
    if (update.state.readOnly !== update.startState.readOnly) this.showReplace(showsReplace);
    if (update.docChanged || update.selectionSet || update.transactions.length > 0) this.countSoon();
  }

  private flag(glyph: string, label: string, kind = ""): HTMLButtonElement {
    const made: HTMLButtonElement = button(
      glyph,
      label,
      () => {
        made.setAttribute("aria-pressed", String(made.getAttribute("aria-pressed") !== "true"));
        this.commit();
      },
      `carets-find-flag ${kind}`,
    );
    return made;
  }

  private query(): SearchQuery {
    const is = (flag: HTMLElement): boolean => flag.getAttribute("aria-pressed") === "true";
    const { caseSensitive, wholeWord, regexp } = this.flags;
    return new SearchQuery({
      search: this.search.value,
      replace: this.replacement.value,
      caseSensitive: is(caseSensitive),
      wholeWord: is(wholeWord),
      regexp: is(regexp),
      // What is typed is what is sought, backslashes included.
      literal: !is(regexp),
    });
  }

  private commit(): void {
    const query = this.query();
    if (!query.eq(getSearchQuery(this.view.state))) this.view.dispatch({ effects: setSearchQuery.of(query) });
  }

  private press(event: KeyboardEvent): void {
    const isEnter = event.key === "Enter" && !event.isComposing && event.target instanceof HTMLInputElement;
    if (runScopeHandlers(this.view, event, "search-panel")) event.preventDefault();
    else if (isEnter) {
      event.preventDefault();
      if (event.target === this.replacement) replaceNext(this.view);
      else if (event.shiftKey) findPrevious(this.view);
      else findNext(this.view);
    }
  }

  private selectAll(): void {
    if (selectMatches(this.view)) this.view.focus();
  }

  private showFlags(query: SearchQuery): void {
    this.flags.caseSensitive.setAttribute("aria-pressed", String(query.caseSensitive));
    this.flags.wholeWord.setAttribute("aria-pressed", String(query.wholeWord));
    this.flags.regexp.setAttribute("aria-pressed", String(query.regexp));
  }

  private showReplace(isShown: boolean): void {
    showsReplace = isShown;
    const { readOnly } = this.view.state;
    this.expand.hidden = readOnly;
    this.expand.setAttribute("aria-expanded", String(isShown));
    this.replacing.hidden = readOnly || !isShown;
  }

  private countSoon(): void {
    if (this.timer !== undefined) return;
    this.timer = setTimeout(() => {
      this.timer = undefined;
      const said = this.count();
      if (this.place.textContent !== said) this.place.textContent = said;
    }, PAUSE_MS);
  }

  private count(): string {
    const { state } = this.view;
    const query = getSearchQuery(state);
    const isWrong = query.search !== "" && !query.valid;
    this.search.setAttribute("aria-invalid", String(isWrong));
    if (isWrong) return words.invalid;
    if (query.search === "") return "";
    const { from, to } = state.selection.main;
    const end_ms = performance.now() + COUNT_MS;
    const cursor = query.getCursor(state);
    let [total, at, isMore] = [0, 0, false];
    for (let step = cursor.next(); !step.done; step = cursor.next()) {
      total += 1;
      if (step.value.from === from && step.value.to === to) at = total;
      isMore = total === MATCHES_MAX || performance.now() > end_ms;
      if (isMore) break;
    }
    if (total === 0) return words.none;
    const all = isMore ? words.many(total) : String(total);
    return at > 0 ? words.place(at, all) : words.count(all);
  }
}

/**
 * One open file as an editor: a view, its binding to the text, undo, carets, language, and what a person set.
 *
 * Owns: the life of one view, and what can be switched while it lives. Does not know: the session, tabs, the light.
 *
 * Invariants:
 *   1. One editor per open file and per Y.Text; another text means another editor (y-codemirror.next#36).
 *   2. An editor that broke takes no more typing: what is typed would not reach the text (yjs#650).
 *   3. What was fetched late (a language, a keymap) is put in only if it is still wanted.
 */
import { Compartment, EditorSelection, EditorState, type Extension, Prec, type StateEffect } from "@codemirror/state";
import { EditorView, type ViewUpdate } from "@codemirror/view";
import type * as Y from "yjs";
import { documentOf, fromText, TextBinding } from "./binding";
import { caretLayers } from "./caretlayers";
import { CaretBoard, type CaretEntry, cursorOf } from "./carets";
import { wholeCharacters } from "./codepoints";
import { type CommandId, runCommand } from "./commands";
import { unfolded } from "./folding";
import { HEAD_UNITS, type Indentation, type IndentChoice, indentationOf, indentIn, indenting } from "./indent";
import { type KeymapName, loadKeymap, type VimCommand } from "./keymaps";
import { languageFor, languageOf, loadLanguage } from "./languages";
import { late, loadExtras } from "./late";
import { Scrolling } from "./scrolling";
import { askForLine, asksForLine, basics, keys, whitespaceMarks, wrapping } from "./setup";
import { theme } from "./theme";
import { UndoSteps } from "./undo";
import { type WordProvider, wordSource } from "./words";

/** One's own caret is told to the others at most this often; a room of many slows it down further by itself. */
const CURSOR_INTERVAL_MS = 60;
/** What the beginning of a file tells about it is looked at this long after it changed. */
const CALM_MS = 1_000;
/** Until what could not be fetched is asked for again. */
const EXTRAS_RETRY_MS = 5_000;

/** Where the caret is, for a status line: line and column count from 1, `selected` in UTF-16 units. */
export interface CaretPlace {
  line: number;
  column: number;
  selected: number;
  /** How many carets of one's own there are. */
  carets: number;
}

/** What is in force in this editor, for a status line. */
export interface EditorStatus {
  /** As `languageNames` lists it; null is plain text. */
  language: string | null;
  /** It goes by the file's name or first line, and was not chosen by hand. */
  isLanguageAuto: boolean;
  indentation: Indentation;
  /** What is in force now: another one may still be on its way, or could not be fetched. */
  keymap: KeymapName;
}

export interface EditorOptions {
  text: Y.Text;
  path: string;
  parent: HTMLElement;
  /** Said to those who hear the page: how the keyboard leaves the editor. */
  hint: string;
  readOnly: boolean;
  wrap: boolean;
  /** Default: "default". */
  keymap?: KeymapName;
  /** Spaces, tabs and trailing whitespace are marked. Default: false. */
  whitespace?: boolean;
  /** Default: "auto", by content, else by what is customary for the file's name. */
  indent?: IndentChoice;
  /** A name of `languageNames`, or null to go by the file's name and first line. Default: null. */
  language?: string | null;
  /** Words of this file and of `words` are offered while typing. Default: true. */
  completesWords?: boolean;
  /** Words of the workspace's other files; asked when a word has been begun. */
  words?: WordProvider;
  /** One's own selection moved. */
  cursorMoved: (cursor: { anchor: unknown; head: unknown }) => void;
  placeChanged: (place: CaretPlace) => void;
  /** Told once at the start, and whenever one of them changes. */
  statusChanged?: (status: EditorStatus) => void;
  /** `:w`, `:q`, `:wq` and `:x` of vim. All is saved by itself: the page says so, and may close the tab. */
  onVimCommand?: (command: VimCommand) => void;
  /** A person asked for a line to go to (Ctrl-g on every system; in emacs M-g). Without it a small panel of ours asks. */
  askLine?: () => void;
  /** This person scrolled: by wheel, finger, key or scroll bar, and not a command of the page. */
  onScrolledByHand?: () => void;
  /** This person changed the text: typed, pasted, undid. */
  onTyped?: () => void;
  /** It was scrolled, by whomever; at most once a frame. */
  onScroll?: () => void;
  /** The view can no longer be trusted; it has stopped taking input. */
  broke: (reason: unknown) => void;
}

export class FileEditor {
  readonly view: EditorView;
  readonly carets: CaretBoard;
  private readonly options: EditorOptions;
  private readonly binding: TextBinding;
  private readonly steps: UndoSteps;
  private readonly scrolling: Scrolling;
  private readonly access = new Compartment();
  private readonly naming = new Compartment();
  private readonly syntax = new Compartment();
  private readonly wrapping = new Compartment();
  private readonly indenting = new Compartment();
  private readonly marking = new Compartment();
  private readonly mapping = new Compartment();
  private readonly completing = new Compartment();
  private readonly extras = new Compartment();
  private path: string;
  private readOnly: boolean;
  private chosenLanguage: string | null;
  private language: string | null = null;
  private chosenIndent: IndentChoice;
  private indentation: Indentation;
  private chosenKeymap: KeymapName = "default";
  private keymap: KeymapName = "default";
  private completesWords: boolean;
  private showsWhitespace: boolean;
  /** The content of the file told how it is indented. */
  private isIndentTold = false;
  private isFirstLineNew = false;
  /** Counts the languages that were asked for: only the last one asked for is put in. */
  private asked = 0;
  private broken = false;
  private destroyed = false;
  private cursorTimer: ReturnType<typeof setTimeout> | undefined;
  private extrasTimer: ReturnType<typeof setTimeout> | undefined;
  private calmTimer: ReturnType<typeof setTimeout> | undefined;
  private cursorSentAt_ms = 0;

  constructor(options: EditorOptions) {
    this.options = options;
    this.path = options.path;
    this.readOnly = options.readOnly;
    this.chosenLanguage = options.language ?? null;
    this.chosenIndent = options.indent ?? "auto";
    this.completesWords = options.completesWords ?? true;
    this.showsWhitespace = options.whitespace ?? false;
    this.binding = new TextBinding(options.text, (reason) => this.giveUp(reason));
    this.steps = new UndoSteps(options.text, this.binding.origin, () => options.onTyped?.());
    this.carets = new CaretBoard(options.text);
    const content = options.text.toString();
    this.indentation = indentationOf(this.chosenIndent, this.path, content);
    this.isIndentTold = indentIn(content) !== null;
    this.view = new EditorView({
      parent: options.parent,
      state: EditorState.create({ doc: documentOf(content), extensions: this.extensions() }),
    });
    this.binding.attach(this.view);
    this.steps.attach(this.view);
    this.carets.attach(this.view);
    this.scrolling = new Scrolling(
      this.view,
      () => options.onScroll?.(),
      () => options.onScrolledByHand?.(),
    );
    void this.colour();
    void this.complete();
    if (options.keymap !== undefined) this.setKeymap(options.keymap);
    this.tellStatus();
  }

  /** The text as it stands in the view: what a person sees and may want to copy when something broke. */
  get shown(): string {
    return this.view.state.doc.toString();
  }

  /** What is in force now. */
  get status(): EditorStatus {
    const { language, indentation, keymap } = this;
    return { language, isLanguageAuto: this.chosenLanguage === null, indentation, keymap };
  }

  destroy(): void {
    this.destroyed = true;
    clearTimeout(this.cursorTimer);
    clearTimeout(this.calmTimer);
    clearTimeout(this.extrasTimer);
    this.scrolling.detach();
    this.binding.detach();
    this.steps.detach();
    this.carets.detach();
    this.view.destroy();
  }

  focus(): void {
    this.view.focus();
  }

  // -- what a person sets

  setReadOnly(readOnly: boolean): void {
    if (this.readOnly === readOnly || this.broken) return;
    this.readOnly = readOnly;
    this.set(this.access.reconfigure(accessOf(readOnly)));
  }

  setWrap(wrap: boolean): void {
    this.set(this.wrapping.reconfigure(wrap ? wrapping : []));
  }

  /** The file has another name, and with it perhaps another language. */
  setPath(path: string): void {
    if (this.path === path) return;
    this.path = path;
    this.set(this.naming.reconfigure(nameOf(path)));
    this.setIndent(this.chosenIndent);
    void this.colour();
  }

  /** Choose a language of `languageNames` by hand; null goes by the file's name, then by its first line. */
  setLanguage(name: string | null): void {
    if (this.chosenLanguage === name) return;
    this.chosenLanguage = name;
    void this.colour();
  }

  /** Choose how lines are indented; what is there already stays as it is. */
  setIndent(indent: IndentChoice): void {
    this.chosenIndent = indent;
    this.applyIndent();
  }

  setWhitespace(isShown: boolean): void {
    if (this.showsWhitespace === isShown) return;
    this.showsWhitespace = isShown;
    this.set(this.marking.reconfigure(isShown ? whitespaceMarks : []));
  }

  /** Choose other keys. They are fetched first; until then, and when they cannot be had, those in force stay. */
  setKeymap(name: KeymapName): void {
    if (this.chosenKeymap === name) return;
    this.chosenKeymap = name;
    void this.changeKeys(name);
  }

  /** Whether words of the text and of other files are offered while typing; what the language offers stays. */
  setCompletesWords(completes: boolean): void {
    if (this.completesWords === completes) return;
    this.completesWords = completes;
    late("closeCompletion")(this.view);
    this.set(this.completing.reconfigure(this.wordCompletion()));
  }

  // -- where to go, what to do

  /** Put the caret on a line and show it; line and column count from 1 and are brought into range. */
  goToLine(line: number, column = 1): void {
    const { doc } = this.view.state;
    const found = doc.line(Math.min(Math.max(1, Math.trunc(line) || 1), doc.lines));
    this.select(found.from + Math.min(Math.max(1, Math.trunc(column) || 1) - 1, found.length));
  }

  /** Select from one offset to another (UTF-16 units, brought into range), show and unfold it. The focus stays. */
  select(from: number, to = from): void {
    const end = this.view.state.doc.length;
    const range = EditorSelection.range(Math.min(Math.max(0, from), end), Math.min(Math.max(0, to), end));
    this.scrolling.byUs();
    this.view.dispatch({
      selection: range,
      effects: [...unfolded(this.view.state, [range]), EditorView.scrollIntoView(range, { y: "center" })],
      userEvent: "select.jump",
    });
  }

  /** Run a command of `editorCommands`, as its keys would. Returns whether it did something. */
  run(id: CommandId): boolean {
    return runCommand(id, this.view);
  }

  /** Bring a member's caret into view. Returns whether it is known where it is. */
  goTo(memberId: number): boolean {
    const position = this.carets.positionOf(memberId);
    if (position === null) return false;
    const range = EditorSelection.cursor(position);
    this.scrolling.byUs();
    this.view.dispatch({
      effects: [...unfolded(this.view.state, [range]), EditorView.scrollIntoView(range, { y: "center" })],
    });
    this.carets.showName(memberId);
    return true;
  }

  /** The line at the upper edge, counted from 1; 7.5 is half of line 7 scrolled out. */
  topLine(): number {
    return this.scrolling.topLine();
  }

  /** Scroll so that `topLine` is about `line`. */
  scrollToLine(line: number): void {
    this.scrolling.toLine(line);
  }

  /** Take the presence of the others in this file. */
  receive(entries: readonly CaretEntry[]): void {
    if (!this.broken) this.carets.receive(entries);
  }

  /** Tell where one's own caret is, for instance after the connection came back. */
  tellCursor(): void {
    clearTimeout(this.cursorTimer);
    this.cursorTimer = undefined;
    this.cursorSentAt_ms = performance.now();
    const { anchor, head } = this.view.state.selection.main;
    if (!this.broken) this.options.cursorMoved(cursorOf(this.options.text, anchor, head));
  }

  tellPlace(): void {
    this.options.placeChanged(placeOf(this.view.state));
  }

  // -- inside

  private extensions(): Extension[] {
    const { options } = this;
    return [
      // First of all listeners: one that throws keeps those behind it from being told (yjs#650). Undo notes the
      // selection from before an edit, so it stands before the binding.
      Prec.highest([this.steps.extension, this.binding.extension]),
      wholeCharacters(),
      EditorView.updateListener.of((update) => this.follow(update)),
      EditorView.exceptionSink.of((exception) => reportError(exception)),
      this.mapping.of([]),
      this.access.of(accessOf(options.readOnly)),
      this.naming.of(nameOf(options.path)),
      this.syntax.of([]),
      this.wrapping.of(options.wrap ? wrapping : []),
      this.indenting.of(indenting(this.indentation.unit)),
      this.marking.of(this.showsWhitespace ? whitespaceMarks : []),
      this.completing.of(this.wordCompletion()),
      asksForLine.of(options.askLine ?? null),
      EditorView.contentAttributes.of({ "aria-description": options.hint, tabindex: "0" }),
      basics(),
      this.extras.of([]),
      this.carets.extension,
      caretLayers,
      theme,
      keys,
    ];
  }

  private follow(update: ViewUpdate): void {
    const own = update.transactions.some((each) => each.docChanged && !each.annotation(fromText));
    if (own) this.options.onTyped?.();
    if (!update.docChanged && !update.selectionSet) return;
    if (update.docChanged) this.expectWord(update);
    this.tellPlace();
    // Others keep a caret's place through their own edits; after ours it may need telling anew.
    if (this.cursorTimer !== undefined) return;
    if (!update.view.hasFocus && update.transactions.every((transaction) => transaction.annotation(fromText))) return;
    const wait_ms = Math.max(0, CURSOR_INTERVAL_MS - (performance.now() - this.cursorSentAt_ms));
    this.cursorTimer = setTimeout(() => this.tellCursor(), wait_ms);
  }

  private async colour(): Promise<void> {
    this.asked += 1;
    const { asked } = this;
    const wanted = languageFor(this.path, this.chosenLanguage, this.view.state.doc.line(1).text);
    const support = await loadLanguage(wanted);
    if (this.asked !== asked || this.destroyed) return;
    this.language = wanted?.name ?? null;
    this.set(this.syntax.reconfigure(support ?? []));
    this.tellStatus();
  }

  /** Completion, finding and brackets come when the text is there already; without them it is edited all the same. */
  private async complete(): Promise<void> {
    try {
      this.set(this.extras.reconfigure(await loadExtras()));
    } catch {
      // The line went down in between: nobody need hear of it, and it comes when the line does.
      if (!this.destroyed) this.extrasTimer = setTimeout(() => void this.complete(), EXTRAS_RETRY_MS);
    }
  }

  private async changeKeys(name: KeymapName): Promise<void> {
    let extension: Extension;
    try {
      extension = await loadKeymap(name, {
        onVimCommand: (command) => this.options.onVimCommand?.(command),
        askLine: () => void askForLine(this.view),
      });
    } catch (error) {
      // Offline before these keys were ever fetched. Chosen again, they are asked for again.
      if (this.chosenKeymap === name) this.chosenKeymap = this.keymap;
      reportError(error);
      return;
    }
    if (this.chosenKeymap !== name || this.destroyed) return;
    this.keymap = name;
    this.set(this.mapping.reconfigure(Prec.high(extension)));
    this.tellStatus();
  }

  /** In a new file, what is typed first tells how it is indented and, where the name does not, its language. */
  private expectWord(update: ViewUpdate): void {
    const first = update.startState.doc.line(1).to;
    this.isFirstLineNew ||= update.changes.touchesRange(0, first) !== false;
    const isOpen = this.chosenIndent === "auto" && !this.isIndentTold;
    if (this.calmTimer !== undefined || !(isOpen || this.isFirstLineNew)) return;
    this.calmTimer = setTimeout(() => {
      this.calmTimer = undefined;
      if (isOpen) this.applyIndent();
      if (this.isFirstLineNew && this.chosenLanguage === null && languageOf(this.path) === null) void this.colour();
      this.isFirstLineNew = false;
    }, CALM_MS);
  }

  private applyIndent(): void {
    const head = this.view.state.doc.sliceString(0, HEAD_UNITS);
    // Once the content told it, it stays: a line typed differently does not turn the Tab key around.
    const { unit, isAuto } = this.indentation;
    if (this.chosenIndent === "auto" && isAuto && this.isIndentTold) return;
    this.isIndentTold = indentIn(head) !== null;
    this.indentation = indentationOf(this.chosenIndent, this.path, head);
    if (this.indentation.unit !== unit) this.set(this.indenting.reconfigure(indenting(this.indentation.unit)));
    this.tellStatus();
  }

  private wordCompletion(): Extension {
    if (!this.completesWords) return [];
    const source = wordSource(() => this.options.words?.() ?? []);
    return EditorState.languageData.of(() => [{ autocomplete: source }]);
  }

  private tellStatus(): void {
    this.options.statusChanged?.(this.status);
  }

  private set(effects: StateEffect<unknown>): void {
    if (!this.destroyed) this.view.dispatch({ effects });
  }

  private giveUp(reason: unknown): void {
    this.broken = true;
    reportError(reason);
    // The fault may have come up in the middle of an update, when the view takes no other.
    queueMicrotask(() => {
      if (this.destroyed) return;
      try {
        this.view.dispatch({ effects: this.access.reconfigure(accessOf(true)), filter: false });
      } catch (error) {
        this.view.contentDOM.contentEditable = "false";
        reportError(error);
      }
    });
    this.options.broke(reason);
  }
}

function accessOf(readOnly: boolean): Extension {
  // Still focusable: a viewer selects, copies and searches by keyboard.
  return [
    EditorState.readOnly.of(readOnly),
    EditorView.editable.of(!readOnly),
    EditorView.contentAttributes.of(readOnly ? { "aria-readonly": "true" } : {}),
  ];
}

function nameOf(path: string): Extension {
  return EditorView.contentAttributes.of({ "aria-label": path });
}

function placeOf(state: EditorState): CaretPlace {
  const { head } = state.selection.main;
  const line = state.doc.lineAt(head);
  const selected = state.selection.ranges.reduce((sum, range) => sum + range.to - range.from, 0);
  return { line: line.number, column: head - line.from + 1, selected, carets: state.selection.ranges.length };
}

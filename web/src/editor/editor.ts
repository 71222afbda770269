/**
 * One open file as an editor: a view, its binding to the text, undo, carets, language.
 *
 * Owns: the set-up of CodeMirror and the life of one view. Does not know: the session, tabs, the light.
 *
 * Invariants:
 *   1. One editor per open file and per Y.Text; another text means another editor (y-codemirror.next#36).
 *   2. An editor that broke takes no more typing: what is typed would not reach the text (yjs#650).
 */
import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, indentWithTab } from "@codemirror/commands";
import { bracketMatching, foldGutter, foldKeymap, indentOnInput, indentUnit } from "@codemirror/language";
import { highlightSelectionMatches, searchKeymap } from "@codemirror/search";
import { Compartment, EditorState, type Extension } from "@codemirror/state";
import {
  crosshairCursor,
  drawSelection,
  dropCursor,
  EditorView,
  highlightActiveLine,
  highlightActiveLineGutter,
  highlightSpecialChars,
  keymap,
  lineNumbers,
  rectangularSelection,
  type ViewUpdate,
} from "@codemirror/view";
import type * as Y from "yjs";
import { documentOf, fromText, TextBinding } from "./binding";
import { CaretBoard, type CaretEntry, cursorOf } from "./carets";
import { wholeCharacters } from "./codepoints";
import { indentOf } from "./indent";
import { loadLanguage } from "./languages";
import { theme } from "./theme";
import { UndoSteps, undoKeymap } from "./undo";

/** One's own caret is told to the others at most this often; a room of many slows it down further by itself. */
const CURSOR_INTERVAL_MS = 60;

/** Where the caret is, for a status line: line and column count from 1, `selected` in UTF-16 units. */
export interface CaretPlace {
  line: number;
  column: number;
  selected: number;
}

export interface EditorOptions {
  text: Y.Text;
  path: string;
  parent: HTMLElement;
  /** Said to those who hear the page: how the keyboard leaves the editor. */
  hint: string;
  readOnly: boolean;
  wrap: boolean;
  /** One's own selection moved. */
  cursorMoved: (cursor: { anchor: unknown; head: unknown }) => void;
  placeChanged: (place: CaretPlace) => void;
  /** The view can no longer be trusted; it has stopped taking input. */
  broke: (reason: unknown) => void;
}

export class FileEditor {
  readonly view: EditorView;
  readonly carets: CaretBoard;
  private readonly options: EditorOptions;
  private readonly binding: TextBinding;
  private readonly steps: UndoSteps;
  private readonly access = new Compartment();
  private readonly naming = new Compartment();
  private readonly language = new Compartment();
  private readonly wrapping = new Compartment();
  private path: string;
  private readOnly: boolean;
  private broken = false;
  private destroyed = false;
  private cursorTimer: ReturnType<typeof setTimeout> | undefined;
  private cursorSentAt_ms = 0;

  constructor(options: EditorOptions) {
    this.options = options;
    this.path = options.path;
    this.readOnly = options.readOnly;
    this.binding = new TextBinding(options.text, (reason) => this.giveUp(reason));
    this.steps = new UndoSteps(options.text, this.binding.origin);
    this.carets = new CaretBoard(options.text);
    const content = options.text.toString();
    this.view = new EditorView({
      parent: options.parent,
      state: EditorState.create({ doc: documentOf(content), extensions: this.extensions(content) }),
    });
    this.binding.attach(this.view);
    this.steps.attach(this.view);
    this.carets.attach(this.view);
    void this.colour();
  }

  /** The text as it stands in the view: what a person sees and may want to copy when something broke. */
  get shown(): string {
    return this.view.state.doc.toString();
  }

  destroy(): void {
    this.destroyed = true;
    clearTimeout(this.cursorTimer);
    this.binding.detach();
    this.steps.detach();
    this.carets.detach();
    this.view.destroy();
  }

  focus(): void {
    this.view.focus();
  }

  setReadOnly(readOnly: boolean): void {
    if (this.readOnly === readOnly || this.broken) return;
    this.readOnly = readOnly;
    this.view.dispatch({ effects: this.access.reconfigure(accessOf(readOnly)) });
  }

  setWrap(wrap: boolean): void {
    this.view.dispatch({ effects: this.wrapping.reconfigure(wrap ? EditorView.lineWrapping : []) });
  }

  /** The file has another name, and with it perhaps another language. */
  setPath(path: string): void {
    if (this.path === path) return;
    this.path = path;
    this.view.dispatch({ effects: this.naming.reconfigure(nameOf(path)) });
    void this.colour();
  }

  /** Take the presence of the others in this file. */
  receive(entries: readonly CaretEntry[]): void {
    if (!this.broken) this.carets.receive(entries);
  }

  /** Bring a member's caret into view. Returns whether it is known where it is. */
  goTo(memberId: number): boolean {
    const position = this.carets.positionOf(memberId);
    if (position === null) return false;
    this.view.dispatch({ effects: EditorView.scrollIntoView(position, { y: "center" }) });
    return true;
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

  private extensions(content: string): Extension[] {
    const { options } = this;
    return [
      wholeCharacters(),
      // Undo notes the selection from before an edit, so it stands before the binding.
      this.steps.extension,
      this.binding.extension,
      EditorView.updateListener.of((update) => this.follow(update)),
      EditorView.exceptionSink.of((exception) => reportError(exception)),
      this.access.of(accessOf(options.readOnly)),
      this.naming.of(nameOf(options.path)),
      this.language.of([]),
      this.wrapping.of(options.wrap ? EditorView.lineWrapping : []),
      EditorView.contentAttributes.of({ "aria-description": options.hint, tabindex: "0" }),
      EditorState.allowMultipleSelections.of(true),
      indentUnit.of(indentOf(content)),
      lineNumbers(),
      foldGutter({ openText: "⌄", closedText: "›" }),
      highlightSpecialChars(),
      drawSelection(),
      dropCursor(),
      indentOnInput(),
      bracketMatching(),
      closeBrackets(),
      autocompletion(),
      rectangularSelection(),
      crosshairCursor(),
      highlightActiveLine(),
      highlightActiveLineGutter(),
      highlightSelectionMatches(),
      this.carets.extension,
      theme,
      keymap.of([
        ...undoKeymap,
        ...closeBracketsKeymap,
        ...defaultKeymap,
        ...searchKeymap,
        ...foldKeymap,
        ...completionKeymap,
        indentWithTab,
      ]),
    ];
  }

  private follow(update: ViewUpdate): void {
    if (!update.docChanged && !update.selectionSet) return;
    this.tellPlace();
    // Others keep a caret's place through their own edits; after ours it may need telling anew.
    if (this.cursorTimer !== undefined || !(update.selectionSet || update.docChanged)) return;
    if (!update.view.hasFocus && update.transactions.every((transaction) => transaction.annotation(fromText))) return;
    const wait_ms = Math.max(0, CURSOR_INTERVAL_MS - (performance.now() - this.cursorSentAt_ms));
    this.cursorTimer = setTimeout(() => this.tellCursor(), wait_ms);
  }

  private async colour(): Promise<void> {
    const { path } = this;
    const support = await loadLanguage(path);
    if (this.path !== path || this.destroyed) return;
    this.view.dispatch({ effects: this.language.reconfigure(support ?? []) });
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
  return { line: line.number, column: head - line.from + 1, selected };
}

/**
 * Two texts beside each other, or one in the other where there is no room: the one as it is, the other to be changed.
 *
 * Owns: the set-up of CodeMirror's merge view, and its look. Does not know: sessions, where the texts come from.
 */
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { MergeView, unifiedMergeView } from "@codemirror/merge";
import { Compartment, EditorState, type Extension } from "@codemirror/state";
import { EditorView, highlightSpecialChars, keymap, lineNumbers } from "@codemirror/view";
import { tip } from "../tip";
import { wholeCharacters } from "./codepoints";
import { languageOf, loadLanguage } from "./languages";
import { theme } from "./theme";

export interface ComparisonOptions {
  readonly parent: HTMLElement;
  /** Its name says the language. */
  readonly path: string;
  readonly now: string;
  readonly proposal: string;
  readonly isNarrow: boolean;
  readonly isEditable: boolean;
  readonly labels: {
    readonly now: string;
    readonly mine: string;
    readonly keepOut: string;
    /** With `$` for their number. */
    readonly unchanged: string;
  };
}

const COLLAPSE = { margin: 3, minSize: 6 };
const DIFF = { scanLimit: 2_000, timeout: 500 };

const look = EditorView.theme({
  "&": { height: "auto" },
  ".cm-scroller": { overflow: "visible" },
  ".cm-content": { padding: "var(--space-1) 0" },
  "&.cm-focused": { outline: "1px solid var(--accent)", outlineOffset: "-1px" },
  "&.cm-merge-a .cm-changedLine, .cm-deletedChunk": { backgroundColor: "var(--bad-soft)" },
  "&.cm-merge-b .cm-changedLine, .cm-insertedLine, .cm-inlineChangedLine": { backgroundColor: "var(--good-soft)" },
  "&.cm-merge-a .cm-changedText, .cm-deletedChunk .cm-deletedText, .cm-deletedText": {
    background: "none !important",
    // A line below and no darker ground, on which comments could not be read.
    boxShadow: "inset 0 -2px 0 var(--bad)",
  },
  "&.cm-merge-b .cm-changedText, .cm-changedText": {
    background: "none !important",
    boxShadow: "inset 0 -2px 0 var(--good)",
  },
  "&.cm-merge-a .cm-changedLineGutter, .cm-deletedLineGutter": { background: "var(--bad)" },
  "&.cm-merge-b .cm-changedLineGutter, .cm-changedLineGutter": { background: "var(--good)" },
  ".cm-collapsedLines": {
    padding: "var(--space-1) var(--space-3)",
    background: "var(--chrome)",
    color: "var(--text-soft)",
    fontFamily: "var(--ui-font)",
  },
  // The package's own sign is in few fonts.
  ".cm-collapsedLines:before, .cm-collapsedLines:after": { content: '"⋯"' },
  ".cm-chunkButtons": { insetInlineEnd: "var(--space-1)", zIndex: "1" },
  "& .cm-chunkButtons button.icon-button": {
    width: "28px",
    minHeight: "24px",
    padding: "0",
    border: "1px solid var(--border-strong)",
    background: "var(--raised)",
    color: "var(--text)",
    fontSize: "var(--size-2)",
  },
});

export class Comparison {
  private readonly options: ComparisonOptions;
  private readonly language = new Compartment();
  private readonly merge: MergeView | null;
  private readonly view: EditorView;
  private isDestroyed = false;

  constructor(options: ComparisonOptions) {
    this.options = options;
    const { parent, now, proposal } = options;
    if (options.isNarrow) {
      this.merge = null;
      this.view = new EditorView({ parent, state: EditorState.create({ doc: proposal, extensions: this.inOne() }) });
    } else {
      this.merge = new MergeView({
        parent,
        a: { doc: now, extensions: [this.shared(options.labels.now), readOnly] },
        b: { doc: proposal, extensions: [this.shared(options.labels.mine), this.access()] },
        ...(options.isEditable && { revertControls: "a-to-b", renderRevertControl: () => this.revertButton() }),
        collapseUnchanged: COLLAPSE,
        diffConfig: DIFF,
      });
      this.view = this.merge.b;
    }
    void this.colour();
  }

  /** What was chosen: the proposal, with what the person changed. */
  get result(): string {
    return this.view.state.doc.toString();
  }

  destroy(): void {
    this.isDestroyed = true;
    if (this.merge === null) this.view.destroy();
    else this.merge.destroy();
  }

  private inOne(): Extension[] {
    const { now, isEditable, labels } = this.options;
    return [
      this.shared(labels.mine),
      this.access(),
      unifiedMergeView({
        original: now,
        mergeControls: isEditable ? (type, action) => this.leaveOut(type, action) : false,
        collapseUnchanged: COLLAPSE,
        diffConfig: DIFF,
      }),
    ];
  }

  private shared(label: string): Extension[] {
    return [
      wholeCharacters(),
      EditorState.phrases.of({ "$ unchanged lines": this.options.labels.unchanged }),
      EditorView.contentAttributes.of({ "aria-label": label, tabindex: "0" }),
      EditorView.lineWrapping,
      highlightSpecialChars(),
      lineNumbers(),
      this.language.of([]),
      theme,
      look,
    ];
  }

  private access(): Extension {
    return this.options.isEditable ? [history(), keymap.of([...defaultKeymap, ...historyKeymap])] : readOnly;
  }

  /** Its view listens for presses of a mouse only; a click without one came by the keyboard. */
  private revertButton(): HTMLElement {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "icon-button";
    button.textContent = "→";
    tip(this.options.labels.keepOut)(button);
    button.setAttribute("aria-label", this.options.labels.keepOut);
    button.addEventListener("click", (event) => {
      if (event.detail === 0) button.dispatchEvent(new MouseEvent("mousedown", { bubbles: true, cancelable: true }));
    });
    return button;
  }

  /** What is not left out stays, so that taking it in needs no button. */
  private leaveOut(type: "reject" | "accept", action: (event: MouseEvent) => void): HTMLElement {
    if (type === "accept") return document.createElement("span");
    const { keepOut } = this.options.labels;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "icon-button";
    button.textContent = "×";
    tip(keepOut)(button);
    button.setAttribute("aria-label", keepOut);
    button.addEventListener("click", action);
    return button;
  }

  private async colour(): Promise<void> {
    const support = await loadLanguage(languageOf(this.options.path)).catch(() => null);
    if (this.isDestroyed || support === null) return;
    for (const view of new Set([this.merge?.a ?? this.view, this.view])) {
      view.dispatch({ effects: this.language.reconfigure(support) });
    }
  }
}

// Still focusable, for selecting and copying by keyboard.
const readOnly: Extension = [
  EditorState.readOnly.of(true),
  EditorView.editable.of(false),
  EditorView.contentAttributes.of({ "aria-readonly": "true", role: "textbox", "aria-multiline": "true" }),
];

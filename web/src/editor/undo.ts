/**
 * Undo and redo of one's own edits in one file; those of others stay as they are.
 *
 * Owns: the undo stack of one view, and the selection to which each step returns. Does not know: the session.
 *
 * Invariants:
 *   1. Only edits typed in this view are on the stack: it follows the binding's origin.
 *   2. An undone step is scrolled into view: it never happens out of sight.
 */
import { type Extension, Facet, Transaction } from "@codemirror/state";
import { EditorView, type KeyBinding, type ViewUpdate } from "@codemirror/view";
import * as Y from "yjs";
import { fromText } from "./binding";

/** Edits within this time are one step, as in CodeMirror's own history. */
const STEP_MS = 500;

interface Place {
  anchor: Y.RelativePosition;
  head: Y.RelativePosition;
}

const steps = Facet.define<UndoSteps, UndoSteps | null>({ combine: (all) => all[0] ?? null });

/** Undo the last step of this view. */
export function undo(view: EditorView): boolean {
  view.state.facet(steps)?.back();
  return true;
}

/** Redo what was undone last. */
export function redo(view: EditorView): boolean {
  view.state.facet(steps)?.forth();
  return true;
}

export const undoKeymap: readonly KeyBinding[] = [
  { key: "Mod-z", run: undo, preventDefault: true },
  { key: "Mod-y", mac: "Mod-Shift-z", run: redo, preventDefault: true },
  { key: "Mod-Shift-z", run: redo, preventDefault: true },
];

export class UndoSteps {
  private readonly text: Y.Text;
  private readonly manager: Y.UndoManager;
  private view: EditorView | null = null;
  private before: Place | null = null;
  private kind = "";

  constructor(text: Y.Text, origin: object) {
    this.text = text;
    this.manager = new Y.UndoManager(text, { trackedOrigins: new Set([origin]), captureTimeout: STEP_MS });
    this.manager.on("stack-item-added", ({ stackItem }) => {
      if (this.before !== null && !stackItem.meta.has("place")) stackItem.meta.set("place", this.before);
    });
    this.manager.on("stack-item-popped", ({ stackItem }) => this.show(stackItem.meta.get("place")));
  }

  get extension(): Extension {
    return [
      steps.of(this),
      // Before the binding: what is noted here is the selection from before the edit.
      EditorView.updateListener.of((update) => this.follow(update)),
      EditorView.domEventHandlers({
        beforeinput(event, view) {
          if (event.inputType === "historyUndo") return undo(view);
          if (event.inputType === "historyRedo") return redo(view);
          return false;
        },
      }),
    ];
  }

  attach(view: EditorView): void {
    this.view = view;
    this.before = this.placeOf(view);
  }

  detach(): void {
    this.view = null;
    this.manager.destroy();
  }

  back(): void {
    if (this.view?.state.readOnly === false) this.manager.undo();
  }

  forth(): void {
    if (this.view?.state.readOnly === false) this.manager.redo();
  }

  /** A pause in the typing, a jump of the caret, or another kind of edit begins a new step. */
  private follow(update: ViewUpdate): void {
    const local = update.transactions.filter((transaction) => !transaction.annotation(fromText));
    const edit = local.find((transaction) => transaction.docChanged);
    if (edit === undefined) {
      if (!update.selectionSet) return;
      if (local.length > 0) this.kind = "";
      this.before = this.placeOf(update.view);
      return;
    }
    const kind = kindOf(edit);
    if (kind !== this.kind || kind === "other") this.manager.stopCapturing();
    this.kind = kind;
    // The text still has its old content here: the binding comes after this listener.
    const { anchor, head } = update.startState.selection.main;
    this.before = this.place(anchor, head);
  }

  private placeOf(view: EditorView): Place {
    const { anchor, head } = view.state.selection.main;
    return this.place(anchor, head);
  }

  private place(anchor: number, head: number): Place {
    return {
      anchor: Y.createRelativePositionFromTypeIndex(this.text, Math.min(anchor, this.text.length)),
      head: Y.createRelativePositionFromTypeIndex(this.text, Math.min(head, this.text.length)),
    };
  }

  private show(place: unknown): void {
    const { view } = this;
    const doc = this.text.doc;
    if (view === null || doc === null || place === undefined) return;
    const { anchor, head } = place as Place;
    const from = Y.createAbsolutePositionFromRelativePosition(anchor, doc);
    const to = Y.createAbsolutePositionFromRelativePosition(head, doc);
    if (from === null || to === null) return;
    const end = view.state.doc.length;
    view.dispatch({
      selection: { anchor: Math.min(from.index, end), head: Math.min(to.index, end) },
      scrollIntoView: true,
      userEvent: "select.undo",
    });
  }
}

/** Typing and line breaks run on as one step; what was pasted, dropped or completed is a step of its own. */
function kindOf(edit: Transaction): "delete" | "type" | "other" {
  if (edit.isUserEvent("delete")) return "delete";
  const isTyped = edit.isUserEvent("input.type") || edit.annotation(Transaction.userEvent) === "input";
  return isTyped ? "type" : "other";
}

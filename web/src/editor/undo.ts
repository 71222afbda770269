/**
 * Undo and redo of one's own edits in one file; those of others stay as they are.
 *
 * Owns: the undo stack of one view, and where each step is shown. Does not know: the session.
 *
 * Invariants:
 *   1. Only edits typed in this view are on the stack: it follows the binding's origin.
 *   2. An undone or redone step is scrolled into view and unfolded: it never happens out of sight (y-codemirror.next#31).
 *   3. Nothing thrown here keeps the binding from being told of an edit.
 */
import { EditorSelection, type Extension, Facet, Transaction } from "@codemirror/state";
import { EditorView, type KeyBinding, type ViewUpdate } from "@codemirror/view";
import * as Y from "yjs";
import { fromText } from "./binding";
import { unfolded } from "./folding";

/** Edits within this time are one step, as in CodeMirror's own history. */
const STEP_MS = 500;
/** Between asking whether a step begins and its beginning. */
const STEP_SLACK_MS = 100;
/** So many carets come back with a step; of more, the main one. */
const RANGES_MAX = 100;

interface Place {
  anchor: Y.RelativePosition;
  head: Y.RelativePosition;
}

/** The selections before an edit; the main one first. */
type Places = readonly Place[];

interface Span {
  from: number;
  to: number;
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

/** Let all edits from now on be one step, until they are let go: so vim counts what is typed in its insert mode. */
export function holdStep(view: EditorView, isHeld: boolean): void {
  view.state.facet(steps)?.hold(isHeld);
}

/** The next edit begins a step of its own, unless steps are held together. */
export function endStep(view: EditorView): void {
  view.state.facet(steps)?.end();
}

export const undoKeymap: readonly KeyBinding[] = [
  { key: "Mod-z", run: undo, preventDefault: true },
  { key: "Mod-y", mac: "Mod-Shift-z", run: redo, preventDefault: true },
  { key: "Mod-Shift-z", run: redo, preventDefault: true },
];

export class UndoSteps {
  private readonly text: Y.Text;
  private readonly manager: Y.UndoManager;
  private readonly stepped: () => void;
  private view: EditorView | null = null;
  private before: Places | null = null;
  private kind = "";
  private isHeld = false;
  /** What the step that is being taken has changed so far; null between steps. */
  private changed: Span[] | null = null;

  /** `stepped` is called after each undo and redo that did something. */
  constructor(text: Y.Text, origin: object, stepped: () => void = () => undefined) {
    this.text = text;
    this.stepped = stepped;
    this.manager = new Y.UndoManager(text, { trackedOrigins: new Set([origin]), captureTimeout: STEP_MS });
    this.manager.on("stack-item-added", ({ stackItem }) => {
      if (this.before !== null && !stackItem.meta.has("place")) stackItem.meta.set("place", this.before);
    });
    this.manager.on("stack-item-popped", ({ stackItem, type }) => {
      this.show(type === "undo" ? stackItem.meta.get("place") : undefined);
    });
  }

  get extension(): Extension {
    return [
      steps.of(this),
      // Before the binding: what is noted here is the selection from before the edit.
      EditorView.updateListener.of((update) => {
        try {
          this.follow(update);
        } catch (error) {
          reportError(error);
        }
      }),
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
  }

  detach(): void {
    this.view = null;
    this.manager.destroy();
  }

  back(): void {
    this.step(() => this.manager.undo());
  }

  forth(): void {
    this.step(() => this.manager.redo());
  }

  hold(isHeld: boolean): void {
    if (this.isHeld === isHeld) return;
    this.isHeld = isHeld;
    this.manager.captureTimeout = isHeld ? Number.POSITIVE_INFINITY : STEP_MS;
    if (!isHeld) this.manager.stopCapturing();
  }

  end(): void {
    if (!this.isHeld) this.manager.stopCapturing();
  }

  private step(take: () => unknown): void {
    if (this.view?.state.readOnly !== false) return;
    // Undone, a step that was redone leads back to where one is now.
    this.before = this.places(this.view.state.selection);
    this.changed = [];
    try {
      if (take() !== null) this.stepped();
    } finally {
      this.changed = null;
    }
  }

  /** A pause in the typing, a jump of the caret, or another kind of edit begins a new step. */
  private follow(update: ViewUpdate): void {
    if (this.changed !== null && update.docChanged) this.note(update, this.changed);
    const local = update.transactions.filter((transaction) => !transaction.annotation(fromText));
    const edit = local.find((transaction) => transaction.docChanged);
    if (edit === undefined) {
      if (!update.selectionSet) return;
      if (local.length > 0) {
        this.kind = "";
        if (this.isHeld) this.manager.stopCapturing();
      }
      return;
    }
    const kind = kindOf(edit);
    if (!this.isHeld && (kind !== this.kind || kind === "other")) this.manager.stopCapturing();
    this.kind = kind;
    // The text still has its old content here: the binding comes after this listener. To name a place Yjs walks through
    // all that was ever typed, so it is done once for a step and not for each key.
    this.before = this.beginsStep() ? this.places(update.startState.selection) : null;
  }

  /** Whether the next edit is no part of the last step; rather too often, since time goes on until then. */
  private beginsStep(): boolean {
    const { lastChange, captureTimeout, undoStack } = this.manager;
    return lastChange === 0 || undoStack.length === 0 || Date.now() - lastChange >= captureTimeout - STEP_SLACK_MS;
  }

  private note(update: ViewUpdate, changed: Span[]): void {
    for (const span of changed) {
      span.from = update.changes.mapPos(span.from, -1);
      span.to = update.changes.mapPos(span.to, 1);
    }
    update.changes.iterChangedRanges((_fromA, _toA, from, to) => changed.push({ from, to }));
  }

  private places({ main, ranges }: EditorSelection): Places {
    const others = ranges.length > RANGES_MAX ? [] : ranges.filter((range) => range !== main);
    return [main, ...others].map(({ anchor, head }) => {
      const place = this.placeOf(anchor);
      return { anchor: place, head: head === anchor ? place : this.placeOf(head) };
    });
  }

  private placeOf(index: number): Y.RelativePosition {
    return Y.createRelativePositionFromTypeIndex(this.text, Math.min(index, this.text.length));
  }

  /** Back to the selection from before the edit, if the step happened there; else to the end of what it changed. */
  private show(places: Places | undefined): void {
    const { view } = this;
    if (view === null) return;
    const changed = this.changed ?? [];
    const ranges = (places ?? []).flatMap((place) => this.rangeOf(place, view.state.doc.length));
    const touches = ({ from, to }: Span): boolean => changed.some((span) => from <= span.to && to >= span.from);
    const last = changed.reduce<Span | null>((far, span) => (far === null || span.to > far.to ? span : far), null);
    const selection =
      ranges.length > 0 && (last === null || ranges.some(touches))
        ? EditorSelection.create(ranges, 0)
        : last === null
          ? null
          : EditorSelection.single(last.to);
    if (selection === null) return;
    const effects = unfolded(view.state, selection.ranges);
    view.dispatch({ selection, effects, scrollIntoView: true, userEvent: "select.undo" });
  }

  private rangeOf({ anchor, head }: Place, end: number): ReturnType<typeof EditorSelection.range>[] {
    const { doc } = this.text;
    if (doc === null) return [];
    const from = Y.createAbsolutePositionFromRelativePosition(anchor, doc);
    const to = Y.createAbsolutePositionFromRelativePosition(head, doc);
    return from === null || to === null
      ? []
      : [EditorSelection.range(Math.min(from.index, end), Math.min(to.index, end))];
  }
}

/** Typing and line breaks run on as one step; what was pasted, dropped or completed is a step of its own. */
function kindOf(edit: Transaction): "delete" | "type" | "other" {
  if (edit.isUserEvent("delete")) return "delete";
  const isTyped = edit.isUserEvent("input.type") || edit.annotation(Transaction.userEvent) === "input";
  return isTyped ? "type" : "other";
}

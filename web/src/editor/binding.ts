/**
 * Holds one CodeMirror view and one Y.Text the same.
 *
 * Owns: the way of each change between the two, and the proof that they still agree. Does not know: carets, undo, the
 * session. It is a plain object and not a view plugin: CodeMirror silently removes a plugin that throws (yjs#650).
 *
 * Invariants:
 *   1. One view has one binding for its whole life; a view never changes its document (y-codemirror.next#36).
 *   2. Whatever throws here, or any difference between the two texts, ends in `broke`, once, and nothing more is written.
 *   3. A change that came from the text is never written back to it.
 */
import { Annotation, type ChangeSpec, type Extension, Text, Transaction } from "@codemirror/state";
import { EditorView, type ViewUpdate } from "@codemirror/view";
import type * as Y from "yjs";
import { LINE_END } from "./codepoints";

/** Marks the transactions that bring changes of the Y.Text into the view. */
export const fromText = Annotation.define<true>();

/** Lengths are compared this long after the last change: cheap, and soon enough to stop before much is typed. */
const LENGTH_AUDIT_MS = 200;
/** Contents are compared after this much calm: 5 MB take some 20 ms, which nobody notices who is not typing. */
const CONTENT_AUDIT_MS = 3_000;

/** A document of `text` in which only `\n` divides lines, as Y.Text counts them. */
export function documentOf(text: string): Text {
  return Text.of(text.split(LINE_END));
}

export class TextBinding {
  /** The origin of local edits in Yjs transactions: undo follows exactly this one. */
  readonly origin: object = { editor: "carets" };
  private readonly text: Y.Text;
  private readonly broke: (reason: unknown) => void;
  private view: EditorView | null = null;
  private broken = false;
  private audit: ReturnType<typeof setTimeout> | undefined;

  constructor(text: Y.Text, broke: (reason: unknown) => void) {
    this.text = text;
    this.broke = broke;
  }

  get extension(): Extension {
    return EditorView.updateListener.of((update) => this.guarded(() => this.write(update)));
  }

  /** Follow the text from now on; `view` was made from the text as it is at this moment. */
  attach(view: EditorView): void {
    this.view = view;
    this.text.observe(this.read);
    this.expectAudit();
  }

  detach(): void {
    this.text.unobserve(this.read);
    clearTimeout(this.audit);
    this.view = null;
  }

  private readonly read = (event: Y.YTextEvent, transaction: Y.Transaction): void => {
    if (transaction.origin === this.origin) return;
    this.guarded(() => {
      const changes: ChangeSpec[] = [];
      let position = 0;
      for (const part of event.delta) {
        if (typeof part.insert === "string") changes.push({ from: position, insert: documentOf(part.insert) });
        else if (part.insert !== undefined) throw new Error("The text holds something that is not text.");
        const passed = part.delete ?? part.retain ?? 0;
        if (part.delete !== undefined) changes.push({ from: position, to: position + passed });
        position += passed;
      }
      this.view?.dispatch({
        changes,
        annotations: [fromText.of(true), Transaction.remote.of(true), Transaction.addToHistory.of(false)],
        filter: false,
      });
    });
  };

  private write(update: ViewUpdate): void {
    if (!update.docChanged) return;
    for (const transaction of update.transactions) {
      if (!transaction.docChanged || transaction.annotation(fromText)) continue;
      const apply = (): void => {
        // Offsets are those of the document before the transaction; `moved` carries them along.
        let moved = 0;
        transaction.changes.iterChanges((from, to, _fromB, _toB, inserted) => {
          if (to > from) this.text.delete(from + moved, to - from);
          const insert = inserted.sliceString(0, inserted.length, LINE_END);
          if (insert !== "") this.text.insert(from + moved, insert);
          moved += insert.length - (to - from);
        });
      };
      if (this.text.doc === null) throw new Error("The text belongs to no document.");
      this.text.doc.transact(apply, this.origin);
    }
    this.expectAudit();
  }

  private guarded(action: () => void): void {
    if (this.broken) return;
    try {
      action();
    } catch (reason) {
      this.giveUp(reason);
    }
  }

  private giveUp(reason: unknown): void {
    this.broken = true;
    clearTimeout(this.audit);
    this.broke(reason);
  }

  private expectAudit(): void {
    clearTimeout(this.audit);
    this.audit = setTimeout(() => {
      if (this.view === null || this.broken) return;
      if (this.view.state.doc.length !== this.text.length) {
        this.giveUp(new Error("The view and the text differ in length."));
        return;
      }
      this.audit = setTimeout(() => {
        if (this.view === null || this.broken) return;
        if (!sameText(this.view.state.doc, this.text.toString())) {
          this.giveUp(new Error("The view and the text differ."));
        }
      }, CONTENT_AUDIT_MS);
    }, LENGTH_AUDIT_MS);
  }
}

/** Whether `doc` reads as `text`, without building one long string of it. */
export function sameText(doc: Text, text: string): boolean {
  if (doc.length !== text.length) return false;
  let position = 0;
  for (const chunk of doc.iter()) {
    if (!text.startsWith(chunk, position)) return false;
    position += chunk.length;
  }
  return true;
}

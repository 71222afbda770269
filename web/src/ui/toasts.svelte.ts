/**
 * Short notices that go by themselves: what was done, and the way back.
 *
 * Owns: which are shown. Does not know: who says them.
 */
import { RefusedError } from "../errors";
import { strings } from "../strings";

export interface Toast {
  readonly id: number;
  readonly text: string;
  readonly action?: { readonly label: string; readonly run: () => void };
}

/** Long enough to read and to reach the button by keyboard; it does not run while one is at a notice. */
const SHOWN_MS = 8_000;

class Toasts {
  shown = $state.raw<readonly Toast[]>([]);
  private next = 1;
  private isHeld = false;

  say(text: string, action?: Toast["action"]): void {
    const toast: Toast = { id: this.next++, text, ...(action !== undefined && { action }) };
    this.shown = [...this.shown.slice(-2), toast];
    this.go(toast.id);
  }

  /** The pointer or the keyboard is at the notices: none goes by itself. */
  hold(isHeld: boolean): void {
    if (this.isHeld && !isHeld) for (const { id } of this.shown) this.go(id);
    this.isHeld = isHeld;
  }

  private go(id: number): void {
    setTimeout(() => {
      if (!this.isHeld) this.drop(id);
    }, SHOWN_MS);
  }

  /** It holds no longer. */
  unsay(text: string): void {
    this.shown = this.shown.filter((toast) => toast.text !== text);
  }

  drop(id: number): void {
    this.shown = this.shown.filter((toast) => toast.id !== id);
  }
}

export const toasts = new Toasts();

/** What to say of an action that failed. */
export function faultOf(error: unknown): string {
  return error instanceof RefusedError ? error.message : strings.files.failed;
}

/**
 * A value that can be watched.
 *
 * Owns: the value and its listeners. Does not know: what it means, Svelte.
 *
 * Invariant: a listener is called with the value at once when it subscribes and after every change, and never after
 * it has unsubscribed. That is Svelte's store contract, so `$session.light` works in a component as it is.
 */

export interface Observable<T> {
  readonly value: T;
  /** Call `listener` now and after every change. Returns what ends it. */
  subscribe(listener: (value: T) => void): () => void;
}

/** An observable and the way to change it, for its owner only. */
export class Cell<T> implements Observable<T> {
  #value: T;
  readonly #listeners = new Set<(value: T) => void>();
  readonly #isSame: (a: T, b: T) => boolean;

  constructor(value: T, isSame: (a: T, b: T) => boolean = Object.is) {
    this.#value = value;
    this.#isSame = isSame;
  }

  get value(): T {
    return this.#value;
  }

  set(value: T): void {
    if (this.#isSame(this.#value, value)) return;
    this.#value = value;
    for (const listener of [...this.#listeners]) {
      if (this.#listeners.has(listener)) listener(value);
    }
  }

  subscribe(listener: (value: T) => void): () => void {
    // A function of its own, so that one listener subscribed twice is two.
    const own = (value: T): void => listener(value);
    this.#listeners.add(own);
    listener(this.#value);
    return () => void this.#listeners.delete(own);
  }
}

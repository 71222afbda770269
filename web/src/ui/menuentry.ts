/**
 * One line of a menu.
 *
 * Owns: what it says and does. Does not know: how it is shown; Menu.svelte does.
 */
export interface MenuEntry {
  readonly label: string;
  readonly enabled?: boolean;
  /** One of several of which one is chosen. */
  readonly isChosen?: boolean;
  readonly keys?: string;
  /** A line above it. */
  readonly begins?: boolean;
  readonly run: () => void;
}

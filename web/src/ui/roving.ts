/**
 * One Tab stop for a list: arrow keys go through its rows, Tab leaves it.
 *
 * Owns: which row has the stop, while rows come and go. Does not know: what a row is of; it is named by `data-row`.
 */
export class Roving {
  private list: HTMLElement | null = null;
  private current: string | null = null;
  /** The row that is about to go, and where it is: the keyboard goes on from there. */
  private leaving: { row: string; at: number } | null = null;

  /** To be attached to the list. Returns what detaches it. */
  readonly attach = (list: HTMLElement): (() => void) => {
    this.list = list;
    const watch = new MutationObserver(() => this.settle());
    watch.observe(list, { childList: true, subtree: true });
    list.addEventListener("keydown", this.key);
    list.addEventListener("focusin", this.focused);
    this.settle();
    return () => {
      watch.disconnect();
      list.removeEventListener("keydown", this.key);
      list.removeEventListener("focusin", this.focused);
    };
  };

  /** This row goes soon. If the keyboard is in it then, the next one has it. */
  leaves(row: string): void {
    this.leaving = { row, at: this.rows().findIndex((each) => each.dataset["row"] === row) };
  }

  private rows(): HTMLElement[] {
    return [...(this.list?.querySelectorAll<HTMLElement>("[data-row]") ?? [])];
  }

  private settle(): void {
    const rows = this.rows();
    if (this.leaving !== null && !rows.some((each) => each.dataset["row"] === this.leaving?.row)) {
      const next = rows[Math.min(this.leaving.at, rows.length - 1)];
      this.leaving = null;
      if (document.activeElement === document.body) next?.focus();
    }
    const stop =
      rows.find((each) => each.dataset["row"] === this.current) ??
      rows.find((each) => each.ariaCurrent === "true") ??
      rows[0];
    for (const each of rows) each.tabIndex = each === stop ? 0 : -1;
  }

  private readonly focused = (event: FocusEvent): void => {
    const row = event.target instanceof HTMLElement ? event.target.dataset["row"] : undefined;
    if (row === undefined) return;
    this.current = row;
    this.settle();
  };

  private readonly key = (event: KeyboardEvent): void => {
    const rows = this.rows();
    const at = rows.indexOf(document.activeElement as HTMLElement);
    if (at < 0) return;
    if (event.key === "ArrowDown") rows[at + 1]?.focus();
    else if (event.key === "ArrowUp") rows[at - 1]?.focus();
    else if (event.key === "Home") rows[0]?.focus();
    else if (event.key === "End") rows.at(-1)?.focus();
    else return;
    event.preventDefault();
  };
}

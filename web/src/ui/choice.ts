/**
 * A row of a list to choose from, and how rows are made of what can be chosen.
 *
 * Owns: their shape, and how many are listed. Does not know: how they look.
 */
import { rank, type Stretch } from "./fuzzy";
import { nameOf } from "./tree";

export interface Choice<Item> {
  readonly key: string | number;
  readonly item: Item;
  readonly label: string;
  readonly labelStretches: readonly Stretch[];
  /** Said more quietly beside it: the folder of a file, the group of an action. */
  readonly detail?: string;
  readonly detailStretches?: readonly Stretch[];
  /** At the end of the row; warm: something waits. */
  readonly note?: string;
  readonly isNoteWarm?: boolean;
  /** Keys that do the same. */
  readonly keys?: readonly string[];
}

/** Of files; nobody reads further, and typing on narrows it down. */
export const CHOICES_MAX = 60;

/** Those that fit a query, best first, as far as they are listed, and how many more there are. */
export function chosen<Item>(
  query: string,
  items: readonly Item[],
  textOf: (item: Item) => string,
  choiceOf: (item: Item, stretches: readonly Stretch[]) => Choice<Item>,
  max = CHOICES_MAX,
): { choices: readonly Choice<Item>[]; more: number } {
  const ranked = rank(query, items, textOf);
  return {
    choices: ranked.slice(0, max).map(({ item, stretches }) => choiceOf(item, stretches)),
    more: Math.max(0, ranked.length - max),
  };
}

/** A path as a row shows it: its name, and quietly its folder, with what was matched in each. */
export function pathParts(
  path: string,
  stretches: readonly Stretch[],
): Pick<Choice<never>, "label" | "labelStretches" | "detail" | "detailStretches"> {
  const label = nameOf(path);
  const start = path.length - label.length;
  const within = (from: number, to: number): readonly Stretch[] =>
    stretches.flatMap(([begin, end]): Stretch[] => {
      const [first, last] = [Math.max(begin, from), Math.min(end, to)];
      return first < last ? [[first - from, last - from]] : [];
    });
  return {
    label,
    labelStretches: within(start, path.length),
    ...(start > 0 && { detail: path.slice(0, start - 1), detailStretches: within(0, start - 1) }),
  };
}

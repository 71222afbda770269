/**
 * The actions of a screen as rows to choose from.
 *
 * Owns: their order: those done lately first, else as they were added. Does not know: the list that shows them.
 */
import { tick } from "svelte";
import { thisBrowser } from "../browser";
import { type Action, type Actions, shownOf } from "./actions.svelte";
import { type Choice, chosen } from "./choice";
import { lately, noteDone } from "./lately";

/** The palette itself is no use in the palette. */
const LEFT_OUT = "palette";

export function actionChoices(actions: Actions, query: string): { choices: readonly Choice<Action>[]; more: number } {
  const recent = lately(thisBrowser().localStorage);
  const place = (id: string): number => (recent.includes(id) ? recent.indexOf(id) : recent.length);
  // Of several with one id the last one counts.
  const byId = new Map(actions.list.map((action) => [action.id, action]));
  byId.delete(LEFT_OUT);
  const enabled = [...byId.values()].filter((action) => action.enabled?.() !== false);
  const items = enabled.sort((a, b) => place(a.id) - place(b.id));
  return chosen(
    query,
    items,
    ({ label, group }) => `${label} ${group}`,
    (action, stretches) => ({
      key: action.id,
      item: action,
      label: action.label,
      labelStretches: stretches.filter(([, to]) => to <= action.label.length),
      note: action.group,
      keys: shownOf(action).slice(0, 2),
    }),
    // All of them: whoever looks through them learns what there is.
    Number.POSITIVE_INFINITY,
  );
}

/** Once the list is gone: an action may show another. */
export async function doAction(actions: Actions, action: Action): Promise<void> {
  noteDone(thisBrowser().localStorage, action.id);
  await tick();
  actions.run(action.id);
}

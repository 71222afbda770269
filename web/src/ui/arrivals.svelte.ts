/**
 * A word when somebody comes or goes.
 *
 * Owns: telling arrivals from reconnects, and many from few. Does not know: where the word is shown.
 */
import type { MemberRecord } from "../messages";
import type { Session } from "../model";
import { strings } from "../strings";

/** Who leaves and comes back within this time had a bad line, not a reason to be told of. */
const CALM_MS = 4_000;
/** More than this at once are a number. */
const NAMES_MAX = 3;

/**
 * Tell `say` who came and went. Nothing is told of those who were there at one's own arrival, also after a reconnect of
 * one's own. Returns what ends it.
 */
export function watchArrivals(session: Session, say: (text: string) => void, calmMs = CALM_MS): () => void {
  let known: ReadonlyMap<number, MemberRecord> | null = null;
  let came: string[] = [];
  let left: string[] = [];
  let timer: ReturnType<typeof setTimeout> | undefined;

  const tell = (): void => {
    timer = undefined;
    const back = came.filter((name) => left.includes(name));
    const text = strings.people;
    const arrived = came.filter((name) => !back.includes(name));
    const gone = left.filter((name) => !back.includes(name));
    if (arrived.length > 0) say(text.came(named(arrived)));
    if (gone.length > 0) say(text.went(named(gone)));
    came = [];
    left = [];
  };

  const end = session.members.subscribe((members) => {
    const own = session.me.value?.memberId;
    if (own === undefined || !members.has(own) || known?.has(own) !== true) {
      // Offline, or just welcomed: this is how it is, and nobody's coming or going.
      known = members.size === 0 ? null : members;
      came = [];
      left = [];
      return;
    }
    for (const [memberId, { name }] of members) if (!known.has(memberId)) came.push(name);
    for (const [memberId, { name }] of known) if (!members.has(memberId)) left.push(name);
    known = members;
    if (came.length + left.length > 0) timer ??= setTimeout(tell, calmMs);
  });
  return () => {
    end();
    clearTimeout(timer);
  };
}

function named(names: readonly string[]): string {
  return names.length > NAMES_MAX ? strings.people.many(names.length) : strings.people.list(names);
}

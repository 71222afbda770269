/**
 * Why edits were set aside, in a person's words.
 *
 * Owns: which words go with which number of the table of errors. Does not know: the edits.
 */
import { Code } from "../errors";
import type { Rescue } from "../model";
import { strings } from "../strings";

const text = strings.rescue.why;

const WORDS: Readonly<Record<number, string>> = {
  [Code.EPOCH_CHANGED]: text.epoch,
  [Code.FILE_UNKNOWN]: text.unknown,
  [Code.FILE_DELETED]: text.deleted,
  [Code.LINK_REVOKED]: text.revoked,
  [Code.LINK_EXPIRED]: text.expired,
  [Code.ROLE_TOO_LOW]: text.role,
  [Code.DOCUMENT_TOO_LARGE]: text.large,
  [Code.WORKSPACE_UNKNOWN]: text.closed,
  [Code.WORKSPACE_DELETED]: text.closed,
  [Code.KEY_WRONG]: text.closed,
};

export function whyOf({ kind, code }: Pick<Rescue, "kind" | "code">): string {
  return kind === "stray" ? text.stray : (WORDS[code] ?? text.refused);
}

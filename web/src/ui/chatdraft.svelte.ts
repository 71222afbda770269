/**
 * What one is about to say in the chat, and what is on its way.
 *
 * Owns: these texts, for as long as the session lives. Does not know: how they are shown.
 *
 * Invariant: nothing typed is lost by closing the panel: what was refused meanwhile is back in the draft, with the reason.
 */
import type { Session } from "../model";
import { faultOf } from "./toasts.svelte";

export class ChatDraft {
  text = $state("");
  /** Why the last message was not taken; empty when nothing is to be said. */
  fault = $state("");
  /** Sent, and not known to be kept. */
  waiting = $state.raw<readonly string[]>([]);
  private readonly session: Session;

  constructor(session: Session) {
    this.session = session;
  }

  /** Never rejects. */
  async send(): Promise<void> {
    const said = this.text.trim();
    if (said === "") return;
    this.text = "";
    this.fault = "";
    this.waiting = [...this.waiting, said];
    try {
      await this.session.sendChat(said);
    } catch (error) {
      this.fault = faultOf(error);
      this.text = this.text === "" ? said : `${said}\n${this.text}`;
    } finally {
      const at = this.waiting.indexOf(said);
      this.waiting = this.waiting.filter((_, index) => index !== at);
    }
  }
}

const drafts = new WeakMap<Session, ChatDraft>();

/** The one draft of a session. */
export function draftOf(session: Session): ChatDraft {
  const known = drafts.get(session) ?? new ChatDraft(session);
  drafts.set(session, known);
  return known;
}

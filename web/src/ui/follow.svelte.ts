/**
 * Looking where somebody else looks: once, or for as long as one neither types nor scrolls.
 *
 * Owns: who is followed, and when that ends. Does not know: how it is shown.
 *
 * Invariant: an edit, a scroll or a choice of file of one's own ends it; nothing that the followed does can start it.
 */
import { getContext, setContext, tick, untrack } from "svelte";
import type { FileEditor } from "../editor/editor";
import type { Session } from "../model";
import { strings } from "../strings";
import type { OpenFiles } from "./openfiles.svelte";
import { toasts } from "./toasts.svelte";

/** Pixels from the edge of the view within which a caret counts as out of sight. */
const EDGE_PX = 32;

export class Follow {
  /** Null when nobody is followed. */
  memberId = $state<number | null>(null);
  /** Their name, also after they left. */
  name = $state("");
  /** To be brought into view once, as soon as it is known where it is. */
  private visiting = $state<number | null>(null);
  private isGoing = false;
  private readonly session: Session;
  private readonly opened: OpenFiles;

  /** To be made while a component is: it has effects. */
  constructor(session: Session, opened: OpenFiles) {
    this.session = session;
    this.opened = opened;
    $effect(() =>
      opened.listen((event, fileId) => {
        if (event === "seen") this.chose(fileId);
        else if (event !== "scrolled") this.stop();
      }),
    );
    // Untracked: it reads what is followed and seen, and must not be run by one's own choice of a file.
    $effect(() => untrack(() => session.members.subscribe(() => this.keepUp())));
    $effect(() => {
      if (this.memberId === null && this.visiting === null) return;
      const active = opened.list.find((each) => each.fileId === opened.active);
      const editor = opened.editor;
      if (active === undefined || editor === null) return;
      // Once the editor has heard it, too: it knows where a caret is.
      return active.document.presence.states.subscribe(() => void tick().then(() => this.look(editor)));
    });
  }

  start(memberId: number): void {
    this.memberId = memberId;
    this.visit(memberId);
  }

  /** Go where somebody is, once. */
  visit(memberId: number): void {
    this.visiting = memberId;
    this.goAlong(memberId);
  }

  stop(): void {
    this.memberId = null;
    this.visiting = null;
  }

  /** Another file is seen: if not by going along, one chose it oneself. */
  private chose(fileId: number | null): void {
    if (this.isGoing) return;
    const followed = this.session.members.value.get(this.memberId ?? -1);
    if (followed === undefined || followed.file_id !== fileId) this.stop();
  }

  private keepUp(): void {
    if (this.memberId === null) return;
    if (this.session.members.value.has(this.memberId)) this.goAlong(this.memberId);
    else if (this.session.status.value.kind === "online") {
      toasts.say(strings.people.followLeft(this.name));
      this.stop();
    }
  }

  /** To the file where they are. */
  private goAlong(memberId: number): void {
    const member = this.session.members.value.get(memberId);
    if (member === undefined) return;
    this.name = member.name;
    const fileId = member.file_id;
    if (fileId === null || fileId === this.opened.active) return;
    if (this.session.files.value.get(fileId)?.deleted_at_ms !== null) return;
    this.isGoing = true;
    this.opened.open(fileId, false);
    this.isGoing = false;
  }

  /** To their caret: in the middle at first, later only when it is out of sight, so that the text rests. */
  private look(editor: FileEditor): void {
    if (editor !== this.opened.editor) return;
    if (this.visiting !== null) {
      if (editor.goTo(this.visiting)) this.visiting = null;
    } else if (this.memberId !== null && !isInSight(editor, this.memberId)) editor.goTo(this.memberId);
  }
}

function isInSight(editor: FileEditor, memberId: number): boolean {
  const position = editor.carets.positionOf(memberId);
  if (position === null) return true;
  const at = editor.view.coordsAtPos(position);
  if (at === null) return false;
  const { top, bottom } = editor.view.scrollDOM.getBoundingClientRect();
  return at.top >= top + EDGE_PX && at.bottom <= bottom - EDGE_PX;
}

const CONTEXT = Symbol("follow");

/** Make the one of a screen, for it and all that it shows. */
export function provideFollow(session: Session, opened: OpenFiles): Follow {
  return setContext(CONTEXT, new Follow(session, opened));
}

export function useFollow(): Follow {
  return getContext<Follow>(CONTEXT);
}

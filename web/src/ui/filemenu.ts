/**
 * What the menu of rows in the file tree offers.
 *
 * Owns: which items there are for whom. Does not know: how a menu is shown, how the verbs are done.
 */
import { folderOf } from "../files/paths";
import { strings } from "../strings";
import { copyText } from "./clipboard";
import type { FileDesk } from "./filedesk.svelte";
import type { MenuEntry } from "./menuentry";
import { toasts } from "./toasts.svelte";
import type { FileRow, Row } from "./tree";

/** What only the list can do. */
export interface ListVerbs {
  onopen(fileId: number): void;
  onnew(kind: "file" | "folder", folder: string): void;
  rename(row: Row): void;
  remove(): void;
}

const text = strings.files.menu;

/** `rows`: at least one; several when they were chosen together. */
export function menuOf(desk: FileDesk, rows: readonly Row[], isOffline: boolean, list: ListVerbs): MenuEntry[] {
  const [row] = rows;
  if (row === undefined) return [];
  const isOne = rows.length === 1;
  const open = isOne && row.kind === "file" ? [openItem(row, list)] : [];
  const copy = isOne ? [copyItem(row)] : [];
  const download: MenuEntry = {
    label: isOne && row.kind === "file" ? text.download : text.downloadZip,
    run: () => void desk.download(rows),
  };
  if (!desk.mayChange) return [...open, ...copy, download];
  return [
    ...open,
    ...(isOne ? makingItems(desk, row, isOffline, list) : []),
    { label: text.move, enabled: !isOffline, run: () => (desk.moving = rows) },
    ...copy,
    download,
    { label: text.remove, keys: "Delete", enabled: !isOffline, run: () => list.remove() },
  ];
}

function openItem(row: FileRow, list: ListVerbs): MenuEntry {
  return { label: text.open, keys: "Enter", run: () => list.onopen(row.file.file_id) };
}

function copyItem(row: Row): MenuEntry {
  const copy = async (): Promise<void> => {
    toasts.say((await copyText(row.path)) ? strings.editor.copied : strings.editor.copyFailed);
  };
  return { label: text.copyPath, run: () => void copy() };
}

function makingItems(desk: FileDesk, row: Row, isOffline: boolean, list: ListVerbs): MenuEntry[] {
  const enabled = !isOffline;
  const folder = row.kind === "folder" ? row.path : folderOf(row.path);
  const items: MenuEntry[] = [
    { label: text.newFile, enabled, run: () => list.onnew("file", folder) },
    { label: text.newFolder, run: () => list.onnew("folder", folder) },
    { label: text.upload, enabled, run: () => (desk.choosing = { kind: "files", into: folder }) },
    { label: text.rename, keys: "F2", enabled, run: () => list.rename(row) },
  ];
  if (row.kind === "file") items.push({ label: text.duplicate, enabled, run: () => void desk.duplicate(row.file) });
  return items;
}

/** What the list as a whole offers. */
export function listMenuOf(
  desk: FileDesk,
  isOffline: boolean,
  list: Pick<ListVerbs, "onnew">,
  fold: () => void,
): MenuEntry[] {
  const reading: MenuEntry[] = [
    { label: text.downloadAll, run: () => void desk.downloadAll() },
    { label: text.foldAll, run: fold },
  ];
  if (!desk.mayChange) return reading;
  return [
    { label: text.newFolder, run: () => list.onnew("folder", "") },
    { label: text.upload, enabled: !isOffline, run: () => (desk.choosing = { kind: "files", into: "" }) },
    { label: text.uploadFolder, enabled: !isOffline, run: () => (desk.choosing = { kind: "folder", into: "" }) },
    ...reading,
  ];
}

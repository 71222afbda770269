/**
 * How the editor looks. Every colour is a custom property of styles/tokens.css, so that light and dark are one theme.
 *
 * Owns: the look of CodeMirror's own parts, of syntax, and of the others' carets. Does not know: which theme is on.
 */
import { HighlightStyle, syntaxHighlighting } from "@codemirror/language";
import type { Extension } from "@codemirror/state";
import { EditorView } from "@codemirror/view";
import { tags as t } from "@lezer/highlight";

/** How long a name stays after its caret moved: long enough to read a name, short enough not to cover code. */
const NAME_MOMENT_MS = 1_800;

const look = EditorView.theme({
  "&": { height: "100%", color: "var(--text)", backgroundColor: "var(--ground)", fontSize: "var(--code-size)" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: "var(--code-font)", lineHeight: "var(--code-line)", overflow: "auto" },
  ".cm-content": { padding: "var(--space-2) 0 40vh", caretColor: "var(--accent)" },
  ".cm-line": { padding: "0 var(--space-4) 0 var(--space-2)" },
  ".cm-cursor, .cm-dropCursor": { borderLeft: "2px solid var(--accent)", marginLeft: "-1px" },
  ".cm-activeLine": { backgroundColor: "var(--line-active)" },
  ".cm-gutters": { backgroundColor: "var(--ground)", color: "var(--text-faint)", border: "none", userSelect: "none" },
  ".cm-lineNumbers .cm-gutterElement": { padding: "0 var(--space-1) 0 var(--space-3)", minWidth: "2.5em" },
  ".cm-activeLineGutter": { backgroundColor: "transparent", color: "var(--text)" },
  ".cm-foldGutter .cm-gutterElement": { padding: "0 var(--space-1)", color: "var(--text-faint)" },
  ".cm-foldPlaceholder": {
    backgroundColor: "var(--chrome-hover)",
    border: "1px solid var(--border)",
    color: "var(--text-soft)",
    padding: "0 var(--space-1)",
  },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": {
    backgroundColor: "var(--selection)",
  },
  ".cm-content ::selection": { backgroundColor: "var(--selection)" },
  ".cm-selectionMatch": { backgroundColor: "var(--match)" },
  ".cm-searchMatch": { backgroundColor: "var(--found)", outline: "1px solid var(--found-edge)" },
  ".cm-searchMatch.cm-searchMatch-selected": { backgroundColor: "var(--found-edge)", color: "var(--ground)" },
  "&.cm-focused .cm-matchingBracket": { backgroundColor: "var(--match)", outline: "1px solid var(--border-strong)" },
  "&.cm-focused .cm-nonmatchingBracket": { backgroundColor: "var(--bad-soft)" },
  ".cm-specialChar": { color: "var(--bad)" },
  ".cm-trailingSpace": { backgroundColor: "var(--bad-soft)" },
  ".cm-panels": { backgroundColor: "var(--chrome)", color: "var(--text)", fontFamily: "var(--ui-font)" },
  ".cm-panels.cm-panels-top": { borderBottom: "1px solid var(--border)" },
  ".cm-panels.cm-panels-bottom": { borderTop: "1px solid var(--border)" },
  ".cm-panel.cm-search": { padding: "var(--space-2) var(--space-3)", fontSize: "var(--size-1)" },
  ".cm-panel.cm-search label": { fontSize: "var(--size-1)", color: "var(--text-soft)", marginRight: "var(--space-2)" },
  ".cm-textfield": {
    backgroundColor: "var(--ground)",
    color: "var(--text)",
    border: "1px solid var(--border-strong)",
    borderRadius: "var(--radius-1)",
    padding: "3px var(--space-2)",
    fontSize: "var(--size-1)",
  },
  ".cm-button": {
    backgroundImage: "none",
    backgroundColor: "var(--chrome-hover)",
    color: "var(--text)",
    border: "1px solid var(--border)",
    borderRadius: "var(--radius-1)",
    padding: "3px var(--space-2)",
    fontSize: "var(--size-1)",
  },
  ".cm-panel.cm-search [name=close]": { color: "var(--text-soft)", fontSize: "18px", right: "var(--space-2)" },
  ".cm-tooltip": {
    backgroundColor: "var(--raised)",
    color: "var(--text)",
    border: "1px solid var(--border)",
    borderRadius: "var(--radius-2)",
    boxShadow: "var(--shadow)",
    overflow: "hidden",
  },
  ".cm-tooltip.cm-tooltip-autocomplete > ul": { fontFamily: "var(--code-font)", fontSize: "var(--size-1)" },
  ".cm-tooltip-autocomplete ul li[aria-selected]": { backgroundColor: "var(--accent)", color: "var(--accent-ink)" },
  ".cm-placeholder": { color: "var(--text-faint)" },
});

const caretLook = EditorView.theme({
  ".carets-selection": { backgroundColor: "color-mix(in srgb, var(--member) var(--member-wash), transparent)" },
  ".carets-caret": {
    position: "absolute",
    width: "2px",
    marginLeft: "-1px",
    backgroundColor: "color-mix(in oklab, var(--member) 68%, var(--text))",
  },
  // A dot on top, so that a caret is found even where its line is thin against dense code.
  ".carets-caret::before": {
    content: '""',
    position: "absolute",
    top: "-2px",
    left: "-2px",
    width: "6px",
    height: "6px",
    borderRadius: "2px",
    backgroundColor: "inherit",
  },
  ".carets-caret > span": {
    position: "absolute",
    bottom: "100%",
    left: "-2px",
    padding: "0 5px",
    borderRadius: "4px 4px 4px 0",
    backgroundColor: "var(--member)",
    color: "var(--member-ink)",
    font: "600 11px/17px var(--ui-font)",
    whiteSpace: "nowrap",
    pointerEvents: "none",
    opacity: "0",
  },
  ".carets-caret-low > span": { bottom: "auto", top: "100%", borderRadius: "0 4px 4px 4px" },
  ".carets-caret.carets-caret-hover": { zIndex: "1" },
  ".carets-caret.carets-caret-hover > span": { opacity: "1", animation: "none !important" },
  ".carets-caret[data-moment='0'] > span": { animation: `carets-moment-a ${NAME_MOMENT_MS}ms` },
  ".carets-caret[data-moment='1'] > span": { animation: `carets-moment-b ${NAME_MOMENT_MS}ms` },
  "@keyframes carets-moment-a": { "0%, 80%": { opacity: "1" }, "100%": { opacity: "0" } },
  "@keyframes carets-moment-b": { "0%, 80%": { opacity: "1" }, "100%": { opacity: "0" } },
});

const syntax = HighlightStyle.define([
  { tag: t.comment, color: "var(--code-comment)", fontStyle: "italic" },
  { tag: t.meta, color: "var(--code-escape)" },
  { tag: [t.keyword, t.modifier, t.controlKeyword, t.operatorKeyword, t.self], color: "var(--code-keyword)" },
  { tag: [t.string, t.special(t.string), t.regexp, t.character], color: "var(--code-string)" },
  { tag: [t.escape, t.special(t.brace)], color: "var(--code-escape)" },
  { tag: [t.number, t.bool, t.null, t.atom, t.unit, t.color], color: "var(--code-number)" },
  { tag: [t.function(t.variableName), t.function(t.propertyName), t.macroName], color: "var(--code-function)" },
  { tag: [t.function(t.definition(t.variableName)), t.labelName], color: "var(--code-function)" },
  { tag: [t.typeName, t.className, t.namespace, t.standard(t.typeName)], color: "var(--code-type)" },
  { tag: [t.tagName, t.angleBracket], color: "var(--code-tag)" },
  { tag: [t.propertyName, t.attributeName], color: "var(--code-property)" },
  { tag: [t.attributeValue], color: "var(--code-string)" },
  { tag: [t.variableName, t.definition(t.variableName)], color: "var(--text)" },
  { tag: [t.standard(t.variableName), t.constant(t.variableName)], color: "var(--code-number)" },
  { tag: [t.operator, t.punctuation, t.bracket, t.separator, t.derefOperator], color: "var(--code-mark)" },
  { tag: [t.processingInstruction, t.documentMeta, t.annotation], color: "var(--code-escape)" },
  { tag: t.heading, color: "var(--code-keyword)", fontWeight: "600" },
  { tag: t.strong, fontWeight: "700" },
  { tag: t.emphasis, fontStyle: "italic" },
  { tag: t.strikethrough, textDecoration: "line-through" },
  { tag: [t.link, t.url], color: "var(--code-function)", textDecoration: "underline" },
  { tag: t.quote, color: "var(--code-comment)" },
  { tag: t.monospace, color: "var(--code-string)" },
  { tag: t.inserted, color: "var(--good)" },
  { tag: t.deleted, color: "var(--bad)" },
  { tag: t.changed, color: "var(--code-number)" },
  { tag: t.invalid, color: "var(--bad)" },
]);

/** The extension: the whole look. */
export const theme: Extension = [look, caretLook, syntaxHighlighting(syntax)];

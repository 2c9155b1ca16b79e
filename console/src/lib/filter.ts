/**
 * The filter grammar on the console's side: it completes while typing and points at mistakes
 * before the server is asked. The server's parser decides (store/filter.py has the grammar).
 */

export interface FilterField {
  name: string;
  kind: "str" | "int" | "float" | "bool" | "list";
  title: string;
}

interface Token {
  kind: "str" | "op" | "punct" | "word" | "bad";
  text: string;
  start: number;
  end: number;
}

export type Expect = "field" | "op" | "value" | "list" | "join" | "null" | "open";

export interface Mistake {
  code: "unterminated" | "field" | "unknown" | "op" | "value" | "join" | "paren" | "null";
  at: number;
  text: string;
}

const TOKEN = /\s*(?:("(?:[^"\\]|\\.)*")|(=~|!=|<=|>=|=|<|>|~)|([(),])|([^\s"()=<>!~,]+)|("(?:[^"\\]|\\.)*\\?$|.))/gsu;
const FIELD = /^[a-z_][a-z0-9_.]*$/;

export function tokens(text: string): Token[] {
  const out: Token[] = [];
  for (const match of text.trimEnd().matchAll(TOKEN)) {
    const [, str, op, punct, word, bad] = match;
    const value = str ?? op ?? punct ?? word ?? bad ?? "";
    const end = match.index + match[0].length;
    const kind = str ? "str" : op ? "op" : punct ? "punct" : word ? "word" : "bad";
    out.push({ kind, text: value, start: end - value.length, end });
  }
  return out;
}

interface Walk {
  expect: Expect;
  field: string;
  depth: number;
  /** Inside `in (...)`: a value has just been read. */
  listed: boolean;
  mistake: Mistake | null;
}

const START: Walk = { expect: "field", field: "", depth: 0, listed: false, mistake: null };

function afterField(state: Walk, token: Token, lower: string): Walk {
  if (token.kind === "op") return { ...state, expect: "value" };
  if (token.kind === "word" && lower === "in") return { ...state, expect: "open" };
  if (token.kind === "word" && lower === "is") return { ...state, expect: "null" };
  return wrong(state, "op", token);
}

function wrong(state: Walk, code: Mistake["code"], token: Token): Walk {
  return state.mistake ? state : { ...state, mistake: { code, at: token.start, text: token.text } };
}

function atField(state: Walk, token: Token, lower: string, known: ReadonlySet<string>): Walk {
  if (token.kind === "punct" && token.text === "(") return { ...state, depth: state.depth + 1 };
  if (token.kind !== "word" || lower === "and" || lower === "or") return wrong(state, "field", token);
  if (lower === "not") return state;
  const next: Walk = { ...state, expect: "op", field: token.text };
  if (!FIELD.test(token.text)) return wrong(next, "field", token);
  return known.size && !known.has(token.text) ? wrong(next, "unknown", token) : next;
}

function atJoin(state: Walk, token: Token, lower: string): Walk {
  if (token.kind === "punct" && token.text === ")" && state.depth > 0) {
    return { ...state, depth: state.depth - 1 };
  }
  if (token.kind === "word" && (lower === "and" || lower === "or")) {
    return { ...state, expect: "field", field: "" };
  }
  return wrong(state, token.text === ")" ? "paren" : "join", token);
}

function inList(state: Walk, token: Token): Walk {
  if (state.listed) {
    if (token.text === ")") return { ...state, expect: "join", listed: false };
    return token.text === "," ? { ...state, listed: false } : wrong(state, "paren", token);
  }
  const value = token.kind === "word" || token.kind === "str";
  return value ? { ...state, listed: true } : wrong(state, "value", token);
}

function step(state: Walk, token: Token, known: ReadonlySet<string>): Walk {
  const lower = token.text.toLowerCase();
  if (token.kind === "bad") return wrong(state, "unterminated", token);
  switch (state.expect) {
    case "field":
      return atField(state, token, lower, known);
    case "op":
      return afterField(state, token, lower);
    case "open":
      return token.text === "(" ? { ...state, expect: "list" } : wrong(state, "paren", token);
    case "list":
      return inList(state, token);
    case "null":
      return lower === "null" ? { ...state, expect: "join" } : wrong(state, "null", token);
    case "value":
      return token.kind === "word" || token.kind === "str"
        ? { ...state, expect: "join" }
        : wrong(state, "value", token);
    case "join":
      return atJoin(state, token, lower);
  }
}

function walk(list: readonly Token[], known: ReadonlySet<string>): Walk {
  return list.reduce((state, token) => step(state, token, known), START);
}

/** The first mistake of a filter, or null. Empty text is no filter. */
export function check(text: string, fields: readonly FilterField[]): Mistake | null {
  const list = tokens(text);
  if (!list.length) return null;
  const end = walk(list, new Set(fields.map((field) => field.name)));
  if (end.mistake) return end.mistake;
  const at = text.length;
  if (end.expect === "join") return end.depth ? { code: "paren", at, text: "" } : null;
  const code = { field: "field", op: "op", open: "paren", list: "paren", null: "null", value: "value" };
  return { code: code[end.expect] as Mistake["code"], at, text: "" };
}

export interface Spot {
  expect: Expect;
  field: string;
  /** The word under the caret, and where it lies. */
  word: string;
  start: number;
  end: number;
}

/** What could come at the caret. */
export function spot(text: string, caret: number): Spot {
  const before = tokens(text.slice(0, caret));
  const last = before.at(-1);
  const typing = last && last.end === caret && last.kind !== "punct" && last.kind !== "op";
  const head = typing ? before.slice(0, -1) : before;
  const state = walk(head, new Set());
  if (!typing) {
    return { expect: state.expect, field: state.field, word: "", start: caret, end: caret };
  }
  const start = last?.start ?? caret;
  return { expect: state.expect, field: state.field, word: text.slice(start, caret), start, end: caret };
}

const PLAIN = /^[^\s"()=<>!~,]+$/u;
const TYPED = /^(true|false|and|or|not|in|is|null|-?\d+(\.\d+)?)$/i;

/** A value as the grammar wants it for a field of this kind. */
export function quote(value: string | number | boolean, kind: FilterField["kind"]): string {
  if (typeof value !== "string") return String(value);
  if (kind !== "str" && kind !== "list" && TYPED.test(value)) return value;
  if (PLAIN.test(value) && !TYPED.test(value)) return value;
  return `"${value.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
}

/** `filter` with `term` joined by "and". */
export function also(filter: string, term: string): string {
  const text = filter.trim();
  if (!text) return term;
  if (text.includes(term)) return text;
  return /\bor\b/i.test(text) ? `(${text}) and ${term}` : `${text} and ${term}`;
}

export function operators(kind: FilterField["kind"]): string[] {
  if (kind === "bool") return ["="];
  if (kind === "str" || kind === "list") return ["=", "~", "!=", "=~", "in (", "is null"];
  return ["=", "!=", "<", "<=", ">", ">=", "in (", "is null"];
}

/**
 * Text from machines, shown as text. Bytes that were not UTF-8 arrive as U+10FF80..U+10FFFF
 * (the server's schema.text); they and control characters are made visible.
 */

export interface Piece {
  text: string;
  escaped: boolean;
}

const HIDDEN = /[\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}/u;
const HIDDEN_ALL = new RegExp(HIDDEN.source, "gu");
const SHORT: Record<string, string> = { "\t": "\\t", "\n": "\\n", "\r": "\\r" };

function escape(char: string): string {
  const code = char.codePointAt(0) ?? 0;
  if (code >= 0x10ff80 && code <= 0x10ffff) return `\\x${(code - 0x10ff00).toString(16)}`;
  const short = SHORT[char];
  if (short) return short;
  const hex = code.toString(16);
  if (code < 0x100) return `\\x${hex.padStart(2, "0")}`;
  if (code < 0x10000) return `\\u${hex.padStart(4, "0")}`;
  return `\\U${hex.padStart(8, "0")}`;
}

/** The same text in pieces: what is printable, and what had to be escaped. */
export function pieces(text: string): Piece[] {
  if (!HIDDEN.test(text)) return text ? [{ text, escaped: false }] : [];
  const out: Piece[] = [];
  let last = 0;
  for (const match of text.matchAll(HIDDEN_ALL)) {
    if (match.index > last) out.push({ text: text.slice(last, match.index), escaped: false });
    const shown = escape(match[0]);
    const tail = out.at(-1);
    if (tail?.escaped) tail.text += shown;
    else out.push({ text: shown, escaped: true });
    last = match.index + match[0].length;
  }
  if (last < text.length) out.push({ text: text.slice(last), escaped: false });
  return out;
}

/** One plain string, as the server's `display` gives it. */
export function display(text: string): string {
  return pieces(text)
    .map((piece) => piece.text)
    .join("");
}

const SAFE_WORD = /^[\p{L}\p{N}_@%+=:,./-]+$/u;

/** An argument list as one would type it into a shell. */
export function commandLine(argv: readonly string[]): string {
  return argv
    .map((arg) => (SAFE_WORD.test(arg) ? arg : `'${arg.replaceAll("'", "'\\''")}'`))
    .join(" ");
}

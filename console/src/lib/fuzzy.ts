/** Which titles a few typed letters mean. */

export interface Hit {
  score: number;
  /** Places of `text` that matched, for showing why. */
  marks: [start: number, end: number][];
}

const WORD_START = /[\s\-_./·()]/;

/** Fewer letters than this are in order by chance in any long title. */
const LOOSE = 3;

/** One word in one text: a whole, a beginning, a word's beginning, inside, or its letters in order. */
function one(word: string, text: string, loose: boolean): Hit | null {
  const at = text.indexOf(word);
  if (at === 0) return { score: text.length === word.length ? 100 : 80, marks: [[0, word.length]] };
  for (let from = at; from > 0; from = text.indexOf(word, from + 1)) {
    if (WORD_START.test(text[from - 1] ?? "")) return { score: 60, marks: [[from, from + word.length]] };
  }
  if (at > 0) return { score: 40, marks: [[at, at + word.length]] };
  if (!loose || word.length < LOOSE) return null;
  const marks: [number, number][] = [];
  let from = 0;
  for (const char of word) {
    const found = text.indexOf(char, from);
    if (found < 0) return null;
    const last = marks.at(-1);
    if (last && last[1] === found) last[1] = found + char.length;
    else marks.push([found, found + char.length]);
    from = found + char.length;
  }
  // Letters strewn over a long text are chance.
  const span = from - (marks[0]?.[0] ?? 0);
  if (span > word.length * 4 || marks.length > Math.max(2, word.length / 2 + 1)) return null;
  return { score: Math.max(1, 20 - marks.length * 2 - (span - word.length)), marks };
}

/** Every word of `query` must fit; marks are of the text as it is written. */
export function fits(query: string, text: string, loose = true): Hit | null {
  const words = query.trim().toLowerCase().split(/\s+/).filter(Boolean);
  const low = text.toLowerCase();
  if (low.length !== text.length) return null;
  let score = 0;
  const marks: [number, number][] = [];
  for (const word of words) {
    const hit = one(word, low, loose);
    if (!hit) return null;
    score += hit.score;
    marks.push(...hit.marks);
  }
  return { score: words.length ? score / words.length - text.length / 100 : 0, marks: marks.toSorted((a, b) => a[0] - b[0]) };
}

export interface Titled {
  title: string;
  /** Other names: the other language, an id. */
  also?: readonly string[];
  /** Is shown before others that fit as well. */
  weight?: number;
}

export interface Ranked<T> {
  item: T;
  marks: [number, number][];
}

/** What fits, best first; without a query everything in its order. */
export function rank<T extends Titled>(query: string, items: readonly T[], limit: number): Ranked<T>[] {
  if (!query.trim()) return items.slice(0, limit).map((item) => ({ item, marks: [] }));
  const found: { item: T; score: number; marks: [number, number][] }[] = [];
  for (const item of items) {
    const own = fits(query, item.title);
    // Words may be spread over a title and its other names: "web nginx".
    const others = [...(item.also ?? []), [item.title, ...(item.also ?? [])].join(" ")].map((name) => fits(query, name, false)?.score ?? -1);
    const best = Math.max(own?.score ?? -1, ...others.map((score) => (score < 0 ? -1 : Math.max(0.5, score - 5))));
    if (best >= 0) found.push({ item, score: best + (item.weight ?? 0), marks: own?.marks ?? [] });
  }
  return found.toSorted((a, b) => b.score - a.score).slice(0, limit);
}

/** What the filter bar offers at the caret. */

import { operators, quote, type FilterField, type Spot } from "./filter";
import { display } from "./text";

export interface Facet {
  value: string | number | boolean;
  count: number;
}

export interface Suggestion {
  label: string;
  note: string;
  /** Replaces the word under the caret. */
  insert: string;
  facet?: Facet;
}

const LIMIT = 12;

function fieldsFor(word: string, fields: readonly FilterField[]): Suggestion[] {
  const wanted = word.toLowerCase();
  const rank = (field: FilterField): number => {
    if (field.name.startsWith(wanted)) return 0;
    if (field.name.includes(wanted)) return 1;
    return field.title.toLowerCase().includes(wanted) ? 2 : 3;
  };
  return fields
    .filter((field) => rank(field) < 3)
    .toSorted((a, b) => rank(a) - rank(b))
    .slice(0, LIMIT)
    .map((field) => ({ label: field.name, note: field.title, insert: `${field.name} ` }));
}

function valuesFor(spot: Spot, field: FilterField | undefined, facets: readonly Facet[]): Suggestion[] {
  const kind = field?.kind ?? "str";
  const known: Facet[] = facets.length || kind !== "bool" ? [...facets] : [true, false].map((value) => ({ value, count: -1 }));
  const wanted = spot.word.replace(/^"/, "").toLowerCase();
  return known
    .filter((facet) => String(facet.value).toLowerCase().includes(wanted))
    .slice(0, LIMIT)
    .map((facet) => ({
      label: display(quote(facet.value, kind)),
      note: facet.count < 0 ? "" : String(facet.count),
      insert: quote(facet.value, kind) + (spot.expect === "list" ? "" : " "),
      facet,
    }));
}

export function suggest(spot: Spot, fields: readonly FilterField[], facets: readonly Facet[]): Suggestion[] {
  const field = fields.find((one) => one.name === spot.field);
  switch (spot.expect) {
    case "field":
      return fieldsFor(spot.word, fields);
    case "op":
      return operators(field?.kind ?? "str")
        .filter((op) => op.startsWith(spot.word))
        .map((op) => ({ label: op, note: "", insert: op.endsWith("(") ? op : `${op} ` }));
    case "value":
    case "list":
      return valuesFor(spot, field, facets);
    case "null":
      return [{ label: "null", note: "", insert: "null " }];
    case "join":
      return ["and", "or"]
        .filter((word) => word.startsWith(spot.word.toLowerCase()))
        .map((word) => ({ label: word, note: "", insert: `${word} ` }));
    case "open":
      return [{ label: "(", note: "", insert: "(" }];
  }
}

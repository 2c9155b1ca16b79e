/** Columns that the address names, in the table's own order. */

interface Named {
  id: string;
}

/** `fixed` columns stay, whatever the address says: they hold buttons. */
export function chosen<C extends Named>(columns: readonly C[], wanted: string, fixed: readonly string[] = []): C[] {
  if (!wanted) return [...columns];
  const names = new Set(wanted.split(","));
  const out = columns.filter((column) => names.has(column.id) || fixed.includes(column.id));
  return out.some((column) => !fixed.includes(column.id)) ? out : [...columns];
}

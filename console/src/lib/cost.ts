/** What protection cost: names of capabilities, where their rows are, and sums of the ledger. */

import type { LedgerRow } from "@/api/types";
import { link } from "./url";

type Translate = (key: string, options?: Record<string, unknown>) => string;

const KNOWN = new Set(["events", "encode", "send", "beat", "sensor", "guard", "integrity", "upgrade", "relate"]);

/** "collect/software.os_package" as "Collect: OS packages"; what is not known stays as it is. */
export function capabilityTitle(id: string, subclasses: ReadonlyMap<string, string>, t: Translate): string {
  const [kind = "", what = ""] = id.split("/", 2);
  if (kind === "collect" && what) return t("cost.collect", { what: subclasses.get(what) ?? what });
  if (id === "sensor/rested") return t("cost.rested");
  return KNOWN.has(id) ? t(`cost.capability.${id}`) : id;
}

/** The page that shows what a capability made. */
export function rowsOf(id: string, workload: string, since: string): string {
  const [kind = "", what = ""] = id.split("/", 2);
  if (kind === "collect" && what) return link(`/inventory/${encodeURIComponent(what)}`, { workload });
  if (id === "relate") return link("/inventory", { workload });
  return link("/events", { workload, since });
}

export interface Totals {
  cpuS: number;
  /** Of one core, the mean of all machines; null where no row says. */
  pct: number | null;
  bytes: number;
  shed: number;
}

/** Sums of rows per capability: their shares are of the same time, so they add up. */
export function totals(rows: readonly LedgerRow[]): Totals {
  const told = rows.filter((row) => row.cpu_pct !== null);
  return {
    cpuS: rows.reduce((sum, row) => sum + row.cpu_s, 0),
    pct: told.length ? told.reduce((sum, row) => sum + (row.cpu_pct ?? 0), 0) : null,
    bytes: rows.reduce((sum, row) => sum + row.bytes_out, 0),
    shed: rows.reduce((sum, row) => sum + row.shed, 0),
  };
}

/** The event classes and their columns, generated from the server's schema. */

import classes from "@/api/events.json";
import type { Column } from "@/api/types";

const EVENTS = classes as unknown as Record<string, Column[]>;

export const EVENT_TABLES = Object.keys(EVENTS);
export type EventTable = "process_activity" | "network_activity" | "blind_time";

/** Shown by other means: the time column, the activity's name. */
const ELSEWHERE = new Set(["time_ns", "mono_ns", "activity_id", "is_self"]);
const FIRST: Record<string, string[]> = {
  process_activity: ["pid", "name", "argv", "exe", "uid", "parent_name", "ppid", "container"],
  network_activity: ["direction", "name", "pid", "protocol", "src_ip", "src_port", "dst_ip", "dst_port"],
  blind_time: ["source", "lost", "reason", "until_ns"],
};
/** A class that has these only for form's sake. */
const LEFT_OUT: Record<string, string[]> = {
  blind_time: ["pid", "ppid", "uid", "name", "exe", "container", "start_ns", "cgroup_id"],
};

export function allColumns(table: string): Column[] {
  return EVENTS[table] ?? [];
}

/** Columns of the table on the screen: the telling ones first. */
export function tableColumns(table: string): Column[] {
  const out = LEFT_OUT[table] ?? [];
  const first = FIRST[table] ?? [];
  const rank = (column: Column) => {
    const at = first.indexOf(column.name);
    return at < 0 ? first.length : at;
  };
  return allColumns(table)
    .filter((column) => !ELSEWHERE.has(column.name) && !out.includes(column.name))
    .filter((column) => !column.wide || first.includes(column.name))
    .toSorted((a, b) => rank(a) - rank(b));
}

/** Put `fresh` before `known`, both newest first, without repeats, at most `limit`. */
export function merge<T>(fresh: readonly T[], known: readonly T[], key: (row: T) => string, limit: number): T[] {
  const seen = new Set<string>();
  const out: T[] = [];
  for (const row of [...fresh, ...known]) {
    const id = key(row);
    if (seen.has(id)) continue;
    seen.add(id);
    out.push(row);
    if (out.length === limit) break;
  }
  return out;
}

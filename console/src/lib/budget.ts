/** What protection was granted and what it spent, from the agent's ledger. */

import type { LedgerEntry } from "@/api/types";

const HOUR_MS = 3_600_000;

/** Collecting and checking; everything else serves the event path. */
export function isBackground(capability: string): boolean {
  return capability.startsWith("collect/") || capability.startsWith("check/") || capability === "relate" || capability === "integrity";
}

export interface Spent {
  capability: string;
  cpuS: number;
  bytes: number;
  rows: number;
  runs: number;
  shed: number;
}

/** Sums per capability, dearest first. */
export function byCapability(entries: readonly LedgerEntry[]): Spent[] {
  const sums = new Map<string, Spent>();
  for (const entry of entries) {
    const now = sums.get(entry.capability) ?? { capability: entry.capability, cpuS: 0, bytes: 0, rows: 0, runs: 0, shed: 0 };
    now.cpuS += entry.cpu_s;
    now.bytes += entry.bytes_out;
    now.rows += entry.rows;
    now.runs += entry.runs;
    now.shed += entry.shed;
    sums.set(entry.capability, now);
  }
  return [...sums.values()].toSorted((a, b) => b.cpuS - a.cpuS || a.capability.localeCompare(b.capability));
}

export interface Shares {
  /** Percent of the machine's CPU over the last hour; null when nothing was measured. */
  backgroundPct: number | null;
  /** Percent of one core over the measured windows of the last ten minutes. */
  eventPct: number | null;
}

export function shares(entries: readonly LedgerEntry[], cpus: number, nowMs: number): Shares {
  const hour = entries.filter((entry) => entry.window_start_ns / 1e6 >= nowMs - HOUR_MS);
  if (!hour.length) return { backgroundPct: null, eventPct: null };
  const background = hour.filter((entry) => isBackground(entry.capability)).reduce((sum, entry) => sum + entry.cpu_s, 0);
  const recent = hour.filter((entry) => entry.window_start_ns / 1e6 >= nowMs - HOUR_MS / 6);
  const windows = new Map(recent.map((entry) => [entry.window_start_ns, entry.window_s]));
  const measured = [...windows.values()].reduce((sum, seconds) => sum + seconds, 0);
  const event = recent.filter((entry) => !isBackground(entry.capability)).reduce((sum, entry) => sum + entry.cpu_s, 0);
  return {
    backgroundPct: (background / (3600 * Math.max(1, cpus))) * 100,
    eventPct: measured > 0 ? (event / measured) * 100 : null,
  };
}

/** CPU-seconds per window, oldest first, split in the two grants. */
export function series(entries: readonly LedgerEntry[]): { startMs: number; background: number; event: number }[] {
  const out = new Map<number, { startMs: number; background: number; event: number }>();
  for (const entry of entries) {
    const startMs = Math.floor(entry.window_start_ns / 6e10) * 60_000;
    const now = out.get(startMs) ?? { startMs, background: 0, event: 0 };
    if (isBackground(entry.capability)) now.background += entry.cpu_s;
    else now.event += entry.cpu_s;
    out.set(startMs, now);
  }
  return [...out.values()].toSorted((a, b) => a.startMs - b.startMs);
}

/** A time range in the address: a moment in ms, or a span before now such as 24h. */

const UNIT_MS = { m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

export const SPANS = ["15m", "1h", "24h", "7d", "30d"] as const;

/** The moment it means, or undefined for all time or what cannot be read. */
export function sinceMs(value: string, now: number): number | undefined {
  const span = /^([1-9]\d{0,4})([mhd])$/.exec(value);
  if (span) return Math.floor(now - Number(span[1]) * UNIT_MS[span[2] as keyof typeof UNIT_MS]);
  return /^[1-9]\d{0,15}$/.test(value) ? Number(value) : undefined;
}

export function isSpan(value: string): boolean {
  return /^[1-9]\d{0,4}[mhd]$/.test(value);
}

/** `24h` as number and unit, for words. */
export function spanParts(value: string): { count: number; unit: "m" | "h" | "d" } | null {
  const span = /^([1-9]\d{0,4})([mhd])$/.exec(value);
  return span ? { count: Number(span[1]), unit: span[2] as "m" | "h" | "d" } : null;
}

/** Times and ages. All times are milliseconds since 1970; ages are against the server's clock. */

let offset = 0;

/** Learn the server's clock from an answer's time. */
export function learnClock(serverMs: number): void {
  const seen = serverMs - Date.now();
  // A Date header is cut to the second: small differences are noise.
  offset = Math.abs(seen) < 2000 ? 0 : seen;
}

export function serverNow(): number {
  return Date.now() + offset;
}

export interface AgeParts {
  unit: "now" | "second" | "minute" | "hour" | "day";
  count: number;
}

/** How long ago, in the largest unit that keeps two digits of meaning. */
export function agePart(ms: number, now: number): AgeParts {
  const seconds = Math.max(0, Math.floor((now - ms) / 1000));
  if (seconds < 2) return { unit: "now", count: 0 };
  if (seconds < 100) return { unit: "second", count: seconds };
  const minutes = Math.floor(seconds / 60);
  if (minutes < 100) return { unit: "minute", count: minutes };
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return { unit: "hour", count: hours };
  return { unit: "day", count: Math.floor(hours / 24) };
}

const two = (value: number): string => String(value).padStart(2, "0");

/** Local time as `2026-11-24 23:07:41`: sortable and the same in both languages. */
export function stamp(ms: number): string {
  const date = new Date(ms);
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${clock(ms)}`;
}

export function clock(ms: number): string {
  const date = new Date(ms);
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** `1d 2h`, `3m 20s`, `2.5s`, `400 ms`, `30 µs`. */
export function duration(seconds: number): string {
  if (seconds === 0) return "0";
  if (seconds < 0.001) return `${Math.max(1, Math.round(seconds * 1e6))} µs`;
  if (seconds < 1) return `${Number((seconds * 1e3).toPrecision(3))} ms`;
  if (seconds < 60) return `${Math.round(seconds * 10) / 10}s`;
  const parts: [number, string][] = [
    [86400, "d"],
    [3600, "h"],
    [60, "m"],
    [1, "s"],
  ];
  const out: string[] = [];
  let rest = Math.round(seconds);
  for (const [size, unit] of parts) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count) out.push(`${count}${unit}`);
    if (out.length === 2) break;
  }
  return out.join(" ");
}

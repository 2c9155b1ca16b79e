/** Maintenance windows: what is wrong with one, and what it says in words. */

export interface Window {
  start: string;
  minutes: number;
  days: number[];
}

export const WEEK = [0, 1, 2, 3, 4, 5, 6] as const;
const DAY_MIN = 1440;

export type WindowMistake = "start" | "minutes" | "same";

/** The first mistake of the window at `index`, or null. */
export function mistakeOf(windows: readonly Window[], index: number): WindowMistake | null {
  const one = windows[index];
  if (!one) return null;
  if (!/^([01]\d|2[0-3]):[0-5]\d$/.test(one.start)) return "start";
  if (!Number.isInteger(one.minutes) || one.minutes < 1 || one.minutes > DAY_MIN) return "minutes";
  const same = JSON.stringify(tidy(one));
  return windows.slice(0, index).some((other) => JSON.stringify(tidy(other)) === same) ? "same" : null;
}

/** Days in order, once each; all seven are none. */
export function tidy(one: Window): Window {
  const days = [...new Set(one.days)].filter((day) => day >= 0 && day <= 6).toSorted((a, b) => a - b);
  return { start: one.start, minutes: one.minutes, days: days.length === 7 ? [] : days };
}

/** When it closes, and whether that is the next day. */
export function endOf(one: Window): { at: string; next: boolean } {
  const [hour = 0, minute = 0] = one.start.split(":").map(Number);
  const end = hour * 60 + minute + one.minutes;
  const of = end % DAY_MIN;
  const two = (value: number) => String(value).padStart(2, "0");
  return { at: `${two(Math.floor(of / 60))}:${two(of % 60)}`, next: end >= DAY_MIN && !(of === 0 && end === DAY_MIN) };
}

/** What one person chose for this browser: language and theme. */

import { useSyncExternalStore } from "react";

export type Language = "en" | "zh";
export type Theme = "system" | "light" | "dark";

interface Prefs {
  language: Language;
  theme: Theme;
  /** The first steps on the overview were read. */
  firstStepsHidden?: boolean;
}

const KEY = "hauberk.prefs";
const listeners = new Set<() => void>();

function initial(): Prefs {
  const language: Language = /^zh\b/i.test(navigator.language) ? "zh" : "en";
  try {
    const stored = JSON.parse(localStorage.getItem(KEY) ?? "{}") as Partial<Prefs>;
    return {
      language: stored.language === "en" || stored.language === "zh" ? stored.language : language,
      theme: stored.theme === "light" || stored.theme === "dark" ? stored.theme : "system",
      firstStepsHidden: stored.firstStepsHidden === true,
    };
  } catch {
    return { language, theme: "system" };
  }
}

let prefs = initial();

export function getPrefs(): Prefs {
  return prefs;
}

export function setPrefs(change: Partial<Prefs>): void {
  prefs = { ...prefs, ...change };
  localStorage.setItem(KEY, JSON.stringify(prefs));
  listeners.forEach((listener) => listener());
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function usePrefs(): Prefs {
  return useSyncExternalStore(subscribe, getPrefs);
}

const dark = typeof matchMedia === "function" ? matchMedia("(prefers-color-scheme: dark)") : null;

function subscribeDark(listener: () => void): () => void {
  dark?.addEventListener("change", listener);
  return () => dark?.removeEventListener("change", listener);
}

export function useDark(): boolean {
  const { theme } = usePrefs();
  const system = useSyncExternalStore(subscribeDark, () => dark?.matches ?? false);
  return theme === "system" ? system : theme === "dark";
}

/** Keys that work anywhere on a page, and the list of them for the help dialog. */

import { useEffect, useRef } from "react";

export interface Hotkey {
  key: string;
  /** Translation key of what it does. */
  label: string;
  run(): void;
}

const active: Hotkey[][] = [];

export function activeHotkeys(): Hotkey[] {
  return active.flat();
}

function typing(target: EventTarget | null): boolean {
  const element = target as HTMLElement | null;
  if (!element?.tagName) return false;
  return element.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(element.tagName);
}

function handle(event: KeyboardEvent): void {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  if (typing(event.target)) return;
  // A focused link or button keeps its own Enter.
  const own = (event.target as HTMLElement | null)?.closest?.("a, button, [role=menuitem], [role=tab]");
  if (event.key === "Enter" && own) return;
  for (const group of active.toReversed()) {
    const hit = group.find((hotkey) => hotkey.key === event.key);
    if (hit) {
      event.preventDefault();
      hit.run();
      return;
    }
  }
}

/** Register keys while the component is shown; the latest registration of a key wins. */
export function useHotkeys(keys: Hotkey[], enabled = true): void {
  const latest = useRef(keys);
  latest.current = keys;
  const signature = keys.map((hotkey) => hotkey.key).join(" ");
  useEffect(() => {
    if (!enabled) return undefined;
    const group = latest.current.map((hotkey, index) => ({
      ...hotkey,
      run: () => latest.current[index]?.run(),
    }));
    active.push(group);
    if (active.length === 1) document.addEventListener("keydown", handle);
    return () => {
      active.splice(active.indexOf(group), 1);
      if (!active.length) document.removeEventListener("keydown", handle);
    };
  }, [enabled, signature]);
}

/** Keys that work anywhere on a page, and the list of them for the help dialog. */

import { useEffect, useRef } from "react";

export interface Hotkey {
  /** A key as the browser names it, or two of them with a space between: "g w". */
  key: string;
  /** Translation key of what it does. */
  label: string;
  run(): void;
  /** Works with Ctrl or Cmd, and then also while somebody types. */
  control?: boolean;
  /** What the help calls it; another key that does the same thing needs no entry of its own. */
  hidden?: boolean;
}

/** The second key of a pair must come this soon. */
const PAIR_MS = 1_500;

const active: Hotkey[][] = [];
let begun = "";
let begunAt = 0;

export function activeHotkeys(): Hotkey[] {
  return active.flat().filter((hotkey) => !hotkey.hidden);
}

function typing(target: EventTarget | null): boolean {
  const element = target as HTMLElement | null;
  if (!element?.tagName) return false;
  return element.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(element.tagName);
}

function find(fits: (hotkey: Hotkey) => boolean): Hotkey | undefined {
  for (const group of active.toReversed()) {
    const hit = group.find(fits);
    if (hit) return hit;
  }
  return undefined;
}

function act(event: KeyboardEvent, hit: Hotkey): void {
  event.preventDefault();
  hit.run();
}

function handle(event: KeyboardEvent): void {
  if (event.defaultPrevented || event.altKey || event.isComposing) return;
  if (event.ctrlKey || event.metaKey) {
    const hit = event.shiftKey ? undefined : find((hotkey) => hotkey.control === true && hotkey.key === event.key.toLowerCase());
    if (hit) act(event, hit);
    return;
  }
  const target = event.target as HTMLElement | null;
  if (typing(target)) return;
  // A dialog over the page keeps its keys.
  if (target?.closest?.(".ant-modal, .ant-popover, .palette")) return;
  // A focused link, button or choice keeps its own keys.
  const own = target?.closest?.("a, button, [role=menuitem], [role=tab], [role=radio], [role=option]");
  if (own && (event.key === "Enter" || event.key.startsWith("Arrow"))) return;
  const pair = begun && event.timeStamp - begunAt < PAIR_MS ? find((hotkey) => hotkey.key === `${begun} ${event.key}`) : undefined;
  begun = "";
  if (pair) return act(event, pair);
  const hit = find((hotkey) => !hotkey.control && hotkey.key === event.key);
  if (hit) return act(event, hit);
  if (find((hotkey) => hotkey.key.startsWith(`${event.key} `))) {
    begun = event.key;
    begunAt = event.timeStamp;
  }
}

/** Register keys while the component is shown; the latest registration of a key wins. */
export function useHotkeys(keys: Hotkey[], enabled = true): void {
  const latest = useRef(keys);
  latest.current = keys;
  const signature = keys.map((hotkey) => hotkey.key).join(",");
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

/** State that lives in the address, so that a link shows what its sender saw. */

import { useCallback, useMemo } from "react";
import { useSearchParams } from "react-router";
import { sinceMs } from "./since";
import { serverNow } from "./time";

type Change = Record<string, string | null | undefined>;

/** `params` without the empty ones, with `change` applied. */
export function changed(params: URLSearchParams, change: Change): URLSearchParams {
  const next = new URLSearchParams(params);
  for (const [name, value] of Object.entries(change)) {
    if (value === null || value === undefined || value === "") next.delete(name);
    else next.set(name, value);
  }
  return next;
}

export interface UrlState {
  get(name: string): string;
  /** `push` makes a step that the browser's Back undoes. */
  set(change: Change, push?: boolean): void;
  params: URLSearchParams;
}

export function useUrl(): UrlState {
  const [params, setParams] = useSearchParams();
  const set = useCallback(
    (change: Change, push = false) => setParams((now) => changed(now, change), { replace: !push }),
    [setParams],
  );
  return { get: (name) => params.get(name) ?? "", set, params };
}

/** The address's time range as a moment: a span is counted from when it was chosen. */
export function useSince(standard = ""): { value: string; ms: number | undefined } {
  const [params] = useSearchParams();
  const value = params.get("since") ?? standard;
  const ms = useMemo(() => sinceMs(value, serverNow()), [value]);
  return { value, ms };
}

/** An address inside the console, with its parameters. */
export function link(path: string, params: Change = {}): string {
  const query = changed(new URLSearchParams(), params).toString();
  return query ? `${path}?${query}` : path;
}

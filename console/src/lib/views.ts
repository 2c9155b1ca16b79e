/** A saved view is a page of the console with its search string; these compare and join them. */

/** What a link carries besides the view: an open drawer, the view's own id. */
const PASSING = new Set(["view", "asset", "agent", "run"]);

/** The part of a search string that a saved view keeps, in one order. */
export function kept(search: string): string {
  const params = new URLSearchParams(search);
  const entries = [...params].filter(([name, value]) => value !== "" && !PASSING.has(name));
  return new URLSearchParams(entries.toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))).toString();
}

interface Saved {
  id: string;
  path: string;
  query?: string;
}

/** Where a view leads: its own page with its own state, named so that the page knows it. */
export function addressOf(view: Saved): string {
  const params = new URLSearchParams(kept(view.query ?? ""));
  params.set("view", view.id);
  return `${view.path}?${params.toString()}`;
}

/** Whether the page shows exactly this view. */
export function isShown(view: Saved, path: string, search: string): boolean {
  return view.path === path && kept(view.query ?? "") === kept(search);
}

/** A path that the console can show: of this origin, never another one. */
export function isOwnPath(path: string): boolean {
  return /^\/(?![/\\])[^\s?#\\]*$/.test(path);
}

/** The view that the page came from (by id), else one that it equals. */
export function currentView<T extends Saved>(views: readonly T[], path: string, search: string): T | undefined {
  const id = new URLSearchParams(search).get("view");
  return views.find((view) => view.id === id && view.path === path) ?? views.find((view) => isShown(view, path, search));
}

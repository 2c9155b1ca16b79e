/** What a page declares of itself; src/pages/<name>/page.ts exports one as `page`. */

import type { ComponentType } from "react";
import type { Role } from "@/api/types";

export interface PageRoute {
  /** Pattern below the console's root, as react-router writes it. */
  path: string;
  /** Loads the view: its code travels only when somebody goes there. */
  load(): Promise<{ default: ComponentType }>;
}

export interface PageDef {
  /** Translation key of the title. */
  title: string;
  icon: ComponentType;
  /** Place in the menu; pages of the same ten stand together. */
  order: number;
  /** Who sees it; everybody when absent. */
  roles?: Role[];
  /** The letter that leads here after g. */
  letter?: string;
  /** Parts of the page that the palette names, each with its own address. */
  places?: { title: string; path: string; role?: Role }[];
  /** The first one is where the menu leads. */
  routes: PageRoute[];
}

const found = import.meta.glob<{ page: PageDef }>("../pages/*/page.ts", { eager: true });

/** Where the menu leads: the page's first route. */
export function homeOf(page: PageDef): string {
  return page.routes[0]?.path ?? "/";
}

/** Every page, in menu order. */
export const PAGES: PageDef[] = Object.values(found)
  .map((module) => module.page)
  .sort((a, b) => a.order - b.order);

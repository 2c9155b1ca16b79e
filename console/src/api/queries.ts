/** Shared questions to the server. Pages that ask something of their own use `client` directly. */

import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { ALARMS_OPEN } from "@/lib/alarms";
import { client, data } from "./client";
import type { ClassState, Page, SubclassState } from "./types";

export function useOverview() {
  return useQuery({
    queryKey: ["overview"],
    queryFn: () => data(client.GET("/api/v1/overview")),
    refetchInterval: 15_000,
  });
}

export function useTaxonomy() {
  return useQuery({
    queryKey: ["taxonomy"],
    queryFn: () => data(client.GET("/api/v1/taxonomy")),
    refetchInterval: 30_000,
  });
}

/** One subclass with its class, once the taxonomy is known. */
export function useSubclass(id: string): { entry?: SubclassState; group?: ClassState } {
  const { data: classes } = useTaxonomy();
  return useMemo(() => {
    const group = classes?.find((one) => one.subclasses?.some((sub) => sub.id === id));
    return { group, entry: group?.subclasses?.find((sub) => sub.id === id) };
  }, [classes, id]);
}

/** Names of subclasses in one language. */
export function useSubclassTitles(language: "en" | "zh"): ReadonlyMap<string, string> {
  const { data: classes } = useTaxonomy();
  return useMemo(
    () => new Map(classes?.flatMap((one) => one.subclasses ?? []).map((sub) => [sub.id, sub.title[language === "zh" ? 1 : 0] ?? sub.id])),
    [classes, language],
  );
}

export function useWorkload(id: string) {
  return useQuery({
    queryKey: ["workload", id],
    queryFn: () =>
      data(client.GET("/api/v1/workloads/{workload_id}", { params: { path: { workload_id: id } } })),
    refetchInterval: 10_000,
  });
}

/** Workloads to choose from: the first thousand by name. */
export function useWorkloadChoices() {
  return useQuery({
    queryKey: ["workload-choices"],
    queryFn: () => data(client.GET("/api/v1/workloads", { params: { query: { limit: 1000 } } })),
    staleTime: 60_000,
  });
}

/** Saved views of this user and shared ones of the others. */
export function useViews() {
  return useQuery({ queryKey: ["views"], queryFn: () => data(client.GET("/api/v1/views", { params: { query: { limit: 1000 } } })), select: (page) => page.items, staleTime: 30_000 });
}

/** Runs that are not over. The stream says when to ask again; the interval is for when it cannot. */
export function useRunning() {
  return useQuery({
    queryKey: ["runs", "running"],
    queryFn: () => data(client.GET("/api/v1/runs", { params: { query: { filter: "state = running", limit: 20 } } })),
    refetchInterval: 15_000,
  });
}

export function useRun(id: string) {
  return useQuery({
    queryKey: ["runs", "one", id],
    queryFn: () => data(client.GET("/api/v1/runs/{run_id}", { params: { path: { run_id: id } } })),
    enabled: Boolean(id),
    refetchInterval: (query) => (query.state.data?.ended_ms === null ? 3_000 : false),
  });
}

/** Alarms that are open and not acknowledged. */
export function useOpenAlarms() {
  return useQuery({
    queryKey: ["alarms", "open"],
    queryFn: () => data(client.GET("/api/v1/alarms", { params: { query: { filter: ALARMS_OPEN, limit: 8 } } })),
    refetchInterval: 15_000,
  });
}

export interface PagedList<T> {
  rows: T[];
  asOf: number | undefined;
  total: number | null | undefined;
  more: boolean;
  loadMore(): void;
  query: { data: unknown; error: unknown; isPending: boolean; isFetching: boolean; refetch: () => unknown };
}

/** A list that is read page by page through the server's cursor. */
export function usePaged<T>(
  key: readonly unknown[],
  fetchPage: (cursor: string | undefined) => Promise<Page<T>>,
  options: { refetchMs?: number; enabled?: boolean } = {},
): PagedList<T> {
  const query = useInfiniteQuery({
    queryKey: key,
    queryFn: ({ pageParam }) => fetchPage(pageParam),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (last) => last.next ?? undefined,
    // Re-reading many pages every few seconds would cost more than it shows.
    refetchInterval: (now) => ((now.state.data?.pages.length ?? 0) <= 1 ? (options.refetchMs ?? false) : false),
    enabled: options.enabled ?? true,
  });
  const pages = query.data?.pages;
  const rows = useMemo(() => pages?.flatMap((page) => page.items) ?? [], [pages]);
  return {
    rows,
    asOf: pages?.[0]?.as_of_ms,
    total: pages?.[0]?.total,
    more: query.hasNextPage,
    loadMore: () => {
      if (query.hasNextPage && !query.isFetchingNextPage) void query.fetchNextPage();
    },
    query,
  };
}

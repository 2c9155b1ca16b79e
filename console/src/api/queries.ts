/** Shared questions to the server. Pages that ask something of their own use `client` directly. */

import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
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

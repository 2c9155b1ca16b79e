import { useQueries } from "@tanstack/react-query";
import { client, data } from "@/api/client";
import { quote } from "@/lib/filter";

/** As many ids as a filter may hold. */
const PART = 80;

/** Private bytes of the agents on these machines, as they last said; absent where none did. */
export function useMemoryOf(ids: readonly string[]): ReadonlyMap<string, number> {
  const parts: string[][] = [];
  for (let first = 0; first < ids.length; first += PART) parts.push(ids.slice(first, first + PART));
  return useQueries({
    queries: parts.map((part) => ({
      queryKey: ["agents", "memory", part],
      queryFn: () =>
        data(client.GET("/api/v1/agents", { params: { query: { filter: `workload in (${part.map((id) => quote(id, "str")).join(", ")}) and state in (online, late)`, limit: 1000 } } })),
      staleTime: 30_000,
    })),
    combine: (answers) => {
      const out = new Map<string, number>();
      for (const agent of answers.flatMap((answer) => answer.data?.items ?? [])) {
        if (agent.resources) out.set(agent.workload, (out.get(agent.workload) ?? 0) + agent.resources.private_bytes);
      }
      return out;
    },
  });
}

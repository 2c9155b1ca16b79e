/** Who is signed in. */

import { useQuery, useQueryClient } from "@tanstack/react-query";
import { createContext, useContext, useEffect } from "react";
import { ApiError, client, data, setCsrf, whenSignedOut } from "@/api/client";
import type { Me, Role } from "@/api/types";

const KEY = ["me"];
const RANK: Record<Role, number> = { viewer: 0, analyst: 1, admin: 2 };

export const MeContext = createContext<Me | null>(null);

export function useMe(): Me {
  const me = useContext(MeContext);
  if (!me) throw new Error("useMe is for pages behind the login");
  return me;
}

export function may(me: Me, role: Role): boolean {
  return RANK[me.role] >= RANK[role];
}

export function useMay(role: Role): boolean {
  return may(useMe(), role);
}

async function ask(): Promise<Me | null> {
  try {
    const me = await data(client.GET("/api/v1/me"));
    setCsrf(me.csrf ?? "");
    return me;
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) return null;
    throw error;
  }
}

export function useSession() {
  const cache = useQueryClient();
  useEffect(
    () =>
      whenSignedOut(() => {
        if (cache.getQueryData(KEY)) cache.setQueryData(KEY, null);
      }),
    [cache],
  );
  return useQuery({ queryKey: KEY, queryFn: ask, staleTime: Infinity, retry: false });
}

export function useSignIn() {
  const cache = useQueryClient();
  return async (name: string, password: string) => {
    const me = await data(client.POST("/api/v1/session", { body: { name, password } }));
    setCsrf(me.csrf ?? "");
    cache.setQueryData(KEY, me);
  };
}

export function useSignOut() {
  const cache = useQueryClient();
  return async () => {
    await client.DELETE("/api/v1/session");
    setCsrf("");
    cache.setQueryData(KEY, null);
    // The next person must not see what this one saw.
    cache.removeQueries({ predicate: (query) => query.queryKey[0] !== KEY[0] });
  };
}

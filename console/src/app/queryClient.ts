import { QueryClient } from "@tanstack/react-query";
import { ApiError } from "@/api/client";

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 5_000,
      refetchOnWindowFocus: true,
      // The server's refusals are answers; only a lost connection is worth a second try.
      retry: (failures, error) => !(error instanceof ApiError && error.status < 500) && failures < 2,
      // A server without internet is still a server.
      networkMode: "always",
    },
    mutations: { networkMode: "always" },
  },
});

import { useQueryClient } from "@tanstack/react-query";
import { App } from "antd";
import { useTranslation } from "react-i18next";

/** Run a change, read the list again, and say what went wrong in the server's words. */
export function useChange(queryKey: readonly unknown[]) {
  const cache = useQueryClient();
  const { notification } = App.useApp();
  const { t } = useTranslation();
  return async <T>(call: () => Promise<T>): Promise<T | undefined> => {
    try {
      const answer = await call();
      await cache.invalidateQueries({ queryKey });
      return answer;
    } catch (error) {
      notification.error({ title: t("error.notDone"), description: error instanceof Error ? error.message : String(error) });
      return undefined;
    }
  };
}

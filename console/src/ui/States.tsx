import { Button, Skeleton } from "antd";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { ApiError } from "@/api/client";
import type { AssetState } from "@/api/types";

/** The word for a state of knowledge; hatched where nobody has looked. */
export function StateTag({ state }: { state: AssetState }) {
  const { t } = useTranslation();
  return <span className={`state state-${state}`}>{t(`state.${state}`)}</span>;
}

export function NotAssessed({ why }: { why?: string }) {
  const { t } = useTranslation();
  return (
    <span className="not-assessed" title={why}>
      {t("state.not_assessed")}
    </span>
  );
}

interface EmptyProps {
  title: string;
  children?: ReactNode;
  action?: ReactNode;
  /** Nobody has looked: hatched, so that it cannot be read as "nothing there". */
  unlit?: boolean;
}

export function Empty({ title, children, action, unlit = false }: EmptyProps) {
  return (
    <div className={`empty ${unlit ? "unlit" : ""}`}>
      <p className="empty-title">{title}</p>
      {children && <p className="empty-text">{children}</p>}
      {action}
    </div>
  );
}

/** An error with what mends it, in the server's own words. */
export function Failed({ error, retry }: { error: unknown; retry?: () => void }) {
  const { t } = useTranslation();
  const known = error instanceof ApiError;
  const title = known ? t(`error.http${httpGroup(error.status)}`) : t("error.unreachable");
  const message = error instanceof Error ? error.message : String(error);
  return (
    <div className="failed" role="alert">
      <p className="empty-title">{title}</p>
      <p className="empty-text">{message}</p>
      {!known && <p className="empty-text">{t("error.unreachableMend")}</p>}
      {retry && (
        <Button size="small" onClick={retry}>
          {t("action.retry")}
        </Button>
      )}
    </div>
  );
}

function httpGroup(status: number): "403" | "404" | "4xx" | "5xx" {
  if (status === 403 || status === 404) return String(status) as "403" | "404";
  return status < 500 ? "4xx" : "5xx";
}

interface QueryLike<T> {
  data: T | undefined;
  error: unknown;
  isPending: boolean;
  refetch: () => unknown;
}

/** Waiting, failed, or the data: the three states that every widget has. */
export function Loaded<T>({
  query,
  children,
  rows = 3,
}: {
  query: QueryLike<T>;
  children: (data: T) => ReactNode;
  rows?: number;
}) {
  if (query.data !== undefined) return <>{children(query.data)}</>;
  if (query.error) return <Failed error={query.error} retry={() => void query.refetch()} />;
  return (
    <div aria-busy="true">
      <Skeleton active={false} title={false} paragraph={{ rows }} />
    </div>
  );
}

import { useTranslation } from "react-i18next";
import { useNow } from "@/lib/clock";
import { agePart, serverNow, stamp } from "@/lib/time";

/** "12 s ago", kept current; the exact time is its tooltip. */
export function Age({ ms, prefix }: { ms: number | null | undefined; prefix?: string }) {
  const { t } = useTranslation();
  const fresh = ms != null && serverNow() - ms < 100_000;
  const now = useNow(fresh ? 1000 : 30_000);
  if (ms == null) return <span className="muted">{t("age.never")}</span>;
  const { unit, count } = agePart(ms, now);
  return (
    <time className="age" dateTime={new Date(ms).toISOString()} title={stamp(ms)}>
      {prefix ? `${prefix} ` : ""}
      {t(`age.${unit}`, { count })}
    </time>
  );
}

export function Until({ ms }: { ms: number }) {
  const { t } = useTranslation();
  const now = useNow(30_000);
  const { unit, count } = agePart(now, ms);
  return (
    <time className="age" dateTime={new Date(ms).toISOString()} title={stamp(ms)}>
      {ms <= now ? t("age.expired") : t(`until.${unit}`, { count })}
    </time>
  );
}

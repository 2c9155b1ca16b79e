import { BellOutlined } from "@ant-design/icons";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { useOpenAlarms } from "@/api/queries";
import { count } from "@/lib/format";
import { ALARMS_OPEN } from "@/lib/alarms";
import { link } from "@/lib/url";

/** Open alarms that nobody has acknowledged, counted for everybody to see. */
export function AlarmBadge() {
  const { t } = useTranslation();
  const query = useOpenAlarms();
  const total = query.data ? (query.data.total ?? query.data.items.length) : null;
  const label = total === null ? t("alarm.unknown") : total ? t("alarm.open", { count: total }) : t("alarm.noneOpen");
  return (
    <Link className={`side-state ${total ? "bad" : ""}`} to={link("/agents", { tab: "alarms", q: ALARMS_OPEN })} title={label} data-testid="alarms">
      <BellOutlined />
      <span>{t("alarm.title")}</span>
      {total === null ? query.error ? <b>?</b> : null : total > 0 && <b>{count(total)}</b>}
    </Link>
  );
}

import { Button } from "antd";
import { useTranslation } from "react-i18next";
import type { SubclassState } from "@/api/types";
import { count } from "@/lib/format";
import { stamp } from "@/lib/time";
import { Empty } from "@/ui/States";

interface Props {
  entry: SubclassState;
  filtered: boolean;
  onClear(): void;
}

/** Why a list is empty: nobody looked, the filter leaves nothing, or it really is empty. */
export function NothingHere({ entry, filtered, onClear }: Props) {
  const { t } = useTranslation();
  if (entry.rows == null) {
    const state = entry.state === "not_collected" ? "not_collected" : entry.state === "error" ? "error" : "not_assessed";
    return (
      <Empty unlit title={t(`assets.empty.${state}`)}>
        {t(`assets.empty.${state}Text`)}
      </Empty>
    );
  }
  if (filtered) {
    return (
      <Empty title={t("assets.empty.filtered", { total: count(entry.rows) })} action={<Button onClick={onClear}>{t("filter.clear")}</Button>}>
        {t("assets.empty.filteredText")}
      </Empty>
    );
  }
  return (
    <Empty title={t("assets.empty.none", { count: entry.workloads, at: stamp(entry.newest_ms ?? Date.now()) })}>
      {t("assets.empty.noneText")}
    </Empty>
  );
}

import { Select } from "antd";
import { useTranslation } from "react-i18next";
import { SPANS, spanParts } from "@/lib/since";
import { stamp } from "@/lib/time";
import { useSince, useUrl } from "@/lib/url";

/** The time range of a list; it lives in the address as `since`. */
export function SinceSelect({ standard = "", label }: { standard?: string; label?: string }) {
  const { t } = useTranslation();
  const url = useUrl();
  const { value, ms } = useSince(standard);
  const word = (span: string) => {
    const parts = spanParts(span);
    return parts ? t(`since.${parts.unit}`, { count: parts.count }) : span;
  };
  const options = [...(standard ? [] : [{ value: "", label: t("list.allTime") }]), ...SPANS.map((span) => ({ value: span as string, label: word(span) }))];
  if (value && !options.some((option) => option.value === value)) {
    options.push({ value, label: spanParts(value) ? word(value) : ms ? t("list.since", { at: stamp(ms) }) : value });
  }
  return (
    <Select
      value={value}
      options={options}
      aria-label={label ?? t("since.label")}
      popupMatchSelectWidth={false}
      style={{ minWidth: 128 }}
      onChange={(next) => url.set({ since: next === standard ? null : next })}
    />
  );
}

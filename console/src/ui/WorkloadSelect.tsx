import { Select } from "antd";
import { useTranslation } from "react-i18next";
import { useWorkloadChoices } from "@/api/queries";
import { display } from "@/lib/text";

interface Props {
  value: string;
  onChange(id: string | null): void;
}

export function WorkloadSelect({ value, onChange }: Props) {
  const { t } = useTranslation();
  const { data } = useWorkloadChoices();
  const options = (data?.items ?? []).map((one) => ({
    value: one.id,
    label: display(one.hostname) + (one.site ? ` · ${display(one.site)}` : ""),
  }));
  if (value && !options.some((option) => option.value === value)) options.unshift({ value, label: value });
  return (
    <Select
      value={value || undefined}
      options={options}
      allowClear
      showSearch={{ optionFilterProp: "label" }}
      placeholder={t("list.allWorkloads")}
      aria-label={t("list.workload")}
      style={{ width: 210 }}
      onChange={(id: string | undefined) => onChange(id ?? null)}
    />
  );
}

import { Button } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useOrder } from "@/ui/useOrder";

/** Orders the agent to look at everything (or at some subclasses) now. */
export function CollectNow({ workload, subclasses = [], small = false }: { workload: string; subclasses?: string[]; small?: boolean }) {
  const { t } = useTranslation();
  const order = useOrder();
  const [busy, setBusy] = useState(false);
  const send = async () => {
    setBusy(true);
    await order.one(workload, subclasses);
    setBusy(false);
  };
  return (
    <Button type={small ? "default" : "primary"} size={small ? "small" : "middle"} loading={busy} onClick={() => void send()}>
      {t("task.collect")}
    </Button>
  );
}

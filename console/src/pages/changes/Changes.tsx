import { Button } from "antd";
import { useTranslation } from "react-i18next";
import { stamp } from "@/lib/time";
import { useUrl } from "@/lib/url";
import { ChangeList } from "@/ui/ChangeList";
import { PageHead } from "@/ui/PageHead";
import { WorkloadSelect } from "@/ui/WorkloadSelect";

export default function Changes() {
  const { t } = useTranslation();
  const url = useUrl();
  const since = Number(url.get("since")) || undefined;
  return (
    <div className="page page-fill">
      <PageHead
        title={t("nav.changes")}
        sub={since ? t("list.since", { at: stamp(since) }) : t("change.sub")}
        actions={
          <>
            {since && <Button onClick={() => url.set({ since: null })}>{t("list.allTime")}</Button>}
            <WorkloadSelect value={url.get("workload")} onChange={(id) => url.set({ workload: id })} />
          </>
        }
      />
      <ChangeList workload={url.get("workload")} since={since} />
    </div>
  );
}

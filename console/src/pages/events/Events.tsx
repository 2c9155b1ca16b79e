import { Button } from "antd";
import { useTranslation } from "react-i18next";
import { stamp } from "@/lib/time";
import { useUrl } from "@/lib/url";
import { EventList } from "@/ui/EventList";
import { PageHead } from "@/ui/PageHead";
import { WorkloadSelect } from "@/ui/WorkloadSelect";

export default function Events() {
  const { t } = useTranslation();
  const url = useUrl();
  const since = Number(url.get("since"));
  return (
    <div className="page page-fill">
      <PageHead
        title={t("nav.events")}
        sub={since ? t("list.since", { at: stamp(since) }) : t("event.sub")}
        actions={
          <>
            {since > 0 && <Button onClick={() => url.set({ since: null })}>{t("list.allTime")}</Button>}
            <WorkloadSelect value={url.get("workload")} onChange={(id) => url.set({ workload: id })} />
          </>
        }
      />
      <EventList />
    </div>
  );
}

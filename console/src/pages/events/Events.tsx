import { useTranslation } from "react-i18next";
import { useUrl } from "@/lib/url";
import { EventList } from "@/ui/EventList";
import { PageHead } from "@/ui/PageHead";
import { SavedViews } from "@/ui/SavedViews";
import { SinceSelect } from "@/ui/SinceSelect";
import { WorkloadSelect } from "@/ui/WorkloadSelect";

export default function Events() {
  const { t } = useTranslation();
  const url = useUrl();
  return (
    <div className="page page-fill">
      <PageHead
        title={t("nav.events")}
        sub={t("event.sub")}
        actions={
          <>
            <SavedViews />
            <SinceSelect />
            <WorkloadSelect value={url.get("workload")} onChange={(id) => url.set({ workload: id })} />
          </>
        }
      />
      <EventList />
    </div>
  );
}

import { useTranslation } from "react-i18next";
import { useSince, useUrl } from "@/lib/url";
import { ChangeList } from "@/ui/ChangeList";
import { PageHead } from "@/ui/PageHead";
import { SavedViews } from "@/ui/SavedViews";
import { SinceSelect } from "@/ui/SinceSelect";
import { WorkloadSelect } from "@/ui/WorkloadSelect";

export default function Changes() {
  const { t } = useTranslation();
  const url = useUrl();
  const since = useSince().ms;
  return (
    <div className="page page-fill">
      <PageHead
        title={t("nav.changes")}
        sub={t("change.sub")}
        actions={
          <>
            <SavedViews />
            <SinceSelect />
            <WorkloadSelect value={url.get("workload")} onChange={(id) => url.set({ workload: id })} />
          </>
        }
      />
      <ChangeList workload={url.get("workload")} since={since} />
    </div>
  );
}

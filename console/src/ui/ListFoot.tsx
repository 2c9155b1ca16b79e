import { Button } from "antd";
import { useTranslation } from "react-i18next";
import type { PagedList } from "@/api/queries";
import { count } from "@/lib/format";
import { Age } from "./Age";

/** How much of a list is shown, how old it is, and more of it. */
export function ListFoot<T>({ list }: { list: PagedList<T> }) {
  const { t } = useTranslation();
  const shown = count(list.rows.length);
  return (
    <>
      <span data-testid="shown">
        {list.total != null
          ? t("list.shownOf", { shown, total: count(list.total) })
          : list.more
            ? t("list.shownMore", { shown })
            : t("list.shownAll", { shown })}
      </span>
      {list.asOf != null && <Age ms={list.asOf} prefix={t("age.asOf")} />}
      {list.more && (
        <Button size="small" type="link" onClick={list.loadMore} loading={list.query.isFetching}>
          {t("list.more")}
        </Button>
      )}
    </>
  );
}

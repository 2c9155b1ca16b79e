import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { Age } from "./Age";

interface Props {
  title: ReactNode;
  /** When the shown data was true; every widget says it. */
  asOf?: number | null;
  extra?: ReactNode;
  children: ReactNode;
  className?: string;
  flush?: boolean;
}

export function Panel({ title, asOf, extra, children, className = "", flush = false }: Props) {
  const { t } = useTranslation();
  return (
    <section className={`panel ${className}`}>
      <header className="panel-head">
        <h2>{title}</h2>
        <div className="panel-extra">
          {extra}
          {asOf != null && <Age ms={asOf} prefix={t("age.asOf")} />}
        </div>
      </header>
      <div className={flush ? "panel-flush" : "panel-body"}>{children}</div>
    </section>
  );
}

import type { ReactNode } from "react";
import { useEffect } from "react";
import { Link } from "react-router";

interface Props {
  title: ReactNode;
  /** For the browser's tab; the title itself when it is text. */
  tab?: string;
  crumbs?: { to: string; label: string }[];
  sub?: ReactNode;
  actions?: ReactNode;
}

export function PageHead({ title, tab, crumbs = [], sub, actions }: Props) {
  const name = tab ?? (typeof title === "string" ? title : "");
  useEffect(() => {
    document.title = name ? `${name} · Hauberk` : "Hauberk";
  }, [name]);
  return (
    <header className="page-head">
      <div className="page-title">
        {crumbs.length > 0 && (
          <nav className="crumbs" aria-label="breadcrumb">
            {crumbs.map((crumb, index) => (
              <span key={crumb.to}>
                {index > 0 && <span aria-hidden="true"> / </span>}
                <Link to={crumb.to}>{crumb.label}</Link>
              </span>
            ))}
          </nav>
        )}
        <h1>{title}</h1>
        {sub && <div className="page-sub">{sub}</div>}
      </div>
      {actions && <div className="page-actions">{actions}</div>}
    </header>
  );
}

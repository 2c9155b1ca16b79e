import type { ReactNode } from "react";
import { Link } from "react-router";
import { NotAssessed } from "./States";

interface KpiProps {
  label: string;
  /** null: nobody has looked. */
  value: ReactNode;
  to?: string;
  note?: string;
  why?: string;
}

/** One figure that leads to its rows. */
export function Kpi({ label, value, to, note, why }: KpiProps) {
  if (value === null) {
    return (
      <div className="kpi unlit">
        <span className="kpi-label">{label}</span>
        <NotAssessed why={why} />
        {why && <span className="kpi-note">{why}</span>}
      </div>
    );
  }
  const body = (
    <>
      <span className="kpi-label">{label}</span>
      <span className="kpi-value">{value}</span>
      {note && <span className="kpi-note">{note}</span>}
    </>
  );
  return to ? (
    <Link className="kpi" to={to}>
      {body}
    </Link>
  ) : (
    <div className="kpi">{body}</div>
  );
}

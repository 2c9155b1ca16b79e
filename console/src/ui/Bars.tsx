import type { ReactNode } from "react";
import { Link } from "react-router";
import { count as number } from "@/lib/format";

export interface Share {
  id: string;
  label: ReactNode;
  count: number;
  tone: "good" | "warn" | "bad" | "idle" | "info" | "info2" | "info3";
  to?: string;
}

/** One bar cut into shares, with a legend whose entries lead to the rows. */
export function ShareBar({ shares, label }: { shares: Share[]; label: string }) {
  const total = shares.reduce((all, share) => all + share.count, 0);
  return (
    <div>
      <div className="share-bar" role="img" aria-label={label}>
        {total > 0 &&
          shares
            .filter((share) => share.count > 0)
            .map((share) => <span key={share.id} className={`tone-${share.tone}`} style={{ flexGrow: share.count }} />)}
      </div>
      <ul className="legend">
        {shares.map((share) => (
          <li key={share.id} className={share.count ? undefined : "zero"}>
            <span className={`dot tone-${share.tone}`} aria-hidden="true" />
            {share.to ? <Link to={share.to}>{share.label}</Link> : <span>{share.label}</span>}
            <b>{number(share.count)}</b>
          </li>
        ))}
      </ul>
    </div>
  );
}

interface MeterProps {
  label: ReactNode;
  /** Share of the grant that was spent; null when it was not measured. */
  share: number | null;
  text: ReactNode;
}

/** Spent against granted. Over the grant the bar is full and changes tone. */
export function Meter({ label, share, text }: MeterProps) {
  const tone = share === null ? "idle" : share > 1 ? "bad" : share > 0.8 ? "warn" : "info";
  return (
    <div className="meter">
      <div className="meter-text">
        <span>{label}</span>
        <span>{text}</span>
      </div>
      <div className={`meter-track ${share === null ? "hatched" : ""}`}>
        {share !== null && <span className={`tone-${tone}`} style={{ width: `${Math.min(100, share * 100)}%` }} />}
      </div>
    </div>
  );
}

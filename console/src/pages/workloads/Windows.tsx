import { DeleteOutlined, PlusOutlined } from "@ant-design/icons";
import { Button, InputNumber } from "antd";
import { useTranslation } from "react-i18next";
import { endOf, mistakeOf, WEEK, type Window } from "@/lib/windows";

interface Props {
  value: Window[];
  onChange(windows: Window[]): void;
  disabled: boolean;
}

/** When background work and upgrades may happen, in the machine's own time. */
export function Windows({ value, onChange, disabled }: Props) {
  const { t } = useTranslation();
  const put = (index: number, change: Partial<Window>) => onChange(value.map((one, at) => (at === index ? { ...one, ...change } : one)));
  const toggle = (one: Window, day: number) => {
    const days = one.days.length ? one.days : [...WEEK];
    const next = days.includes(day) ? days.filter((other) => other !== day) : [...days, day].toSorted((a, b) => a - b);
    return next.length === 7 || next.length === 0 ? [] : next;
  };
  return (
    <div className="windows">
      {!value.length && <p className="muted">{t("window.none")}</p>}
      {value.map((one, index) => {
        const mistake = mistakeOf(value, index);
        const end = endOf(one);
        const name = t("window.nth", { n: index + 1 });
        return (
          <fieldset key={index} className="window" disabled={disabled}>
            <legend className="sr">{name}</legend>
            <div className="days" role="group" aria-label={`${name}: ${t("window.days")}`}>
              {WEEK.map((day) => {
                const on = !one.days.length || one.days.includes(day);
                return (
                  <button key={day} type="button" className={on ? "on" : undefined} aria-pressed={on} disabled={disabled} onClick={() => put(index, { days: toggle(one, day) })}>
                    {t(`window.day.${day}`)}
                  </button>
                );
              })}
            </div>
            <label>
              {t("window.start")} <input type="time" value={one.start} required onChange={(event) => put(index, { start: event.target.value })} />
            </label>
            <label>
              {t("window.for")}{" "}
              <InputNumber size="small" min={1} max={1440} value={one.minutes} disabled={disabled} suffix={t("unit.minutesShort")} onChange={(minutes) => put(index, { minutes: minutes ?? 0 })} />
            </label>
            <span className={mistake ? "bad-text" : "muted"} role={mistake ? "alert" : undefined}>
              {mistake ? t(`window.mistake.${mistake}`) : t(end.next ? "window.endNext" : "window.end", { at: end.at })}
            </span>
            {!disabled && (
              <Button size="small" type="text" icon={<DeleteOutlined />} title={t("window.remove")} aria-label={`${t("window.remove")}: ${name}`} onClick={() => onChange(value.filter((_, at) => at !== index))} />
            )}
          </fieldset>
        );
      })}
      {!disabled && (
        <Button size="small" icon={<PlusOutlined />} disabled={value.length >= 16} onClick={() => onChange([...value, { start: "02:00", minutes: 120, days: [] }])}>
          {t("window.add")}
        </Button>
      )}
    </div>
  );
}

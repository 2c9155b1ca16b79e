import { useEffect, useLayoutEffect, useRef, useState, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { useHotkeys } from "@/app/hotkeys";

export interface Col<Row> {
  id: string;
  title: string;
  width: number;
  /** The server can sort by it. */
  sortable?: boolean;
  align?: "right";
  hint?: string;
  render(row: Row): ReactNode;
}

interface Props<Row> {
  label: string;
  columns: Col<Row>[];
  rows: readonly Row[];
  rowKey(row: Row): string;
  sort?: string;
  onSort?(sort: string): void;
  onOpen?(row: Row): void;
  openKey?: string;
  /** Called when the end comes into view and more may follow. */
  onEnd?(): void;
  footer?: ReactNode;
  empty?: ReactNode;
  /** Rows that are ticked, by key; x ticks the row under the cursor. */
  selected?: ReadonlySet<string>;
  onSelect?(selected: ReadonlySet<string>): void;
  /** Keys j, k, the arrows and Enter belong to this table. */
  keys?: boolean;
  height?: number | string;
}

const ROW = 32;
const SPARE = 12;

/** A real <table> that only holds the rows in view: dense, sortable, driven by j, k, Enter. */
export function DataTable<Row>(props: Props<Row>) {
  const { columns, rows, rowKey, onOpen, onEnd, selected, onSelect, keys = true } = props;
  const { t } = useTranslation();
  const box = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, height: 600 });
  const [cursor, setCursor] = useState(-1);

  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return undefined;
    const measure = () => setView({ top: element.scrollTop, height: element.clientHeight || 600 });
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    element.addEventListener("scroll", measure, { passive: true });
    return () => {
      observer.disconnect();
      element.removeEventListener("scroll", measure);
    };
  }, []);

  const nearEnd = view.top + view.height > rows.length * ROW - view.height;
  useEffect(() => {
    if (nearEnd && rows.length) onEnd?.();
  }, [nearEnd, rows.length, onEnd]);

  const move = (by: number) => {
    const next = Math.min(rows.length - 1, Math.max(0, cursor + by));
    setCursor(next);
    const element = box.current;
    if (!element) return;
    const y = next * ROW;
    if (y < element.scrollTop) element.scrollTop = y;
    else if (y + 2 * ROW > element.scrollTop + element.clientHeight) {
      element.scrollTop = y + 2 * ROW - element.clientHeight;
    }
  };
  const open = () => {
    const row = rows[cursor];
    if (row !== undefined) onOpen?.(row);
  };
  const tick = (key: string) => {
    const next = new Set(selected);
    if (!next.delete(key)) next.add(key);
    onSelect?.(next);
  };
  const ticked = rows.filter((row) => selected?.has(rowKey(row))).length;
  const span = columns.length + (onSelect ? 1 : 0);
  useHotkeys(
    [
      { key: "j", label: "keys.next", run: () => move(1) },
      { key: "k", label: "keys.previous", run: () => move(-1) },
      { key: "ArrowDown", label: "keys.next", hidden: true, run: () => move(1) },
      { key: "ArrowUp", label: "keys.previous", hidden: true, run: () => move(-1) },
      { key: "Home", label: "keys.first", run: () => move(-rows.length) },
      { key: "End", label: "keys.last", run: () => move(rows.length) },
      ...(onSelect ? [{ key: "x", label: "keys.select", run: () => rows[cursor] !== undefined && tick(rowKey(rows[cursor])) }] : []),
      ...(onOpen ? [{ key: "Enter", label: "keys.open", run: open }] : []),
    ],
    keys && rows.length > 0,
  );

  const first = Math.max(0, Math.floor(view.top / ROW) - SPARE);
  const last = Math.min(rows.length, Math.ceil((view.top + view.height) / ROW) + SPARE);
  const width = columns.reduce((total, col) => total + col.width, onSelect ? 36 : 0);

  return (
    <div className="table-frame" style={props.height === undefined ? undefined : { height: props.height, flex: "none" }}>
      <div className="table-box" ref={box} tabIndex={0} role="region" aria-label={props.label}>
        <table className="table" style={{ minWidth: width }} aria-rowcount={rows.length + 1}>
          <colgroup>
            {onSelect && <col style={{ width: 36 }} />}
            {columns.map((col) => (
              <col key={col.id} style={{ width: col.width }} />
            ))}
          </colgroup>
          <thead>
            <tr>
              {onSelect && (
                <th scope="col" className="tick">
                  <input
                    type="checkbox"
                    aria-label={t("list.selectAll")}
                    checked={rows.length > 0 && ticked === rows.length}
                    ref={(element) => {
                      if (element) element.indeterminate = ticked > 0 && ticked < rows.length;
                    }}
                    onChange={() => onSelect(new Set(ticked === rows.length ? [] : rows.map(rowKey)))}
                  />
                </th>
              )}
              {columns.map((col) => (
                <Head key={col.id} col={col} sort={props.sort} onSort={props.onSort} />
              ))}
            </tr>
          </thead>
          <tbody>
            {first > 0 && <Spacer rows={first} span={span} />}
            {rows.slice(first, last).map((row, offset) => {
              const key = rowKey(row);
              const index = first + offset;
              const state = [
                index === cursor ? "at" : "",
                key === props.openKey ? "opened" : "",
                onOpen ? "clickable" : "",
              ].join(" ");
              return (
                <tr
                  key={key}
                  className={state}
                  aria-rowindex={index + 2}
                  aria-current={index === cursor ? "true" : undefined}
                  onClick={() => {
                    setCursor(index);
                    if (!window.getSelection()?.toString()) onOpen?.(row);
                  }}
                >
                  {onSelect && (
                    <td className="tick" onClick={(event) => event.stopPropagation()}>
                      <input type="checkbox" aria-label={t("list.select")} checked={selected?.has(key) ?? false} onChange={() => tick(key)} />
                    </td>
                  )}
                  {columns.map((col) => (
                    <td key={col.id} className={col.align === "right" ? "num" : undefined}>
                      {col.render(row)}
                    </td>
                  ))}
                </tr>
              );
            })}
            {last < rows.length && <Spacer rows={rows.length - last} span={span} />}
          </tbody>
        </table>
        {rows.length === 0 && props.empty}
      </div>
      <div className="table-foot">
        {props.footer}
        <span className="table-keys" aria-hidden="true">
          {keys && rows.length > 0 && t(onOpen ? "keys.hint" : "keys.hintPlain")}
        </span>
      </div>
    </div>
  );
}

function Spacer({ rows, span }: { rows: number; span: number }) {
  return (
    <tr aria-hidden="true" className="spacer">
      <td colSpan={span} style={{ height: rows * ROW, padding: 0 }} />
    </tr>
  );
}

interface HeadProps<Row> {
  col: Col<Row>;
  sort?: string;
  onSort?(sort: string): void;
}

function Head<Row>({ col, sort = "", onSort }: HeadProps<Row>) {
  const down = sort === `-${col.id}`;
  const up = sort === col.id;
  const aria = down ? "descending" : up ? "ascending" : undefined;
  const className = col.align === "right" ? "num" : undefined;
  if (!col.sortable || !onSort) {
    return (
      <th scope="col" className={className} title={col.hint}>
        {col.title}
      </th>
    );
  }
  return (
    <th scope="col" className={className} aria-sort={aria} title={col.hint}>
      <button type="button" onClick={() => onSort(down ? "" : up ? `-${col.id}` : col.id)}>
        {col.title}
        <span className="arrow" aria-hidden="true">
          {down ? "↓" : up ? "↑" : ""}
        </span>
      </button>
    </th>
  );
}

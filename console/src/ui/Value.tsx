import { useTranslation } from "react-i18next";
import type { Column } from "@/api/types";
import { bytes, count } from "@/lib/format";
import { commandLine, display } from "@/lib/text";
import { duration, stamp } from "@/lib/time";
import type { Language } from "@/app/prefs";
import type { Col } from "./DataTable";
import { Text } from "./Text";

const PLAIN_NUMBER = /(^|_)(pid|ppid|uid|gid|port|id|inode|netns|mode|index|vlan|year)$/;

/** How a column's documentation says which number stands for "not known". */
const UNKNOWN = /(?:^|[^\d-])(-?\d+): (?:unknown|no owner found)/;

/** A number as its name says: bytes, seconds, a moment, an id or a count. */
export function numberText(name: string, value: number, doc = ""): string {
  const unknown = UNKNOWN.exec(doc);
  if (unknown && value === Number(unknown[1])) return "–";
  if (/^bytes\b/.test(doc)) return bytes(value);
  if (/(^|_)bytes$/.test(name)) return bytes(value);
  if (/(^|_)ms$/.test(name)) return value > 1e11 ? stamp(value) : duration(value / 1e3);
  if (/(^|_)ns$/.test(name)) return value > 1e17 ? stamp(value / 1e6) : duration(value / 1e9);
  if (/(^|_)(at|time)_s$/.test(name) || (/_s$/.test(name) && value > 1e9)) return stamp(value * 1e3);
  if (/_s$/.test(name)) return duration(value);
  if (PLAIN_NUMBER.test(name) || !Number.isInteger(value)) return String(value);
  return count(value);
}

/** What the API sends as digits, because a browser's number would lose the last ones, as a number. */
function parsed(name: string, value: unknown): unknown {
  const digits = typeof value === "string" && /(^|_)(ns|ms|bytes)$/.test(name) && /^-?\d{16,20}$/.test(value);
  return digits ? Number(value) : value;
}

/** A field's value as plain text, the way the screen shows it. */
export function valueText(name: string, given: unknown, words: { yes: string; no: string }): string {
  const value = parsed(name, given);
  if (value === null || value === undefined) return "–";
  if (typeof value === "boolean") return value ? words.yes : words.no;
  if (typeof value === "number") return numberText(name, value);
  if (Array.isArray(value)) {
    const list = value.map(String);
    return isCommand(name) ? display(commandLine(list)) : list.map(display).join(", ");
  }
  return display(String(value));
}

function isCommand(name: string): boolean {
  return /^(argv|cmdline|command_line|exec_start)$/.test(name);
}

const MONO = /(path|exe|argv|cmdline|key|hash|sha256|digest|address|_ip|mac|purl|id|fingerprint|file)$/;

export function Value({ column, value: given }: { column: Column; value: unknown }) {
  const { t } = useTranslation();
  const value = parsed(column.name, given);
  if (value === null || value === undefined) {
    return (
      <span className="muted" title={t("value.unknown")}>
        –
      </span>
    );
  }
  if (typeof value === "boolean") return <span className={value ? "yes" : "no"}>{t(value ? "value.yes" : "value.no")}</span>;
  if (typeof value === "number") return <span title={String(given)}>{numberText(column.name, value, column.doc)}</span>;
  if (Array.isArray(value)) {
    const list = value.map(String);
    if (isCommand(column.name)) return <Text mono value={commandLine(list)} />;
    return list.length ? (
      <span className="chips">
        {list.map((item, index) => (
          <span key={index} className="chip">
            <Text value={item} />
          </span>
        ))}
      </span>
    ) : (
      <span className="muted">{t("value.none")}</span>
    );
  }
  const text = String(value);
  return <Text mono={MONO.test(column.name)} value={text} />;
}

/** A title of the API: English, Chinese. */
export function titleOf([en = "", zh = en]: readonly string[], language: Language): string {
  return display(language === "zh" ? zh : en);
}

const WIDTHS: Record<string, number> = { int: 104, float: 96, bool: 76, list: 220, str: 150 };

function widthOf(column: Column): number {
  if (column.kind === "bool") return 76;
  if (column.kind === "int" && PLAIN_NUMBER.test(column.name)) return 88;
  if (isCommand(column.name) || /command|description|options/.test(column.name)) return 420;
  if (/path|exe|file|target|(^|_)dir$/.test(column.name)) return 220;
  if (/hash|sha256|purl|digest/.test(column.name)) return 240;
  if (/arch|state|protocol|direction|kind|type|user|owner|manager/.test(column.name)) return 104;
  if (/address|_ip$/.test(column.name)) return 170;
  return WIDTHS[column.kind] ?? 160;
}

/** Table columns from the API's own column list. */
export function fieldColumns<Row extends { fields?: Record<string, unknown> }>(
  columns: readonly Column[],
  language: Language,
  sortable = true,
): Col<Row>[] {
  return columns.map((column) => ({
    id: column.name,
    title: titleOf(column.title, language),
    hint: column.doc || column.name,
    width: widthOf(column),
    sortable: sortable && column.kind !== "list",
    align: column.kind === "int" || column.kind === "float" ? "right" : undefined,
    render: (row) => <Value column={column} value={row.fields?.[column.name]} />,
  }));
}

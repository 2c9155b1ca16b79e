/** The address of an export: a list's scope with the words, columns and time zone of the screen. */

export const FORMATS = ["csv", "json", "xlsx"] as const;

interface Look {
  format: string;
  language: "en" | "zh";
  columns: readonly string[];
  zone: string;
}

export function exportAddress(path: string, params: Record<string, string | number | boolean | undefined>, look: Look): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    if (value !== undefined && value !== "" && value !== false) query.set(name, String(value));
  }
  query.set("format", look.format);
  query.set("lang", look.language === "zh" ? "zh-CN" : "en");
  if (look.columns.length) query.set("columns", look.columns.join(","));
  if (look.zone) query.set("zone", look.zone);
  return `${path}?${query.toString()}`;
}

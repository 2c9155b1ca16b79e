import { describe, expect, it } from "vitest";
import type { LedgerEntry } from "@/api/types";
import { byCapability, isBackground, series, shares } from "@/lib/budget";
import { allColumns, EVENT_TABLES, merge, tableColumns } from "@/lib/events";
import { changed, link } from "@/lib/url";
import { numberText, valueText } from "@/ui/Value";

const NOW = 1_790_000_000_000;

function entry(capability: string, minutesAgo: number, cpu_s: number): LedgerEntry {
  return { capability, window_start_ns: (NOW - minutesAgo * 60_000) * 1e6, window_s: 60, cpu_s, bytes_out: 10, rows: 1, runs: 1, shed: 0 };
}

describe("budget", () => {
  const entries = [entry("collect/os.kernel", 5, 3.6), entry("relate", 5, 3.6), entry("events", 5, 3), entry("send", 5, 3), entry("events", 50, 9), entry("events", 90, 99)];

  it("splits the two grants", () => {
    expect(["collect/x", "relate", "events", "encode"].map(isBackground)).toEqual([true, true, false, false]);
    const spent = shares(entries, 2, NOW);
    expect(spent.backgroundPct).toBeCloseTo(0.1);
    expect(spent.eventPct).toBeCloseTo(10);
  });

  it("says nothing where nothing was measured", () => {
    expect(shares([], 2, NOW)).toEqual({ backgroundPct: null, eventPct: null });
    expect(shares([entry("events", 50, 1)], 2, NOW).eventPct).toBeNull();
  });

  it("sums per capability and per minute", () => {
    expect(byCapability(entries)[0]).toMatchObject({ capability: "events", cpuS: 111, rows: 3 });
    expect(series(entries).map((point) => [Math.round(point.background * 10), Math.round(point.event)])).toEqual([
      [0, 99],
      [0, 9],
      [72, 6],
    ]);
  });
});

describe("events", () => {
  it("shows the telling columns first and hides forms", () => {
    expect(tableColumns("process_activity").map((column) => column.name).slice(0, 3)).toEqual(["pid", "name", "argv"]);
    expect(tableColumns("blind_time").map((column) => column.name)).not.toContain("pid");
    for (const table of EVENT_TABLES) {
      expect(allColumns(table).every((column) => column.title.length === 2)).toBe(true);
    }
  });

  it("puts live rows on top without repeats", () => {
    const key = (row: string) => row;
    expect(merge(["c", "b"], ["b", "a"], key, 10)).toEqual(["c", "b", "a"]);
    expect(merge(["c", "b"], ["b", "a"], key, 2)).toEqual(["c", "b"]);
  });
});

describe("addresses", () => {
  it("leave out what is not set", () => {
    expect(link("/events", { table: "x", q: "", since: undefined })).toBe("/events?table=x");
    expect(changed(new URLSearchParams("a=1&b=2"), { a: null, c: "x y" }).toString()).toBe("b=2&c=x+y");
  });
});

describe("values", () => {
  const words = { yes: "yes", no: "no" };
  it.each([
    ["rss", 2048, "bytes", "2.0 KiB"],
    ["memory_bytes", 1024, "", "1.0 KiB"],
    ["pid", 12345, "", "12345"],
    ["rows", 12345, "", "12,345"],
    ["uid", -1, "effective; -1: unknown", "–"],
    ["pid", 0, "0: no owner found", "–"],
    ["pid", 10, "0: no owner found", "10"],
    ["start_ns", 90e9, "ns since boot", "1m 30s"],
  ])("%s", (name, value, doc, text) => {
    expect(numberText(name, value, doc)).toBe(text);
  });

  it("are plain text", () => {
    expect(valueText("argv", ["a b", "c"], words)).toBe("'a b' c");
    expect(valueText("tags", ["a", "b\n"], words)).toBe("a, b\\n");
    expect(valueText("x", null, words)).toBe("–");
    expect(valueText("x", false, words)).toBe("no");
  });

  it("shows a moment that the API sends as digits", () => {
    const words = { yes: "yes", no: "no" };
    const told = valueText("installed_ns", "1747699200000000000", words);
    expect(told).toBe(valueText("installed_ns", 1747699200000000000, words));
    expect(told).toMatch(/^2025-05-/);
    expect(valueText("serial", "1747699200000000000", words)).toBe("1747699200000000000");
  });
});

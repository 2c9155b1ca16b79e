import { describe, expect, it } from "vitest";
import { fileName } from "@/app/downloads";
import { chosen } from "@/lib/columns";
import { capabilityTitle, rowsOf, totals } from "@/lib/cost";
import { exportAddress } from "@/lib/export";
import { fits, rank } from "@/lib/fuzzy";
import { steps } from "@/lib/rollouts";
import { progress } from "@/lib/runs";
import { isSpan, sinceMs } from "@/lib/since";
import { addressOf, currentView, isOwnPath, isShown, kept } from "@/lib/views";
import { endOf, mistakeOf, tidy } from "@/lib/windows";

describe("palette", () => {
  const items = [
    { title: "Workloads", also: ["工作负载"] },
    { title: "OS packages", also: ["系统软件包", "software.os_package"] },
    { title: "Package policy" },
    { title: "API tokens", also: ["API 令牌"] },
  ];
  const titles = (query: string) => rank(query, items, 10).map((one) => one.item.title);

  it.each([
    ["packages", "OS packages"],
    ["os pack", "OS packages"],
    ["ospk", "OS packages"],
    ["系统软件", "OS packages"],
    ["os_package", "OS packages"],
    ["负载", "Workloads"],
    ["令牌", "API tokens"],
    ["WORK", "Workloads"],
  ])("finds %s", (query, title) => {
    expect(titles(query)[0]).toBe(title);
  });

  it("puts a beginning before a word's beginning before an inside", () => {
    const order = rank("pack", [{ title: "Unpacked" }, { title: "OS packages" }, { title: "Packages" }], 5);
    expect(order.map((one) => one.item.title)).toEqual(["Packages", "OS packages", "Unpacked"]);
  });

  it("needs every word, and letters that stand close", () => {
    expect(titles("os zebra")).toEqual([]);
    expect(fits("wds", "What nobody ever does with sand")).toBeNull();
    expect(titles("")).toHaveLength(items.length);
  });

  it("marks what fitted", () => {
    expect(fits("pack", "OS packages")?.marks).toEqual([[3, 7]]);
  });
});

describe("saved views", () => {
  it("keep what makes the list, not what lies over it", () => {
    expect(kept("?sort=-name&q=a+~+b&asset=1&run=2&view=3&since=")).toBe("q=a+%7E+b&sort=-name");
  });

  const view = { id: "v1", path: "/changes", query: "since=24h&q=kind+%3D+added" };

  it("lead to their page, and are known there", () => {
    const address = addressOf(view);
    expect(address.startsWith("/changes?")).toBe(true);
    const search = address.slice(address.indexOf("?"));
    expect(isShown(view, "/changes", search)).toBe(true);
    expect(currentView([view], "/changes", search)).toBe(view);
  });

  it("are known by their id also once altered, by their content without it", () => {
    expect(currentView([view], "/changes", "?view=v1&q=other")).toBe(view);
    expect(isShown(view, "/changes", "?view=v1&q=other")).toBe(false);
    expect(currentView([view], "/changes", "?q=kind+%3D+added&since=24h")).toBe(view);
    expect(currentView([view], "/events", "?view=v1")).toBeUndefined();
  });

  it.each(["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)", "workloads", "/a?b"])("never lead to %s", (path) => {
    expect(isOwnPath(path)).toBe(false);
  });

  it("lead to pages of the console", () => {
    expect(isOwnPath("/inventory/software.os_package")).toBe(true);
    expect(isOwnPath("/")).toBe(true);
  });
});

describe("time range", () => {
  it.each([
    ["24h", 1_000_000_000 - 86_400_000],
    ["15m", 1_000_000_000 - 900_000],
    ["900000", 900_000],
    ["", undefined],
    ["0h", undefined],
    ["yesterday", undefined],
    ["-5", undefined],
  ])("reads %s", (text, ms) => {
    expect(sinceMs(text, 1_000_000_000)).toBe(ms);
  });

  it("tells spans from moments", () => {
    expect([isSpan("7d"), isSpan("1700000000000")]).toEqual([true, false]);
  });
});

describe("columns", () => {
  const all = [{ id: "a" }, { id: "b" }, { id: "c" }];

  it("are those of the address in the table's order", () => {
    expect(chosen(all, "c,a").map((one) => one.id)).toEqual(["a", "c"]);
    expect(chosen(all, "").length).toBe(3);
    expect(chosen(all, "gone").length).toBe(3);
    expect(chosen(all, "a", ["c"]).map((one) => one.id)).toEqual(["a", "c"]);
  });
});

describe("exports", () => {
  it("ask for what the screen shows", () => {
    const address = exportAddress(
      "/api/v1/workloads/export",
      { filter: 'os = "a b"', sort: "-hostname", gone: false, self: true, workload: undefined },
      { format: "xlsx", language: "zh", columns: ["hostname", "os"], zone: "Asia/Shanghai" },
    );
    const query = Object.fromEntries(new URL(address, "https://host.example").searchParams);
    expect(query).toEqual({
      filter: 'os = "a b"',
      sort: "-hostname",
      self: "true",
      format: "xlsx",
      lang: "zh-CN",
      columns: "hostname,os",
      zone: "Asia/Shanghai",
    });
  });

  it("take the server's name for the file, if it is one", () => {
    expect(fileName('attachment; filename="agents.csv"', "x.csv")).toBe("agents.csv");
    expect(fileName('attachment; filename="../agents.csv"', "x.csv")).toBe("x.csv");
    expect(fileName(null, "x.csv")).toBe("x.csv");
  });
});

describe("maintenance windows", () => {
  const good = { start: "23:30", minutes: 60, days: [0, 4] };

  it("end on the next day", () => {
    expect(endOf(good)).toEqual({ at: "00:30", next: true });
    expect(endOf({ ...good, start: "02:00" })).toEqual({ at: "03:00", next: false });
    expect(endOf({ start: "00:00", minutes: 1440, days: [] })).toEqual({ at: "00:00", next: false });
  });

  it.each([
    [[{ ...good, start: "24:00" }], "start"],
    [[{ ...good, start: "" }], "start"],
    [[{ ...good, minutes: 0 }], "minutes"],
    [[{ ...good, minutes: 1441 }], "minutes"],
    [[{ ...good, minutes: 1.5 }], "minutes"],
    [[good], null],
  ])("are checked: %j", (windows, mistake) => {
    expect(mistakeOf(windows, 0)).toBe(mistake);
  });

  it("are not told twice, in whatever order of days", () => {
    expect(mistakeOf([good, { ...good, days: [4, 0, 0] }], 1)).toBe("same");
  });

  it("of all days are of no days", () => {
    expect(tidy({ ...good, days: [6, 5, 4, 3, 2, 1, 0] }).days).toEqual([]);
    expect(tidy({ ...good, days: [4, 0, 4] }).days).toEqual([0, 4]);
  });
});

describe("runs and rollouts", () => {
  it("count what is over and what went wrong", () => {
    expect(progress({ total: 10, states: { done: 4, failed: 1, expired: 1, cancelled: 1, sent: 3 } })).toEqual({ over: 7, bad: 2, share: 0.7 });
    expect(progress({ total: 0 }).share).toBe(1);
  });

  it("say in which ring a rollout stands", () => {
    expect(steps({ state: "canary", ring: "canary" })).toEqual(["current", "later", "later"]);
    expect(steps({ state: "paused", ring: "all" })).toEqual(["done", "paused", "later"]);
    expect(steps({ state: "halted", ring: "canary" })).toEqual(["bad", "later", "later"]);
    expect(steps({ state: "done", ring: "all" })).toEqual(["done", "done", "done"]);
  });
});

describe("cost", () => {
  const row = { workloads: 1, bytes_out: 5, rows: 0, runs: 0, shed: 2, capability: "", workload: "", hostname: "" };

  it("adds up, and knows nothing where nothing was told", () => {
    expect(totals([])).toEqual({ cpuS: 0, pct: null, bytes: 0, shed: 0 });
    expect(totals([{ ...row, cpu_s: 2, cpu_pct: null }]).pct).toBeNull();
    expect(totals([{ ...row, cpu_s: 2, cpu_pct: 1.5 }, { ...row, cpu_s: 1, cpu_pct: 0.5 }])).toEqual({ cpuS: 3, pct: 2, bytes: 10, shed: 4 });
  });

  it("names capabilities and leads to their rows", () => {
    const t = (key: string, options?: Record<string, unknown>) => `${key}:${String(options?.what ?? "")}`;
    const titles = new Map([["software.os_package", "OS packages"]]);
    expect(capabilityTitle("collect/software.os_package", titles, t)).toBe("cost.collect:OS packages");
    expect(capabilityTitle("send", titles, t)).toBe("cost.capability.send:");
    expect(capabilityTitle("new/thing", titles, t)).toBe("new/thing");
    expect(rowsOf("collect/software.os_package", "w1", "24h")).toBe("/inventory/software.os_package?workload=w1");
    expect(rowsOf("sensor", "", "24h")).toBe("/events?since=24h");
  });
});

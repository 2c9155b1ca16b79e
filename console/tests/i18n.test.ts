import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { EVENT_TABLES } from "@/lib/events";
import { i18n } from "@/i18n";
import en from "@/i18n/en.json";
import zh from "@/i18n/zh.json";

interface Tree {
  [key: string]: string | Tree;
}

function flat(tree: Tree, prefix = ""): Map<string, string> {
  const out = new Map<string, string>();
  for (const [key, value] of Object.entries(tree)) {
    if (typeof value === "string") out.set(prefix + key, value);
    else for (const [name, text] of flat(value, `${prefix}${key}.`)) out.set(name, text);
  }
  return out;
}

const EN = flat(en);
const ZH = flat(zh);
// Chinese has one plural form, English two.
const singular = (key: string) => key.replace(/_(one|other)$/, "");
const keys = (texts: Map<string, string>) => new Set([...texts.keys()].map(singular));
const holes = (text: string) => new Set(text.match(/\{\{\w+\}\}/g));

function sources(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return sources(path);
    return /\.tsx?$/.test(entry.name) && !entry.name.endsWith(".d.ts") ? [readFileSync(path, "utf8")] : [];
  });
}

const CODE = sources(join(import.meta.dirname, "../src")).join("\n");

describe("both languages", () => {
  it("have the same keys", () => {
    expect([...keys(EN)].sort()).toEqual([...keys(ZH)].sort());
  });

  it("have no empty text", () => {
    expect([...EN, ...ZH].filter(([, text]) => !text.trim())).toEqual([]);
  });

  it("fill the same holes", () => {
    for (const [key, text] of ZH) {
      const english = EN.get(key) ?? EN.get(`${singular(key)}_other`) ?? "";
      expect([key, [...holes(text)].sort()]).toEqual([key, [...holes(english)].sort()]);
    }
  });

  it("are really two languages", () => {
    const chinese = /[\u4e00-\u9fff]/;
    expect([...EN].filter(([, text]) => chinese.test(text))).toEqual([]);
    // What has no letters to translate: names and numbers.
    const same = [...ZH].filter(([, text]) => !chinese.test(text)).map(([key]) => key);
    expect(same).toEqual([]);
  });
});

describe("texts and code", () => {
  const literal = new Set([...CODE.matchAll(/(?:\bt\(|label: |title: )"([a-z]\w*(?:\.\w+)+)"/g)].map((match) => match[1] ?? ""));
  const patterns = [...CODE.matchAll(/\bt\(\s*`([^`]+)`/g)].map((match) => new RegExp(`^${(match[1] ?? "").replace(/\$\{[^}]*\}+/g, "[\\w.]+")}$`));
  const chosen = new Set([...CODE.matchAll(/"([a-z]\w*(?:\.\w+)+)"/g)].map((match) => match[1] ?? ""));

  it("finds every used key", () => {
    const known = keys(EN);
    expect([...literal].filter((key) => !known.has(key))).toEqual([]);
  });

  it("has no unused text", () => {
    const unused = [...keys(EN)].filter((key) => !chosen.has(key) && !patterns.some((pattern) => pattern.test(key)));
    expect(unused).toEqual([]);
  });

  it("names every event class in both languages", () => {
    for (const table of EVENT_TABLES) {
      expect(EN.has(`event.${table}`)).toBe(true);
      expect(EN.has(`event.example.${table}`)).toBe(true);
    }
  });
});

it("switches at once", async () => {
  await i18n.changeLanguage("zh");
  expect(i18n.t("nav.overview")).toBe("安全总览");
  await i18n.changeLanguage("en");
  expect(i18n.t("nav.overview")).toBe("Overview");
});

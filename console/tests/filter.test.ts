import { describe, expect, it } from "vitest";
import { also, check, quote, spot, tokens, type FilterField } from "@/lib/filter";
import { suggest } from "@/lib/suggest";

const FIELDS: FilterField[] = [
  { name: "name", kind: "str", title: "Package" },
  { name: "version", kind: "str", title: "版本" },
  { name: "dst_port", kind: "int", title: "Destination port" },
  { name: "is_self", kind: "bool", title: "Self" },
];

describe("check", () => {
  it.each([
    "",
    "name = nginx",
    'name = nginx and version >= "1.2"',
    "dst_port in (22, 3389) and not is_self = true",
    "(name ~ a or name ~ b) and version is null",
    "not not name = a",
    'name = "a \\" b"',
    "NAME_is = 1".toLowerCase().replace("name_is", "name"),
    "name = and",
  ])("accepts %s", (text) => {
    expect(check(text, FIELDS)).toBeNull();
  });

  it.each([
    ["nmae = 1", "unknown", 0],
    ["name", "op", 4],
    ["name =", "value", 6],
    ["name nginx", "op", 5],
    ['name = "abc', "unterminated", 7],
    ["name = a name = b", "join", 9],
    ["(name = a", "paren", 9],
    ["name = a)", "paren", 8],
    ["name in ()", "value", 9],
    ["name in (a b)", "paren", 11],
    ["name in (a", "paren", 10],
    ["name is not", "null", 8],
    ["and name = a", "field", 0],
    ["name = a and", "field", 12],
    ["Name = a", "field", 0],
  ])("points at the mistake in %s", (text, code, at) => {
    expect(check(text, FIELDS)).toMatchObject({ code, at });
  });
});

describe("tokens", () => {
  it("keeps where each one lies", () => {
    const list = tokens(' name>="x y"');
    expect(list.map((token) => [token.kind, token.text, token.start])).toEqual([
      ["word", "name", 1],
      ["op", ">=", 5],
      ["str", '"x y"', 7],
    ]);
  });
});

describe("spot and suggest", () => {
  const at = (text: string, facets: { value: string; count: number }[] = []) => suggest(spot(text, text.length), FIELDS, facets).map((one) => one.label);

  it("completes fields by name and by title", () => {
    expect(at("")).toEqual(["name", "version", "dst_port", "is_self"]);
    expect(at("ver")).toEqual(["version"]);
    expect(at("name = a and 版")).toEqual(["version"]);
    expect(at("port")).toEqual(["dst_port"]);
  });

  it("offers the operators of the kind", () => {
    expect(at("name ")).toEqual(["=", "~", "!=", "=~", "in (", "is null"]);
    expect(at("is_self ")).toEqual(["="]);
    expect(at("dst_port ")).toContain(">=");
  });

  it("offers known values, quoted where the grammar needs it", () => {
    const facets = [
      { value: "nginx", count: 3 },
      { value: "a b", count: 2 },
      { value: "12", count: 1 },
    ];
    expect(at("name = ", facets)).toEqual(["nginx", '"a b"', '"12"']);
    expect(at("name = a", facets)).toEqual(['"a b"']);
    expect(at('name = "a', facets)).toEqual(['"a b"']);
    expect(at("name in (", facets)).toEqual(["nginx", '"a b"', '"12"']);
  });

  it("knows the values of yes/no columns", () => {
    expect(at("is_self = ")).toEqual(["true", "false"]);
  });

  it("joins", () => {
    expect(at("name = nginx ")).toEqual(["and", "or"]);
    expect(at("name is ")).toEqual(["null"]);
  });

  it("replaces the word under the caret only", () => {
    const text = "name = a and ver = 1";
    const here = spot(text, 16);
    expect([here.word, here.start, here.end]).toEqual(["ver", 13, 16]);
  });
});

describe("quote and also", () => {
  it.each([
    ["nginx", "str", "nginx"],
    ["", "str", '""'],
    ["22", "str", '"22"'],
    ["true", "str", '"true"'],
    ["or", "str", '"or"'],
    ['say "hi" \\', "str", '"say \\"hi\\" \\\\"'],
    [22, "int", "22"],
    [true, "bool", "true"],
  ] as const)("%s", (value, kind, text) => {
    expect(quote(value, kind)).toBe(text);
    expect(check(`name = ${text}`, FIELDS)).toBeNull();
  });

  it("narrows without changing what was asked", () => {
    expect(also("", "a = 1")).toBe("a = 1");
    expect(also("b = 2", "a = 1")).toBe("b = 2 and a = 1");
    expect(also("b = 2 or c = 3", "a = 1")).toBe("(b = 2 or c = 3) and a = 1");
    expect(also("a = 1", "a = 1")).toBe("a = 1");
  });
});

import { describe, expect, it } from "vitest";
import { commandLine, display, pieces } from "@/lib/text";
import { CommandLine, Text } from "@/ui/Text";
import { show } from "./render";

describe("display", () => {
  it.each([
    ["plain Ünïcode 中文 🦊", "plain Ünïcode 中文 🦊"],
    ["a\u{10ffe9}b", "a\\xe9b"],
    ["\u{10ff80}\u{10ffff}", "\\x80\\xff"],
    ["tab\tnl\ncr\r", "tab\\tnl\\ncr\\r"],
    ["bell\u0007 esc\u001b del\u007f", "bell\\x07 esc\\x1b del\\x7f"],
    ["bidi\u202e nbsp\u00a0 zwsp\u200b ls\u2028", "bidi\\u202e nbsp\\xa0 zwsp\\u200b ls\\u2028"],
    ["tag\u{e0041}", "tag\\U000e0041"],
    ["", ""],
  ])("%j", (text, shown) => {
    expect(display(text)).toBe(shown);
  });

  it("sets what it escaped apart from a backslash that was there", () => {
    expect(pieces("\\x41\n\n.")).toEqual([
      { text: "\\x41", escaped: false },
      { text: "\\n\\n", escaped: true },
      { text: ".", escaped: false },
    ]);
  });
});

describe("commandLine", () => {
  it("quotes what a shell would split", () => {
    expect(commandLine(["ls", "-l", "a b", "it's", ""])).toBe("ls -l 'a b' 'it'\\''s' ''");
    expect(commandLine(["/bin/sh", "--x=1,2"])).toBe("/bin/sh --x=1,2");
    expect(commandLine(["x;rm", "$(id)", "中文"])).toBe("'x;rm' '$(id)' 中文");
  });
});

describe("Text", () => {
  it.each(["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{constructor}}", "<b>&amp;"])("keeps %s inert", (evil) => {
    const { container } = show(<Text value={evil} />);
    expect(container.textContent).toBe(evil);
    expect(container.querySelector("script, img, b")).toBeNull();
  });

  it("marks escapes", () => {
    const { container } = show(<CommandLine argv={["a\u{10ffe9}"]} />);
    expect(container.querySelector(".escaped")?.textContent).toBe("\\xe9");
  });
});

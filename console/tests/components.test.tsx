import { act, fireEvent, screen, within } from "@testing-library/react";
import { describe, expect, it, vi } from "vitest";
import { ApiError } from "@/api/client";
import { PAGES } from "@/app/page";
import { DataTable, type Col } from "@/ui/DataTable";
import { FilterBar } from "@/ui/FilterBar";
import { Failed, Loaded, NotAssessed, StateTag } from "@/ui/States";
import { ShareBar, Meter } from "@/ui/Bars";
import { show } from "./render";

interface Row {
  id: string;
}

const COLUMNS: Col<Row>[] = [{ id: "name", title: "Name", width: 100, sortable: true, render: (row) => row.id }];
const ROWS = Array.from({ length: 1000 }, (_, index) => ({ id: `row ${index}` }));

function table(more: Partial<Parameters<typeof DataTable<Row>>[0]> = {}) {
  return <DataTable<Row> label="Things" columns={COLUMNS} rows={ROWS} rowKey={(row) => row.id} {...more} />;
}

describe("DataTable", () => {
  it("is a table that holds only the rows in view", () => {
    show(table());
    const grid = screen.getByRole("table");
    expect(grid.getAttribute("aria-rowcount")).toBe("1001");
    expect(within(grid).getAllByRole("row").length).toBeLessThan(60);
  });

  it("moves with j and k and opens with Enter", () => {
    const onOpen = vi.fn();
    show(table({ onOpen }));
    for (const key of ["j", "j", "j", "k", "Enter"]) fireEvent.keyDown(document.body, { key });
    expect(onOpen).toHaveBeenCalledExactlyOnceWith(ROWS[1]);
  });

  it("leaves keys alone while somebody types", () => {
    const onOpen = vi.fn();
    show(
      <>
        <input aria-label="note" />
        {table({ onOpen })}
      </>,
    );
    const input = screen.getByLabelText("note");
    fireEvent.keyDown(input, { key: "j" });
    fireEvent.keyDown(input, { key: "Enter" });
    expect(onOpen).not.toHaveBeenCalled();
  });

  it("sorts up, down and not at all", () => {
    const onSort = vi.fn();
    const { rerender } = show(table({ onSort }));
    fireEvent.click(screen.getByRole("button", { name: /Name/ }));
    expect(onSort).toHaveBeenLastCalledWith("name");
    rerender(table({ onSort, sort: "name" }));
    expect(screen.getByRole("columnheader").getAttribute("aria-sort")).toBe("ascending");
    fireEvent.click(screen.getByRole("button", { name: /Name/ }));
    expect(onSort).toHaveBeenLastCalledWith("-name");
    rerender(table({ onSort, sort: "-name" }));
    fireEvent.click(screen.getByRole("button", { name: /Name/ }));
    expect(onSort).toHaveBeenLastCalledWith("");
  });

  it("asks for more at the end, and says what empty means", () => {
    const onEnd = vi.fn();
    show(table({ rows: ROWS.slice(0, 3), onEnd }));
    expect(onEnd).toHaveBeenCalled();
    show(table({ rows: [], empty: <p>Scanned 3, 0 found</p> }));
    expect(screen.getByText("Scanned 3, 0 found")).toBeTruthy();
  });
});

describe("FilterBar", () => {
  const fields = [
    { name: "name", kind: "str" as const, title: "Package" },
    { name: "port", kind: "int" as const, title: "Port" },
  ];

  it("completes with the keyboard and applies with Enter", async () => {
    const onApply = vi.fn();
    const values = vi.fn(() => Promise.resolve([{ value: "nginx", count: 7 }]));
    show(<FilterBar value="" fields={fields} values={values} onApply={onApply} />);
    const input = screen.getByRole<HTMLInputElement>("combobox");
    fireEvent.keyDown(document.body, { key: "/" });
    expect(document.activeElement).toBe(input);
    const type = (text: string) => fireEvent.change(input, { target: { value: text, selectionStart: text.length } });
    type("na");
    fireEvent.keyDown(input, { key: "Tab" });
    expect(input.value).toBe("name ");
    await act(async () => void type("name = "));
    expect(values).toHaveBeenCalledWith("name");
    expect((await screen.findByRole("option")).textContent).toBe("nginx7");
    fireEvent.keyDown(input, { key: "ArrowDown" });
    fireEvent.keyDown(input, { key: "Enter" });
    expect(input.value).toBe("name = nginx ");
    expect(onApply).not.toHaveBeenCalled();
    fireEvent.keyDown(input, { key: "Enter" });
    expect(onApply).toHaveBeenCalledExactlyOnceWith("name = nginx");
  });

  it("does not send what cannot be read, and says where", () => {
    const onApply = vi.fn();
    show(<FilterBar value="" fields={fields} onApply={onApply} />);
    const input = screen.getByRole("combobox");
    fireEvent.change(input, { target: { value: "name nginx" } });
    fireEvent.keyDown(input, { key: "Escape" });
    fireEvent.keyDown(input, { key: "Enter" });
    expect(onApply).not.toHaveBeenCalled();
    expect(screen.getByRole("alert").textContent).toContain("at 5");
  });

  it("shows what the server refused", () => {
    show(<FilterBar value="name = a" fields={fields} refused="name: no such column" onApply={() => undefined} />);
    expect(screen.getByRole("alert").textContent).toBe("name: no such column");
  });
});

describe("states", () => {
  it("never turns not known into a number", () => {
    const { container } = show(<NotAssessed />);
    expect(container.textContent).toBe("not assessed");
    show(<StateTag state="not_collected" />);
    expect(screen.getByText("not collected")).toBeTruthy();
    show(<Meter label="x" share={null} text="Not measured" />);
    expect(document.querySelector(".hatched")).toBeTruthy();
  });

  it("say what mends an error", () => {
    const retry = vi.fn();
    show(<Failed error={new ApiError(403, "forbidden", "this needs the role admin; you are viewer")} retry={retry} />);
    expect(screen.getByRole("alert").textContent).toContain("this needs the role admin");
    fireEvent.click(screen.getByRole("button"));
    expect(retry).toHaveBeenCalledOnce();
  });

  it("tell waiting, failed and loaded apart", () => {
    const query = { data: undefined as string | undefined, error: null as unknown, isPending: true, refetch: () => undefined };
    const { rerender, container } = show(<Loaded query={query}>{(text) => <p>{text}</p>}</Loaded>);
    expect(container.querySelector("[aria-busy]")).toBeTruthy();
    rerender(<Loaded query={{ ...query, error: new TypeError("failed to fetch") }}>{(text) => <p>{text}</p>}</Loaded>);
    expect(screen.getByRole("alert").textContent).toContain("does not answer");
    rerender(<Loaded query={{ ...query, data: "here", error: new TypeError("stale") }}>{(text) => <p>{text}</p>}</Loaded>);
    expect(screen.getByText("here")).toBeTruthy();
  });

  it("draw shares with their numbers", () => {
    show(<ShareBar label="Agents" shares={[{ id: "a", label: "online", count: 3, tone: "good", to: "/agents" }]} />);
    expect(screen.getByRole("link").getAttribute("href")).toBe("/agents");
    expect(screen.getByText("3")).toBeTruthy();
  });
});

describe("pages", () => {
  it("are found, in order, with own paths", () => {
    expect(PAGES.map((page) => page.title)).toEqual([
      "nav.overview",
      "nav.assets",
      "nav.workloads",
      "nav.events",
      "nav.changes",
      "nav.agents",
      "nav.cost",
      "nav.runs",
      "nav.settings",
    ]);
    const paths = PAGES.flatMap((page) => page.routes.map((route) => route.path));
    expect(new Set(paths).size).toBe(paths.length);
    // The server keeps these for itself.
    expect(paths.filter((path) => /^\/(api|schema|v1|assets|healthz|readyz|metrics)(\/|$)/.test(path))).toEqual([]);
  });

  it("load", async () => {
    for (const route of PAGES.flatMap((page) => page.routes)) {
      expect((await route.load()).default).toBeTypeOf("function");
    }
  }, 60_000);
});

import { fireEvent, render } from "@testing-library/react";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { activeHotkeys, useHotkeys, type Hotkey } from "@/app/hotkeys";

function Keys({ keys }: { keys: Hotkey[] }) {
  useHotkeys(keys);
  return (
    <>
      <input aria-label="box" />
      <button type="button">press</button>
    </>
  );
}

const one = vi.fn();
const pair = vi.fn();
const control = vi.fn();
const keys: Hotkey[] = [
  { key: "w", label: "a", run: one },
  { key: "g w", label: "b", run: pair },
  { key: "k", label: "c", run: control, control: true },
  { key: "ArrowDown", label: "d", run: one, hidden: true },
];

describe("keys", () => {
  beforeEach(() => vi.clearAllMocks());

  it("are pairs after g, and single otherwise", () => {
    const view = render(<Keys keys={keys} />);
    fireEvent.keyDown(document.body, { key: "g" });
    fireEvent.keyDown(document.body, { key: "w" });
    expect([one.mock.calls.length, pair.mock.calls.length]).toEqual([0, 1]);
    fireEvent.keyDown(document.body, { key: "w" });
    expect(one).toHaveBeenCalledTimes(1);
    fireEvent.keyDown(document.body, { key: "g" });
    fireEvent.keyDown(document.body, { key: "x" });
    fireEvent.keyDown(document.body, { key: "w" });
    expect(one).toHaveBeenCalledTimes(2);
    expect(pair).toHaveBeenCalledTimes(1);
    view.unmount();
  });

  it("leave typing alone, but for Ctrl and Cmd", () => {
    const { getByLabelText } = render(<Keys keys={keys} />);
    const box = getByLabelText("box");
    fireEvent.keyDown(box, { key: "w" });
    fireEvent.keyDown(box, { key: "k" });
    expect([one.mock.calls.length, control.mock.calls.length]).toEqual([0, 0]);
    fireEvent.keyDown(box, { key: "k", ctrlKey: true });
    fireEvent.keyDown(box, { key: "k", metaKey: true });
    expect(control).toHaveBeenCalledTimes(2);
    fireEvent.keyDown(document.body, { key: "k", ctrlKey: true, shiftKey: true });
    expect(control).toHaveBeenCalledTimes(2);
  });

  it("leave buttons their arrows and Enter", () => {
    const { getByText } = render(<Keys keys={keys} />);
    fireEvent.keyDown(getByText("press"), { key: "ArrowDown" });
    expect(one).not.toHaveBeenCalled();
    fireEvent.keyDown(getByText("press"), { key: "w" });
    expect(one).toHaveBeenCalledTimes(1);
  });

  it("are told in the help, without doubles of the same thing", () => {
    render(<Keys keys={keys} />);
    expect(activeHotkeys().map((hotkey) => hotkey.key)).toEqual(["w", "g w", "k"]);
  });
});

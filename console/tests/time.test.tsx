import { act, screen } from "@testing-library/react";
import { afterEach, describe, expect, it, vi } from "vitest";
import { bytes, count, percent } from "@/lib/format";
import { agePart, clock, duration, learnClock, serverNow, stamp } from "@/lib/time";
import { Age } from "@/ui/Age";
import { show } from "./render";

describe("agePart", () => {
  it.each([
    [0, "now", 0],
    [1_999, "now", 0],
    [2_000, "second", 2],
    [99_000, "second", 99],
    [100_000, "minute", 1],
    [3_600_000, "minute", 60],
    [6_000_000, "hour", 1],
    [47 * 3_600_000, "hour", 47],
    [48 * 3_600_000, "day", 2],
    [-5_000, "now", 0],
  ])("%i ms", (age, unit, amount) => {
    expect(agePart(1e12 - age, 1e12)).toEqual({ unit, count: amount });
  });
});

it("formats durations, moments and sizes", () => {
  expect([0, 0.00003, 0.4, 2.5, 200, 93_600].map(duration)).toEqual(["0", "30 µs", "400 ms", "2.5s", "3m 20s", "1d 2h"]);
  const at = new Date(2026, 10, 4, 3, 2, 1).getTime();
  expect([stamp(at), clock(at)]).toEqual(["2026-11-04 03:02:01", "03:02:01"]);
  expect([0, 1023, 1024, 1.5 * 1024 ** 3].map(bytes)).toEqual(["0 B", "1023 B", "1.0 KiB", "1.5 GiB"]);
  expect([0, 999, 1000, 1234567].map(count)).toEqual(["0", "999", "1,000", "1,234,567"]);
  expect([0, 0.001, 0.123, 12.34, 100].map(percent)).toEqual(["0%", "<0.01%", "0.12%", "12.3%", "100%"]);
});

describe("the server's clock", () => {
  afterEach(() => {
    learnClock(Date.now());
    vi.useRealTimers();
  });

  it("is followed when this machine's is wrong, but not for noise", () => {
    vi.useFakeTimers({ now: 1e12 });
    learnClock(1e12 + 900);
    expect(serverNow()).toBe(1e12);
    learnClock(1e12 + 3_600_000);
    expect(serverNow()).toBe(1e12 + 3_600_000);
  });

  it("keeps ages moving", () => {
    vi.useFakeTimers({ now: 1e12 });
    show(<Age ms={1e12 - 5_000} />);
    expect(screen.getByText("5 s ago")).toBeTruthy();
    act(() => vi.advanceTimersByTime(3_000));
    expect(screen.getByText("8 s ago")).toBeTruthy();
  });
});

/** Exports under way: fetched by the page itself, so that it can tell how far they are and what failed. */

import { useSyncExternalStore } from "react";
import { failure } from "@/api/client";

export interface Download {
  id: number;
  /** What is exported, in the words of the screen. */
  title: string;
  format: string;
  address: string;
  bytes: number;
  state: "running" | "done" | "failed" | "cancelled";
  message: string;
}

/** Parts are handed to the browser this often: it may keep them on disk. */
const PART_BYTES = 8 << 20;

let list: Download[] = [];
let last = 0;
const stops = new Map<number, AbortController>();
const listeners = new Set<() => void>();

function put(change: Partial<Download> & { id: number }): void {
  list = list.map((one) => (one.id === change.id ? { ...one, ...change } : one));
  listeners.forEach((listener) => listener());
}

export function useDownloads(): Download[] {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => list,
  );
}

/** The file's name as the server gives it. */
export function fileName(disposition: string | null, fallback: string): string {
  const name = /filename="([^"\\/]+)"/.exec(disposition ?? "")?.[1];
  return name || fallback;
}

/** Fetch `address` and hand the whole file to the browser; half a file is never saved. */
export async function download(title: string, format: string, address: string): Promise<void> {
  last += 1;
  const id = last;
  list = [{ id, title, format, address, bytes: 0, state: "running", message: "" } as Download, ...list].slice(0, 20);
  const stop = new AbortController();
  stops.set(id, stop);
  put({ id });
  try {
    const answer = await fetch(address, { credentials: "same-origin", signal: stop.signal });
    if (!answer.ok) throw await failure(answer);
    const { whole, bytes } = await read(answer, (seen) => put({ id, bytes: seen }));
    save(whole, fileName(answer.headers.get("content-disposition"), `export.${format}`));
    put({ id, state: "done", bytes });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    put({ id, state: stop.signal.aborted ? "cancelled" : "failed", message });
  } finally {
    stops.delete(id);
  }
}

async function read(answer: Response, seen: (bytes: number) => void): Promise<{ whole: Blob; bytes: number }> {
  const type = answer.headers.get("content-type") ?? "application/octet-stream";
  const reader = answer.body?.getReader();
  if (!reader) throw new Error("the answer has no body");
  const parts: Blob[] = [];
  let waiting: Uint8Array<ArrayBuffer>[] = [];
  let held = 0;
  let bytes = 0;
  let told = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (value) {
      waiting.push(value);
      held += value.length;
      bytes += value.length;
    }
    if (done || held > PART_BYTES) {
      parts.push(new Blob(waiting));
      waiting = [];
      held = 0;
    }
    if (done) return { whole: new Blob(parts, { type }), bytes };
    if (performance.now() - told > 200) {
      told = performance.now();
      seen(bytes);
    }
  }
}

function save(file: Blob, name: string): void {
  const address = URL.createObjectURL(file);
  const anchor = document.createElement("a");
  anchor.href = address;
  anchor.download = name;
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

export function cancelDownload(id: number): void {
  stops.get(id)?.abort();
}

export function forgetDownload(id: number): void {
  list = list.filter((one) => one.id !== id || one.state === "running");
  listeners.forEach((listener) => listener());
}

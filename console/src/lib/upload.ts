/** Sends one file and says how far it is: fetch cannot tell that of what it sends. */

import { ApiError, getCsrf } from "@/api/client";

export interface Upload<T> {
  done: Promise<T>;
  stop(): void;
}

export function upload<T>(address: string, file: Blob, seen: (sent: number) => void): Upload<T> {
  const request = new XMLHttpRequest();
  const done = new Promise<T>((resolve, reject) => {
    request.upload.onprogress = (event) => seen(event.loaded);
    request.onload = () => {
      const body = parsed(request.responseText);
      if (request.status < 300) resolve(body as T);
      else reject(new ApiError(request.status, String(body?.code ?? request.status), String(body?.message ?? body?.detail ?? request.responseText.slice(0, 500))));
    };
    request.onerror = () => reject(new Error(`${request.status || "network"}`));
    request.onabort = () => reject(new DOMException("stopped", "AbortError"));
  });
  request.open("POST", address);
  request.setRequestHeader("X-Hauberk-CSRF", getCsrf());
  request.setRequestHeader("Content-Type", "application/octet-stream");
  request.send(file);
  return { done, stop: () => request.abort() };
}

function parsed(text: string): Record<string, unknown> | null {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return null;
  }
}

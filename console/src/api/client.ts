/** The one way to the server: same origin, cookie session, CSRF header on unsafe methods. */

import createClient, { type Middleware } from "openapi-fetch";
import { learnClock } from "@/lib/time";
import type { paths } from "./schema";

export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly field = "",
  ) {
    super(message);
  }
}

let csrf = "";
let onSignedOut: () => void = () => undefined;

export function getCsrf(): string {
  return csrf;
}

export function setCsrf(value: string): void {
  csrf = value;
}

/** Called when the server says that there is no session (any more). */
export function whenSignedOut(call: () => void): void {
  onSignedOut = call;
}

const SAFE = new Set(["GET", "HEAD", "OPTIONS"]);

const session: Middleware = {
  onRequest({ request }) {
    if (!SAFE.has(request.method) && csrf) request.headers.set("X-Hauberk-CSRF", csrf);
    return request;
  },
  async onResponse({ request, response }) {
    const date = response.headers.get("date");
    if (date) learnClock(Date.parse(date) + 500);
    if (response.ok) return response;
    const own = new URL(request.url).pathname.endsWith("/session");
    if (response.status === 401 && !own) onSignedOut();
    throw await failure(response);
  },
};

/** What the server said when it refused. */
export async function failure(response: Response): Promise<ApiError> {
  const text = await response.text();
  try {
    const body = JSON.parse(text) as { code?: string; message?: string; field?: string; detail?: string };
    const message = body.message ?? body.detail ?? text;
    return new ApiError(response.status, body.code ?? String(response.status), message, body.field);
  } catch {
    return new ApiError(response.status, String(response.status), text.slice(0, 500));
  }
}

export const client = createClient<paths>({ baseUrl: "/", credentials: "same-origin" });
client.use(session);

/** The data of an answer; errors were thrown by the middleware. */
export async function data<T>(call: Promise<{ data?: T }>): Promise<T> {
  return (await call).data as T;
}

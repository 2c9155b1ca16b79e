import { readFileSync } from "node:fs";
import { join } from "node:path";
import openapiTS, { astToString, COMMENT_HEADER } from "openapi-typescript";
import { expect, it } from "vitest";

const root = join(import.meta.dirname, "..");

// @vitest-environment node
it("has types of the committed OpenAPI document", async () => {
  const document = JSON.parse(readFileSync(join(root, "openapi.json"), "utf8")) as object;
  const types = COMMENT_HEADER + astToString(await openapiTS(document as Parameters<typeof openapiTS>[0]));
  expect(readFileSync(join(root, "src/api/schema.d.ts"), "utf8")).toBe(types);
});

/**
 * The endpoint that replaces a draft's definition by a file.
 *
 * @module
 */
import { type OpenAPIHono, z } from "@hono/zod-openapi";
import { problem } from "../../../shared/problem.ts";
import { isRefusal } from "../access/accounts.ts";
import { type DefinitionFault, faultLine } from "../definition_text.ts";
import { changeDefinition } from "../lifecycle/definition.ts";
import { stateTag } from "../lifecycle/state.ts";
import type { OfficeSources } from "../sources.ts";
import { addEndpoint, bytesSchema, electionParams, reasonSchema, textOf } from "./endpoint.ts";

/** Largest file, in bytes: room for the most stations that an election may have. */
export const MAX_DEFINITION_BYTES = 64 * 1024 * 1024;

/** Adds it. */
export function addDefinitionEndpoints(app: OpenAPIHono, sources: OfficeSources): void {
  addEndpoint(app, sources, {
    method: "put",
    path: "/v1/elections/{election}/definition",
    summary:
      "Replaces a draft's definition by a file, JSON or YAML in UTF-8: contests, candidates, parties, names, hours. Takes If-Match",
    askedBy: ["official"],
    params: electionParams,
    query: z.object({
      reason: reasonSchema,
    }),
    body: bytesSchema,
    maxBytes: MAX_DEFINITION_BYTES,
    answer: z.object({ election: z.string(), manifestVersion: z.int() }),
    problems: ["state-conflict"],
    async work({ params: { election }, query: { reason }, body, headers, now }) {
      const text = textOf(body);
      if (text === undefined) return problem("not-utf8", "the file must be UTF-8");
      const done = await changeDefinition(sources, election, text, reason, headers.get("if-match"), now);
      if ("faults" in done) return faulty(done.faults);
      if (isRefusal(done)) return done;
      return {
        json: { election, manifestVersion: done.manifest.version },
        headers: { etag: stateTag(done) },
      };
    },
  });
}

function faulty(faults: readonly DefinitionFault[]) {
  const errors = faults.map((fault) => ({
    path: fault.field === "" ? "body" : fault.field,
    message: faultLine({ ...fault, field: "" }),
  }));
  return problem("invalid-request", faults.map(faultLine).join("; "), { errors });
}

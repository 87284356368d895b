import assert from "assert";
import { z } from "zod";
import { REJECTION_REASONS } from "./outcome.ts";
import {
  fieldErrors,
  problem,
  problemResponse,
  PROBLEMS,
  problemSchema,
  type ProblemType,
  reasonOfRejection,
} from "./problem.ts";

Deno.test.sanitizer({ ops: true, resources: true });

Deno.test("PROBLEMS gives each reason an error's status and a title", () => {
  for (const [reason, [status, title]] of Object.entries(PROBLEMS)) {
    assert.match(reason, /^[a-z]+(-[a-z0-9]+)*$/);
    assert.ok(status >= 400 && status <= 599, reason);
    assert.match(title, /^[A-Z].{5,}[^.]$/, reason);
  }
});

Deno.test("problem() writes type, title and status of its reason", () => {
  assert.deepEqual(problem("overvote", "contest mayor allows 1 of its candidates"), {
    type: "urn:pollwire:problem:overvote",
    title: "More candidates are selected than the contest allows",
    status: 422,
    detail: "contest mayor allows 1 of its candidates",
  });
});

Deno.test("problem() leaves out what it is not given, and keeps what it is", () => {
  assert.deepEqual(Object.keys(problem("busy")), ["type", "title", "status"]);
  const now = "2026-11-03T12:00:00.000Z";
  const errors = [{ path: "castAt", message: "must be a time" }];
  const written = problem("signature-stale", "too old", { now, errors });
  assert.equal(written.now, now);
  assert.deepEqual(problemSchema.parse(written), written);
});

Deno.test("reasonOfRejection() names a problem for every fault of a ballot", () => {
  const faults = [
    "not_open",
    "cast_out_of_hours",
    "unknown_station",
    "unknown_contest",
    "unknown_candidate",
    "repeated_candidate",
    "overvote",
  ] as const;
  for (const fault of faults) {
    assert.ok(fault in REJECTION_REASONS);
    assert.ok(reasonOfRejection(fault) in PROBLEMS, fault);
  }
  assert.equal(reasonOfRejection("cast_out_of_hours"), "cast-out-of-hours");
});

Deno.test("problemResponse() answers each reason with its status, as a problem", async () => {
  for (const [reason, [status]] of Object.entries(PROBLEMS)) {
    const response = problemResponse(problem(reason as ProblemType, "a detail"));
    assert.equal(response.status, status);
    assert.equal(response.headers.get("content-type"), "application/problem+json");
    assert.deepEqual(await response.json(), problem(reason as ProblemType, "a detail"));
  }
});

Deno.test("problemResponse() asks for a signature with 401 and only then", () => {
  for (const [reason, [status]] of Object.entries(PROBLEMS)) {
    const asked = problemResponse(problem(reason as ProblemType)).headers.get("www-authenticate");
    assert.equal(asked, status === 401 ? `Signature realm="pollwire"` : null, reason);
  }
});

Deno.test("problemResponse() adds the headers it is given", () => {
  const response = problemResponse(problem("spool-full"), { "retry-after": "5" });
  assert.equal(response.headers.get("retry-after"), "5");
  assert.equal(response.headers.get("content-type"), "application/problem+json");
});

Deno.test("fieldErrors() names wrong fields by their path, and the whole body when it is that", () => {
  const schema = z.object({ selections: z.array(z.object({ contest: z.string() })) });
  const nested = schema.safeParse({ selections: [{ contest: "a" }, { contest: 1 }] }).error!;
  assert.deepEqual(fieldErrors(nested).map(({ path }) => path), ["selections.1.contest"]);
  assert.deepEqual(fieldErrors(schema.safeParse(1).error!).map(({ path }) => path), ["(body)"]);
});

Deno.test("fieldErrors() names at most 20", () => {
  const { error } = z.array(z.string()).safeParse(Array(1_000).fill(1));
  assert.equal(fieldErrors(error!).length, 20);
});

Deno.test("fieldErrors() cuts off what is too long to send back", () => {
  const { error } = z.strictObject({}).safeParse({ ["x".repeat(10_000)]: 1 });
  const [{ message }] = fieldErrors(error!);
  assert.match(message, /^Unrecognized key: "x+…$/);
  assert.equal(message.length, 201);
});

/**
 * Checks a gateway against the requests of docs/vectors.json.
 */
import assert from "assert";
import { problemSchema } from "../shared/problem.ts";
import { testGateway } from "./gateway_fixture.ts";
import { readVectors, type VectorRequest } from "./vectors/schema.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const { vectors } = await readVectors();
const gatewayMs = Date.parse(vectors.gatewayTime);

/** What a gateway at the vectors' time answers. */
async function answerTo({ path, ...init }: VectorRequest) {
  const gateway = testGateway({ now: () => gatewayMs });
  return await gateway.send(new Request(`http://gateway.test${path}`, init));
}

for (const { name, request, answer } of vectors.accepted) {
  Deno.test(`vector "${name}": a gateway answers as it says`, async () => {
    const { status, body } = await answerTo(request);
    assert.equal(status, answer.status);
    if (answer.status === 202) return assert.deepEqual(body, answer.body);
    const lines = body.results.map(({ problem, ...line }: { problem?: { type: string } }) =>
      problem === undefined ? line : { ...line, type: problem.type }
    );
    assert.deepEqual(lines, answer.lines);
  });
}

for (const { name, request, answer } of vectors.refused) {
  Deno.test(`vector of a request that is refused: ${name}`, async () => {
    const { status, body } = await answerTo(request);
    const { type } = problemSchema.parse(body);
    assert.deepEqual({ status, type }, answer);
  });
}

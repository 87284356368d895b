import assert from "assert";
import { z } from "zod";
import { exportFile } from "../kibana/saved_objects.ts";
import { setKibanaObjects, VIEWER_ROLE } from "./kibana_objects.ts";

Deno.test.sanitizer({ ops: true, resources: true });

/** A saved object as the import takes it. */
const objectSchema = z.object({
  type: z.enum(["index-pattern", "dashboard", "map"]),
  id: z.string().min(1),
  attributes: z.record(z.string(), z.unknown()),
  references: z.array(z.strictObject({ type: z.string(), id: z.string(), name: z.string() })),
});

/** The body of "Create or update a role": Kibana's API 8.19. */
const roleSchema = z.strictObject({
  description: z.string().optional(),
  metadata: z.record(z.string(), z.unknown()).optional(),
  elasticsearch: z.strictObject({
    cluster: z.array(z.string()).optional(),
    indices: z.array(z.strictObject({
      names: z.array(z.string()).min(1),
      privileges: z.array(z.enum(["all", "read", "view_index_metadata", "write", "manage"])).min(1),
    })).optional(),
    run_as: z.array(z.string()).optional(),
  }),
  // `base` and `feature` exclude one another; each feature has the privileges all and read.
  kibana: z.array(
    z.strictObject({
      base: z.array(z.enum(["all", "read"])),
      feature: z.record(
        z.enum(["dashboard", "visualize", "maps", "discover"]),
        z.array(z.enum(["all", "read"])).length(1),
      ).and(z.record(z.string(), z.unknown())),
      spaces: z.array(z.string()).min(1),
    }).refine(({ base, feature }) => base.length === 0 || Object.keys(feature).length === 0),
  ),
});

/** Kibana as far as its documentation says how it answers these two requests. */
function stubKibana() {
  const objects = new Map<string, z.infer<typeof objectSchema>>();
  const roles = new Map<string, z.infer<typeof roleSchema>>();
  const refuse = (status: number, message: string) =>
    Response.json({ statusCode: status, error: "no", message }, { status });

  async function importObjects(request: Request, overwrite: boolean): Promise<Response> {
    if (!request.headers.get("content-type")?.startsWith("multipart/form-data; boundary=")) {
      return refuse(415, "Unsupported Media Type");
    }
    const file = (await request.formData()).get("file");
    if (!(file instanceof File)) return refuse(400, "[request body.file]: expected value of type [Stream]");
    if (!file.name.endsWith(".ndjson")) return refuse(400, `Invalid file extension ${file.name}`);
    const errors: unknown[] = [];
    const taken: { type: string; id: string }[] = [];
    const lines = (await file.text()).split("\n").filter((line) => line !== "").map((line) =>
      objectSchema.parse(JSON.parse(line))
    );
    const known = new Set([...objects.keys(), ...lines.map(({ type, id }) => `${type}/${id}`)]);
    for (const object of lines) {
      const { type, id, references } = object;
      const missing = references.filter((each) => !known.has(`${each.type}/${each.id}`));
      if (missing.length > 0) {
        errors.push({ type, id, error: { type: "missing_references", references: missing } });
      } else if (objects.has(`${type}/${id}`) && !overwrite) {
        errors.push({ type, id, error: { type: "conflict" } });
      } else {
        objects.set(`${type}/${id}`, object);
        taken.push({ type, id });
      }
    }
    return Response.json({
      success: errors.length === 0,
      successCount: taken.length,
      successResults: taken,
      ...errors.length > 0 && { errors },
    });
  }

  const answer: typeof fetch = async (input, init) => {
    const request = new Request(input, init);
    const { pathname, searchParams } = new URL(request.url);
    if (!request.headers.has("kbn-xsrf")) return refuse(400, "Request must contain a kbn-xsrf header.");
    if (request.headers.get("authorization") !== `Basic ${btoa("elastic:right")}`) {
      return refuse(401, "Unauthorized");
    }
    if (request.method === "POST" && pathname === "/api/saved_objects/_import") {
      return await importObjects(request, searchParams.get("overwrite") === "true");
    }
    const role = /^\/api\/security\/role\/([a-z_]+)$/.exec(pathname)?.[1];
    if (request.method === "PUT" && role !== undefined) {
      if (request.headers.get("content-type") !== "application/json") {
        return refuse(415, "Unsupported Media Type");
      }
      const body = roleSchema.safeParse(await request.json());
      if (!body.success) return refuse(400, body.error.message);
      roles.set(role, body.data);
      return new Response(null, { status: 204 });
    }
    return refuse(404, "Not Found");
  };
  return {
    objects,
    roles,
    as: (password: string) => ({ url: "https://kibana:5601", password, fetch: answer }),
  };
}

Deno.test("setKibanaObjects() imports every object, also a second time, and creates a role that only looks", async () => {
  const { objects, roles, as } = stubKibana();
  const text = exportFile();
  const wanted = text.trimEnd().split("\n").length;
  assert.equal(await setKibanaObjects(as("right"), text), wanted);
  assert.equal(await setKibanaObjects(as("right"), text), wanted);
  assert.equal(objects.size, wanted);
  assert.ok([...objects.keys()].some((key) => key.startsWith("dashboard/")));
  assert.deepEqual([...roles.keys()], [VIEWER_ROLE]);
  const { elasticsearch, kibana } = roles.get(VIEWER_ROLE)!;
  assert.deepEqual(elasticsearch.indices, [
    { names: ["pollwire-*"], privileges: ["read", "view_index_metadata"] },
  ]);
  assert.ok(Object.values(kibana[0]!.feature).every((privileges) => String(privileges) === "read"));
});

Deno.test("setKibanaObjects() names what Kibana does not take, and says what it answers when it refuses", async () => {
  const { as, roles } = stubKibana();
  const [, ...others] = exportFile().trimEnd().split("\n");
  await assert.rejects(
    setKibanaObjects(as("right"), `${others.join("\n")}\n`),
    /Cannot import the dashboards: Kibana took \d+ of \d+: .*dashboard [a-z-]+: missing_references/,
  );
  assert.equal(roles.size, 0);
  await assert.rejects(
    setKibanaObjects(as("wrong"), exportFile()),
    /Cannot POST \/api\/saved_objects\/_import\?overwrite=true: Kibana answers 401: .*Unauthorized/,
  );
});

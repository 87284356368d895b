/**
 * The role `sync`: answers gateways that ask for manifest and keys, and takes what they state. It has gateways', devices' and
 * pseudonym keys. Where it has no master key, it leaves statements to the role `count`.
 *
 * @module
 */
import { OpenAPIHono } from "@hono/zod-openapi";
import { syncRoute } from "../public/routes.ts";
import { OfficeError } from "../registry/office_error.ts";
import type { SyncKeysOf } from "../registry/role_keys.ts";

/** Makes the route. */
export function createSyncApp(gatewaySync: (request: Request) => Promise<Response>): OpenAPIHono {
  const app = new OpenAPIHono();
  app.openAPIRegistry.registerPath(syncRoute);
  app.post(syncRoute.path, (c) => gatewaySync(c.req.raw));
  return app;
}

/** What keeps gateways of an election from being answered; `undefined` when nothing does. */
export function syncFault(keysOf: SyncKeysOf, election: string): string | undefined {
  try {
    keysOf(election);
    return undefined;
  } catch (error) {
    if (error instanceof OfficeError) return error.message;
    throw error;
  }
}

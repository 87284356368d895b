/**
 * The office's API.
 *
 * @module
 */
import { OpenAPIHono } from "@hono/zod-openapi";
import type { MiddlewareHandler } from "hono";
import { addAccessEndpoints } from "./access_endpoints.ts";
import { addAlertEndpoints } from "./alert_endpoints.ts";
import { addPipelineEndpoints } from "./pipeline_endpoints.ts";
import { addAuditEndpoints } from "./audit_endpoints.ts";
import { addCandidacyEndpoints } from "./candidacy_endpoints.ts";
import { addDefinitionEndpoints } from "./definition_endpoints.ts";
import { addExportEndpoints } from "./export_endpoints.ts";
import { addQualityEndpoints } from "./quality_endpoints.ts";
import { addLifecycleEndpoints } from "./lifecycle_endpoints.ts";
import { addDeviceEndpoints } from "./device_endpoints.ts";
import { addRollImportEndpoints } from "./roll_import_endpoints.ts";
import { addIdentityEndpoints } from "./identity_endpoints.ts";
import { addRehearsalEndpoints } from "./rehearsal_endpoints.ts";
import { addStationEndpoints } from "./station_endpoints.ts";
import { addVoterEndpoints } from "./voter_endpoints.ts";
import { markRehearsals } from "../../../web/rehearsal_mark.ts";
import type { OfficeSources } from "../sources.ts";

/** What the API stands on. */
export type OfficeAppOptions =
  & OfficeSources
  & Readonly<{
    /** Limits how often an address may try to sign in. */
    limitSignIns?: MiddlewareHandler;
    /** Limits how often an address may ask for exports, which everyone may. */
    limitExports?: MiddlewareHandler;
    /** Limits how often an address may bring statements of devices. */
    limitStatements?: MiddlewareHandler;
  }>;

/** Makes the routes. */
export function createOfficeApp(options: OfficeAppOptions): OpenAPIHono {
  const app = new OpenAPIHono();
  app.use(markRehearsals);
  app.openAPIRegistry.registerComponent("securitySchemes", "officeToken", {
    type: "http",
    scheme: "bearer",
    bearerFormat: "JWT",
    description: "A token of POST /v1/office/token. `x-pollwire-asked-by` names the roles that may ask.",
  });
  if (options.limitSignIns !== undefined) {
    for (const path of ["/v1/office/token", "/v1/office/enrolments"]) app.use(path, options.limitSignIns);
  }
  addAccessEndpoints(app, options);
  addIdentityEndpoints(app, options);
  addAuditEndpoints(app, options);
  addQualityEndpoints(app, options);
  if (options.limitExports !== undefined) app.use("/v1/elections/:election/exports/*", options.limitExports);
  addExportEndpoints(app, options);
  addLifecycleEndpoints(app, options);
  addDefinitionEndpoints(app, options);
  addAlertEndpoints(app, options);
  addPipelineEndpoints(app, options);
  addRollImportEndpoints(app, options);
  addVoterEndpoints(app, options);
  addRehearsalEndpoints(app, options);
  addDeviceEndpoints(app, options);
  addCandidacyEndpoints(app, options);
  if (options.limitStatements !== undefined) app.use("/v1/office/device-statements", options.limitStatements);
  addStationEndpoints(app, options);
  return app;
}

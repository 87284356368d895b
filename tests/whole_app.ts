/**
 * The HTTP interface of an aggregator that runs every role, over parts that a test makes.
 *
 * @module
 */
import type { OpenAPIHono } from "@hono/zod-openapi";
import { createPublicApp, type PublicAppOptions } from "../aggregator/public/app.ts";
import type { ReceiptKeysOf } from "../aggregator/registry/role_keys.ts";
import { createProcessApp, type ProcessAppOptions } from "../aggregator/roles/process_app.ts";
import { createReceiptsApp } from "../aggregator/roles/receipts.ts";
import { createSyncApp } from "../aggregator/roles/sync.ts";

/** What the interface stands on. */
export type AppOptions =
  & PublicAppOptions
  & ProcessAppOptions
  & Readonly<{
    receiptKeysOf: ReceiptKeysOf;
    /** Answers POST /v1/gateways/sync. */
    gatewaySync(request: Request): Promise<Response>;
  }>;

/** The interface, and how to wait for the last of its queries once `signal` is aborted. */
export type App = Readonly<{ app: OpenAPIHono; drained(): Promise<void> }>;

/** Makes the interface. */
export function createApp(options: AppOptions): App {
  const { db, now, metrics, receiptKeysOf: keysOf, gatewaySync } = options;
  const { routes, drained } = createPublicApp(options);
  const receipts = createReceiptsApp({ db, now, keysOf, metrics });
  return { app: createProcessApp(options, [routes, receipts, createSyncApp(gatewaySync)]), drained };
}

/**
 * The production gateway, its spool's thread with crash points.
 *
 * @module
 */
import { gatewayConfig } from "../../gateway/config.ts";
import { runGateway } from "../../gateway/main.ts";
import { endWithStarter } from "./crash_point.ts";

void endWithStarter();
await runGateway(gatewayConfig(), new URL("./spool_crash_worker.ts", import.meta.url));
Deno.exit(0);

/**
 * The overlays, rendered once for a test file, and every check of them.
 *
 * @module
 */
import { type Manifest, readManifests } from "./manifests.ts";
import { policyFaults } from "./policies.ts";
import { type Overlay, render, renderer } from "./render.ts";
import { databaseFaults, permissionFaults, schemaFaults, secrecyFaults } from "./servers.ts";
import { secretFaults, settingFaults } from "./settings.ts";

const program = await renderer();
/** On a machine of somebody who has neither tool; CI has one. */
export const ignore = program === undefined && Deno.env.get("CI") === undefined;

let rendered: Promise<Record<Overlay, Manifest[]>> | undefined;

async function renderAll(): Promise<Record<Overlay, Manifest[]>> {
  if (program === undefined) {
    throw new Error("neither kustomize nor kubectl is on the path; install one of them");
  }
  const read = Object.entries(await render(program)).map(([name, text]) => [name, readManifests(text)]);
  return Object.fromEntries(read);
}

/** An overlay, to be changed at will. */
export async function overlay(name: Overlay): Promise<Manifest[]> {
  rendered ??= renderAll();
  return structuredClone((await rendered)[name]);
}

const secrecy = Deno.readTextFileSync(new URL("../../deploy/postgresql/secrecy.sql", import.meta.url));

/** Every check of an overlay and of what provisions in it. */
export function allFaults(manifests: readonly Manifest[], provision: readonly Manifest[]): string[] {
  return [
    ...policyFaults(manifests),
    ...policyFaults(provision),
    ...settingFaults(manifests),
    ...settingFaults(provision),
    ...secretFaults(manifests, provision),
    ...schemaFaults(manifests),
    ...permissionFaults(manifests),
    ...databaseFaults(manifests),
    ...secrecyFaults(manifests, secrecy),
  ];
}

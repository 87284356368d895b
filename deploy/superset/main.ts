/**
 * `deno task superset`: writes the files of assets/ beside this file.
 *
 * @module
 */
import { assetFiles } from "./assets.ts";

if (import.meta.main) {
  const root = new URL("assets/", import.meta.url);
  await Deno.remove(root, { recursive: true }).catch(() => {});
  for (const [path, text] of Object.entries(assetFiles())) {
    const file = new URL(path, root);
    await Deno.mkdir(new URL(".", file), { recursive: true });
    await Deno.writeTextFile(file, text);
  }
}

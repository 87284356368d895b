/**
 * Where a run keeps its things. Nothing that is there already is ever removed or written over.
 *
 * @module
 */

/** Maximum names that are tried before giving up. */
const MAX_TRIES = 10_000;

/**
 * An election id that the data directory has no devices for yet, and no key: the one wanted, or `…-2`, `…-3`.
 *
 * @param wanted At most 58 characters, to leave room.
 * @param keys Where the master keys are; with servers, those of other data directories' elections are there too.
 */
export async function freeElectionId(
  dataDir: string,
  wanted: string,
  keys = `${dataDir}/keys`,
): Promise<string> {
  return await firstFree(
    wanted,
    async (id) => await exists(`${dataDir}/devices/${id}.json`) || await exists(`${keys}/${id}.key`),
  );
}

/** Makes a directory that was not there: the one wanted, or `…-2`, `…-3`. Returns its path. */
export async function freshDirectory(wanted: string): Promise<string> {
  const path = await firstFree(wanted, exists);
  await Deno.mkdir(path, { recursive: true });
  return path;
}

async function firstFree(wanted: string, isTaken: (name: string) => Promise<boolean>): Promise<string> {
  for (let n = 1; n <= MAX_TRIES; n++) {
    const name = n === 1 ? wanted : `${wanted}-${n}`;
    if (!await isTaken(name)) return name;
  }
  throw new Error(`Cannot find a free name like ${wanted}: ${MAX_TRIES} are taken`);
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.lstat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/**
 * Locks between processes, on files: whoever has the lock has the file open. The system frees it when the process ends,
 * even by a crash.
 *
 * @module
 */

/**
 * Takes a file's lock for this process, and makes the file if it is missing.
 *
 * @returns What gives the lock back at once, or undefined while another has it.
 */
export async function tryLockFile(path: string | URL): Promise<Disposable | undefined> {
  const file = await Deno.open(path, { create: true, write: true });
  let isTaken = false;
  try {
    isTaken = await file.tryLock(true);
  } finally {
    if (!isTaken) file.close();
  }
  return isTaken ? held(file) : undefined;
}

/** The same, but waits until the lock is free. */
export async function lockFile(path: string | URL): Promise<Disposable> {
  const file = await Deno.open(path, { create: true, write: true });
  try {
    await file.lock(true);
    return held(file);
  } catch (error) {
    file.close();
    throw error;
  }
}

/** The same without a turn of the event loop: it blocks the process until the lock is free. */
export function lockFileSync(path: string | URL): Disposable {
  const file = Deno.openSync(path, { create: true, write: true });
  try {
    file.lockSync(true);
    return held(file);
  } catch (error) {
    file.close();
    throw error;
  }
}

/**
 * Unlocks before it closes. A process that another thread starts has a copy of every open file until it executes its
 * program, and a lock that is only closed stays with that copy.
 */
function held(file: Deno.FsFile): Disposable {
  return {
    [Symbol.dispose]() {
      file.unlockSync();
      file.close();
    },
  };
}

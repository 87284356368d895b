import assert from "assert";
import { inTime } from "../tests/eventually.ts";
import { SocketPoll } from "./socket_poll.ts";

Deno.test.sanitizer({ ops: true, resources: true });

/** Counts calls until there are so many. Each asks for the next one. */
function called(sockets: SocketPoll, times: number): Promise<void> {
  return inTime(
    `${times} calls`,
    new Promise((resolve) => {
      const work = () => --times === 0 ? resolve() : sockets.after(work);
      sockets.after(work);
    }),
  );
}

Deno.test("SocketPoll.after() calls, again and again, and never at once", async () => {
  using sockets = await SocketPoll.open();
  let isCalled = false;
  sockets.after(() => isCalled = true);
  assert.equal(isCalled, false);
  await called(sockets, 100);
});

Deno.test("SocketPoll.after() calls while the event loop always has something to do next", async () => {
  using sockets = await SocketPoll.open();
  let isOver = false;
  const spin = () => isOver || setImmediate(spin);
  spin();
  await called(sockets, 3);
  isOver = true;
});

Deno.test("SocketPoll calls by a timer when its connection is lost", async () => {
  const sockets = await SocketPoll.open();
  const waiting = called(sockets, 3);
  sockets[Symbol.dispose]();
  await waiting;
  await called(sockets, 3);
});

import assert from "assert";
import type { ChangeMessage } from "../../shared/changes.ts";
import { PollBook } from "./poll_book.ts";

function topic() {
  const messages: ChangeMessage[] = [];
  let revision = 0;
  return {
    read: (_: string, from: number, limit: number) => {
      const some = messages.slice(from, from + limit);
      return Promise.resolve({ messages: some, next: from + some.length });
    },
    write(voterId: string, status: string, station: string | null, election = "town", of = ++revision) {
      const at = "2026-11-03T12:00:00.000Z";
      const value = { election, voterId, status, region: "north", station, revision: of, at };
      messages.push({ key: `${election}/${voterId}`, value: JSON.stringify(value) });
    },
  };
}

Deno.test("a poll's book admits who was accredited, where the roll says, and nobody who was struck", async () => {
  const voters = topic();
  const book = new PollBook(voters, "town");
  await book.follow();
  assert.ok(!book.admits("A-1", "n-1"));
  voters.write("A-1", "accredited", null);
  voters.write("A-2", "accredited", "n-2");
  voters.write("A-9", "accredited", null, "village");
  assert.ok(!book.admits("A-1", "n-1"), "not read yet");
  await book.follow();
  assert.deepEqual([book.admits("A-1", "n-1"), book.admits("A-2", "n-1"), book.admits("A-2", "n-2")], [
    true,
    false,
    true,
  ]);
  assert.ok(!book.admits("A-9", "n-1"), "of another election");
  voters.write("A-1", "struck", null);
  // An earlier change comes again.
  voters.write("A-1", "accredited", null, "town", 1);
  await book.follow();
  assert.ok(!book.admits("A-1", "n-1"));
  assert.equal(book.size, 1);
});

Deno.test("a book reads a topic that is longer than a page", async () => {
  const voters = topic();
  for (let i = 0; i < 2_500; i++) voters.write(`V-${i}`, "accredited", null);
  const book = new PollBook(voters, "town");
  await book.follow();
  assert.equal(book.size, 2_500);
});

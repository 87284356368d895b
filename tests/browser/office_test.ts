/**
 * The office page in Chromium, against the office's API on a database: two officials, a registrar and two administrators sign in with
 * their key files and work through an election. The office's clock is the test's.
 */
import assert from "assert";
import { Buffer } from "node:buffer";
import { requestRole } from "../../aggregator/office/access/accounts.ts";
import { newKeyFile } from "../../aggregator/office/access/keys.ts";
import { CHECKED_AT } from "../checked_election.ts";
import { eventually } from "../eventually.ts";
import { NOON_MS } from "../fixture.ts";
import { tamper } from "../test_database.ts";
import { browserTest } from "./chromium.ts";
import {
  ask,
  assertUsable,
  CHECKED,
  go,
  hears,
  look,
  openDesk,
  signIn,
  textOf,
  VOTING,
  withOffice,
} from "./office_scene.ts";
import { keepScreenshot, plain } from "./watched.ts";

Deno.test.sanitizer({ ops: true, resources: true });

browserTest(
  "two officials extend the hours, pause and resume: seen, proposed, approved, refused",
  async (browser, t) => {
    await withOffice(async (scene) => {
      const { office, origin } = scene;
      for (const account of ["ann", "ben"]) {
        await office.enrol(account, ["official", VOTING], ["official", CHECKED]);
      }
      await office.enrol("eve");

      await t.step(
        "a file that is no key file, and a key of nobody, are refused in plain words",
        async () => {
          const { page, keyFile } = await openDesk(browser, scene, "eve");
          const policy = (await page.request.get(`${origin}/office`)).headers()["content-security-policy"]!;
          assert.match(policy, /^default-src 'none'; script-src 'self'; style-src 'self';/);
          assert.match(policy, /require-trusted-types-for 'script'/);
          await page.locator("#key").setInputFiles({ ...keyFile, buffer: Buffer.from("{}") });
          await page.getByText("This file is no key file").waitFor();
          const other = JSON.stringify(await newKeyFile("eve"));
          await page.locator("#key").setInputFiles({ ...keyFile, buffer: Buffer.from(other) });
          await page.getByText("no account has a key").waitFor();
          await page.locator("#key").setInputFiles(keyFile);
          assert.match(await textOf(page, "#no-elections"), /You have no role in an election/);
          await page.close();
        },
      );

      const ann = await signIn(browser, scene, "ann");
      const ben = await signIn(browser, scene, "ben", `${VOTING}/state`);

      await t.step("the key is not sent, and nothing is kept in the browser", async () => {
        const { page, keyFile } = await openDesk(browser, scene, "ann");
        const secret = office.fileOf("ann").key.d;
        const sent: string[] = [];
        page.on("request", (request) => sent.push(request.url(), request.postData() ?? ""));
        await page.locator("#key").setInputFiles(keyFile);
        await page.locator("#elections").waitFor();
        assert.ok(!sent.some((text) => text.includes(secret)));
        assert.equal(
          await page.evaluate("localStorage.length + sessionStorage.length + document.cookie.length"),
          0,
        );
        await page.close();
      });

      await t.step("the elections and their states", async () => {
        await ann.page.locator("#elections").waitFor();
        assert.deepEqual(await ann.page.locator("#elections .badge").allInnerTexts(), ["Open", "Open"]);
        await look(ann, "elections");
        await ann.page.getByRole("link", { name: "City council 2026" }).click();
        await ann.page.locator("#actions").waitFor();
        assert.equal(await ann.page.title(), "State – City council 2026 – Pollwire office");
        assert.equal(await ann.page.evaluate("document.activeElement.tagName"), "H1");
        assert.match(
          await textOf(ann.page, "#actions [data-action=resume]"),
          /Not now: voting is paused nowhere/,
        );
        await look(ann, "state");
      });

      await t.step("ann proposes an extension, and cannot approve it", async () => {
        await ask(ann.page, "extend", { closesAt: "2026-11-03T20:00:00", reason: "Snow" });
        await hears(ann.page, "bad", /the new time must be later than 2026-11-03T21:00:00.000Z/);
        await ask(ann.page, "extend", { closesAt: "2026-11-03T22:00:00", reason: "Snow in the north" });
        await hears(ann.page, "good", /Another official must approve it within 24 hours/);
        const own = ann.page.locator("#proposals li");
        assert.match(plain(await own.innerText()), /You proposed this. Another official must approve it./);
        assert.deepEqual(await own.locator("button").allInnerTexts(), ["Withdraw: Extend the hours"]);
        // Whoever asks the API for it is refused too.
        const id = await own.getAttribute("data-proposal");
        const path = `/v1/elections/${VOTING}/proposals/${id}/approve`;
        assert.match(
          (await office.as("ann")("POST", path)).body.detail,
          /nobody approves their own proposal/,
        );
      });

      await t.step("ben sees what it changes, why, and by whom, and approves", async () => {
        const waits = ben.page.locator("#proposals li[data-action=extend]");
        await waits.waitFor();
        const text = plain(await waits.innerText());
        assert.match(text, /Closes 3 Nov 2026, 22:00:00 UTC, instead of 3 Nov 2026, 21:00:00 UTC/);
        assert.match(text, /Reason Snow in the north/);
        assert.match(text, /Proposed by ann, 3 Nov 2026, 12:00:00 UTC/);
        await look(ben, "proposal");
        await ben.page.getByRole("button", { name: "Approve: Extend the hours" }).click();
        await hears(ben.page, "good", /Approved and done: Extend the hours/);
        assert.match(await textOf(ben.page, "#now + p + dl"), /Closes 3 Nov 2026, 22:00:00 UTC/);
      });

      await t.step("ann acts on what is out of date, is refused, and sees what is so now", async () => {
        await ann.page.locator("#stale").waitFor();
        await assertUsable(ann.page, "stale");
        await keepScreenshot(ann.page, "office-stale");
        await ask(ann.page, "pause", { stations: "n-1 n-2", reason: "Fire alarm" });
        await hears(ann.page, "bad", /the state has changed/);
        await eventually(
          "ann sees the new hours",
          async () => (await textOf(ann.page, "#now + p + dl")).includes("22:00:00"),
        );
        await ann.page.locator("#stale").waitFor({ state: "detached" });
        // What was filled in is still there.
        await ann.page.locator("li[data-action=pause] button[type=submit]").click();
        await hears(ann.page, "good", /Done: Pause voting/);
        assert.match(await textOf(ann.page, "#now + p + dl"), /Paused n-1 and n-2/);
        await ask(ann.page, "resume", { stations: "x", reason: "No fire" });
        await hears(ann.page, "bad", /no station x/);
        await ask(ann.page, "resume", { stations: "", reason: "No fire" });
        await hears(ann.page, "good", /Done: Resume voting/);
      });

      await t.step("a proposal whose state has changed cannot be approved", async () => {
        await ask(ann.page, "close_early", { reason: "Everybody has voted" });
        await hears(ann.page, "good", /Proposed: Close early/);
        await ask(ann.page, "pause", { reason: "Power cut" });
        await hears(ann.page, "good", /Done: Pause voting/);
        await go(ben.page, `${VOTING}/audit`);
        await go(ben.page, `${VOTING}/state`);
        const waits = ben.page.locator("#proposals li[data-action=close_early]");
        assert.match(plain(await waits.innerText()), /It must be proposed again/);
        await waits.getByRole("button", { name: "Withdraw: Close early" }).click();
        await hears(ben.page, "good", /Withdrawn: Close early/);
        await ben.page.locator("#ended summary").click();
        assert.match(await textOf(ben.page, "#ended"), /Approved by ben.*|Withdrawn by ben/);
      });

      await t.step("an approval takes a sign-in of the last minutes, and a sign-in ends", async () => {
        await go(ann.page, `${VOTING}/audit`);
        await go(ann.page, `${VOTING}/state`);
        await ask(ann.page, "close_early", { reason: "Everybody has voted" });
        await hears(ann.page, "good", /Proposed: Close early/);
        office.nowMs += 400_000;
        await ben.page.locator("#proposals li[data-action=close_early]").waitFor();
        const approve = ben.page.getByRole("button", { name: "Approve: Close early" });
        await approve.click();
        await ben.page.locator("#again[open]").waitFor();
        assert.match(await textOf(ben.page, "#again"), /An approval takes a sign-in of the last 5 minutes/);
        await assertUsable(ben.page, "dialog");
        await keepScreenshot(ben.page, "office-dialog", false);
        await ben.page.keyboard.press("Escape");
        await hears(ben.page, "bad", /you did not sign in again/);
        await approve.click();
        await ben.page.locator("#again-key").setInputFiles(ann.keyFile);
        await ben.page.getByText("This key is of another account").waitFor();
        await ben.page.locator("#again-key").setInputFiles(ben.keyFile);
        await hears(ben.page, "good", /Approved and done: Close early/);
        office.nowMs += 910_000;
        await ben.page.locator(".parts").getByRole("link", { name: "Audit" }).click();
        await ben.page.getByText("Your sign-in has ended").waitFor();
        await ben.page.locator("#again-key").setInputFiles(ben.keyFile);
        await ben.page.locator("#events").waitFor();
      });

      await t.step("the audit trail says who did what, and why", async () => {
        const [newest] = await ben.page.locator("#events > li").allInnerTexts();
        assert.match(
          plain(newest),
          /State changed #\d+ .* official:ann and official:ben · 127.0.0.1 Reason: Everybody has voted/,
        );
        await ben.page.locator("#events summary").first().click();
        assert.match(
          await textOf(ben.page, "#events > li:first-child"),
          /closesAt 3 Nov 2026, 22:00:00 UTC → 3 Nov 2026, 12:06:40 UTC/,
        );
        await look(ben, "audit");
        const download = ben.page.waitForEvent("download");
        await ben.page.getByRole("button", { name: "Save the signed head" }).click();
        assert.equal((await download).suggestedFilename(), "head.txt");
      });

      await t.step("all of it works by keyboard, in German too", async () => {
        office.nowMs = NOON_MS;
        const { page } = await signIn(browser, scene, "ann", "", { lang: "de", locale: "de-DE" });
        assert.equal(await page.evaluate("document.documentElement.lang"), "de");
        await page.keyboard.press("Tab");
        const seen: string[] = [];
        for (let i = 0; i < 12 && !seen.at(-1)?.startsWith("City council"); i++) {
          seen.push(await page.evaluate("document.activeElement.innerText"));
          if (!seen.at(-1)!.startsWith("City council")) await page.keyboard.press("Tab");
        }
        assert.equal(seen.at(-1), "City council 2026", seen.join(" | "));
        await page.keyboard.press("Enter");
        await page.locator("#actions").waitFor();
        assert.match(await textOf(page, "main"), /Was möglich ist/);
        await assertUsable(page, "German");
        await keepScreenshot(page, "office-german");
        await page.close();
      });

      for (const { page, said } of [ann, ben]) {
        // The browser itself writes down every answer that is a refusal.
        assert.deepEqual(said.filter((text) => !/Failed to load resource.*(401|409)/.test(text)), []);
        await page.locator("#sign-out").click();
        await page.locator("#key").waitFor();
        assert.equal(await page.locator(".parts").count(), 0);
        await page.close();
      }
    });
  },
);

browserTest(
  "a registrar imports a roll: bad rows are named, a good file is put on the roll and reverted",
  async (browser, t) => {
    await withOffice(async (scene) => {
      const { office, db } = scene;
      await office.enrol("reg", ["registrar", VOTING]);
      await office.enrol("aud", ["auditor", VOTING]);
      const desk = await signIn(browser, scene, "reg", `${VOTING}/roll`);
      const { page } = desk;
      const header = "voter_id,region,station,birth_date,gender,name";
      const file = (name: string, ...rows: string[]) => ({
        name,
        mimeType: "text/csv",
        buffer: Buffer.from([header, ...rows, ""].join("\n")),
      });
      const onRoll = async () =>
        (await db.query<{ voters: number }>(
          "SELECT count(*)::int AS voters FROM counting.roll WHERE election = $1 AND struck_at IS NULL",
          [VOTING],
        ))[0]!.voters;

      await t.step("bad rows are named with line, column, value and what would be right", async () => {
        await page.locator("#no-imports").waitFor();
        await page.locator("#roll-file").setInputFiles(
          file(
            "bad.csv",
            "a-1,north,,1990-05-17,female,Ann One",
            "a-2,nowhere,,1990-05-17,female,Ann Two",
            "a-3,north,,1990-13-45,female,Ann Three",
            "a-4,north,,1990-05-17,yes,<b>Ann</b> Four",
          ),
        );
        await page.locator("#imports li[data-status=refused]").waitFor();
        await page.locator("#imports .report summary").click();
        const table = page.locator("#imports table tbody tr");
        await table.first().waitFor();
        const rows = (await table.allInnerTexts()).map(plain);
        assert.equal(rows.length, 3, rows.join("\n"));
        assert.match(rows[0], /^3 region nowhere .*/);
        assert.match(rows[1], /^4 birth_date 1990-13-45 .*/);
        assert.match(rows[2], /^5 gender yes .*/);
        await look(desk, "roll-refused");
        const download = page.waitForEvent("download");
        await page.getByRole("button", { name: "Save the report as CSV" }).click();
        assert.equal((await download).suggestedFilename(), "import-1.csv");
        assert.equal(await onRoll(), 6);
      });

      await t.step(
        "a good file is checked first, and put on the roll when the registrar says so",
        async () => {
          const people = Array.from({ length: 300 }, (_, i) => `b-${i},north,,1990-05-17,female,Voter ${i}`);
          await page.locator("#roll-file").setInputFiles(file("good.csv", ...people));
          const entry = page.locator("#imports li[data-import='2']");
          await entry.locator("[data-do=commit]").waitFor();
          assert.equal(await onRoll(), 6, "the check writes nothing");
          await entry.locator(".report summary").click();
          const commit = page.getByRole("button", { name: "Put 300 voters on the roll" });
          await commit.waitFor();
          await look(desk, "roll-checked");
          await commit.click();
          await page.locator("#imports li[data-import='2'][data-status=committed]").waitFor();
          assert.equal(await onRoll(), 306);
        },
      );

      await t.step("an auditor sees imports and report, and can change nothing", async () => {
        const { page } = await signIn(browser, scene, "aud", `${VOTING}/roll`);
        await page.locator("#imports li[data-import='2']").waitFor();
        assert.equal(await page.locator("#roll-file, #imports button").count(), 0);
        await page.close();
      });

      await t.step("the import is reverted", async () => {
        await page.getByText("Revert this import").click();
        await page.getByRole("button", { name: "Strike these voters" }).click();
        await page.locator("#imports li[data-import='2'][data-status=reverted]").waitFor();
        assert.equal(await onRoll(), 6);
        await look(desk, "roll-reverted");
      });
      assert.deepEqual(desk.said, []);
      await page.close();
    });
  },
);

browserTest(
  "officials check the data, waive what fails, and certify; administrators give roles",
  async (browser, t) => {
    await withOffice(async (scene) => {
      const { office, db } = scene;
      office.nowMs = CHECKED_AT.getTime();
      for (const account of ["ann", "ben"]) await office.enrol(account, ["official", CHECKED]);
      const ann = await signIn(browser, scene, "ann", `${CHECKED}/state`);
      const ben = await signIn(browser, scene, "ben", `${CHECKED}/state`);

      await t.step("the canvass begins, and a check that fails shows what is wrong", async () => {
        await ask(ann.page, "begin_canvass", { reason: "Voting is over" });
        await hears(ann.page, "good", /Done: Begin the canvass/);
        assert.match(await textOf(ann.page, "#work"), /The newest checks left nothing/);
        await tamper(db, "INSERT INTO counting.gaps VALUES ($1, 1, 1, 2)", [CHECKED]);
        await go(ann.page, `${CHECKED}/checks`);
        await ann.page.locator("#check-now").click();
        await hears(ann.page, "good", /The data was checked/);
        const wrong = plain(await ann.page.locator("#wrong li[data-check=gaps_explained]").innerText());
        assert.match(wrong, /partition 1, offsets 1 to 1/);
        await look(ann, "checks");
        await go(ann.page, `${CHECKED}/state`);
        assert.match(await textOf(ann.page, "#work [data-work=gaps]"), /1 gap of the log.* gaps_explained/);
        await look(ann, "canvass");
        assert.match(
          await textOf(ann.page, "#actions [data-action=certify]"),
          /Not now: checks fail and are not waived: gaps_explained/,
        );
      });

      await t.step(
        "one official proposes a waiver of exactly this, another approves, and the results are certified",
        async () => {
          await go(ann.page, `${CHECKED}/checks`);
          const form = ann.page.locator("#wrong li[data-check=gaps_explained] form");
          await form.locator("input").fill("The broker's own records");
          await form.locator("button").click();
          await hears(ann.page, "good", /Proposed: Waive a failing check/);
          await ben.page.getByRole("button", { name: "Show the new state" }).click();
          await ben.page.getByRole("button", { name: "Approve: Waive a failing check" }).click();
          await hears(ben.page, "good", /Approved and done/);
          await go(ann.page, `${CHECKED}/state`);
          await ask(ann.page, "certify", { reason: "All is well" });
          await hears(ann.page, "good", /Proposed: Certify the results/);
          await ben.page.getByRole("button", { name: "Approve: Certify the results" }).click();
          await hears(ben.page, "good", /Approved and done: Certify the results/);
          assert.equal(await textOf(ben.page, ".heading .badge"), "Certified");
          await look(ben, "certified");
        },
      );

      await t.step("administrators see roles that wait, and a second one approves", async () => {
        await office.enrol("root", ["admin", null]);
        await office.enrol("second", ["admin", null]);
        await office.enrol("cyd");
        await requestRole(db, "cyd", "official", CHECKED, "root", new Date(office.nowMs));
        const root = await signIn(browser, scene, "root", "~office");
        assert.match(
          await textOf(root.page, "#waiting"),
          /cyd: official .* Another administrator must approve this/,
        );
        const second = await signIn(browser, scene, "second", "~office");
        await look(second, "roles");
        await second.page.getByRole("button", { name: "Approve the role of cyd" }).click();
        await hears(second.page, "good", /cyd has the role now/);
        for (const { page, said } of [root, second]) {
          assert.deepEqual(said, []);
          await page.close();
        }
      });
      for (const { page } of [ann, ben]) await page.close();
    });
  },
);

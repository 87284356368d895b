import assert from "assert";
import { isOfType } from "./content_type.ts";

Deno.test("isOfType() takes a type alone and with charset=utf-8", () => {
  const json = "application/json";
  for (const rest of ["", "; charset=utf-8", ";charset=UTF-8", ` ; charset="utf-8"`]) {
    assert.ok(isOfType(json + rest, json), rest);
  }
});

Deno.test("isOfType() takes no other type, encoding or parameter", () => {
  const json = "application/json";
  const others = [null, "", "text/json", "APPLICATION/JSON", `${json}, ${json}`, `${json}x`, `${json};`];
  for (const other of [...others, `${json}; charset=latin1`, `${json}; charset=utf-8; q=1`]) {
    assert.ok(!isOfType(other, json), String(other));
  }
});

/** What the page asks the API for beside the board and the stream: by view, as resource and question. Pure. */
import { mayProject } from "./state.js";

/**
 * @param shown What is shown: `view`, `at`, `wall`, `embedded`; and `details` and `board`.
 * @param {string} contest
 * @param {number} revision The newest that has come.
 * @returns {Record<string, [resource: string, question?: Record<string, unknown>]>}
 */
export function questionsOf(shown, contest, revision) {
  if (shown.view === "officials") {
    return {
      reconciliation: ["/reconciliation"],
      gateways: ["/gateways"],
      rejections: ["/rejections", { limit: 50 }],
      turnout: ["/turnout", { by: "region" }],
    };
  }
  // Small, and says whether the final release has been made.
  if (shown.wall || shown.embedded) return { head: ["/results", { by: "party" }] };
  return {
    times: ["/results", { by: "time" }],
    minutes: ["/turnout", { by: "minute" }],
    age: ["/turnout", { by: "age" }],
    gender: ["/turnout", { by: "gender" }],
    turnout: ["/turnout", { by: "region" }],
    ...mayProject({ ...shown, isPast: shown.at !== undefined }) &&
      { projection: ["/projection", { contest, revision }] },
  };
}

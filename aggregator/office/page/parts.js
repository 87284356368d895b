/** The parts of an election, and the roles that may see each. */
export const PARTS = {
  state: ["registrar", "official", "auditor", "observer"],
  roll: ["registrar", "official", "auditor"],
  checks: ["official", "auditor"],
  alerts: ["official", "auditor", "observer"],
  rehearsal: ["official", "auditor"],
  audit: ["official", "auditor"],
};

/** Shapes of a contest beside its bars: shares as parts of a ring, and seats as a half circle. Pure. */

/** Share of a ring below which a part is not drawn. */
const MIN_PART = 0.0005;

/**
 * The parts of a ring, one after the other from the top on: where each begins and how long it is, in hundredths of the ring.
 *
 * @param {{ share?: number }[]} rows
 */
export function ringOf(rows) {
  let from = 0;
  return rows.flatMap((row) => {
    const length = 100 * (row.share ?? 0);
    const part = { row, from, length };
    from += length;
    return (row.share ?? 0) < MIN_PART ? [] : [part];
  });
}

/**
 * Who has the seats as the votes stand: the first of the rows, but for those who are tied for the last seats. Of a tie, nobody
 * has a seat: `undefined`.
 *
 * @template {{ votes: number }} Row
 * @param {Row[]} rows The most votes first.
 * @param {number} seats
 * @returns {(Row | undefined)[]}
 */
export function seatHolders(rows, seats) {
  const last = rows[seats - 1]?.votes ?? 0;
  const isTied = rows.length > seats && rows[seats].votes === last;
  return Array.from({ length: seats }, (_, at) => {
    const row = rows[at];
    return row === undefined || row.votes === 0 || (isTied && row.votes === last) ? undefined : row;
  });
}

/** Seats in one row of a half circle at the most, before another is added. */
const ROW_SEATS = 12;

/**
 * The places of seats in a half circle, from left to right: the middle of each, in a box from -1 to 1 and from -1 to 0, and the
 * radius of a seat.
 *
 * @param {number} seats
 */
export function hemicycle(seats) {
  const rows = Math.max(1, Math.ceil(seats / ROW_SEATS));
  const radii = Array.from({ length: rows }, (_, at) => 0.88 - at * (0.5 / rows));
  const all = radii.reduce((sum, radius) => sum + radius, 0);
  const counts = radii.map((radius) => Math.floor(seats * radius / all));
  for (let at = 0; counts.reduce((sum, count) => sum + count, 0) < seats; at = (at + 1) % rows) counts[at]++;
  const places = radii.flatMap((radius, row) =>
    Array.from({ length: counts[row] }, (_, at) => {
      const angle = counts[row] === 1 ? Math.PI / 2 : Math.PI * (1 - at / (counts[row] - 1));
      return { angle, x: radius * Math.cos(angle), y: -radius * Math.sin(angle) };
    })
  );
  const nearest = Math.min(
    ...radii.map((radius, row) => counts[row] < 2 ? 1 : Math.PI * radius / (counts[row] - 1)),
    rows > 1 ? 0.5 / rows : 1,
  );
  return {
    radius: Math.min(0.14, 0.45 * nearest),
    places: places.sort((a, b) => b.angle - a.angle).map(({ x, y }) => ({ x, y })),
  };
}

/**
 * The map: a point for each region, on a canvas. It shows nothing that the table beside it does not, and so is hidden from
 * assistive technology. d3-delaunay, a script of its own, finds the point under the pointer.
 */

/** Free edge around the points, and the largest point's radius, in pixels; on a small canvas a part of its shorter side. */
const EDGE_PX = 38;
const MAX_RADIUS_PX = 22;
const RADIUS_PART = 1 / 15;
const MIN_RADIUS_PX = 5;
/** Height of a name beside a point, in pixels. */
const LABEL_PX = 12;
/** How far from a point a pointer still means it, in pixels. */
const REACH_PX = 40;

/**
 * Where each row lies on a canvas, and how large its point is. Degrees of longitude are shortened by the latitude. Pure.
 *
 * @param rows Of places; those without coordinates are left out.
 */
export function pointsOf(rows, width, height) {
  const known = rows.filter(({ latitude, longitude }) => latitude !== undefined && longitude !== undefined);
  if (known.length === 0) return [];
  const middle = known.reduce((sum, { latitude }) => sum + latitude, 0) / known.length;
  const shrink = Math.cos(middle * Math.PI / 180);
  const flat = known.map((row) => [row.longitude * shrink, -row.latitude]);
  const [xs, ys] = [flat.map(([x]) => x), flat.map(([, y]) => y)];
  const [left, top] = [Math.min(...xs), Math.min(...ys)];
  const [spanX, spanY] = [Math.max(...xs) - left, Math.max(...ys) - top];
  const [roomX, roomY] = [Math.max(1, width - 2 * EDGE_PX), Math.max(1, height - 2 * EDGE_PX)];
  const scale = Math.min(spanX > 0 ? roomX / spanX : Infinity, spanY > 0 ? roomY / spanY : Infinity);
  const factor = Number.isFinite(scale) ? scale : 0;
  const most = Math.min(MAX_RADIUS_PX, Math.min(width, height) * RADIUS_PART);
  const largest = Math.max(...known.map(({ registered }) => registered), 1);
  return known.map((row, at) => ({
    row,
    x: width / 2 + (flat[at][0] - left - spanX / 2) * factor,
    y: height / 2 + (flat[at][1] - top - spanY / 2) * factor,
    radius: Math.max(MIN_RADIUS_PX, most * Math.sqrt(row.registered / largest)),
  }));
}

/**
 * Which points get their names: the largest first, those whose name meets no other point's circle or name. Pure.
 *
 * @param widthOf How wide a name is, in pixels.
 * @returns points with `labelX` and `labelY`, the middle of the name.
 */
export function labelled(points, width, height, widthOf) {
  const taken = points.map(({ x, y, radius }) => [x - radius, y - radius, x + radius, y + radius]);
  return points.toSorted((a, b) => b.radius - a.radius).flatMap((point) => {
    const half = widthOf(point.row.name) / 2;
    for (const y of [point.y + point.radius + LABEL_PX, point.y - point.radius - LABEL_PX * 0.6]) {
      const box = [point.x - half, y - LABEL_PX * 0.7, point.x + half, y + LABEL_PX * 0.5];
      const isFree = box[0] >= 0 && box[1] >= 0 && box[2] <= width && box[3] <= height &&
        taken.every((other) =>
          box[0] > other[2] || box[2] < other[0] || box[1] > other[3] || box[3] < other[1]
        );
      if (!isFree) continue;
      taken.push(box);
      return [{ ...point, labelX: point.x, labelY: y }];
    }
    return [];
  });
}

/** Draws the map of these rows. `open`: the region whose stations are shown. `seen`: a colour as it is seen on this paper. */
export function drawMap(canvas, rows, { open, final, seen }) {
  const { clientWidth: width, clientHeight: height } = canvas;
  if (width === 0) return;
  const ratio = devicePixelRatio;
  const points = pointsOf(rows, width, height);
  const ink = getComputedStyle(canvas);
  const colours = { ink: ink.color, none: ink.getPropertyValue("--neutral"), seen };
  const text = JSON.stringify([
    width,
    height,
    ratio,
    open,
    final,
    colours,
    points.map(({ row, ...place }) => [
      place,
      row.leader?.colour,
      row.reporting,
    ]),
  ]);
  if (canvas.text === text) return;
  canvas.text = text;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  for (const point of points.toSorted((a, b) => b.radius - a.radius)) {
    drawPoint(context, point, colours, { isOpen: point.row.id === open, final });
  }
  context.font = `600 ${LABEL_PX}px ${ink.fontFamily}`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillStyle = ink.color;
  for (
    const { row, labelX, labelY } of labelled(
      points,
      width,
      height,
      (name) => context.measureText(name).width,
    )
  ) {
    context.fillText(row.name, labelX, labelY);
  }
  canvas.points = points;
  canvas.finder = globalThis.d3.Delaunay.from(points, ({ x }) => x, ({ y }) => y);
}

function drawPoint(context, { row, x, y, radius }, { ink, none, seen }, { isOpen, final }) {
  context.save();
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fillStyle = row.leader === undefined ? none : seen(row.leader.colour) ?? ink;
  context.globalAlpha = final ? 1 : 0.55;
  context.fill();
  context.globalAlpha = 1;
  if (!final && row.reporting < row.stations) hatch(context, x, y, radius, ink);
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.strokeStyle = ink;
  context.lineWidth = isOpen ? 3 : 1;
  context.stroke();
  context.restore();
}

function hatch(context, x, y, radius, ink) {
  context.save();
  context.clip();
  context.beginPath();
  for (let offset = -2 * radius; offset <= 2 * radius; offset += 5) {
    context.moveTo(x + offset - radius, y + radius);
    context.lineTo(x + offset + radius, y - radius);
  }
  context.strokeStyle = ink;
  context.globalAlpha = 0.6;
  context.lineWidth = 1;
  context.stroke();
  context.restore();
}

/** The row under a pointer; `undefined` where there is none. */
export function rowAt(canvas, { offsetX, offsetY }) {
  const point = canvas.points?.[canvas.finder.find(offsetX, offsetY)];
  if (point === undefined || Math.hypot(point.x - offsetX, point.y - offsetY) > REACH_PX) return undefined;
  return point.row;
}

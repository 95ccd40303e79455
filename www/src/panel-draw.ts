// The panel's pictures as SVG. Whoever does not see them has the sentences and the table beside them.

import { byName, type Flow, type History, KEEP_MS, type Sample } from "./panel-history.ts";
import {
  area,
  around,
  arrow,
  CENTRE,
  ceiling,
  type Frame,
  GATEWAY,
  line,
  MOST_DRAWN,
  type Point,
  RADIUS,
  type Value,
  width,
} from "./panel-shapes.ts";
import { rate, short } from "./panel-text.ts";

const SVG = "http://www.w3.org/2000/svg";
/** The charts' inner size; around them stand the scales. */
const CHART = { width: 372, height: 84 };
const LINES_HEIGHT = 56;

/** An SVG element; text is text and never markup, whatever a peer calls itself. */
export function svg(
  name: string,
  attributes: Record<string, string | number>,
  ...inner: (Node | string)[]
): SVGElement {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  made.append(...inner);
  return made;
}

/** Who feeds whom: this viewer in the middle, the gateway above, the neighbours around. */
export function drawFlow({ viewers, gateway }: Pick<History, "viewers" | "gateway">): SVGElement[] {
  const busiest = [...viewers].sort((a, b) => b.in + b.out - a.in - a.out).slice(0, MOST_DRAWN);
  const drawn = busiest.sort(byName);
  const places = around(drawn.length);
  const sum = (way: "in" | "out"): number => viewers.reduce((all, one) => all + one[way], 0);
  const most = Math.max(sum("in") + gateway.in, sum("out") + gateway.out, 1);
  const made = [
    ...link(gateway, GATEWAY, most, "fill-gateway"),
    ...drawn.flatMap((viewer, i) => link(viewer, places[i] ?? CENTRE, most, "fill-viewers")),
    node(CENTRE, "me", "You"),
    svg("rect", {
      ...{ class: "node gateway", x: GATEWAY.x - 39, y: GATEWAY.y - RADIUS + 2 },
      ...{ width: 78, height: 2 * RADIUS - 4, rx: 8 },
    }),
    text(GATEWAY, "Gateway"),
    ...drawn.map((viewer, i) => node(places[i] ?? CENTRE, "viewer", short(viewer.id))),
  ];
  const more = viewers.length - drawn.length;
  if (more > 0) made.push(svg("text", { class: "scale", x: 4, y: 16 }, `and ${more} more`));
  return made;
}

/** Both directions between this viewer and another; dotted where nothing flows. */
function link(flow: Flow, place: Point, most: number, colour: string): SVGElement[] {
  if (flow.in <= 0 && flow.out <= 0) {
    const { x: x2, y: y2 } = place;
    return [svg("line", { class: "idle", x1: CENTRE.x, y1: CENTRE.y, x2, y2 })];
  }
  const [given, taken] = [width(flow.in, most), width(flow.out, most)];
  const made: SVGElement[] = [];
  if (given > 0) made.push(svg("path", { class: colour, d: arrow(place, CENTRE, given) }));
  if (taken > 0) made.push(svg("path", { class: "fill-given", d: arrow(CENTRE, place, taken) }));
  return made;
}

function node({ x, y }: Point, kind: "me" | "viewer", name: string): SVGElement {
  const label = text({ x, y }, name);
  if (kind === "me") label.setAttribute("class", "me-text");
  return svg("g", {}, svg("circle", { class: `node ${kind}`, cx: x, cy: y, r: RADIUS }), label);
}

function text({ x, y }: Point, words: string): SVGElement {
  return svg("text", { x, y: y + 4 }, words);
}

/** What came from viewers, below, and from the gateway, upon it; what was passed on as a line. */
export function drawRates(samples: readonly Sample[], nowMs: number): SVGElement[] {
  const highest = samples.reduce((most, one) => {
    return Math.max(most, one.fromPeers + one.fromGateway, one.uploaded);
  }, 0);
  const frame = during(nowMs, CHART.height, ceiling(highest, 100_000));
  const series = (of: (one: Sample) => number): Value[] => samples.map((one) => [one.atMs, of(one)]);
  const [floor, peers] = [series(() => 0), series(({ fromPeers }) => fromPeers)];
  const all = series(({ fromPeers, fromGateway }) => fromPeers + fromGateway);
  const given = line(
    frame,
    series(({ uploaded }) => uploaded),
  );
  const byGateway = area(frame, peers, all);
  return [
    ...scales(frame, rate(frame.top)),
    svg("path", { class: "fill-viewers", d: area(frame, floor, peers) }),
    svg("path", { class: "fill-gateway", d: byGateway }),
    svg("path", { fill: "url(#hatch)", d: byGateway }),
    // The line crosses both areas: an edge sets it off from their colours.
    ...["stroke-edge", "stroke-given"].map((name) => svg("path", { class: name, d: given })),
  ];
}

/** How far behind the picture is, and how much is buffered. */
export function drawTimes(samples: readonly Sample[], nowMs: number): SVGElement[] {
  const highest = samples.reduce((most, one) => Math.max(most, one.latency ?? 0, one.buffer), 0);
  const frame = during(nowMs, LINES_HEIGHT, ceiling(highest, 2));
  return [
    ...scales(frame, `${frame.top} s`),
    svg("path", {
      class: "stroke-accent",
      d: line(
        frame,
        samples.map((one) => [one.atMs, one.latency]),
      ),
    }),
    svg("path", {
      class: "stroke-ink",
      d: line(
        frame,
        samples.map((one) => [one.atMs, one.buffer]),
      ),
    }),
  ];
}

function during(nowMs: number, height: number, top: number): Frame {
  return { width: CHART.width, height, sinceMs: nowMs - KEEP_MS, untilMs: nowMs, top };
}

function scales({ width: x2, height }: Frame, top: string): SVGElement[] {
  const across = (y: number): SVGElement => svg("line", { class: "grid", x1: 0, x2, y1: y, y2: y });
  return [
    across(0),
    across(height / 2),
    across(height),
    svg("text", { class: "scale", x: 0, y: -4 }, top),
    svg("text", { class: "scale", x: 0, y: height + 15 }, "2 minutes ago"),
    svg("text", { class: "scale end", x: x2, y: height + 15 }, "now"),
  ];
}

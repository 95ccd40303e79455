// The rows as a table for a README, and as a picture: latency across, offload up.

const number = (value, digits) => (value === null || value === undefined || Number.isNaN(value) ? "–" : value.toFixed(digits));
const ms = (value) => (value === null ? "–" : `${(value / 1000).toFixed(value < 10_000 ? 2 : 1)} s`);

const COLUMNS = [
  ["", (row) => row.name],
  ["viewers", (row) => `${row.viewers}`],
  ["offload", (row) => number(row.offload, 3)],
  ["of the possible", (row) => number(row.possible, 3)],
  ["copies from the origin", (row) => number(row.copies, 2)],
  ["copies on its wire", (row) => number(row.wireCopies, 2)],
  ["wire without headers : counters", (row) => number(row.agreement, 3)],
  ["latency median / 95 %", (row) => `${ms(row.latency)} / ${ms(row.latency95)}`],
  ["first frame", (row) => ms(row.firstFrame)],
  ["stalls", (row) => `${row.stalls} (${(row.stalledMs / 1000).toFixed(1)} s)`],
  ["upload : download", (row) => (row.shareLow <= row.shareHigh ? `${number(row.shareLow, 2)}–${number(row.shareHigh, 2)}` : "–")], // nobody stayed
  ["duplicates", (row) => (row.side === "ours" ? `${number(100 * row.duplicates, 1)} %` : "–")],
  ["processor, all browsers", (row) => (row.cpu === null ? "–" : `${number(row.cpu, 2)} cores`)],
  ["control traffic", (row) => `${number(100 * row.control, 1)} %, ${number(row.controlKbit, 0)} kbit/s each`],
];

export function table(rows) {
  const line = (cells) => `| ${cells.join(" | ")} |`;
  return [line(COLUMNS.map(([head]) => head)), line(COLUMNS.map(() => "---")), ...rows.map((row) => line(COLUMNS.map(([, cell]) => cell(row))))].join("\n");
}

const escape = (text) => text.replace(/[&<>"]/g, (one) => `&#${one.charCodeAt(0)};`);

/** An SVG of 800 × 450: a point for each row, a line from it to its 95th percentile of latency. */
export function picture(rows) {
  const [width, height, left, right, top, bottom] = [800, 450, 64, 24, 40, 56];
  const most = Math.max(4, ...rows.map(({ latency95 }) => Math.ceil((latency95 ?? 0) / 1000)));
  const step = most > 12 ? 4 : most > 6 ? 2 : 1;
  const x = (millis) => left + ((width - left - right) * millis) / 1000 / most;
  const y = (share) => height - bottom - (height - top - bottom) * Math.min(1, share);
  const parts = [];
  for (let at = 0; at <= most; at += step) {
    parts.push(`<path d="M${x(at * 1000)} ${top}V${height - bottom}" class="grid"/><text x="${x(at * 1000)}" y="${height - bottom + 20}" text-anchor="middle">${at} s</text>`);
  }
  for (const share of [0, 0.25, 0.5, 0.75, 1]) {
    parts.push(`<path d="M${left} ${y(share)}H${width - right}" class="grid"/><text x="${left - 8}" y="${y(share) + 5}" text-anchor="end">${share * 100} %</text>`);
  }
  const labelled = [];
  for (const row of rows) {
    const [px, py] = [x(row.latency ?? 0), y(row.possible)];
    parts.push(`<path d="M${px} ${py}H${x(row.latency95 ?? 0)}" class="${row.side} reach"/><circle cx="${px}" cy="${py}" r="6" class="${row.side}"><title>${escape(row.name)}: ${number(row.possible, 3)} at ${ms(row.latency)}</title></circle>`);
    if (labelled.some((other) => other.name === row.name)) continue;
    const right_ = px > width * 0.7;
    let at = py + 24;
    while (labelled.some((other) => Math.abs(other.at - at) < 16 && Math.abs(other.px - px) < 220)) at += 16;
    labelled.push({ name: row.name, at, px });
    const stalls = row.stalls ? `, ${row.stalls} stalls` : "";
    parts.push(`<text x="${px}" y="${at}" text-anchor="${right_ ? "end" : "start"}">${escape(row.name + stalls)}</text>`);
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="system-ui, sans-serif" font-size="14">
<style>text{fill:#222}.grid{stroke:#ddd;fill:none}.ours{fill:#0a7d55;stroke:#0a7d55}.anchor{fill:#c2571a;stroke:#c2571a}.reach{stroke-width:2;fill:none}</style>
<rect width="${width}" height="${height}" fill="#fff"/>
<text x="${left}" y="24" font-weight="600">From viewers, of what is possible · against latency on screen (to its 95th percentile)</text>
${parts.join("\n")}
</svg>
`;
}

// p2p-media-loader and ours, alternately, in one go: `tests/bench/peers/run [--seconds 90] [--viewers 6] [--kbit 864]
// [--picture 512x288@25] [--crash SECONDS] [--only NAME,NAME] [--into FILE]`; `--list` tells the names. With --crash a
// viewer's renderer crashes each so many seconds, and another viewer comes.
//
// Same picture, encoder and settings, same viewers on the same times; prints the table and draws the picture. Each row is
// kept in FILE (tests/out/comparison.json) too: rows of several commands with the same --into come into one table.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { out } from "../../e2e/gateway.mjs";
import { pictureOf } from "./encoder.mjs";
import { measureRow } from "./row.mjs";
import { picture, table } from "./table.mjs";

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "90" },
    viewers: { type: "string", default: "6" },
    kbit: { type: "string", default: "864" },
    picture: { type: "string", default: "512x288@25" },
    crash: { type: "string", default: "0" },
    only: { type: "string" },
    into: { type: "string" },
    list: { type: "boolean", default: false },
  },
});

const anchor = (segment, sync, highDemand) => ({ side: "anchor", segment, sync, highDemand, name: `p2p-media-loader ${segment} s, ${sync}, ${highDemand} s` });
const ours = { side: "ours", name: "Meshlive" };
/** Each by a short name for --only; in a whole run ours comes between them. */
const ROWS = {
  "4-5-4": anchor(4, 5, 4),
  "2-5-2": anchor(2, 5, 2),
  "1-5-1": anchor(1, 5, 1),
  "1-3-1": anchor(1, 3, 1),
  defaults: { side: "anchor", segment: 2, name: "p2p-media-loader 2 s, its defaults" },
  ours,
  alone: { ...ours, name: "Meshlive, sharing off", sharing: false },
};
const WHOLE = ["ours", "4-5-4", "ours", "2-5-2", "ours", "1-3-1"];

if (values.list) {
  console.log(Object.entries(ROWS).map(([short, { name }]) => `${short}: ${name}`).join("\n"));
  process.exit(0);
}
const wanted = values.only?.split(",") ?? WHOLE;
for (const name of wanted) if (!ROWS[name]) throw new Error(`--only ${name}: there are ${Object.keys(ROWS).join(", ")}`);
const options = { seconds: Number(values.seconds), viewers: Number(values.viewers), kbit: Number(values.kbit) };
for (const [name, value] of Object.entries(options)) if (!(value > 0)) throw new Error(`--${name} ${values[name]}: a number above 0`);
const crash = Number(values.crash);
if (!(crash === 0 || crash >= 2)) throw new Error(`--crash ${values.crash}: 2 seconds at least, or 0 for none`);
pictureOf(values.picture);

mkdirSync(out, { recursive: true });
const kept = values.into ?? join(out, "comparison.json");
const rows = values.into && existsSync(kept) ? JSON.parse(readFileSync(kept, "utf8")) : [];
for (const [at, name] of wanted.entries()) {
  const say = (what) => {
    const line = `${at + 1} of ${wanted.length}: ${ROWS[name].name}: ${what}`;
    if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${line}`);
    else if (!/left$/.test(what) || / \d*0 s/.test(what)) process.stderr.write(`${line}\n`);
  };
  rows.push(await measureRow(ROWS[name], { ...options, crash, picture: values.picture }, say));
  writeFileSync(kept, JSON.stringify(rows, null, 1));
}
if (process.stderr.isTTY) process.stderr.write("\r\x1b[K");
writeFileSync(join(out, "comparison.svg"), picture(rows));
console.log(table(rows));
console.error(`kept in ${kept}; drawn in ${join(out, "comparison.svg")}`);
process.exit(0);

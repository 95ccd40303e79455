// 2,000 blocked playlist reloads held open: memory and how late they are answered: `node tests/bench/reloads.mjs`
// The client is gateway/examples/reloads.rs: a JavaScript one takes longer to read the answers than they take to come.

import { execFileSync, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { Gateway, sleep } from "../e2e/gateway.mjs";
import { memoryMb, report } from "./process.mjs";

const COUNT = 2000;
const ROUNDS = 10;
execFileSync("cargo", ["build", "-q", "--release", "--locked", "-p", "meshlive-gateway", "--example", "reloads"], { stdio: "inherit" });
const gateway = await Gateway.start({ inputs: ["testcard"] });
await sleep(12_000);
const before = memoryMb(gateway.child.pid);
const client = `${process.env.CARGO_TARGET_DIR ?? "target"}/release/examples/reloads`;
const address = new URL(gateway.url).host;
const child = spawn(client, [address, "/live/testcard/source.m3u8", String(COUNT), String(ROUNDS)], { stdio: ["ignore", "pipe", "inherit"] });
let held = 0;
const look = setInterval(() => {
  held = Math.max(held, memoryMb(gateway.child.pid));
}, 50);
const late = [];
for await (const line of createInterface(child.stdout)) {
  const found = /held (\d+) ms, spread ([\d.]+) ms/.exec(line);
  // A round whose requests were not all out before the part came proves nothing.
  if (found && Number(found[1]) > 50) late.push(Number(found[2]));
}
clearInterval(look);
await gateway.dispose();
if (late.length < ROUNDS / 2) throw new Error(`only ${late.length} of ${ROUNDS} rounds were held`);
const more = held - before;
const worst = Math.max(...late);
report(`${COUNT} blocked reloads: more memory than with none`, `${more.toFixed(0)} MB`, "≤ 150 MB", more <= 150);
report(`${COUNT} blocked reloads: the last answer after the first, worst of ${late.length}`, `${worst.toFixed(0)} ms`, "≤ 100 ms", worst <= 100);

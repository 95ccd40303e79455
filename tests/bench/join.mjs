// Viewers that join, stay and vanish without a word, round after round: what is left of them in the gateway.
// `node tests/bench/join.mjs [--transport ws|webrtc] [--peers 200] [--rounds 10] [--stay 60] [--dev]`
// The peers are gateway/examples/join.rs: as many browsers do not fit one machine.

import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { Gateway, sleep } from "../e2e/gateway.mjs";
import { memoryMb, report } from "./process.mjs";

const { values } = parseArgs({
  options: {
    transport: { type: "string", default: "ws,webrtc" },
    peers: { type: "string", default: "200" },
    rounds: { type: "string", default: "10" },
    stay: { type: "string", default: "60" },
    dev: { type: "boolean", default: false },
  },
});
const [peers, rounds, stay] = [Number(values.peers), Number(values.rounds), Number(values.stay)];
// Pings find out who is gone: one every 15 s, 20 s to answer.
const SETTLE_MS = 45_000;
/** The gateway's tasks and connections as it counts them itself, every 5 s. */
async function counted(gateway, name) {
  const text = await gateway.text("/metrics");
  const lines = text.split("\n").filter((line) => line.startsWith(name));
  return lines.reduce((sum, line) => sum + Number(line.split(" ").pop()), 0);
}

async function settled(gateway) {
  await sleep(SETTLE_MS);
  for (let n = 0; (await counted(gateway, "meshlive_p2p_connections{")) > 0; n++) {
    if (n === 60) throw new Error("connections of peers that are gone stay");
    await sleep(1000);
  }
  await sleep(6000); // the tasks are counted anew
  return { memory: memoryMb(gateway.child.pid), tasks: await counted(gateway, "meshlive_tasks") };
}

const profile = values.dev ? [] : ["--release"];
execFileSync("cargo", ["build", "-q", ...profile, "--locked", "-p", "meshlive-gateway", "--example", "join"], { stdio: "inherit" });
const client = `${process.env.CARGO_TARGET_DIR ?? "target"}/${values.dev ? "debug" : "release"}/examples/join`;
const parts = { ws: "/ws/", webrtc: "/webrtc-direct/" };
for (const transport of values.transport.split(",")) {
  // Without a stream: its caches would fill meanwhile.
  const folder = mkdtempSync(join(tmpdir(), "meshlive-join-"));
  const config = join(folder, "join.toml");
  writeFileSync(config, "inputs = []\n");
  const gateway = await Gateway.start({ inputs: [], flags: ["--config", config] });
  const told = JSON.parse(await gateway.text("/api/v1/peer"));
  const address = told.addresses.find((one) => one.includes(parts[transport]));
  const after = [];
  let each = 0;
  for (let round = 1; round <= rounds; round++) {
    const before = memoryMb(gateway.child.pid);
    const child = spawn(client, [address, String(peers)], { stdio: ["ignore", "pipe", "inherit"] });
    const lines = createInterface(child.stdout);
    const joined = await new Promise((done, fail) => {
      lines.once("line", done);
      child.once("exit", () => fail(new Error(`round ${round}: the peers ended`)));
    });
    child.removeAllListeners("exit");
    await sleep(stay * 1000);
    const held = await counted(gateway, "meshlive_p2p_connections{");
    if (held < peers) throw new Error(`round ${round}: ${held} of ${peers} are connected`);
    const during = memoryMb(gateway.child.pid);
    if (round === 1) each = ((during - before) * 1024) / peers;
    child.kill("SIGKILL");
    after.push(await settled(gateway));
    const { memory, tasks } = after.at(-1);
    console.error(`${transport} round ${round}: ${joined}; ${during.toFixed(1)} MB with them, ${memory.toFixed(1)} MB and ${tasks} tasks after`);
  }
  await gateway.dispose();
  rmSync(folder, { recursive: true });
  const [second, last] = [after[1], after.at(-1)];
  const name = { ws: "WebSocket", webrtc: "webrtc-direct" }[transport];
  for (const [what, unit] of [["memory", " MB"], ["tasks", ""]]) {
    const ratio = last[what] / second[what];
    const shown = unit ? last[what].toFixed(1) : last[what];
    report(`${peers} peers join over ${name} and vanish, ${rounds} rounds: ${what} after the last : after the second`, `${shown}${unit} = ${ratio.toFixed(3)}`, "≤ 1.05", ratio <= 1.05);
  }
  const bar = transport === "ws" ? "≤ 150 KB" : "stated";
  report(`memory of the gateway for each idle viewer, ${name}`, `${each.toFixed(0)} KB`, bar, transport !== "ws" || each <= 150);
}

// 2,000 blocked playlist reloads held open: memory and how late they are answered: `node tests/bench/reloads.mjs`

import { connect } from "node:net";
import { CARD, Gateway, sleep } from "../e2e/gateway.mjs";
import { memoryMb, report } from "./process.mjs";

const COUNT = 2000;
const ROUNDS = 10;
const gateway = await Gateway.start({ inputs: [CARD] });
await sleep(12_000);
const before = memoryMb(gateway.child.pid);
const base = `${gateway.url}/live/testcard/index.m3u8`;
const multivariant = await (await fetch(base)).text();
const playlist = new URL(multivariant.split("\n").find((line) => line.trim() && !line.startsWith("#")).trim(), base);

/** One keep-alive connection that asks for a playlist and tells when the whole answer is there. */
function client() {
  const socket = connect(Number(playlist.port), playlist.hostname);
  socket.setNoDelay();
  let text = "";
  let answered;
  socket.on("data", (bytes) => {
    text += bytes.toString("latin1");
    const head = text.indexOf("\r\n\r\n");
    const length = /content-length: (\d+)/i.exec(text)?.[1];
    if (head < 0 || length === undefined || text.length < head + 4 + Number(length)) return;
    answered({ at: performance.now(), status: Number(text.slice(9, 12)) });
    text = "";
  });
  const ready = new Promise((resolve) => socket.once("connect", resolve));
  const ask = (msn, part) =>
    new Promise((resolve) => {
      answered = resolve;
      socket.write(`GET ${playlist.pathname}?_HLS_msn=${msn}&_HLS_part=${part} HTTP/1.1\r\nHost: ${playlist.host}\r\n\r\n`);
    });
  return { ask, ready, close: () => socket.destroy() };
}

const clients = [];
for (let at = 0; at < COUNT; at += 1) {
  clients.push(client());
  if (at % 200 === 199) await Promise.all(clients.map(({ ready }) => ready));
}

const late = [];
let held = 0;
for (let round = 0; round < ROUNDS; round += 1) {
  const text = await (await fetch(playlist)).text();
  const hint = /PRELOAD-HINT:.*?URI="([^"]*?(\d+)\.)(\d+)\.m4s/.exec(text);
  // Three parts ahead: all of them ask before it is there, and are held. So is one who asks for the part itself.
  const [, uri, msn, next] = hint;
  const part = Number(next) + 3;
  const there = fetch(new URL(`${uri}${part}.m4s`, playlist)).then(() => performance.now());
  const answers = clients.map(({ ask }) => ask(msn, part));
  await sleep(300);
  held = Math.max(held, memoryMb(gateway.child.pid));
  const all = await Promise.all(answers);
  if (all.some(({ status }) => status !== 200)) throw new Error("a reload was refused");
  late.push(Math.max(...all.map(({ at }) => at)) - Math.min(await there, ...all.map(({ at }) => at)));
}
for (const one of clients) one.close();
await gateway.dispose();
const more = held - before;
const worst = Math.max(...late);
report(`${COUNT} blocked reloads: more memory than with none`, `${more.toFixed(0)} MB`, "≤ 150 MB", more <= 150);
report(`${COUNT} blocked reloads: the last answer after the part, worst of ${ROUNDS}`, `${worst.toFixed(0)} ms`, "≤ 100 ms", worst <= 100);

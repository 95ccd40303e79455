// The negative twins: what must not play does not, and says why.

import assert from "node:assert/strict";
import http from "node:http";
import net from "node:net";
import { test } from "node:test";
import { open, playing, screenshot, stats, together } from "./browser.mjs";
import { Gateway, sleep } from "./gateway.mjs";

const scene = together();

/** A reverse proxy in front of the gateway that hands the body of each part to `change`. */
async function proxy(change) {
  const target = new URL(scene.gateway.url);
  const server = http.createServer((request, answer) => {
    const { method, url: path, headers } = request;
    const options = { host: target.hostname, port: target.port, method, path, headers };
    const forward = http.request(options, (response) => {
      const isPart = /\/\d+(\.\d+)?\.m4s/.test(path);
      if (!isPart || response.statusCode !== 200) {
        answer.writeHead(response.statusCode, response.headers);
        response.pipe(answer);
        return;
      }
      const body = [];
      response.on("data", (bytes) => body.push(bytes));
      response.on("end", () => {
        answer.writeHead(response.statusCode, response.headers);
        answer.end(change(Buffer.concat(body)));
      });
    });
    forward.on("error", () => answer.destroy());
    answer.on("close", () => forward.destroy());
    request.pipe(forward);
  });
  server.on("upgrade", (request, socket, head) => {
    const upstream = net.connect(Number(target.port), target.hostname, () => {
      const lines = [`${request.method} ${request.url} HTTP/1.1`];
      for (let at = 0; at < request.rawHeaders.length; at += 2) {
        lines.push(`${request.rawHeaders[at]}: ${request.rawHeaders[at + 1]}`);
      }
      upstream.write(`${lines.join("\r\n")}\r\n\r\n`);
      upstream.write(head);
      upstream.pipe(socket).pipe(upstream);
    });
    for (const end of [upstream, socket]) end.on("error", () => [upstream, socket].forEach((one) => one.destroy()));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${server.address().port}`, close: () => server.closeAllConnections() ?? server.close() };
}

/** In the page: over HTTP alone. The gateway's swarm would push the true parts. */
const overHttp = () => localStorage.setItem("meshlive-sharing", "off");

test("parts with one changed byte are never shown, and are counted", async () => {
  let flipped = 0;
  const liar = await proxy((body) => {
    body[body.length - 10] ^= 1;
    flipped += 1;
    return body;
  });
  const page = await open(scene.browser, `${liar.url}/s/testcard`, { allow: [/./], init: overHttp });
  await sleep(8000);
  const now = await stats(page);
  assert.ok(flipped > 0, "the page asked for no part at all");
  assert.ok(now.partsRejected > 0, JSON.stringify(now));
  assert.equal(now.partsFromGateway, 0);
  assert.equal(now.firstFrameMs, null);
  assert.notEqual(now.state, "playing");
  assert.equal(await page.evaluate(() => document.querySelector("mesh-player").video.buffered.length), 0);
  await page.finish();
  liar.close();
});

test("one changed part among good ones is not shown and does not stop the picture", async () => {
  let parts = 0;
  const liar = await proxy((body) => {
    parts += 1;
    if (parts === 20) body[100] ^= 0x80;
    return body;
  });
  const page = await open(scene.browser, `${liar.url}/s/testcard`, { allow: [/./], init: overHttp });
  await playing(page);
  await page.waitForFunction(() => document.querySelector("mesh-player").stats.partsRejected === 1, null, { timeout: 30_000 });
  await sleep(5000);
  const now = await stats(page);
  assert.equal(now.state, "playing", JSON.stringify(now));
  assert.equal(now.partsRejected, 1);
  await page.finish();
  liar.close();
});

test("through the same proxy, unchanged parts play (the twin of the two above)", async () => {
  const honest = await proxy((body) => body);
  const page = await open(scene.browser, `${honest.url}/s/testcard`);
  assert.equal((await playing(page)).partsRejected, 0);
  await page.finish();
  honest.close();
});

test("an unknown stream says so, readable, and does not play", async () => {
  const page = await open(scene.browser, `${scene.gateway.url}/s/nobody`, { allow: [/404/] });
  await page.waitForFunction(() => document.querySelector("mesh-player").view?.message, null, { timeout: 10_000 });
  const text = await page.evaluate(() => document.querySelector("mesh-player").view.message.text);
  assert.match(text, /no stream .nobody./);
  await sleep(2000);
  const now = await stats(page);
  assert.notEqual(now.state, "playing");
  assert.equal(now.firstFrameMs, null);
  await screenshot(page, "error");
  await page.finish();
});

test("a gateway with no input has nothing that plays, and a page that says how to begin", async () => {
  const silent = await Gateway.start({ inputs: ["/does/not/exist.mp4?name=nothing"] });
  const page = await open(scene.browser, silent.url);
  await page.getByText("Nothing is on air right now").waitFor({ timeout: 10_000 });
  await screenshot(page, "directory-empty");
  await page.finish();
  const player = await open(scene.browser, `${silent.url}/s/nothing`, { allow: [/404/] });
  await sleep(4000);
  const now = await stats(player);
  assert.equal(now.firstFrameMs, null);
  assert.notEqual(now.state, "playing");
  await player.finish();
  await silent.dispose();
});

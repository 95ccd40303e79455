// The command line's contract: what is printed, and how it ends.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { binary, CARD, Gateway, run } from "./gateway.mjs";

const folder = mkdtempSync(join(tmpdir(), "meshlive-command-"));
after(() => rmSync(folder, { recursive: true, force: true }));

test("ready names the page's URL and every listener with the port it really has", async () => {
  const gateway = await Gateway.start();
  assert.match(gateway.ready, /^ready http:\/\/127\.0\.0\.1:\d+\/( [a-z0-9-]+=\S+)*$/);
  assert.notEqual(gateway.ports.http, 0);
  assert.match(gateway.listeners.rtmp, /^127\.0\.0\.1:[1-9]\d*$/);
  for (const name of ["p2p-tcp", "p2p-quic", "p2p-webrtc", "stun"]) {
    assert.match(gateway.listeners[name], /^127\.0\.0\.1:[1-9]\d*$/, name);
  }
  assert.match(await gateway.text("/"), /<!doctype html>/i);
  assert.equal((await fetch(`${gateway.url}/healthz`)).status, 200);
  await gateway.dispose();
});

for (const signal of ["SIGTERM", "SIGINT"]) {
  test(`${signal} ends it cleanly, status 0, within seconds`, async () => {
    const gateway = await Gateway.start();
    const { code, ms } = await gateway.stop(signal);
    assert.equal(code, 0, gateway.log);
    assert.ok(ms < 5000, `${ms} ms`);
    await gateway.dispose();
  });
}

test("a setting that makes no sense: status 2 at once, one line with setting, value and remedy", async () => {
  const config = join(folder, "config.toml");
  for (const [args, text, names] of [
    [["serve", "--http", "nowhere"], "", ["--http", "nowhere", "IP:PORT"]],
    [["serve", "--input", "testcard?size=big"], "", ["size", "big", "1280x720"]],
    [["serve", "--public-url", "node"], "", ["public_url", "node", "http://"]],
    [["serve", "--frobnicate"], "", ["--frobnicate", "--help"]],
    [["serve", "--config", config], "listen.http = 8080", ["listen.http", "8080", "config print"]],
    [["serve", "--config", config], "[listen\nhttp", ["line 1", "[listen", "config print"]],
    [["serve", "--config", config], "ingest.encoder_threads = 99", ["ingest.encoder_threads", "99", "64"]],
    [["serve", "--config", join(folder, "none.toml")], "", ["none.toml", "config print"]],
  ]) {
    writeFileSync(config, text);
    const { code, stdout, stderr } = await run(binary(), [...args, "--data", folder]);
    assert.equal(code, 2, `${args} ${text}: ${stderr}`);
    assert.equal(stdout, "");
    assert.equal(stderr.trim().split("\n").length, 1, stderr);
    for (const name of names) assert.ok(stderr.includes(name), `${stderr} does not say ${name}`);
  }
});

test("a port that is taken is named", async () => {
  const taken = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => taken.once("listening", resolve));
  const address = `127.0.0.1:${taken.address().port}`;
  const { code, stderr } = await run(binary(), ["serve", "--data", join(folder, "d"), "--http", address, "--rtmp", "off"]);
  assert.equal(code, 1, stderr);
  assert.ok(stderr.includes(address), stderr);
  taken.close();
});

test("config print is a configuration that serves", async () => {
  const { code, stdout } = await run(binary(), ["config", "print"]);
  assert.equal(code, 0);
  const config = join(folder, "printed.toml");
  writeFileSync(config, stdout);
  const gateway = await Gateway.start({ inputs: [CARD], flags: ["--config", config] });
  await gateway.dispose();
});

test("keys: new, list, rotate, remove", async () => {
  const keys = async (...args) => {
    const { code, stdout, stderr } = await run(binary(), ["keys", ...args, "--data", join(folder, "keys")]);
    return { code, stderr, name: /stream\s+(\S+)/.exec(stdout)?.[1], secret: /secret\s+(\S+)/.exec(stdout)?.[1] };
  };
  const made = await keys("new", "stage");
  assert.match(made.name, /^k51[a-z0-9]+$/);
  assert.deepEqual(await keys("list", "stage"), made);
  const rotated = await keys("rotate", "stage");
  assert.equal(rotated.name, made.name);
  assert.notEqual(rotated.secret, made.secret);
  assert.equal((await keys("new", "stage")).code, 1);
  assert.equal((await keys("remove", "stage")).code, 0);
  assert.equal((await keys("list", "stage")).code, 1);
  for (const alias of ["../etc", "a/b", "x".repeat(10_000), "Ｓtage", "ѕtage", made.name]) {
    assert.equal((await keys("new", alias)).code, 1, alias);
  }
});

test("keys: a stream's name outlives its gateway by export and import, and nothing is overwritten", async () => {
  const [old, other, file] = ["old", "other", "stage.key"].map((name) => join(folder, name));
  const keys = (data, ...args) => run(binary(), ["keys", ...args, "--data", data]);
  const made = (await keys(old, "new", "stage")).stdout;
  const name = /stream\s+(\S+)/.exec(made)[1];
  const exported = await run("sh", ["-c", `umask 022; "$0" keys export stage --data "$1" > "$2"`, binary(), old, file]);
  assert.equal(exported.code, 0, exported.stderr);
  assert.ok(exported.stderr.includes(name), exported.stderr);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  const imported = await keys(other, "import", "stage", file);
  assert.equal(imported.code, 0, imported.stderr);
  assert.ok(imported.stdout.includes(name), imported.stdout);
  for (const alias of ["stage", "again"]) {
    const again = await keys(other, "import", alias, file);
    assert.equal(again.code, 1, again.stdout);
    assert.match(again.stderr, /stage/);
  }
  assert.equal((await keys(old, "export", "nobody")).code, 1);
});

test("doctor says what works, with status 0 when all that is needed does", async () => {
  const { code, stdout, stderr } = await run(binary(), ["doctor", "--data", join(folder, "doctor")]);
  assert.match(stdout, /FFmpeg/);
  assert.match(stdout, /libx264/);
  assert.match(stdout, /GiB free/);
  const broken = stdout.split("\n").filter((line) => line.startsWith("BROKEN"));
  assert.equal(code, broken.length === 0 ? 0 : 1, stdout + stderr);
});

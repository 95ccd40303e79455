import assert from "node:assert/strict";
import { test } from "node:test";
import { embedSnippet } from "./embed-snippet.ts";

test("the two lines name the gateway's script and the stream", () => {
  const { html, caution } = embedSnippet("https://live.example.org/s/testcard", "k51abc");
  assert.equal(
    html,
    '<script type="module" src="https://live.example.org/embed.js"></script>\n' +
      '<mesh-player stream="k51abc" autoplay muted></mesh-player>',
  );
  assert.equal(caution, null);
});

test("an http node says that https pages cannot embed from it", () => {
  assert.match(embedSnippet("http://10.0.0.7:8080", "k51abc").caution ?? "", /https/);
});

test("an address of this computer only says so", () => {
  assert.match(embedSnippet("http://127.0.0.1:8080", "k51abc").caution ?? "", /this computer only/);
  assert.match(embedSnippet("http://localhost:8080", "k51abc").caution ?? "", /this computer only/);
});

test("a name cannot break out of its attribute", () => {
  const { html } = embedSnippet("https://n", '"><script>alert(1)</script>');
  assert.equal(html.split("<script").length, 2);
  assert.ok(!html.includes('""'));
});

// A gateway that lies: an honest one behind a proxy that changes what it says on the way.

import { createServer, request } from "node:http";
import { connect } from "node:net";

/**
 * `{url, lie, lies, close}`. `lie(path, body)` is set by the test: gives other bytes for this path, or null for those that came;
 * `lies` counts. WebSockets pass as they are.
 */
export async function between(gateway) {
  const { hostname, port } = new URL(gateway.url);
  const proxy = { lie: null, lies: 0 };
  const server = createServer((asked, answer) => {
    const headers = { ...asked.headers, "accept-encoding": "identity" };
    const onward = request({ hostname, port, path: asked.url, method: asked.method, headers }, (came) => {
      const chunks = [];
      came.on("data", (chunk) => chunks.push(chunk));
      came.on("end", () => {
        const body = Buffer.concat(chunks);
        const other = came.statusCode === 200 ? (proxy.lie?.(asked.url, body) ?? null) : null;
        if (other) proxy.lies += 1;
        const sent = other ?? body;
        const { "content-length": _, "transfer-encoding": __, etag, ...rest } = came.headers;
        answer.writeHead(came.statusCode, { ...rest, "content-length": sent.length, "cache-control": "no-store" });
        answer.end(sent);
      });
    });
    onward.on("error", () => answer.destroy());
    asked.pipe(onward);
  });
  server.on("upgrade", (asked, socket, head) => {
    const onward = connect(Number(port), hostname, () => {
      const lines = Object.entries(asked.headers).map(([name, value]) => `${name}: ${value}\r\n`);
      onward.write(`GET ${asked.url} HTTP/1.1\r\n${lines.join("")}\r\n`);
      onward.write(head);
      onward.pipe(socket).pipe(onward);
    });
    for (const one of [onward, socket]) one.on("error", () => (onward.destroy(), socket.destroy()));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  proxy.url = `http://127.0.0.1:${server.address().port}`;
  proxy.close = () => {
    server.closeAllConnections();
    server.close();
  };
  return proxy;
}

/** The same bytes, but for one bit in their middle. */
export function flipped(bytes) {
  const other = Buffer.from(bytes);
  other[other.length >> 1] ^= 1;
  return other;
}

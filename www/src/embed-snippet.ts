// What to paste into another page, and whether it can work there.

export interface Snippet {
  html: string;
  /** What the person who pastes it must know, or null when it works anywhere. */
  caution: string | null;
}

/** `gateway` is the origin that people reach this node by; `stream` its stream name. */
export function embedSnippet(gateway: string, stream: string): Snippet {
  const origin = new URL(gateway).origin;
  const name = stream.replace(/[&"<>]/g, (c) => `&#${c.charCodeAt(0)};`);
  const html = [
    `<script type="module" src="${origin}/embed.js"></script>`,
    `<mesh-player stream="${name}" autoplay muted></mesh-player>`,
  ].join("\n");
  return { html, caution: caution(new URL(origin)) };
}

function caution(origin: URL): string | null {
  if (["localhost", "127.0.0.1", "[::1]"].includes(origin.hostname)) {
    return `${origin.host} is this computer only. Open this page by the address under which others reach the node, and copy the lines there.`;
  }
  if (origin.protocol === "http:") {
    return "This node speaks http, and browsers do not let a page on https load anything from it. It works on pages that are themselves on http. For pages on https, give the node a name and a certificate (for instance by a reverse proxy) and copy these lines from its https address.";
  }
  return null;
}

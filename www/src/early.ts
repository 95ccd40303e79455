// Opens the stream's socket before the player's own scripts are there: what the gateway says waits for them. A script of
// its own on the player page, a few hundred bytes; `Feed` takes over.

/** A socket that somebody opened, and what came over it since. */
export interface Early {
  socket: WebSocket;
  messages: (string | ArrayBuffer)[];
}

declare global {
  var meshliveEarly: Early | undefined;
}

/**
 * Who says so much before anybody listens is not waited for. A mirror that nobody asked for a while tells a window and some
 * 256 announcements behind it.
 */
const MAX_MESSAGES = 512;

const name = /^\/s\/([^/]+)/.exec(location.pathname)?.[1];
if (name !== undefined) {
  // As `socketUrl` and `liveBase` make it.
  const stream = encodeURIComponent(decodeURIComponent(name));
  const socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}/live/${stream}/announcements`);
  const messages: Early["messages"] = [];
  socket.binaryType = "arraybuffer";
  socket.onmessage = ({ data }) => {
    if (messages.push(data) >= MAX_MESSAGES) socket.close();
  };
  globalThis.meshliveEarly = { socket, messages };
}

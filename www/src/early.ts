// Opens the stream's socket before the player's own scripts are there: what the gateway says waits for them. A script of
// its own on the player page, a few hundred bytes, that runs before all others; `Feed` takes over.

/** A socket that somebody opened, and what came over it since. */
export interface Early {
  socket: WebSocket;
  messages: (string | ArrayBuffer)[];
}

declare global {
  var meshliveEarly: Early | undefined;
}

// No module, so that it waits for nothing; what it names is its own.
{
  const name = /^\/s\/([^/]+)/.exec(location.pathname)?.[1];
  if (name !== undefined) {
    // As `socketUrl` and `liveBase` make it.
    const stream = encodeURIComponent(decodeURIComponent(name));
    const socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}/live/${stream}/announcements`);
    const messages: Early["messages"] = [];
    // Who says so much before anybody listens is not waited for. A mirror that nobody asked for a while tells a window and
    // some 256 announcements behind it, a tenth of a megabyte.
    let room = 4 << 20;
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => {
      messages.push(data);
      room -= 1 + (data.byteLength ?? data.length);
      if (room < 0) socket.close();
    };
    globalThis.meshliveEarly = { socket, messages };
  }
}

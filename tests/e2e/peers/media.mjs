// What is shown, and what was published: told apart by the bytes of each `mdat`.

/** Runs in the page: notes what of each `mdat` is given to the browser's decoder, as `length:hash`. */
export function noteMedia() {
  window.mediaShown = [];
  /** The same stands in `mediaOf` below. */
  const mediaOf = (bytes, take) => {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let at = 0; at + 8 <= bytes.length; at += view.getUint32(at)) {
      const length = view.getUint32(at);
      if (length < 8 || at + length > bytes.length) return;
      if (view.getUint32(at + 4) !== 0x6d646174) continue;
      let hash = 0x811c9dc5;
      for (let i = at + 8; i < at + length; i += 1) hash = Math.imul(hash ^ bytes[i], 0x01000193) >>> 0;
      take(`${length - 8}:${hash}`);
    }
  };
  const append = SourceBuffer.prototype.appendBuffer;
  SourceBuffer.prototype.appendBuffer = function (data) {
    const bytes = ArrayBuffer.isView(data) ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength) : new Uint8Array(data);
    mediaOf(bytes, (name) => window.mediaShown.push(name));
    return append.call(this, data);
  };
}

/** The `mdat`s of a file, as `length:hash`. */
export function mediaOf(bytes) {
  const found = [];
  for (let at = 0; at + 8 <= bytes.length; at += bytes.readUInt32BE(at)) {
    const length = bytes.readUInt32BE(at);
    if (bytes.toString("latin1", at + 4, at + 8) !== "mdat") continue;
    let hash = 0x811c9dc5;
    for (let i = at + 8; i < at + length; i += 1) hash = Math.imul(hash ^ bytes[i], 0x01000193) >>> 0;
    found.push(`${length - 8}:${hash}`);
  }
  return found;
}

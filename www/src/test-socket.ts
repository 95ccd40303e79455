// For tests: a WebSocket whose other side is the test.

/** A socket in which the test is the gateway. */
export class Socket {
  static readonly OPEN = 1;
  static made: Socket[] = [];
  readyState = 0;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: (() => void) | null = null;
  sent: string[] = [];
  url: string;
  constructor(url: string) {
    this.url = url;
    Socket.made.push(this);
  }
  send(text: string): void {
    this.sent.push(text);
  }
  close(): void {
    this.readyState = 3;
  }
}

const globals = globalThis as unknown as Record<string, unknown>;

/** Puts it, and what else of a browser these need, in its place; gives what takes it back. */
export function browserWith(more: Record<string, unknown> = {}): () => void {
  const there = { WebSocket: Socket, addEventListener() {}, removeEventListener() {}, ...more };
  const before = Object.fromEntries(Object.keys(there).map((name) => [name, globals[name]]));
  Object.assign(globals, there);
  return () => Object.assign(globals, before);
}

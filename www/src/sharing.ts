// Whether this viewer feeds others: what it chose once, or else what suits the page and the connection.

/** Why sharing is off although the viewer never said so. */
export type Reason = "page" | "save-data" | "cellular";

export interface Sharing {
  on: boolean;
  /** Null when it is on, or when the viewer chose. */
  reason: Reason | null;
}

/** What browsers that have it tell of the connection (Network Information API). */
export interface Connection extends EventTarget {
  saveData?: boolean;
  type?: string;
}

/** `chosen` is the viewer's own word, `attribute` the page's (`share="off"`). The viewer's goes before all else. */
export function decide(
  chosen: boolean | null,
  attribute: string | null,
  connection: Connection | null,
): Sharing {
  if (chosen !== null) return { on: chosen, reason: null };
  if (attribute === "off") return { on: false, reason: "page" };
  if (connection?.saveData === true) return { on: false, reason: "save-data" };
  if (connection?.type === "cellular") return { on: false, reason: "cellular" };
  return { on: true, reason: null };
}

/** What stands beside the switch when it is off by itself. */
export function because(reason: Reason): string {
  if (reason === "page") return "Off by default on this page.";
  if (reason === "save-data") return "Off by default: your browser is set to save data.";
  return "Off by default: you are on a mobile connection.";
}

/** The browser's word on the connection, where it gives one. */
export function connection(): Connection | null {
  return (navigator as { connection?: Connection }).connection ?? null;
}

// What a viewer chose, kept by the browser for the next visit to this page's origin; nothing depends on it.

/** Null when nothing was chosen, or when the browser keeps nothing (a sandboxed frame, a setting). */
export function remembered(name: string): boolean | null {
  try {
    const kept = localStorage.getItem(`meshlive-${name}`);
    return kept === "on" ? true : kept === "off" ? false : null;
  } catch {
    return null;
  }
}

export function remember(name: string, on: boolean): void {
  try {
    localStorage.setItem(`meshlive-${name}`, on ? "on" : "off");
  } catch {}
}

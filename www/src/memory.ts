// What a viewer chose, and what was seen, kept by the browser for the next visit to this page's origin; no playing depends on it.

/** A text that was kept; null where there is none. */
export function kept(name: string): string | null {
  try {
    return localStorage.getItem(`meshlive-${name}`);
  } catch {
    return null;
  }
}

export function keep(name: string, text: string): void {
  try {
    localStorage.setItem(`meshlive-${name}`, text);
  } catch {}
}

/** Null when nothing was chosen, or when the browser keeps nothing (a sandboxed frame, a setting). */
export function remembered(name: string): boolean | null {
  const chosen = kept(name);
  return chosen === "on" ? true : chosen === "off" ? false : null;
}

export function remember(name: string, on: boolean): void {
  keep(name, on ? "on" : "off");
}

// What both pages do with their own elements.

/** The element that the page's HTML names so. */
export function byId<E extends HTMLElement = HTMLElement>(id: string): E {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found as E;
}

/** Leaves the text alone when it is the same, so that a screen reader does not read it again. */
export function setText(element: HTMLElement, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** In words; nothing where it is not known. */
export function viewerCount(count: number | undefined): string {
  if (count === undefined) return "";
  return count === 1 ? "1 viewer" : `${count} viewers`;
}

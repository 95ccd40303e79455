// The player page, /s/{stream}: what is around the player.

import { byId, setText, viewerCount } from "./dom.ts";
import { isPanelKey, type MeshPlayer } from "./element.ts";
import { embedSnippet } from "./embed-snippet.ts";
import type { View } from "./player.ts";

const player = byId<MeshPlayer>("player");
const stream = decodeURIComponent(/^\/s\/([^/]+)/.exec(location.pathname)?.[1] ?? "");

player.addEventListener("mesh-change", (event) => show((event as CustomEvent<View>).detail));
player.setAttribute("stream", stream);
byId<HTMLAnchorElement>("to-archive").href = `/s/${encodeURIComponent(stream)}/archive`;
document.title = `${stream} · Meshlive`;
byId("title").textContent = stream;

// The player is what this page is for: its key works while nothing else has the focus.
document.addEventListener("keydown", (event) => {
  if (event.target === document.body && player.panelKey && isPanelKey(event)) player.togglePanel();
});

// The picture makes room for the panel where the window is wide enough.
player.addEventListener("mesh-panel", (event) => {
  document.body.classList.toggle("beside", (event as CustomEvent<{ open: boolean }>).detail.open);
});

function show({ object, seen }: View): void {
  if (!object) return;
  const title = object.title || object.alias || stream;
  setText(byId("title"), title);
  document.title = `${title} · Meshlive`;
  byId("live").hidden = !object.live;
  setText(byId("viewers"), viewerCount(object.stream ? object.viewers : undefined));
  const notices = object.notices ?? [];
  byId("notices").hidden = notices.length === 0;
  if (byId("notices").dataset.key !== notices.join("\n")) {
    byId("notices").dataset.key = notices.join("\n");
    byId("notices").replaceChildren(
      ...notices.map((notice) => Object.assign(document.createElement("li"), { textContent: notice })),
    );
  }
  // Its font is the first text's of its kind: where it is loaded, the picture would wait for it.
  if (seen || !object.live) {
    byId("name-line").hidden = !object.stream;
    setText(byId("name"), object.stream ?? "");
  }
  byId<HTMLButtonElement>("embed").disabled = !object.stream;
}

byId("embed").addEventListener("click", () => {
  const name = player.view?.object?.stream;
  if (!name) return;
  const { html, caution } = embedSnippet(location.origin, name);
  byId<HTMLTextAreaElement>("embed-code").value = html;
  byId("embed-caution").hidden = caution === null;
  byId("embed-caution").textContent = caution;
  byId("embed-copied").textContent = "";
  byId<HTMLDialogElement>("embed-dialog").showModal();
});
byId("embed-close").addEventListener("click", () => byId<HTMLDialogElement>("embed-dialog").close());
byId("embed-copy").addEventListener("click", async () => {
  const code = byId<HTMLTextAreaElement>("embed-code");
  code.select();
  // On plain http there is no clipboard API; the old command still works there.
  const copied = navigator.clipboard
    ? await navigator.clipboard.writeText(code.value).then(
        () => true,
        () => false,
      )
    : document.execCommand("copy");
  byId("embed-copied").textContent = copied ? "Copied" : "Press Ctrl+C or ⌘C to copy";
});

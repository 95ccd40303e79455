// A site of the mesh whose only link is `link.py`'s, with its delay and its loss.

import { spawn } from "node:child_process";
import { run } from "../e2e/gateway.mjs";
import { Site } from "../e2e/peers/net.mjs";

/** This end's address, and the site's. */
export const [HERE, THERE] = ["10.78.0.1", "10.78.0.2"];

/** `{site, dispose}`; `delayMs` each way, `loss` as a share of the packets. */
export async function far(delayMs, loss) {
  const site = await Site.make();
  const { pid } = site.holder.child;
  const [program, ...args] = [...site.enter, "ip", "link", "set", "eth0", "down"];
  const { code, stderr } = await run(program, args);
  if (code !== 0) throw new Error(`the site keeps its first link: ${stderr}`);
  const link = spawn("python3", [new URL("link.py", import.meta.url).pathname, pid, `${HERE}/24`, `${THERE}/24`, delayMs, loss], { stdio: ["pipe", "pipe", "inherit"] });
  await new Promise((resolve, reject) => {
    link.stdout.once("data", resolve);
    link.once("exit", () => reject(new Error("link.py ended")));
  });
  const dispose = async () => {
    link.removeAllListeners("exit");
    link.stdin.end();
    await new Promise((resolve) => link.once("exit", resolve));
    await site.dispose();
  };
  return { site, dispose };
}

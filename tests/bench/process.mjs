// What a process uses: processor seconds and memory, from /proc.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

const TICKS = Number(execFileSync("getconf", ["CLK_TCK"], { encoding: "utf8" }));

/** Processor seconds of a process and its threads since it began. */
export function cpuSeconds(pid) {
  // Fields after the name in brackets, which may hold blanks: utime and stime are the 14th and 15th of all.
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").pop().split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS;
}

/** Megabytes of memory in use. */
export function memoryMb(pid) {
  return Number(/RssAnon:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))[1]) / 1024;
}

/** Processor seconds that the processes use while `ms` pass, together. */
export async function cpuDuring(pids, ms) {
  const sum = () => pids.reduce((total, pid) => total + cpuSeconds(pid), 0);
  const before = sum();
  await new Promise((resolve) => setTimeout(resolve, ms));
  return sum() - before;
}

/** One row of a result, as it goes into the README's table. */
export function report(what, result, bar, holds) {
  console.log(`| ${what} | ${result} | ${bar} | ${holds ? "yes" : "NO"} |`);
}

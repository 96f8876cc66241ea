// Drives esptool-js through one flow against an RFC 2217 port and prints one
// JSON line per step. Usage: node run.mjs HOST:PORT PLAN.json
//
// The plan: { baud, erase: whether to erase the chip first, files: [{ address,
// path }], plain: { address, path }, out: directory for what is read back }

import { createHash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ESPLoader, Transport } from "esptool-js";
import { WebSerialPort } from "./webserial.mjs";

const [, , address, planPath] = process.argv;
const plan = JSON.parse(await readFile(planPath, "utf8"));
const colon = address.lastIndexOf(":");
const device = new WebSerialPort(address.slice(0, colon), Number(address.slice(colon + 1)));

// The library logs to the console whatever it reads; standard output is ours.
console.log = console.info = console.debug = (...args) => console.error(...args);
const print = (step, fields = {}) => process.stdout.write(JSON.stringify({ step, ...fields }) + "\n");

const log = [];
const terminal = { clean() {}, writeLine: (s) => log.push(s), write: (s) => log.push(s) };
const transport = new Transport(device, false);
const loader = new ESPLoader({ transport, baudrate: plan.baud, romBaudrate: 115200, terminal, debugLogging: !!process.env.DEBUG });

const md5 = (bytes) => createHash("md5").update(bytes).digest("hex");
const load = async ({ address, path }) => ({ address, data: new Uint8Array(await readFile(path)) });
const timed = async (step, f) => {
  const start = Date.now();
  const fields = await f();
  print(step, { ms: Date.now() - start, ...fields });
};

try {
  await timed("connect", async () => {
    const chip = await loader.main("default_reset");
    return {
      chip, mac: await loader.chip.readMac(loader), flashId: await loader.readFlashId(),
      stub: loader.IS_STUB, baud: transport.baudrate, signals: device.signals.splice(0),
    };
  });
  await timed("erase", async () => {
    if (plan.erase) await loader.eraseFlash();
    const probe = await loader.readFlash(plan.files[0].address, 0x1000);
    transport.flushInput();
    return { blank: probe.every((b) => b === 0xff) };
  });
  const write = (files, compress) => loader.writeFlash({
    fileArray: files, flashMode: "keep", flashFreq: "keep", flashSize: "keep",
    eraseAll: false, compress, calculateMD5Hash: md5,
  });
  await timed("compressed", async () => {
    const files = await Promise.all(plan.files.map(load));
    await write(files, true);
    return { verified: log.filter((l) => l.includes("Hash of data verified")).length };
  });
  await timed("uncompressed", async () => {
    await write([await load(plan.plain)], false);
    return { verified: log.filter((l) => l.includes("Hash of data verified")).length };
  });
  await timed("md5", async () => {
    const sums = [];
    for (const { address, path } of [...plan.files, plan.plain]) {
      sums.push(await loader.flashMd5sum(address, (await readFile(path)).length));
    }
    return { sums };
  });
  await timed("read", async () => {
    const size = (await readFile(plan.plain.path)).length;
    const bytes = await loader.readFlash(plan.plain.address, size);
    await writeFile(join(plan.out, "read.bin"), bytes);
    return { size: bytes.length };
  });
  await timed("reset", async () => {
    // hard_reset of 0.7.0 only drops RTS; an application adds the pulse.
    await loader.after("hard_reset", false);
    await loader.after("custom_reset", false, "D0|R1|W100|R0");
    return { signals: device.signals.splice(0) };
  });
  await timed("console", async () => {
    // The line is still at the flasher's speed; a console is at 115200.
    await transport.disconnect();
    await transport.connect(115200);
    await device.setSignals({ dataTerminalReady: false, requestToSend: true });
    await new Promise((resolve) => setTimeout(resolve, 100));
    await device.setSignals({ dataTerminalReady: false, requestToSend: false });
    let text = "";
    const until = Date.now() + 5000;
    const reader = device.readable.getReader();
    const timeout = setTimeout(() => reader.cancel(), 5000);
    while (Date.now() < until && !/boot:0x[0-9a-f]+ \(\w+\)/.test(text)) {
      const { value, done } = await reader.read();
      if (done) break;
      text += Buffer.from(value).toString("latin1");
    }
    clearTimeout(timeout);
    reader.releaseLock();
    return { text };
  });
  await transport.disconnect();
  print("done");
  process.exit(0);
} catch (error) {
  print("failed", { error: String(error?.stack ?? error), log: log.slice(-20) });
  process.exit(1);
}

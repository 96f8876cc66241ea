// A Web Serial port (W3C draft, the part that esptool-js uses) whose other end
// is an RFC 2217 server. Like the real thing, close drops the connection and
// open makes a new one.

import net from "node:net";
import {
  BREAK_OFF, BREAK_ON, DTR_OFF, DTR_ON, PURGE, RTS_OFF, RTS_ON,
  SET_BAUDRATE, SET_CONTROL, SET_DATASIZE, SET_PARITY, SET_STOPSIZE, Telnet,
} from "./telnet.mjs";

export class WebSerialPort {
  readable = null;
  writable = null;
  signals = []; // every change that was asked for, for the caller's report

  #host;
  #port;
  #telnet = null;
  #controller = null;

  constructor(host, port) {
    this.#host = host;
    this.#port = port;
  }

  getInfo() {
    return {};
  }

  async open({ baudRate, dataBits = 8, stopBits = 1, parity = "none" }) {
    if (this.#telnet) throw new DOMException("the port is already open", "InvalidStateError");
    const socket = await new Promise((resolve, reject) => {
      const s = net.connect(this.#port, this.#host, () => resolve(s));
      s.once("error", reject);
    });
    this.#telnet = new Telnet(socket, (bytes) => this.#controller?.enqueue(bytes), (error) => this.#lost(error));
    this.#newReadable();
    this.writable = new WritableStream({ write: (bytes) => this.#telnet.data(bytes) });
    await this.#telnet.negotiate();
    await this.#telnet.commands(
      [SET_BAUDRATE, ...bigEndian(baudRate)],
      [SET_DATASIZE, dataBits],
      [SET_PARITY, { none: 1, odd: 2, even: 3 }[parity]],
      [SET_STOPSIZE, stopBits],
      [PURGE, 3],
    );
  }

  // A cancelled stream is replaced, as the draft says, so that the port can be
  // read again by the next user.
  #newReadable() {
    this.readable = new ReadableStream({
      start: (controller) => { this.#controller = controller; },
      cancel: () => { this.#controller = null; if (this.#telnet) this.#newReadable(); },
    });
  }

  #lost(error) {
    const controller = this.#controller;
    this.#controller = null;
    if (!this.#telnet || !controller) return;
    try {
      controller.error(error ?? new DOMException("The device has been lost.", "NetworkError"));
    } catch { /* it was closed already */ }
  }

  // setSignals sends what is given, in one write, as one call of a driver would.
  async setSignals({ dataTerminalReady, requestToSend, break: brk }) {
    const list = [];
    const add = (value, name, on, off) => {
      if (value === undefined) return;
      this.signals.push(name + (value ? 1 : 0));
      list.push([SET_CONTROL, value ? on : off]);
    };
    add(dataTerminalReady, "D", DTR_ON, DTR_OFF);
    add(requestToSend, "R", RTS_ON, RTS_OFF);
    add(brk, "B", BREAK_ON, BREAK_OFF);
    await this.#telnet.commands(...list);
  }

  async close() {
    if (this.readable?.locked || this.writable?.locked) throw new TypeError("a stream of the port is locked");
    const telnet = this.#telnet;
    this.#telnet = null;
    this.readable = this.writable = null;
    await telnet?.end();
  }
}

function bigEndian(n) {
  return [n >>> 24, (n >>> 16) & 0xff, (n >>> 8) & 0xff, n & 0xff];
}

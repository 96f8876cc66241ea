// Telnet with the COM port option (RFC 2217), client side, as small as the
// Web Serial shim needs it. Written without a look at the Go codec of this
// module, so that the two check each other.

const IAC = 0xff, SE = 0xf0, SB = 0xfa, WILL = 0xfb, WONT = 0xfc, DO = 0xfd, DONT = 0xfe;
const BINARY = 0, SGA = 3, COM_PORT = 0x2c;

export const SET_BAUDRATE = 1, SET_DATASIZE = 2, SET_PARITY = 3, SET_STOPSIZE = 4, SET_CONTROL = 5, PURGE = 12;
export const BREAK_ON = 5, BREAK_OFF = 6, DTR_ON = 8, DTR_OFF = 9, RTS_ON = 11, RTS_OFF = 12;

const ACK_TIMEOUT_MS = 3000;

// Telnet speaks over a connected net.Socket. onData gets the bytes of the line.
export class Telnet {
  #socket;
  #onData;
  #state = "data";
  #verb = 0;
  #sub = [];
  #waiting = []; // { command, value, resolve, reject, timer }
  #agreed;

  constructor(socket, onData, onEnd) {
    this.#socket = socket;
    this.#onData = onData;
    this.#agreed = Promise.withResolvers?.() ?? deferred();
    socket.setNoDelay(true);
    socket.on("data", (chunk) => this.#receive(chunk));
    const end = (error) => {
      const reason = error ?? new Error("the connection was closed");
      this.#agreed.reject(reason);
      for (const w of this.#waiting.splice(0)) {
        clearTimeout(w.timer);
        w.reject(reason);
      }
      onEnd(error);
    };
    socket.on("error", end);
    socket.on("close", () => end());
    this.#agreed.promise.catch(() => {}); // whoever negotiates hears of it
  }

  // negotiate agrees on binary data and COM port control.
  async negotiate() {
    this.#socket.write(Uint8Array.of(
      IAC, WILL, BINARY, IAC, DO, BINARY, IAC, WILL, SGA, IAC, DO, SGA, IAC, WILL, COM_PORT));
    const timer = setTimeout(() => this.#agreed.reject(new Error("no COM port control")), ACK_TIMEOUT_MS);
    try {
      await this.#agreed.promise;
    } finally {
      clearTimeout(timer);
    }
  }

  // data sends bytes of the line.
  data(bytes) {
    const out = [];
    for (const b of bytes) {
      out.push(b);
      if (b === IAC) out.push(IAC);
    }
    return new Promise((resolve, reject) => {
      this.#socket.write(Uint8Array.from(out), (error) => (error ? reject(error) : resolve()));
    });
  }

  // commands sends COM-PORT commands, [command, ...value] each, in one write and
  // waits until each is acknowledged with the same value.
  commands(...list) {
    const out = [];
    const acks = list.map(([command, ...value]) => {
      out.push(IAC, SB, COM_PORT, command);
      for (const b of value) {
        out.push(b);
        if (b === IAC) out.push(IAC);
      }
      out.push(IAC, SE);
      return new Promise((resolve, reject) => {
        const entry = { command, value, resolve, reject };
        entry.timer = setTimeout(() => {
          this.#waiting.splice(this.#waiting.indexOf(entry), 1);
          reject(new Error(`no acknowledgement of command ${command}`));
        }, ACK_TIMEOUT_MS);
        this.#waiting.push(entry);
      });
    });
    this.#socket.write(Uint8Array.from(out));
    return Promise.all(acks);
  }

  end() {
    return new Promise((resolve) => {
      if (this.#socket.destroyed) return resolve();
      this.#socket.once("close", resolve);
      this.#socket.destroy();
    });
  }

  #receive(chunk) {
    let run = [];
    const flush = () => {
      if (run.length > 0) this.#onData(Uint8Array.from(run));
      run = [];
    };
    for (const b of chunk) {
      switch (this.#state) {
        case "data":
          if (b === IAC) this.#state = "iac";
          else run.push(b);
          break;
        case "iac":
          this.#state = "data";
          if (b === IAC) run.push(b);
          else if (b >= WILL && b <= DONT) { this.#verb = b; this.#state = "verb"; }
          else if (b === SB) { this.#sub = []; this.#state = "sub"; }
          break;
        case "verb":
          this.#state = "data";
          this.#option(this.#verb, b);
          break;
        case "sub":
          if (b === IAC) this.#state = "subiac";
          else this.#sub.push(b);
          break;
        case "subiac":
          this.#state = "sub";
          if (b === IAC) this.#sub.push(b);
          else if (b === SE) { this.#state = "data"; flush(); this.#acknowledged(this.#sub); }
          else throw new Error(`telnet command ${b} inside a subnegotiation`);
          break;
      }
    }
    flush();
  }

  #option(verb, option) {
    if (option === COM_PORT && verb === DO) this.#agreed.resolve();
    else if (option === COM_PORT && verb === DONT) this.#agreed.reject(new Error("COM port control refused"));
    else if (option === BINARY || option === SGA) return; // asked for above, either answer is fine
    else if (verb === DO) this.#socket.write(Uint8Array.of(IAC, WONT, option));
    else if (verb === WILL && option !== COM_PORT) this.#socket.write(Uint8Array.of(IAC, DONT, option));
  }

  #acknowledged([option, answer, ...value]) {
    if (option !== COM_PORT) return;
    const i = this.#waiting.findIndex((w) => w.command + 100 === answer);
    if (i < 0) return; // a notification
    const [w] = this.#waiting.splice(i, 1);
    clearTimeout(w.timer);
    if (w.value.join() === value.join()) w.resolve();
    else w.reject(new Error(`command ${w.command}: asked for ${w.value}, server has ${value}`));
  }
}

function deferred() {
  const d = {};
  d.promise = new Promise((resolve, reject) => Object.assign(d, { resolve, reject }));
  return d;
}

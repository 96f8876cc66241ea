// The decoder of the delta stream: frames in, pictures out, to the last bit what package delta makes
// of them. docs/delta-format.md is the format. All arithmetic is in integers below 2^32.

// Along the anti-diagonals, up where u + v is even; index 8v + u.
const zigzag = [...Array(64).keys()].sort((a, b) => {
  const sum = (i) => (i >> 3) + (i & 7), d = sum(a);
  return d - sum(b) || (d & 1 ? a - b : b - a);
});
const cosines = [256, 355, 334, 301, 256, 201, 139, 71];
// The cosine of row u at sample x by its symmetries: k counts sixteenths of half a turn.
const cosine = (u, x) => {
  const k = (2 * x + 1) * u % 32;
  const m = k > 16 ? 32 - k : k;
  return u ? m > 8 ? -cosines[16 - m] : cosines[m] : 256;
};
const basis = zigzag.map((_, i) => cosine(i >> 3, i & 7));
const place = zigzag.map((_, k) => k < 10 ? k : k < 49 ? (k > 14) + (k > 20) + (k > 27) + (k > 35) + 10 : 15);
const band = (k) => (k > 2) + (k > 9);

// Where each group of contexts begins, and the probability that each one starts with.
const SKIP = 0, INTRA = 32, MODE = 35, STILL = 38, VECTOR = 40, CODED = 56, FINE = 64, SET = 66,
  LAST = 258, MORE = 322, LEVEL = 358, ACTIVE = 454;
const start = Uint16Array.from(
  'zljgjhkieeaabaaZaaYYZZXXRXRTTSTRdZVZZeaWVZZZbjjZXZZZZfoZdaaZfaaYhVWZZaaZZZXaaZaaZbaZcaZbaZ'
  + 'caZaaYcaZaaacbgaiebZZZZZYZZaaaYZZaaZaaaZZaaZaaaaebbccZcaZYZadeZYZZZZZZZZTZZZZYVWVZYXZXYZZZ'
  + 'bYZaZWaZZZYYaZZaaadeZZZZZZZZZZOZZacYTZZcVYbYaYZYdZXbYacZaabZbZYaZZdfYUeZZZZZZZabbbcccddcbZ'
  + 'YPYZYaZacddadbdWYYZZZbaacbceedaYVZZZZjdagfbeccbZPXZZabZdcZeecacbddcbddZaZbbZceaaZXZcZgeaaa'
  + 'acldZZbdjgZZZZesZZZZZZhnZZZZZZigZZZZZZqZZZZZZZaabcejZZafobZZZZdpZZZZZZZaacgrZZadgsZZZZedpZ'
  + 'ZZZZtVUcaVZRZXGQ',
  (c) => {
    const i = c.charCodeAt() - (c < 'a' ? 65 : 71);
    let v = 96;
    for (let n = Math.min(i, 51 - i); n--;) v += v >> 2;
    return i < 26 ? v : 65536 - v;
  });

const sums = Uint32Array.from({ length: 256 }, (_, c) => {
  for (let n = 8; n--;) c = c & 1 ? c >>> 1 ^ 0xedb88320 : c >>> 1;
  return c;
});

const MISSED = 0; // thrown for the frame that a key makes good

const clamp = (v, low, high) => v < low ? low : v > high ? high : v;

const name64 = (bytes) =>
  btoa(String.fromCharCode(...bytes)).replace(/\+/g, '-').replace(/\//g, '_').replace(/=/g, '');

// Where the pictures come from: a stream, or, where a proxy holds streams back, frames by their names.
export class Changes {
  none = false; // the server has no changes, or other ones than this decoder knows
  due = 0; // milliseconds until it is worth asking again
  #base;
  #decoder = new Decoder();
  #name; // of the stream
  #next; // name of the next frame
  #held = false; // streams are held back
  #broken = 0; // frames in a row that made no picture
  #bytes; // of the pictures since the last one shown

  constructor(base) { this.#base = base; }

  // Yields bitmaps and what they cost in bytes; calls beat when something came. Ends where it is worth
  // to begin again after the time due.
  async *follow(signal, beat) {
    const get = async (path) => {
      const answer = await fetch(new URL(path, this.#base), { cache: 'no-store', signal });
      this.none ||= answer.status === 204;
      if (!answer.ok) throw answer;
      return answer;
    };
    this.#bytes = 0;
    try {
      yield* this.#held ? this.#fetch(get) : this.#stream(get, beat);
    } catch (reason) {
      if (reason !== MISSED) throw reason;
    }
  }

  async #bitmap() {
    const bytes = this.#bytes;
    this.#bytes = 0;
    return [await createImageBitmap(this.#decoder.image()), bytes];
  }

  // Takes a frame in. The first one that makes no right picture costs a key, at once and without a word
  // (see follow); the second in a row is a failure, and with the third there is no use.
  #take(frame) {
    this.#bytes += frame.length;
    try {
      this.#decoder.decode(frame);
      this.#broken = 0;
    } catch (reason) {
      this.none = ++this.#broken > 2;
      this.#decoder = new Decoder();
      this.#next = null;
      this.due = 0;
      throw this.#broken > 1 ? reason : MISSED;
    }
  }

  async *#stream(get, beat) {
    let rest = new Uint8Array(), came, reader;
    try {
      const { seq } = this.#decoder;
      const answer = await get(seq === undefined ? 'stream' : `stream?from=${this.#name}&seq=${seq}`);
      if (this.none) return;
      for (reader = answer.body.getReader(); ;) {
        const { value, done } = await reader.read();
        if (done) throw Error('frame');
        came = true;
        beat();
        const all = new Uint8Array(rest.length + value.length);
        all.set(rest);
        all.set(value, rest.length);
        const view = new DataView(all.buffer);
        let at = 0;
        for (let n; at + 4 <= all.length && at + 4 + (n = view.getUint32(at)) <= all.length; at += 4 + n) {
          const record = all.subarray(at + 4, at + 4 + n);
          if (record[0] === 76) this.#name = name64(record.subarray(1));
          else if (n) this.#take(record);
        }
        rest = all.slice(at);
        if (rest.length > 1 << 20) throw Error('frame');
        if (this.#bytes) yield await this.#bitmap();
      }
    } catch (reason) {
      this.#held ||= reason === 'late' && !came;
      reader?.cancel().catch(() => {}); // nobody reads on
      throw reason;
    }
  }

  async *#fetch(get) {
    const head = await get('head');
    if (this.none) return;
    const [number, due, key] = (await head.text()).split(' ');
    const seq = Number(number);
    this.due = Number(due) + 400 * Math.random();
    if ((seq - this.#decoder.seq) >>> 0 > 8) this.#next = null;
    for (let n = 0; this.#decoder.seq !== seq && n < 16; n++) {
      try {
        const body = new Uint8Array(await (await get(this.#next ? 'd/' + this.#next : 'k/' + key)).arrayBuffer());
        this.#take(body.subarray(16));
        this.#next = name64(body.subarray(0, 16));
      } catch (reason) {
        if (reason.status !== 404 || !this.#next) throw reason;
        this.#next = null;
      }
    }
    if (this.#bytes) yield await this.#bitmap();
  }
}

export class Decoder {
  width = 0;
  height = 0;

  // Applies a frame, or throws and leaves the picture as it was.
  decode(frame) {
    const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
    const key = frame[0] === 17;
    const head = key ? 15 : 12;
    if (!key && frame[0] !== 16 || frame.length < head || frame.length > 1 << 20) throw Error('frame');
    const coarse = frame[head - 2], fine = frame[head - 1];
    const seq = view.getUint32(1);
    const width = key ? view.getUint16(5) : this.width;
    const height = key ? view.getUint16(7) : this.height;
    if (!coarse || !fine || !width || !height || width > 1600 || height > 1600 || width * height > 192e4
      || !key && (!frame[5] || (seq - frame[5]) >>> 0 !== this.seq)) throw Error('frame');
    const across = (width + 15) >> 4, down = (height + 15) >> 4;
    const body = scan(frame.subarray(head), key, across, down, [coarse, fine], this);
    let sum = -1;
    for (let y = 0; y < height; y++)
      for (let i = y * body.stride, end = i + width; i < end; i++)
        sum = sums[(sum ^ body.pixels[i]) & 255] ^ sum >>> 8;
    if (~sum >>> 0 !== view.getUint32(head - 6)) throw Error('frame');
    Object.assign(this, body, { width, height, seq });
  }

  // The picture as RGBA.
  image() {
    const image = new ImageData(this.width, this.height);
    const out = new Uint32Array(image.data.buffer);
    for (let y = 0, i = 0; y < this.height; y++)
      for (let x = 0; x < this.width; x++)
        out[i++] = this.pixels[y * this.stride + x] * 0x10101 | 0xff000000;
    return image;
  }
}

// Reads one frame upon the picture before: the range decoder, the contexts, the macroblocks.
const scan = (input, key, across, down, [coarse, fine], { pixels: old, active }) => {
  const stride = across * 16, rows = down * 16, count = across * down;
  const pixels = key ? new Uint8Array(count * 256) : old.slice();
  const now = key ? new Uint8Array(count) : active.slice();
  // Of each macroblock: coded, intra, fine, pattern, vector.
  const mbs = Array.from({ length: count }, () => ({ c: 0, i: 0, f: 0, p: 0, x: 0, y: 0 }));
  const steps = [coarse, fine].map((q) => zigzag.map((z) => (q * (20 + (z >> 3) + (z & 7)) * 16 + 10) / 20 | 0));
  const quick = start.slice(), slow = start.slice();
  let at = 0, size = 2 ** 32 - 1, code = 0;

  const next = () => at < input.length ? input[at++] : 0;

  const normalise = () => {
    while (size < 16777216) {
      size = size << 8 >>> 0;
      code = (code << 8 | next()) >>> 0;
    }
  };

  const bit = (ctx) => {
    const bound = (size >>> 16) * (quick[ctx] + slow[ctx] >> 1);
    const one = code >= bound;
    if (one) {
      code -= bound;
      size -= bound;
      quick[ctx] -= quick[ctx] >> 4;
      slow[ctx] -= slow[ctx] >> 7;
    } else {
      size = bound;
      quick[ctx] += 65536 - quick[ctx] >> 4;
      slow[ctx] += 65536 - slow[ctx] >> 7;
    }
    normalise();
    return +one;
  };

  const raw = () => {
    size >>>= 1;
    const one = code >= size;
    if (one) code -= size;
    normalise();
    return +one;
  };

  const number = (ctx) => {
    let n = 0, v = 1;
    while (n < 16 && bit(ctx + Math.min(n, 7))) n++;
    while (n--) v = v * 2 + raw();
    return v - 1;
  };

  const signed = (ctx) => {
    const v = number(ctx);
    return v && raw() ? -v : v;
  };

  const macroblock = (n) => {
    const mb = mbs[n], none = { c: 0, i: 0, p: 0 };
    const column = n % across, x = column * 16, y = (n - column) / across * 16;
    const more = column + 1 < across;
    const left = column ? mbs[n - 1] : none, above = y ? mbs[n - across] : none;
    if (key) {
      const ctx = ACTIVE + (column ? 3 * now[n - 1] : 0);
      let v = 0;
      while (v < 3 && bit(ctx + v)) v++;
      now[n] = v;
      mb.c = mb.i = 1;
    } else {
      const near = left.c + above.c + (y && more ? mbs[n - across + 1].c : 0);
      const ahead = more && active[n + 1] === 3 || active[n + across] === 3;
      mb.c = bit(SKIP + (near * 4 + active[n]) * 2 + ahead);
      if (!mb.c) return;
      mb.i = bit(INTRA + left.i + above.i);
    }

    const pred = new Uint8Array(256);
    if (mb.i) {
      const high = bit(MODE);
      intra(x, y, high * 2 + bit(MODE + 1 + high), pred);
    } else {
      const { x: px, y: py } = [left, above].find((o) => o.c && !o.i) ?? { x: 0, y: 0 };
      let dx = px, dy = py;
      if (bit(STILL + !!(px || py))) {
        dx += signed(VECTOR);
        dy += signed(VECTOR + 8);
      }
      mb.x = clamp(dx, -2047, 2047);
      mb.y = clamp(dy, -2047, 2047);
      inter(x, y, mb.x, mb.y, pred);
    }

    for (let b = 0; b < 4; b++) {
      const beside = b & 1 ? mb.p >> b - 1 : left.p >> b + 1;
      const over = b > 1 ? mb.p >> b - 2 : above.p >> b + 2;
      mb.p |= bit(CODED + 4 * mb.i + (beside & 1) + 2 * (over & 1)) << b;
    }
    if (mb.p) mb.f = bit(FINE + mb.i);
    for (let b = 0; b < 4; b++) {
      const add = mb.p >> b & 1 && block(mb.i * 2 + mb.f, steps[mb.f]);
      for (let i = 0; i < 64; i++) {
        const u = (b & 1) * 8 + (i & 7), v = (b >> 1) * 8 + (i >> 3);
        pixels[(y + v) * stride + x + u] = clamp(pred[v * 16 + u] + (add ? add[i] : 0), 0, 255);
      }
    }
  };

  // The residual of a block.
  const block = (type, steps) => {
    const c = new Int32Array(64), t = new Int32Array(64), out = new Int32Array(64);
    for (let k = 0, before = 0; k < 64; k++) {
      if (k < 63 && !bit(SET + (type * 16 + place[k]) * 3 + before)) {
        before = 0;
        continue;
      }
      const group = type * 3 + band(k);
      let a = 1;
      if (bit(MORE + group * 3 + before)) a = Math.min(2 + number(LEVEL + group * 8), 2047);
      before = Math.min(a, 2);
      c[zigzag[k]] = clamp(raw() ? -a * steps[k] : a * steps[k], -32767, 32767);
      if (k < 63 && bit(LAST + type * 16 + place[k])) break;
    }
    const pass = (input, output, row, column, half, shift) => {
      for (let r = 0; r < 8; r++)
        for (let x = 0; x < 8; x++) {
          let sum = half;
          for (let u = 0; u < 8; u++) sum += input[r * row + u * column] * basis[u * 8 + x];
          output[r * row + x * column] = sum >> shift;
        }
    };
    pass(c, t, 8, 1, 256, 9);
    pass(t, out, 1, 8, 8192, 14);
    return out;
  };

  // Prediction from the row above and the column to the left.
  const intra = (x, y, mode, pred) => {
    const top = [], left = [];
    let sum = 16;
    for (let i = 0; i < 16; i++) {
      top[i] = y ? pixels[(y - 1) * stride + x + i] : x ? pixels[y * stride + x - 1] : 128;
      left[i] = x ? pixels[(y + i) * stride + x - 1] : y ? pixels[(y - 1) * stride + x] : 128;
      sum += top[i] + left[i];
    }
    for (let i = 0; i < 256; i++) {
      const c = i & 15, r = i >> 4;
      pred[i] = mode ? mode > 1 ? mode > 2
        ? (15 - c) * left[r] + (c + 1) * top[15] + (15 - r) * top[c] + (r + 1) * left[15] + 16 >> 5
        : left[r] : top[c] : sum >> 5;
    }
  };

  // Prediction from the picture before, moved by half pixels.
  const inter = (x, y, dx, dy, pred) => {
    x += dx >> 1;
    y += dy >> 1;
    const at = (u, v) => old[clamp(v, 0, rows - 1) * stride + clamp(u, 0, stride - 1)];
    for (let i = 0; i < 256; i++) {
      const u = x + (i & 15), v = y + (i >> 4), s = u + (dx & 1), t = v + (dy & 1);
      pred[i] = at(u, v) + at(s, v) + at(u, t) + at(s, t) + 2 >> 2;
    }
  };

  // Smooths the edges of what is new: first the upright ones, then the level ones.
  const deblock = () => {
    for (let pass = 0; pass < 2; pass++) {
      const dx = 1 - pass, dy = pass, step = pass ? stride : 1, along = pass ? 1 : stride;
      for (let by = dy; by < rows / 8; by++)
        for (let bx = dx; bx < stride / 8; bx++) {
          const a = mbs[(by >> 1) * across + (bx >> 1)];
          const b = mbs[(by - dy >> 1) * across + (bx - dx >> 1)];
          const rough = (mb, u, v) => mb.i || mb.p >> (v & 1) * 2 + (u & 1) & 1;
          if (!(a.c && (rough(a, bx, by) || a.x !== b.x || a.y !== b.y) || b.c && rough(b, bx - dx, by - dy)))
            continue;
          const q = a.c && !a.f || b.c && !b.f ? coarse : fine;
          const edge = (q * 7 / 10 | 0) + 2, flat = (q >> 2) + 2, most = (q / 5 | 0) + 1;
          for (let n = 0, i = by * 8 * stride + bx * 8; n < 8; n++, i += along) {
            const p1 = pixels[i - 2 * step], p0 = pixels[i - step], q0 = pixels[i], q1 = pixels[i + step];
            if (Math.abs(p0 - q0) >= edge || Math.abs(p1 - p0) >= flat || Math.abs(q1 - q0) >= flat) continue;
            const d = clamp((q0 - p0) * 4 + p1 - q1 + 4 >> 3, -most, most);
            pixels[i - step] = clamp(p0 + d, 0, 255);
            pixels[i] = clamp(q0 - d, 0, 255);
          }
        }
    }
  };

  for (let n = 4; n--;) code = (code << 8 | next()) >>> 0;
  for (let n = 0; n < count; n++) macroblock(n);
  deblock();
  if (!key) mbs.forEach(({ c }, n) => now[n] = c ? 3 : Math.max(active[n] - 1, 0));
  return { pixels, stride, active: now };
};

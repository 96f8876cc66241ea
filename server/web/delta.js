// The decoder of the delta stream: frames in, pictures out, to the last bit what package delta makes
// of them. docs/delta-format.md is the format. All arithmetic is in integers below 2^32.

// Along the anti-diagonals, up where u + v is even; index 8v + u.
const diagonal = (z) => (z >> 3) + (z & 7);
const along = (z) => diagonal(z) * 8 + (diagonal(z) & 1 ? z >> 3 : z & 7);
const zigzag = [...Array(64).keys()].sort((a, b) => along(a) - along(b));
// The cosine of row u at sample x; none of them is so near to a half that rounding could differ.
const basis = zigzag.map((_, i) =>
  Math.round(362 * Math.cos(((i >> 3) * ((i & 7) * 2 + 1) || 4) * Math.PI / 16)));

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
  (letter) => {
    const i = letter.charCodeAt() - (letter < 'a' ? 65 : 71);
    let v = 96;
    for (let n = Math.min(i, 51 - i); n--;) v += v >> 2;
    return i < 26 ? v : 65536 - v;
  });

const sums = Uint32Array.from({ length: 256 }, (_, sum) => {
  for (let n = 8; n--;) sum = sum & 1 ? sum >>> 1 ^ 0xedb88320 : sum >>> 1;
  return sum;
});

const clamp = (v, high, low = -high) => Math.min(Math.max(v, low), high);

// Reads a frame upon the picture before it, if there is one, and returns the picture that it makes:
// its number, what is to be shown, and what the next one needs: pixels and macroblocks. Throws for a
// frame that makes no right picture.
export const decode = (frame, before) => {
  const check = (right) => {
    if (!right) throw Error('frame');
  };
  const key = frame[0] & 1, head = key ? 15 : 12;
  check(frame[0] >> 1 === 8 && frame.length <= 2 ** 20 && frame[head - 2] && frame[head - 1]);
  const view = new DataView(frame.buffer, frame.byteOffset);
  const seq = view.getUint32(1);
  check(key || before && frame[5] && (seq - frame[5]) >>> 0 === before.seq);
  const width = key ? view.getUint16(5) : before.image.width;
  const height = key ? view.getUint16(7) : before.image.height;
  check(width && height && Math.max(width, height) <= 1600 && width * height <= 192e4);

  // Around the macroblocks are empty ones: one row above and below, one between two rows.
  const stride = width + 15 & ~15, rows = height + 15 & ~15, line = (stride >> 4) + 1;
  const blocks = Array.from({ length: line * (rows / 16 + 2) + 1 }, () =>
    // coded, intra, fine, pattern of blocks with a residual, vector, activity
    ({ c: 0, i: 0, f: 0, p: 0, x: 0, y: 0, a: 0 }));
  const old = before?.pixels, pixels = key ? new Uint8ClampedArray(stride * rows) : old.slice();
  const pixel = (x, y) => pixels[y * stride + x];
  // The macroblock of a pixel, and whether its block of 8 x 8 has a residual.
  const at = (x, y, list = blocks) => list[(y >> 4) * line + (x >> 4) + line + 1];
  const rough = (x, y) => at(x, y).p >> (y >> 2 & 2) + (x >> 3 & 1) & 1;

  const quick = start.slice(), slow = start.slice();
  let next = head, size = 2 ** 32 - 1, code = 0;

  // Behind the end of the frame are zeros.
  const shift = () => {
    code = (code << 8 | frame[next++]) >>> 0;
  };

  const split = (bound) => {
    const one = code >= bound;
    if (one) {
      code -= bound;
      size -= bound;
    } else size = bound;
    for (; size < 2 ** 24; size *= 256) shift();
    return +one;
  };

  const bit = (ctx) => {
    const one = split((size >>> 16) * (quick[ctx] + slow[ctx] >> 1));
    quick[ctx] += one ? -(quick[ctx] >> 4) : 65536 - quick[ctx] >> 4;
    slow[ctx] += one ? -(slow[ctx] >> 7) : 65536 - slow[ctx] >> 7;
    return one;
  };

  const raw = () => {
    size -= size & 1;
    return split(size / 2);
  };

  // Decisions 1 until the first 0, of which each has its context, up to a last one.
  const count = (ctx, most, last = most) => {
    let n = 0;
    while (n < most && bit(ctx + Math.min(n, last))) n++;
    return n;
  };

  const number = (ctx) => {
    let v = 1;
    for (let n = count(ctx, 16, 7); n--;) v = v * 2 + raw();
    return v - 1;
  };

  const sign = (v) => v && raw() ? -v : v;

  // The residual of a block.
  const residual = ({ i, f }) => {
    const coefficients = new Int32Array(64), type = i * 2 + f;
    for (let k = 0, last = 0; k < 64; k++) {
      const z = zigzag[k], d = diagonal(z);
      const place = type * 16 + (k < 10 ? k : Math.min(d + 6, k < 49 ? 14 : 15));
      if (k > 62 || bit(SET + place * 3 + last)) {
        const group = type * 3 + (k > 2) + (k > 9);
        const level = bit(MORE + group * 3 + last) ? Math.min(2 + number(LEVEL + group * 8), 2047) : 1;
        last = Math.min(level, 2);
        coefficients[z] = clamp(sign(level) * ((frame[head - 2 + f] * (20 + d) * 16 + 10) / 20 | 0), 32767);
        if (k < 63 && bit(LAST + place)) break;
      } else last = 0;
    }
    // Each pass turns the block over its diagonal.
    const pass = (input, bits) => {
      const output = [];
      for (let r = 0; r < 8; r++)
        for (let x = 0; x < 8; x++) {
          let sum = 1 << bits - 1;
          for (let u = 0; u < 8; u++) sum += input[r * 8 + u] * basis[u * 8 + x];
          output[x * 8 + r] = sum >> bits;
        }
      return output;
    };
    return pass(pass(coefficients, 9), 14);
  };

  // Prediction from the row above and the column to the left.
  const intra = (x, y, mode) => {
    const top = [], left = [];
    let sum = 16;
    for (let i = 0; i < 16; i++) {
      sum += top[i] = y ? pixel(x + i, y - 1) : x ? pixel(x - 1, y) : 128;
      sum += left[i] = x ? pixel(x - 1, y + i) : y ? pixel(x, y - 1) : 128;
    }
    return (c, r) => mode ? mode > 1 ? mode > 2
      ? (15 - c) * left[r] + (c + 1) * top[15] + (15 - r) * top[c] + (r + 1) * left[15] + 16 >> 5
      : left[r] : top[c] : sum >> 5;
  };

  // Prediction from the picture before, moved; everything in half pixels.
  const half = (x, y) => old[clamp(y >> 1, rows - 1, 0) * stride + clamp(x >> 1, stride - 1, 0)];
  const inter = (x, y) => (c, r) => {
    const u = x + c * 2, v = y + r * 2;
    return half(u, v) + half(u + 1, v) + half(u, v + 1) + half(u + 1, v + 1) + 2 >> 2;
  };

  const macroblock = (x, y) => {
    const mb = at(x, y), left = at(x - 1, y), above = at(x, y - 1);
    if (key) {
      mb.a = count(ACTIVE + 3 * left.a, 3);
      mb.c = mb.i = 1;
    } else {
      const was = (x, y) => at(x, y, before.blocks).a;
      const near = left.c + above.c + at(x + 16, y - 1).c;
      const ahead = was(x + 16, y) > 2 || was(x, y + 16) > 2;
      mb.c = bit(SKIP + (near * 4 + was(x, y)) * 2 + ahead);
      mb.a = mb.c ? 3 : Math.max(was(x, y) - 1, 0);
      if (!mb.c) return;
      mb.i = bit(INTRA + left.i + above.i);
    }

    let predict;
    if (mb.i) {
      const high = bit(MODE);
      predict = intra(x, y, high * 2 + bit(MODE + 1 + high));
    } else {
      const from = [left, above].find((o) => o.c > o.i) ?? at(-1, 0);
      const moved = bit(STILL + !!(from.x || from.y));
      const vector = (v, ctx) => clamp(moved ? v + sign(number(ctx)) : v, 2047);
      mb.x = vector(from.x, VECTOR);
      mb.y = vector(from.y, VECTOR + 8);
      predict = inter(x * 2 + mb.x, y * 2 + mb.y);
    }

    for (let b = 0; b < 4; b++) {
      const u = x + (b & 1) * 8, v = y + (b >> 1) * 8;
      mb.p |= bit(CODED + 4 * mb.i + rough(u - 1, v) + 2 * rough(u, v - 1)) << b;
    }
    if (mb.p) mb.f = bit(FINE + mb.i);
    for (let b = 0; b < 4; b++) {
      const add = mb.p >> b & 1 ? residual(mb) : [];
      for (let i = 0; i < 64; i++) {
        const c = (b & 1) * 8 + (i & 7), r = (b >> 1) * 8 + (i >> 3);
        pixels[(y + r) * stride + x + c] = predict(c, r) + (add[i] | 0);
      }
    }
  };

  // Smooths the edges of what is new: first the upright ones, then the level ones.
  const smooth = (step) => {
    const dx = +(step < 2), dy = 1 - dx;
    for (let y = dy * 8; y < rows; y += 8)
      for (let x = dx * 8; x < stride; x += 8) {
        const a = at(x, y), b = at(x - dx, y - dy);
        if (a.i || b.i || rough(x, y) || rough(x - dx, y - dy) || a.c && (a.x !== b.x || a.y !== b.y)) {
          const q = frame[head - 1 - (a.c > a.f || b.c > b.f)];
          const edge = (q * 7 / 10 | 0) + 2, flat = (q >> 2) + 2;
          for (let n = 0; n < 8; n++) {
            const i = (y + n * dx) * stride + x + n * dy;
            const p1 = pixels[i - 2 * step], p0 = pixels[i - step], q0 = pixels[i], q1 = pixels[i + step];
            if (Math.abs(p0 - q0) < edge && Math.abs(p1 - p0) < flat && Math.abs(q1 - q0) < flat) {
              const d = clamp((q0 - p0) * 4 + p1 - q1 + 4 >> 3, (q / 5 | 0) + 1);
              pixels[i - step] += d;
              pixels[i] -= d;
            }
          }
        }
      }
  };

  for (let n = 4; n--;) shift();
  for (let y = 0; y < rows; y += 16)
    for (let x = 0; x < stride; x += 16) macroblock(x, y);
  smooth(1);
  smooth(stride);

  const image = new ImageData(width, height), rgba = new Uint32Array(image.data.buffer);
  let sum = -1;
  for (let i = 0; i < rgba.length; i++) {
    const v = pixel(i % width, i / width | 0);
    rgba[i] = v * 0x10101 | 0xff000000;
    sum = sums[(sum ^ v) & 255] ^ sum >>> 8;
  }
  check(~sum >>> 0 === view.getUint32(head - 6));
  return { seq, image, pixels, blocks };
};

const name64 = (bytes) =>
  btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_').slice(0, 22);

// Where the pictures come from: a stream, or, where a proxy holds streams back, frames by their names.
// Returns a function that shows them as they come, by show(bitmap, bytes), and calls beat when
// something came. It returns the milliseconds until it is worth asking again, or nothing when the
// server has no changes, or other ones than this decoder knows.
export const changes = (base) => {
  let none; // what it returned last, and will for ever
  let picture; // the newest
  let name; // of the stream
  let next; // of the next frame
  let held; // streams are held back
  let broken = 0; // frames in a row that made no picture

  return async (signal, beat, show) => {
    let bytes = 0; // of the pictures since the last one shown

    const get = async (path) => {
      const answer = await fetch(new URL(path, base), { cache: 'no-store', signal });
      none ||= answer.status === 204;
      if (!answer.ok) throw answer;
      return answer;
    };

    // Takes a frame in. The first one that makes no right picture costs a key, at once and without a
    // word; the second in a row is a failure, and with the third there is no use.
    const take = (frame) => {
      bytes += frame.length;
      try {
        picture = decode(frame, picture);
        broken = 0;
        return true;
      } catch (reason) {
        picture = next = null;
        none = ++broken > 2;
        if (broken > 1) throw reason;
      }
    };

    const flush = async () => {
      if (bytes) await show(await createImageBitmap(picture.image), bytes);
      bytes = 0;
    };

    const stream = async () => {
      let rest, reader;
      try {
        const answer = await get(picture ? `stream?from=${name}&seq=${picture.seq}` : 'stream');
        if (none) return;
        for (reader = answer.body.getReader(); ;) {
          const { value, done } = await reader.read();
          if (done) throw Error('frame');
          beat();
          rest = new Uint8Array([...rest ?? [], ...value]);
          const view = new DataView(rest.buffer);
          let at = 0;
          for (let n; at + 4 <= rest.length && at + 4 + (n = view.getUint32(at)) <= rest.length;) {
            const record = rest.subarray(at += 4, at += n);
            if (record[0] === 76) name = name64(record.subarray(1));
            else if (n && !take(record)) return 0;
          }
          rest = rest.slice(at);
          if (rest.length > 2 ** 20) throw Error('frame');
          await flush();
        }
      } catch (reason) {
        held ||= reason === 'late' && !rest;
        if (!held) throw reason;
        return 0;
      } finally {
        reader?.cancel().catch(() => {}); // nobody reads on
      }
    };

    const names = async () => {
      const answer = await get('head');
      if (none) return;
      const [number, due, key] = (await answer.text()).split(' ');
      const seq = Number(number);
      if ((seq - picture?.seq) >>> 0 > 8) next = null;
      for (let n = 16; picture?.seq !== seq && n--;)
        try {
          const answer = await get(next ? 'd/' + next : 'k/' + key);
          const body = new Uint8Array(await answer.arrayBuffer());
          if (!take(body.subarray(16))) return 0;
          next = name64(body.subarray(0, 16));
        } catch (reason) {
          if (reason.status !== 404 || !next) throw reason;
          next = null;
        }
      await flush();
      return Number(due) + 400 * Math.random();
    };

    if (none) return;
    if (!held) return stream();
    held = false; // should names fail as well, it was an outage and no proxy: a stream is next
    const wait = await names();
    held = true;
    return wait;
  };
};

// Decodes frames from stdin and writes what became of each to stdout. A frame is a length (32 bits)
// and bytes; the length 2^32-1 begins anew without a picture. An answer is 1 for taken or 0 for
// refused, width, height (16 bits each) and the picture as it is now.
import { readFileSync, writeSync } from 'node:fs';

// What browsers have.
globalThis.ImageData = class {
  constructor(width, height) {
    Object.assign(this, { width, height, data: new Uint8ClampedArray(4 * width * height) });
  }
};

const { decode } = await import(process.argv[2]);
const input = readFileSync(0);
let picture;
const out = (bytes) => { for (let n = 0; n < bytes.length;) n += writeSync(1, bytes, n); };
for (let at = 0; at < input.length;) {
  const length = input.readUInt32BE(at);
  at += 4;
  if (length === 2 ** 32 - 1) {
    picture = undefined;
    continue;
  }
  let taken = 1;
  try {
    picture = decode(new Uint8Array(input.subarray(at, at + length)), picture);
  } catch (reason) {
    if (reason.message !== 'frame') throw reason;
    taken = 0;
  }
  at += length;
  const { width, height, data } = picture?.image ?? new ImageData(0, 0);
  const head = Buffer.alloc(5);
  head[0] = taken;
  head.writeUInt16BE(width, 1);
  head.writeUInt16BE(height, 3);
  out(head);
  const gray = Buffer.alloc(width * height);
  gray.forEach((_, i) => {
    const [red, green, blue, alpha] = data.subarray(4 * i, 4 * i + 4);
    if (green !== red || blue !== red || alpha !== 255) throw Error('not gray');
    gray[i] = red;
  });
  out(gray);
}

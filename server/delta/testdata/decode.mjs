// Decodes frames from stdin and writes what became of each to stdout. A frame is a length (32 bits)
// and bytes; the length 2^32-1 begins anew with an empty decoder. An answer is 1 for taken or 0 for
// refused, width, height (16 bits each) and the picture as it is now.
import { readFileSync, writeSync } from 'node:fs';

const { Decoder } = await import(process.argv[2]);
const input = readFileSync(0);
let decoder = new Decoder();
const out = (bytes) => { for (let n = 0; n < bytes.length;) n += writeSync(1, bytes, n); };
for (let at = 0; at < input.length;) {
  const length = input.readUInt32BE(at);
  at += 4;
  if (length === 2 ** 32 - 1) {
    decoder = new Decoder();
    continue;
  }
  let taken = 1;
  try {
    decoder.decode(new Uint8Array(input.subarray(at, at + length)));
  } catch (reason) {
    if (reason.message !== 'frame') throw reason;
    taken = 0;
  }
  at += length;
  const { width, height, stride, pixels } = decoder;
  const head = Buffer.alloc(5);
  head[0] = taken;
  head.writeUInt16BE(width, 1);
  head.writeUInt16BE(height, 3);
  out(head);
  for (let y = 0; y < height; y++) out(pixels.subarray(y * stride, y * stride + width));
}

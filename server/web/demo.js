// The demo page's line about bytes: what came, and what the same pictures have as JPEGs.
const line = document.querySelector('.saved');
let came = 0, whole = 0, size = 0;
const text = (n) => n < 1e4 ? `${n} bytes` : n < 1e6 ? `${Math.round(n / 1e3)} kB` : `${(n / 1e6).toFixed(1)} MB`;

document.querySelector('porthole-feed').addEventListener('frame', async ({ detail: { bytes } }) => {
  size ||= Number((await fetch('latest', { method: 'HEAD' })).headers.get('Content-Length'));
  came += bytes;
  whole += size;
  if (!size || came >= whole) return;
  line.textContent = `The newest one came in ${text(bytes)}; as a JPEG it has ${text(size)}. Saved since you came: ${text(whole - came)}.`;
  line.hidden = false;
});

// <porthole-feed>: the newest picture of a camera, as a figure or as the background of a page.
//
//   <script type="module" src="https://cam.example/feed.js"></script>
//   <porthole-feed background alt="My desk"></porthole-feed>
//
// It takes a stream of changes, decodes them by delta.js, which is served as a part of this module, and
// falls back to whole pictures.
// Attributes: src, interval, timeout (ms), background, alt, paused, wave.
// Events: frame, unreachable, wave.
// Pictures go straight from fetch to canvas: no object URLs, so a page needs neither img-src blob:
// nor any unsafe-* in its CSP, only connect-src for the camera.

import { Changes } from './delta.js';

const LATEST = new URL('latest', import.meta.url).href;

const sheet = new CSSStyleSheet();
sheet.replaceSync(`
:host { display: block; position: relative; overflow: hidden; aspect-ratio: 4/3 }
:host([background]) { display: contents }
:host([hidden]) { display: none }
div {
  position: absolute; inset: 0; pointer-events: none;
  opacity: calc(var(--porthole-opacity, 1) * var(--light, 1)); filter: var(--porthole-filter, none);
}
:host([background]) div { position: fixed; z-index: var(--porthole-layer, -1) }
canvas {
  position: absolute; width: 100%; height: 100%;
  object-fit: var(--porthole-fit, cover); object-position: var(--porthole-position, center);
  opacity: 0; transition: opacity 0s var(--porthole-fade, 600ms);
}
canvas.front { z-index: 1; opacity: 1; transition: opacity var(--porthole-fade, 600ms) ease-in-out }
button {
  position: absolute; z-index: 2; right: 12px; bottom: 12px; width: 44px; height: 44px; padding: 0;
  display: grid; place-items: center; overflow: hidden; opacity: var(--light, 1);
  border: 1px solid #fff6; border-radius: 50%; color: #fff; background: #000a; cursor: pointer;
}
:host([background]) button {
  position: fixed;
  right: max(16px, env(safe-area-inset-right)); bottom: max(16px, env(safe-area-inset-bottom));
}
button:hover { background: #000d }
button:focus-visible { outline: 3px solid #fff; box-shadow: 0 0 0 6px #000; opacity: 1 }
button::before {
  content: ""; width: 14px; height: 16px; background: currentColor; forced-color-adjust: none;
  clip-path: polygon(0 0, 36% 0, 36% 100%, 64% 100%, 64% 0, 100% 0, 100% 100%, 0 100%);
}
button[aria-pressed=true]::before { clip-path: polygon(8% 0, 100% 50%, 8% 100%) }
.wave { translate: -52px }
:host(:not([wave])) .wave { display: none }
button.wave::before {
  width: 20px; height: 20px;
  clip-path: polygon(18% 56%, 18% 12%, 32% 12%, 32% 44%, 36% 44%, 36% 0, 50% 0, 50% 44%, 54% 44%, 54% 6%, 68% 6%, 68% 50%, 82% 36%, 94% 44%, 64% 100%, 32% 100%, 18% 80%);
}
span { position: absolute; clip-path: inset(50%); white-space: nowrap }
@media (prefers-reduced-motion) { canvas, canvas.front { transition: none } }
`);

const make = (tag, props) => Object.assign(document.createElement(tag), props);

export class PortholeFeed extends HTMLElement {
  static observedAttributes = ['src', 'interval', 'background', 'alt', 'paused'];

  #stage = make('div');
  #layers = [0, 1].map(() => make('canvas', { part: 'image' })); // [front, back]
  #button = make('button', { type: 'button', part: 'button' });
  #hand = make('button', { type: 'button', part: 'button wave', className: 'wave' });
  #eye = new IntersectionObserver((seen) => {
    this.#seen = seen.at(-1).isIntersecting;
    this.#update();
  }, { rootMargin: '10%' });

  #life; // AbortController of everything that ends with removal from the page
  #request; // AbortController of the one request in flight
  #timer;
  #due = 0; // earliest start of the next request
  #soon = 0; // the same without backoff
  #seen = false;
  #light = 1; // 1 at the top of the page … 0 scrolled away (background only)
  #failures = 0;
  #thrifty = navigator.connection?.saveData; // rest after the first picture
  #etag;
  #changes; // where changes come from

  constructor() {
    super();
    const root = this.attachShadow({ mode: 'open' });
    root.adoptedStyleSheets = [sheet];
    const label = (name, textContent) => {
      const span = make('span', { part: 'label' });
      span.append(make('slot', { name, textContent }));
      return span;
    };
    this.#button.append(label('label', 'Pause camera'));
    this.#hand.append(label('wave-label', 'Wave at the camera'));
    this.#hand.onclick = () => this.wave().catch(() => {});
    this.#button.onclick = () => {
      this.#thrifty = false;
      this.paused = !this.paused;
    };
    this.#stage.append(...this.#layers);
    root.append(this.#stage, this.#button, this.#hand);
    this.#describe();
  }

  get paused() { return this.hasAttribute('paused'); }
  set paused(on) { this.toggleAttribute('paused', on); }

  // Wave, and know how many people have so far; rejects with the answer where that is too much.
  async wave() {
    const answer = await fetch(new URL('wave', this.#url), { method: 'POST' });
    if (!answer.ok) throw answer;
    const { waves } = await answer.json();
    this.#hand.title = waves;
    this.dispatchEvent(new CustomEvent('wave', { detail: { waves } }));
    return waves;
  }

  get #url() { return new URL(this.getAttribute('src') || LATEST, document.baseURI); }

  connectedCallback() {
    this.#life = new AbortController();
    const { signal } = this.#life;
    document.addEventListener('visibilitychange', () => this.#update(), { signal });
    addEventListener('online', () => this.#hurry(), { signal });
    for (const type of ['scroll', 'resize'])
      addEventListener(type, () => this.#dim(), { signal, passive: true });
    this.#eye.observe(this.#stage);
    this.#dim();
  }

  disconnectedCallback() {
    this.#life.abort();
    this.#life = null;
    this.#eye.disconnect();
    this.#seen = false;
    this.#update();
  }

  attributeChangedCallback(name) {
    this.#describe();
    if (name === 'src') {
      this.#etag = null;
      this.#stop();
    }
    if (name === 'src' || name === 'interval') this.#soon = 0;
    if (name === 'background') this.#dim();
    else if (name !== 'alt') this.#hurry();
  }

  // Assistive technology sees one picture and one toggle; alt="" makes the picture decoration.
  #describe() {
    const alt = this.getAttribute('alt') ?? 'Camera picture';
    this.#stage.role = alt ? 'img' : 'none';
    this.#stage.ariaLabel = alt || null;
    this.#button.ariaPressed = String(this.paused);
  }

  // A background leaves as the reader moves on: gone after one screen of scrolling.
  #dim() {
    this.#light = this.hasAttribute('background')
      ? Math.min(1, Math.max(0, 1 - scrollY / innerHeight)) : 1;
    for (const { style } of [this.#stage, this.#button, this.#hand]) {
      style.setProperty('--light', this.#light);
      style.visibility = this.#light ? '' : 'hidden';
    }
    this.#update();
  }

  // An attribute as milliseconds, kept in what a timer can hold and a server can bear.
  #ms(name, otherwise) {
    return Math.min(Math.max(Number(this.getAttribute(name)) || otherwise, 100), 36e5);
  }

  // The one place that decides between asking and resting.
  #update() {
    clearTimeout(this.#timer);
    if (!this.#life || this.paused || !this.#seen || !this.#light || document.hidden) this.#stop();
    else if (!this.#request)
      this.#timer = setTimeout(() => this.#poll(), Math.max(0, this.#due - performance.now()));
  }

  #stop() {
    this.#request?.abort();
    this.#request = null;
  }

  // Forget the backoff (somebody pressed play, the network is back), not the interval.
  #hurry() {
    this.#due = Math.min(this.#due, this.#soon);
    this.#update();
  }

  async #poll() {
    const request = this.#request = new AbortController();
    const current = () => this.#request === request;
    let watchdog;
    const watch = (ms) => {
      clearTimeout(watchdog);
      watchdog = setTimeout(() => request.abort('late'), ms);
    };
    watch(this.#ms('timeout', 10000));
    // Regular, but half to one and a half intervals after the first request: viewers who came
    // together do not ask together.
    const interval = this.#ms('interval', 2000) * (this.#soon ? 1 : 0.5 + Math.random());
    this.#due = this.#soon = performance.now() + interval;
    const show = async ([bitmap, bytes]) => {
      if (bitmap) await this.#show(bitmap, bytes, current);
      if (current()) this.#failures = 0;
      if (current() && this.#thrifty) this.paused = true;
      this.#thrifty &&= !this.paused;
    };
    try {
      const changes = this.#source();
      if (changes)
        // A stream says at least every 15 s that it lives.
        for await (const picture of changes.follow(request.signal, () => watch(4e4))) await show(picture);
      if (!changes || changes.none) {
        const picture = await this.#load(request.signal);
        clearTimeout(watchdog);
        await show(picture);
      } else if (current()) this.#due = this.#soon = performance.now() + changes.due;
    } catch (reason) {
      if (current()) this.#fail(reason);
    }
    clearTimeout(watchdog);
    if (!current()) return;
    this.#request = null;
    this.#update();
  }

  // Changes are tried first, unless the page names a picture.
  #source() {
    if (this.getAttribute('src')) return null;
    this.#changes ??= new Changes(LATEST);
    return this.#changes.none ? null : this.#changes;
  }

  // The newest picture, or nothing when it is the one already shown. If-None-Match goes to our own
  // origin only: elsewhere it would turn a simple GET into a preflight.
  async #load(signal) {
    const url = this.#url;
    const headers = { Accept: 'image/webp,image/*' };
    if (this.#etag && url.origin === location.origin) headers['If-None-Match'] = this.#etag;
    const answer = await fetch(url, { cache: 'no-store', headers, signal });
    if (answer.status === 304) return [];
    if (!answer.ok) throw answer;
    const shot = await answer.blob();
    const bitmap = await createImageBitmap(shot); // off-thread; rejects a broken one
    if (!signal.aborted) this.#etag = answer.headers.get('ETag');
    return [bitmap, shot.size];
  }

  // The new picture fades in over the old one, which stays whole beneath until the fade is over.
  async #show(bitmap, bytes, current) {
    const [front, back] = this.#layers;
    await Promise.allSettled(front.getAnimations().map((fade) => fade.finished));
    if (!current()) return bitmap.close();
    const { width, height } = bitmap;
    Object.assign(back, { width, height });
    back.getContext('bitmaprenderer').transferFromImageBitmap(bitmap);
    front.className = '';
    back.className = 'front';
    this.#layers = [back, front];
    this.dispatchEvent(new CustomEvent('frame', { detail: { width, height, bytes } }));
  }

  // 1 s, 2 s, 4 s … 60 s, the upper half of it drawn, and never sooner than the server asks.
  #fail(reason) {
    const ceiling = Math.min(6e4, 1e3 * 2 ** ++this.#failures);
    const asked = reason instanceof Response ? reason.headers.get('Retry-After') * 1e3 || 0 : 0;
    this.#due = performance.now()
      + Math.min(6e4, Math.max(asked, ceiling * (1 + Math.random()) / 2));
    if (this.#failures === 1) this.dispatchEvent(new CustomEvent('unreachable'));
  }
}

customElements.get('porthole-feed') ?? customElements.define('porthole-feed', PortholeFeed);

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

import { changes } from './delta.js';

const LATEST = new URL('latest', import.meta.url);

const sheet = new CSSStyleSheet();
sheet.replaceSync(`
:host { display: block; position: relative; overflow: hidden; aspect-ratio: 4/3 }
:host([background]) { display: contents }
:host([hidden]) { display: none }
div {
  position: absolute; inset: 0; pointer-events: none;
  opacity: calc(var(--porthole-opacity, 1)*var(--light, 1)); filter: var(--porthole-filter, none);
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
  clip-path: path('M0 0h5v16H0zM9 0h5v16H9z');
}
button[aria-pressed=true]::before { clip-path: path('M1 0l13 8-13 8z') }
.wave { translate: -52px }
:host(:not([wave])) .wave { display: none }
button.wave::before {
  width: 20px; height: 20px;
  clip-path: path('M4 11V2h3v7h1V0h2v9h1V1h3v9l3-3 2 2-6 11H7L4 16z');
}
span { position: absolute; clip-path: inset(50%); white-space: nowrap }
@media (prefers-reduced-motion) { canvas, canvas.front { transition: none } }
`);

const make = (tag, props, ...children) => {
  const made = Object.assign(document.createElement(tag), props);
  made.append(...children);
  return made;
};

const now = () => performance.now();

// What is behind an element, as functions: when it comes into a page and leaves it, when an attribute
// changed, and for a wave. Whatever is private is a variable here: so the names may be short ones.
const behind = (element) => {
  const attribute = (name) => element.getAttribute(name);
  const url = () => new URL(attribute('src') || LATEST, document.baseURI);
  const tell = (type, detail) => element.dispatchEvent(new CustomEvent(type, { detail }));
  const follow = changes(LATEST);

  const button = (part, name, textContent, onclick) =>
    make('button', { type: 'button', part, className: part, onclick },
      make('span', { part: 'label' }, make('slot', { name, textContent })));
  const layers = [0, 1].map(() => make('canvas', { part: 'image' })); // [front, back]
  const stage = make('div', {}, ...layers);
  const toggle = button('button', 'label', 'Pause camera', () => {
    thrifty = false;
    element.paused = !element.paused;
  });
  const hand = button('button wave', 'wave-label', 'Wave at the camera', () => wave().catch(() => {}));
  const root = element.attachShadow({ mode: 'open' });
  root.adoptedStyleSheets = [sheet];
  root.append(stage, toggle, hand);

  let life; // AbortController of everything that ends with removal from the page
  let request; // AbortController of the one request in flight
  let timer;
  let due = 0; // earliest start of the next request
  let soon = 0; // the same without backoff
  let seen; // in the window, or nearly
  let light = 1; // 1 at the top of the page … 0 scrolled away (background only)
  let failures = 0;
  let thrifty = navigator.connection?.saveData; // rest after the first picture
  let etag;

  const eye = new IntersectionObserver((entries) => {
    seen = entries.at(-1).isIntersecting;
    update();
  }, { rootMargin: '10%' });

  // Wave, and know how many people have so far; rejects with the answer where that is too much.
  const wave = async () => {
    const answer = await fetch(new URL('wave', url()), { method: 'POST' });
    if (!answer.ok) throw answer;
    const { waves } = await answer.json();
    hand.title = waves;
    tell('wave', { waves });
    return waves;
  };

  const enter = () => {
    life = new AbortController();
    const listen = (target, type, f) =>
      target.addEventListener(type, f, { signal: life.signal, passive: true });
    listen(document, 'visibilitychange', update);
    listen(window, 'online', hurry);
    listen(window, 'scroll', dim);
    listen(window, 'resize', dim);
    eye.observe(stage);
    dim();
  };

  const leave = () => {
    life.abort();
    life = seen = null;
    eye.disconnect();
    update();
  };

  const change = (name) => {
    describe();
    if (name === 'src') {
      etag = null;
      stop();
    }
    if (name === 'src' || name === 'interval') soon = 0;
    if (name === 'background') dim();
    else if (name !== 'alt') hurry();
  };

  // Assistive technology sees one picture and one toggle; alt="" makes the picture decoration.
  const describe = () => {
    const alt = attribute('alt') ?? 'Camera picture';
    stage.role = alt ? 'img' : 'none';
    stage.ariaLabel = alt || null;
    toggle.ariaPressed = String(element.paused);
  };

  // A background leaves as the reader moves on: gone after one screen of scrolling.
  const dim = () => {
    light = element.hasAttribute('background')
      ? Math.min(1, Math.max(0, 1 - scrollY / innerHeight)) : 1;
    for (const { style } of [stage, toggle, hand]) {
      style.setProperty('--light', light);
      style.visibility = light ? '' : 'hidden';
    }
    update();
  };

  // An attribute as milliseconds, kept in what a timer can hold and a server can bear.
  const ms = (name, otherwise) => Math.min(Math.max(Number(attribute(name)) || otherwise, 100), 36e5);

  // The one place that decides between asking and resting.
  const update = () => {
    clearTimeout(timer);
    if (!life || element.paused || !seen || !light || document.hidden) stop();
    else if (!request) timer = setTimeout(poll, Math.max(0, due - now()));
  };

  const stop = () => {
    request?.abort();
    request = null;
  };

  // Forget the backoff (somebody pressed play, the network is back), not the interval.
  const hurry = () => {
    due = Math.min(due, soon);
    update();
  };

  const poll = async () => {
    const mine = request = new AbortController();
    const { signal } = mine;
    const current = () => request === mine;
    let watchdog;
    const watch = (late) => {
      clearTimeout(watchdog);
      watchdog = setTimeout(() => mine.abort('late'), late);
    };

    const succeed = () => {
      if (!current()) return;
      failures = 0;
      if (thrifty) {
        thrifty = false;
        element.paused = true;
      }
    };

    // The new picture fades in over the old one, which stays whole beneath until the fade is over.
    const show = async (bitmap, bytes) => {
      const [front, back] = layers;
      await Promise.allSettled(front.getAnimations().map((fade) => fade.finished));
      if (!current()) return bitmap.close();
      const { width, height } = bitmap;
      Object.assign(back, { width, height });
      back.getContext('bitmaprenderer').transferFromImageBitmap(bitmap);
      front.className = '';
      back.className = 'front';
      layers.reverse();
      tell('frame', { width, height, bytes });
      succeed();
    };

    // The newest picture, unless it is the one already shown. If-None-Match goes to our own origin
    // only: elsewhere it would turn a simple GET into a preflight.
    const load = async () => {
      const address = url(), headers = { Accept: 'image/webp,image/*' };
      if (etag && address.origin === location.origin) headers['If-None-Match'] = etag;
      const answer = await fetch(address, { cache: 'no-store', headers, signal });
      if (answer.status === 304) return succeed();
      if (!answer.ok) throw answer;
      const shot = await answer.blob();
      const bitmap = await createImageBitmap(shot); // off-thread; rejects a broken one
      if (!signal.aborted) etag = answer.headers.get('ETag');
      await show(bitmap, shot.size);
    };

    watch(ms('timeout', 10000));
    // Regular, but half to one and a half intervals after the first request: viewers who came
    // together do not ask together.
    due = soon = now() + ms('interval', 2000) * (soon ? 1 : 0.5 + Math.random());
    try {
      // Changes are tried first, unless the page names a picture. A stream says at least every 15 s
      // that it lives.
      const wait = attribute('src') ? null : await follow(signal, () => watch(4e4), show);
      if (wait == null) await load();
      else if (current()) due = soon = now() + wait;
    } catch (reason) {
      if (current()) fail(reason);
    }
    clearTimeout(watchdog);
    if (!current()) return;
    request = null;
    update();
  };

  // 1 s, 2 s, 4 s … 60 s, the upper half of it drawn, and never sooner than the server asks.
  const fail = (reason) => {
    const ceiling = Math.min(6e4, 1e3 * 2 ** ++failures);
    const asked = reason.headers?.get('Retry-After') * 1e3 || 0;
    due = now() + Math.min(6e4, Math.max(asked, ceiling * (1 + Math.random()) / 2));
    if (failures === 1) tell('unreachable');
  };

  describe();
  return { wave, enter, leave, change };
};

export class PortholeFeed extends HTMLElement {
  static observedAttributes = ['src', 'interval', 'background', 'alt', 'paused'];
  #behind = behind(this);

  get paused() { return this.hasAttribute('paused'); }
  set paused(on) { this.toggleAttribute('paused', on); }
  wave() { return this.#behind.wave(); }
  connectedCallback() { this.#behind.enter(); }
  disconnectedCallback() { this.#behind.leave(); }
  attributeChangedCallback(name) { this.#behind.change(name); }
}

customElements.get('porthole-feed') ?? customElements.define('porthole-feed', PortholeFeed);

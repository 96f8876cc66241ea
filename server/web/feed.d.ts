// Types of feed.js.

/**
 * Detail of a `frame` event: the size of the picture in pixels, and what came over the network for
 * it, in bytes without headers. It carries no time and no number.
 */
export interface PortholeFrame {
  readonly width: number;
  readonly height: number;
  readonly bytes: number;
}

/** Detail of a `wave` event: how many visitors have waved so far. */
export interface PortholeWave {
  readonly waves: number;
}

export interface PortholeFeedEventMap extends HTMLElementEventMap {
  /** A new picture is being faded in. */
  frame: CustomEvent<PortholeFrame>;
  /** The first failed request of an outage; requests go on with growing pauses (1 s … 60 s). */
  unreachable: CustomEvent<null>;
  /** This visitor's wave was taken. The camera's owner sees it a random while later. */
  wave: CustomEvent<PortholeWave>;
}

/**
 * `<porthole-feed>`: the newest picture of a camera.
 *
 * It takes what costs least: a stream of changes, changes by their names where a proxy holds streams
 * back, else whole pictures, as WebP or JPEG. Whatever does not decode to the right picture is not
 * shown.
 *
 * Attributes
 * - `src`: address of the newest picture; then whole pictures are taken from there. By default changes
 *   and `latest` beside the module itself.
 * - `interval`: milliseconds from request to request, 2000 by default, at least 100.
 * - `timeout`: milliseconds one request may take, 10000 by default.
 * - `background`: fill the window behind the content, let clicks through, fade out on scroll. The
 *   element belongs directly into `<body>`.
 * - `alt`: text alternative; empty for decoration.
 * - `paused`: make no requests. The button sets and removes it.
 * - `wave`: show a second button, to wave at the camera.
 *
 * Slots `label` and `wave-label`: the names of the buttons ("Pause camera", "Wave at the camera").
 *
 * CSS custom properties: `--porthole-fade` (600ms), `--porthole-opacity` (1), `--porthole-filter`
 * (none), `--porthole-fit` (cover), `--porthole-position` (center), `--porthole-layer` (z-index of a
 * background, -1). Parts: `image`, `button`, `wave`,
 * `label`.
 *
 * It rests while paused, hidden, or scrolled away. With reduced motion pictures change without a
 * fade; with data saving it pauses itself after the first picture.
 */
export class PortholeFeed extends HTMLElement {
  paused: boolean;

  /** Wave at the camera; resolves with the count, rejects with the answer that refused it. */
  wave(): Promise<number>;

  addEventListener<K extends keyof PortholeFeedEventMap>(
    type: K,
    listener: (this: PortholeFeed, event: PortholeFeedEventMap[K]) => unknown,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject,
    options?: boolean | AddEventListenerOptions,
  ): void;
  removeEventListener<K extends keyof PortholeFeedEventMap>(
    type: K,
    listener: (this: PortholeFeed, event: PortholeFeedEventMap[K]) => unknown,
    options?: boolean | EventListenerOptions,
  ): void;
  removeEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject,
    options?: boolean | EventListenerOptions,
  ): void;
}

declare global {
  interface HTMLElementTagNameMap {
    'porthole-feed': PortholeFeed;
  }
}

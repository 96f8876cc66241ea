// Types of feed.js.

/** Detail of a `frame` event: the size of the picture in pixels. It carries no time and no number. */
export interface PortholeFrame {
  readonly width: number;
  readonly height: number;
}

export interface PortholeFeedEventMap extends HTMLElementEventMap {
  /** A new picture is being faded in. */
  frame: CustomEvent<PortholeFrame>;
  /** The first failed request of an outage; requests go on with growing pauses (1 s … 60 s). */
  unreachable: CustomEvent<null>;
}

/**
 * `<porthole-feed>`: the newest picture of a camera.
 *
 * Attributes
 * - `src`: address of the newest picture; by default `latest` beside the module itself.
 * - `interval`: milliseconds from request to request, 2000 by default, at least 100.
 * - `timeout`: milliseconds one request may take, 10000 by default.
 * - `background`: fill the window behind the content, let clicks through, fade out on scroll. The
 *   element belongs directly into `<body>`.
 * - `alt`: text alternative; empty for decoration.
 * - `paused`: make no requests. The button sets and removes it.
 *
 * Slot `label`: the name of the button ("Pause camera").
 *
 * CSS custom properties: `--porthole-fade` (600ms), `--porthole-opacity` (1), `--porthole-filter`
 * (none), `--porthole-fit` (cover), `--porthole-position` (center), `--porthole-layer` (z-index of a
 * background, -1). Parts: `image`, `button`, `label`.
 *
 * It rests while paused, hidden, or scrolled away. With reduced motion pictures change without a
 * fade; with data saving it pauses itself after the first picture.
 */
export class PortholeFeed extends HTMLElement {
  paused: boolean;

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

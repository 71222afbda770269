/**
 * What the service worker takes from its surroundings, as far as it is used.
 *
 * Owns: those shapes; TypeScript's own come only with a library that contradicts the page's. Does not know: what is done.
 */

export interface Client {
  readonly url: string;
  postMessage(message: unknown, transfer: Transferable[]): void;
}

interface Lasting {
  waitUntil(work: Promise<unknown>): void;
}

export interface FetchCall extends Lasting {
  readonly request: Request;
  /** What the browser asked for while the worker started; undefined where it did not. */
  readonly preloadResponse: Promise<Response | undefined>;
  respondWith(answer: Promise<Response>): void;
}

export interface MessageCall extends Lasting {
  readonly data: unknown;
  readonly ports: readonly MessagePort[];
}

interface Calls {
  install: Lasting;
  activate: Lasting;
  fetch: FetchCall;
  message: MessageCall;
}

export interface WorkerScope {
  readonly registration: ServiceWorkerRegistration;
  readonly clients: {
    claim(): Promise<void>;
    matchAll(options: { type: "window"; includeUncontrolled: boolean }): Promise<readonly Client[]>;
  };
  skipWaiting(): Promise<void>;
  addEventListener<Name extends keyof Calls>(name: Name, run: (call: Calls[Name]) => void): void;
}

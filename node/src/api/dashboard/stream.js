// Follows the node's events while the page is seen, and goes on where it left off.

const WORDS = ["peer_ready", "peer_gone", "reason", "note", "tip", "gap"];
// Events of the past that a page begins with.
const PAST = 1500;
// Pauses before another try, in milliseconds.
const PAUSE_FIRST = 1_000;
const PAUSE_MAX = 30_000;

// A stream that tells `onEvent` what happened, and `onState` whether it is connected.
export class Stream {
  #source = null;
  #timer = 0;
  #pause = PAUSE_FIRST;
  #since = null;
  #onEvent;
  #onState;

  constructor(onEvent, onState) {
    this.#onEvent = onEvent;
    this.#onState = onState;
  }

  // Opens it, if it is not open. `last` is the newest event's number.
  open(last) {
    this.#since ??= Math.max(0, last - PAST);
    if (this.#source || this.#timer) {
      return;
    }
    const source = new EventSource(`api/v1/events?since=${this.#since}`);
    this.#source = source;
    source.addEventListener("open", () => {
      this.#pause = PAUSE_FIRST;
      this.#onState(true);
    });
    source.addEventListener("error", () => this.#failed());
    for (const word of WORDS) {
      source.addEventListener(word, (message) => this.#heard(message));
    }
  }

  // Closes it; what happens meanwhile comes when it is opened again, as far as the node keeps it.
  close() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.#source?.close();
    this.#source = null;
  }

  #heard(message) {
    const happened = JSON.parse(message.data);
    this.#since = happened.sequence;
    this.#onEvent(happened);
  }

  // The browser would try again every few seconds for ever; this tries ever more rarely.
  #failed() {
    this.close();
    this.#onState(false);
    this.#timer = setTimeout(() => {
      this.#timer = 0;
      this.open(this.#since);
    }, this.#pause);
    this.#pause = Math.min(2 * this.#pause, PAUSE_MAX);
  }
}

// Reads and writes raw streams.
import { concat } from './binprot.mjs'
import { framed, readVarint } from './protobuf.mjs'
import { within } from './wait.mjs'

const PATIENCE_MS = 20_000

export class Raw {
  #bytes = new Uint8Array(0)
  #waiting = []
  isOver = false

  constructor (stream) {
    this.stream = stream
    stream.addEventListener('message', ({ data }) => {
      this.#bytes = concat(this.#bytes, data.subarray())
      this.#wake()
    })
    stream.addEventListener('end', () => this.#end())
    stream.addEventListener('close', () => this.#end())
    if (stream.readableEnded) this.#end()
  }

  static async open (stock, ours, protocol) {
    const connection = stock.connection(ours.id)
    return new Raw(await connection.newStream([protocol]))
  }

  #wake () {
    this.#waiting.splice(0).forEach(wake => wake())
  }

  #end () {
    this.isOver = true
    this.#wake()
  }

  #more (what) {
    return within(what, PATIENCE_MS, new Promise(resolve => this.#waiting.push(resolve)))
  }

  send (bytes) {
    this.stream.send(bytes)
  }

  close () {
    return this.stream.close()
  }

  // The bytes that `end` finds the end of, once they are there.
  async #until (what, end) {
    for (;;) {
      const at = end(this.#bytes)
      if (at !== undefined && this.#bytes.length >= at) {
        const taken = this.#bytes.subarray(0, at)
        this.#bytes = this.#bytes.subarray(at)
        return taken
      }
      if (this.isOver) throw new Error(`${what}: the stream ended`)
      await this.#more(what)
    }
  }

  take (what, count) {
    return this.#until(what, () => count)
  }

  // A message behind its length as a varint.
  async frame (what) {
    const frame = await this.#until(what, bytes => {
      const length = readVarint(bytes)
      return length && length[0] + length[1]
    })
    return frame.subarray(readVarint(frame)[1])
  }

  put (message) {
    this.send(framed(message))
  }

  // Whether anything is still to be read.
  async hasMore () {
    while (this.#bytes.length === 0 && !this.isOver) await this.#more('more')
    return this.#bytes.length > 0
  }

  // Until the peer writes no more.
  async ends (what) {
    while (!this.isOver) {
      await this.#more(what)
    }
    return this.#bytes
  }
}

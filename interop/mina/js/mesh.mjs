// Gossip by hand: frames and signatures from the spec's sections 3.4 and 3.5.
import { generateKeyPairSync, sign } from 'node:crypto'
import { concat, le, text } from './binprot.mjs'
import { bytes, fields, framed, number } from './protobuf.mjs'
import { MESHSUB, TOPIC } from './stock.mjs'
import { Raw } from './streams.mjs'

const KEY_HEAD = [8, 1, 0x12, 32]
const ID_HEAD = [0, 36]
const SIGNED_HEAD = text('libp2p-pubsub:')

// Somebody who signs, not necessarily who sends.
export class Author {
  #count = 0

  constructor () {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519')
    this.private = privateKey
    this.key = concat(KEY_HEAD, Buffer.from(publicKey.export({ format: 'jwk' }).x, 'base64url'))
  }

  // A message with this data. What is said of it takes the place of what is right.
  message (data, { seqno = le(++this.#count, 8).reverse(), signature, key } = {}) {
    const from = concat(ID_HEAD, this.key)
    const signed = concat(bytes(1, from), bytes(2, data), seqno ? bytes(3, seqno) : [], bytes(4, text(TOPIC)))
    const right = sign(null, concat(SIGNED_HEAD, signed), this.private)
    return concat(signed, bytes(5, signature ? signature(right) : right), key ? bytes(6, key) : [])
  }
}

export const subscribe = bytes(1, concat(number(1, 1), bytes(2, text(TOPIC))))
export const publish = message => bytes(2, message)
export const ihave = id => bytes(3, bytes(1, concat(bytes(1, text(TOPIC)), bytes(2, id))))
export const iwant = id => bytes(3, bytes(2, bytes(1, id)))

// Both streams of it.
export class Gossip {
  subscribed = []
  published = []
  wanted = []

  constructor (stock) {
    this.stock = stock
  }

  static async listen (stock) {
    const gossip = new Gossip(stock)
    await stock.libp2p.handle(MESHSUB, stream => gossip.#read(new Raw(stream)).catch(() => {}))
    return gossip
  }

  async #read (raw) {
    while (await raw.hasMore()) {
      const frame = fields(await raw.frame('a frame'))
      this.subscribed.push(...(frame[1] ?? []).map(fields))
      this.published.push(...(frame[2] ?? []))
      const control = (frame[3] ?? []).map(fields)
      this.wanted.push(...control.flatMap(it => (it[2] ?? []).flatMap(iwant => fields(iwant)[1])))
    }
  }

  async open (ours) {
    this.raw = await Raw.open(this.stock, ours, MESHSUB)
  }

  say (...parts) {
    this.raw.send(framed(concat(...parts)))
  }
}

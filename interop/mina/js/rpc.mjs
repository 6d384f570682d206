// Questions and answers over `coda/rpcs/0.0.1`, from the spec's sections 5.1 to 5.3.
import assert from 'node:assert/strict'
import { concat, hex, int, le, list, Reader, string, text, u64, unhex, variant } from './binprot.mjs'
import { Raw } from './streams.mjs'

export const RPC = 'coda/rpcs/0.0.1'
export const MENU = ['__Versioned_rpc.Menu', 1]
export const BEST_TIP = ['get_best_tip', 2]
export const CHAIN = ['get_transition_chain', 2]
export const PEERS = ['get_some_initial_peers', 1]
export const KNOWLEDGE = ['Get_transition_knowledge', 1]
export const BAN = ['ban_notify', 1]
export const UNIT = Uint8Array.of(0)
export const NONE = Uint8Array.of(0)
export const UNIMPLEMENTED = 4

const HEAD_BYTES = 8
const MAGIC = 4_411_474

const framed = message => concat(le(message.length, HEAD_BYTES), message)

export const HANDSHAKE = framed(list([int(MAGIC), int(1)]))
export const HEARTBEAT = framed(Uint8Array.of(0))
// As the spec has it.
assert.equal(hex(HANDSHAKE), '070000000000000002fd5250430001')

export const some = value => concat([1], value)
export const query = ([tag, version], id, payload) =>
  framed(concat([1], string(text(tag)), int(version), u64(id), string(payload)))
export const answer = (id, payload) => framed(concat([2], u64(id), [0], string(payload)))
// The version is behind the name of its constructor, as OCaml's nodes write it.
export const unimplemented = ([tag, version], id) =>
  framed(concat([2], u64(id), [1, UNIMPLEMENTED], string(text(tag)), variant('Version'), int(version)))
export const menu = methods => list(methods.map(([tag, version]) => concat(string(text(tag)), int(version))))
export const readMenu = payload => {
  const reader = new Reader(payload)
  const methods = reader.list(() => [reader.words(), Number(reader.int())])
  reader.end()
  return methods
}

function readError (reader) {
  const code = reader.byte()
  if (code === UNIMPLEMENTED) {
    const tag = reader.words()
    assert.equal(hex(reader.take(4)), hex(variant('Version')))
    return { code, method: [tag, Number(reader.int())] }
  }
  // An s-expression of one string.
  assert.equal(reader.byte(), 0)
  return { code, said: reader.words() }
}

// One message.
export function read (message) {
  const reader = new Reader(message)
  const kind = ['heartbeat', 'query', 'reply'][reader.byte()]
  const found = { kind }
  if (kind === 'query') {
    Object.assign(found, { method: [reader.words(), Number(reader.int())], id: reader.int(), payload: reader.string() })
  } else if (kind === 'reply') {
    found.id = reader.int()
    Object.assign(found, reader.byte() === 0 ? { payload: reader.string() } : { error: readError(reader) })
  }
  reader.end()
  return found
}

// One stream of it.
export class Talk {
  heartbeats = 0
  #ids = 0

  constructor (raw) {
    this.raw = raw
    raw.send(HANDSHAKE)
  }

  // Opens one, and shakes hands.
  static async open (stock, ours) {
    const talk = new Talk(await Raw.open(stock, ours, RPC))
    await talk.greeted()
    return talk
  }

  async greeted () {
    assert.equal(hex(await this.raw.take('the handshake', HANDSHAKE.length)), hex(HANDSHAKE))
  }

  // The next message, heartbeats too.
  async any (what) {
    const head = await this.raw.take(what, HEAD_BYTES)
    const length = Number(Buffer.from(head).readBigUInt64LE())
    return read(await this.raw.take(what, length))
  }

  // The next that is no heartbeat.
  async next (what) {
    for (;;) {
      const message = await this.any(what)
      if (message.kind !== 'heartbeat') return message
      this.heartbeats++
    }
  }

  async ask (method, payload = UNIT, id = this.#ids++) {
    this.raw.send(query(method, id, payload))
    const reply = await this.next(`the answer to ${method[0]}`)
    assert.equal(reply.kind, 'reply')
    assert.equal(BigInt.asUintN(64, reply.id), BigInt(id))
    return reply
  }
}

// Answers what is asked with what `answers` has by the method's tag: a payload, or a function of the question's payload that
// has one. What it has not is unimplemented.
export function serve (stock, answers) {
  const served = { asked: [], streams: 0, faults: [] }
  const methods = answers.menu ?? [MENU, BEST_TIP]
  const reply = ({ method: [tag, version], id, payload }) => {
    served.asked.push({ tag, version, payload: hex(payload) })
    if (tag === MENU[0]) return answer(id, menu(methods))
    const found = answers[tag]
    return found ? answer(id, typeof found === 'function' ? found(payload) : found) : unimplemented([tag, version], id)
  }
  const talk = async stream => {
    const talk = new Talk(new Raw(stream))
    await talk.greeted()
    while (await talk.raw.hasMore()) {
      const question = await talk.any('a question')
      if (question.kind === 'heartbeat') continue
      assert.equal(question.kind, 'query')
      talk.raw.send(reply(question))
    }
    // Whoever asks ends it; so does whoever answers.
    await talk.raw.close()
  }
  return stock.libp2p.handle(RPC, stream => {
    served.streams++
    talk(stream).catch(error => served.faults.push(error.message))
  }).then(() => served)
}

export const hashes = all => list(all.map(hash => (typeof hash === 'string' ? unhex(hash) : hash)))

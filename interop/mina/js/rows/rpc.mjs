// Questions and answers: the spec's section 5.
import assert from 'node:assert/strict'
import { concat, hex, le, list, nat0, Reader, unhex } from '../binprot.mjs'
import { diff, idOf, payment } from '../commands.mjs'
import { stateHash } from '../poseidon.mjs'
import {
  BAN, BEST_TIP, CHAIN, hashes, HEARTBEAT, KNOWLEDGE, MENU, NONE, PEERS, readMenu, serve, some, Talk, UNIMPLEMENTED, UNIT
} from '../rpc.mjs'
import { until } from '../wait.mjs'

const HASHES_MAX = 20
// One every ten seconds: longer than ours is without a ping.
const HEARTBEATS = 2
// A day of short slots, all of them with a block.
const PRODUCES = { slot: '1s', slots_percent: 100 }
// A network of which no block is known: its blocks have proofs.
const NO_BLOCK = { check_proofs: true, genesis_state_hash: '12'.repeat(32), unverified_diffs: 'forward' }

const some32 = at => new Uint8Array(32).fill(at)
const producing = () => ({ ...PRODUCES, genesis_time: Date.now() })

async function asksWithoutBlocks (run) {
  const ours = await run.ours({ settings: NO_BLOCK })
  const stock = await run.stock('js asks')
  await stock.dial(ours)
  const talk = await Talk.open(stock, ours)
  talk.raw.send(HEARTBEAT)
  const methods = readMenu((await talk.ask(MENU)).payload)
  const wanted = [MENU, BEST_TIP, CHAIN, PEERS, BAN]
  assert.deepEqual(wanted.filter(it => !methods.some(method => method.join() === it.join())), [])
  assert.equal(hex((await talk.ask(BEST_TIP)).payload), hex(NONE))
  assert.equal(hex((await talk.ask(CHAIN, hashes([some32(1)]))).payload), hex(NONE))
  // An id with its highest bit set is a negative number on the wire.
  assert.equal(hex((await talk.ask(KNOWLEDGE, UNIT, 1n << 63n)).payload), '00')
  assert.equal(hex((await talk.ask(BAN, le(0x41d8_0000_0000_0000n, 8))).payload), hex(UNIT))
  for (const method of [['get_lost', 1], [BEST_TIP[0], 1]]) {
    assert.deepEqual((await talk.ask(method)).error, { code: UNIMPLEMENTED, method })
  }
  const many = Array.from({ length: HASHES_MAX + 1 }, (_, at) => some32(at))
  assert.match((await talk.ask(CHAIN, hashes(many))).error.said, /too many hashes/)
  // The stream stands after all of it, and ours is heard on it without being asked.
  for (let count = 0; count < HEARTBEATS; count++) {
    assert.equal((await talk.any('a heartbeat')).kind, 'heartbeat')
    talk.raw.send(HEARTBEAT)
  }
  assert.equal(hex((await talk.ask(BEST_TIP)).payload), hex(NONE))
  await talk.raw.close()
  await talk.raw.ends('ours closes too')
  assert.equal(stock.closed, 0)
}

// From bytes to hash and back: what the API says of a block.
const blockAt = async (ours, height) => ours.block(String(height))

async function asksWithBlocks (run) {
  const ours = await run.ours({ settings: producing(), args: ['--produce'] })
  const stock = await run.stock('js follows')
  await stock.dial(ours)
  await until('three blocks', async () => (await ours.network()).height > 3)
  const talk = await Talk.open(stock, ours)
  const { payload } = await talk.ask(BEST_TIP)
  const { root, tip, bodies } = await provenTip(ours, payload)
  const heads = bodies.reduce((all, body) => [...all, stateHash(all.at(-1), body)], [unhex(root.hash)])
  assert.equal(hex(heads.at(-1)), tip.hash)
  const wanted = heads.slice(-2).map(hex)
  const blocks = await Promise.all(wanted.map(hash => ours.block(hash)))
  const chain = await talk.ask(CHAIN, hashes(wanted))
  assert.equal(hex(chain.payload), hex(some(list(blocks.map(block => unhex(block.hex))))))
  // All or nothing.
  assert.equal(hex((await talk.ask(CHAIN, hashes([wanted[0], some32(9)]))).payload), hex(NONE))
  const known = new Reader((await talk.ask(KNOWLEDGE)).payload).list(reader => hex(reader.take(32)))
  assert.deepEqual(heads.map(hex).filter(hash => !known.includes(hash)), [])
}

// A tip, its root and the hashes between them, of which the API shows what is true.
async function provenTip (ours, payload) {
  const root = await blockAt(ours, 1)
  const [tipBytes, rootBytes] = [payload.subarray(1), unhex(root.hex)]
  assert.equal(payload[0], 1)
  assert.equal(hex(payload.subarray(-rootBytes.length)), root.hex)
  const { height } = await ours.network()
  for (let at = height; at > 1; at--) {
    const tip = await blockAt(ours, at)
    const bytes = unhex(tip.hex)
    if (hex(tipBytes.subarray(0, bytes.length)) !== tip.hex) continue
    const reader = new Reader(payload.subarray(1 + bytes.length, -rootBytes.length))
    const bodies = reader.list(reader => reader.take(32))
    reader.end()
    assert.equal(bodies.length, at - 1)
    return { root, tip, bodies }
  }
  throw new Error('the best tip is no block that ours has')
}

async function serves (run) {
  const stock = await run.stock('js serves', { gossips: true })
  // It lists a method that it does not answer.
  const served = await serve(stock, { menu: [MENU, BEST_TIP, PEERS], [BEST_TIP[0]]: NONE })
  const ours = await run.ours({ finds: true, settings: { best_tip_interval: '1s', out_peers: 0 } })
  await ours.dial(stock.address)
  await stock.meets(ours)
  const asked = tag => served.asked.filter(it => it.tag === tag)
  await until('ours asks', () => [MENU, BEST_TIP, PEERS].every(([tag]) => asked(tag).length > 0))
  for (const [tag, version] of [MENU, BEST_TIP, PEERS]) {
    assert.deepEqual(asked(tag)[0], { tag, version, payload: hex(UNIT) })
  }
  // It is kept: what is gossiped afterwards goes both ways.
  const [to, from] = [payment(), payment()]
  await stock.publish(diff(to))
  await ours.has([to], idOf)
  await ours.submit(from)
  await until('ours still sends', () => stock.received.length > 0)
  assert.equal(stock.closed, 0)
  assert.deepEqual(served.faults, [])
  assert.equal((await ours.peer(stock.agent)).slips, 0)
}

// js stands between two of ours: it answers one with what the other has.
async function hands (run) {
  const settings = producing()
  const ahead = await run.ours({ settings, args: ['--produce'] })
  await until('some blocks', async () => (await ahead.network()).height > 5)
  const asking = await run.stock('js fetches')
  await asking.dial(ahead)
  const talk = await Talk.open(asking, ahead)
  const { payload } = await talk.ask(BEST_TIP)
  const { tip } = await provenTip(ahead, payload)
  const blocks = new Map()
  for (let at = tip.height; at > 0; at--) {
    const block = await blockAt(ahead, at)
    blocks.set(block.hash, unhex(block.hex))
  }
  const stock = await run.stock('js hands on')
  const chain = question => {
    const wanted = new Reader(question).list(reader => blocks.get(hex(reader.take(32))))
    return wanted.includes(undefined) ? NONE : concat([1], nat0(wanted.length), ...wanted)
  }
  const served = await serve(stock, { menu: [MENU, BEST_TIP, CHAIN], [BEST_TIP[0]]: payload, [CHAIN[0]]: chain })
  const behind = await run.ours({ settings })
  assert.equal((await behind.network()).height, 1)
  await behind.dial(stock.address)
  await until('ours follows what js serves', async () => (await behind.network()).tip === tip.hash)
  assert.ok(served.asked.some(it => it.tag === CHAIN[0]))
  assert.deepEqual(served.faults, [])
  assert.equal((await behind.peer(stock.agent)).slips, 0)
}

export default {
  'js: asks ours, which has no block: menu, best tip, chain, ban, unknown method, 21 hashes, heartbeats': asksWithoutBlocks,
  'js: asks ours, which produces: a best tip that its path proves, blocks by hash': asksWithBlocks,
  'js: answers ours: menu, no best tip, an unimplemented method, and is kept': serves,
  'js: hands ours the chain of another': hands
}

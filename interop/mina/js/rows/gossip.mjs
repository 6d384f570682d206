// Gossip: the spec's sections 3 and 4.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { base58btc } from 'multiformats/bases/base58'
import { concat, hex, le, Reader } from '../binprot.mjs'
import { delegation, diff, idOf, payment, wrongDiffs } from '../commands.mjs'
import { Author, Gossip, ihave, iwant, publish, subscribe } from '../mesh.mjs'
import { messageId, TOPIC } from '../stock.mjs'
import { until } from '../wait.mjs'

const FIXTURES = new URL('../../../../protocols/mina/tests/fixtures/', import.meta.url)
const MANY = 200
// A node judges at most 150 messages at a time (the spec's section 3.2), ours half as many of one peer.
const BURST = 50

const fixture = name => new Uint8Array(readFileSync(new URL(name, FIXTURES)))
const expected = () => JSON.parse(readFileSync(new URL('vectors/expected.json', FIXTURES)))
const times = (count, make) => Array.from({ length: count }, (_, at) => make(at))

async function arrive (run) {
  const ours = await run.ours()
  const stock = await run.stock('js publishes', { gossips: true })
  await stock.dial(ours)
  const commands = times(10, payment).concat(delegation())
  const [first, second, ...others] = commands
  await stock.publish(diff(first, second))
  for (const command of others) await stock.publish(diff(command))
  await ours.has(commands, idOf)
  // One of a real network, and its id as explorers name it: a version, the id's length, the id, a check.
  const zkapp = concat([1], fixture('v2-current/zkapps/with_sig_auth.bin'))
  const id = base58btc.decode(`z${expected().zkapps['with_sig_auth.bin'].transaction_hash}`).slice(2, 34)
  await stock.publish(diff(zkapp))
  await ours.has([zkapp], () => id)
  assert.equal((await ours.peer(stock.agent)).slips, 0)
}

async function submitted (run) {
  const ours = await run.ours()
  const all = [await run.stock('js listens', { gossips: true }), await run.stock('js listens too', { gossips: true })]
  for (const stock of all) await stock.dial(ours)
  const commands = times(5, payment)
  for (const command of commands) await ours.submit(command)
  for (const stock of all) {
    await until('all arrive', () => stock.received.length >= commands.length)
    const came = stock.received.map(({ from, topic, data }) => {
      assert.equal(topic, TOPIC)
      assert.equal(from.toString(), ours.id)
      const reader = new Reader(data)
      assert.equal(hex(reader.take(8)), hex(le(data.length - 8, 8)))
      assert.equal(reader.byte(), 2)
      assert.equal(reader.nat0(), 1)
      const command = reader.take(commands[0].length)
      reader.int()
      reader.end()
      assert.equal(stock.count(data), 1, 'it came more than once')
      return hex(command)
    })
    assert.deepEqual(came.sort(), commands.map(hex).sort())
  }
}

async function ids (run) {
  for (const { topic, data_utf8: words, id } of expected().message_id.vectors) {
    assert.equal(hex(messageId(topic, new TextEncoder().encode(words))), id)
  }
  const ours = await run.ours()
  const authors = [await run.stock('js first', { gossips: true }), await run.stock('js second', { gossips: true })]
  const other = await run.stock('js other', { gossips: true })
  for (const stock of [...authors, other]) await stock.dial(ours)
  // The same data of two authors is one message.
  const twice = diff(payment())
  await Promise.all(authors.map(author => author.publish(twice)))
  // What is behind it has come when this has.
  const last = diff(payment())
  await authors[1].publish(last)
  await other.receives([twice, last])
  assert.equal(other.count(twice), 1)
  assert.equal(other.received.length, 2)
}

async function invalid (run) {
  const ours = await run.ours()
  const [from, to] = [await run.stock('js sends', { gossips: true }), await run.stock('js gets', { gossips: true })]
  for (const stock of [from, to]) await stock.dial(ours)
  const right = []
  for (const [what, wrong] of Object.entries(wrongDiffs())) {
    await from.publish(wrong)
    for (const data of times(9, () => diff(payment()))) {
      await from.publish(data)
      right.push(data)
    }
    await to.receives(right)
    assert.ok(!to.has(wrong), `${what} was sent on`)
  }
  assert.equal(to.received.length, right.length)
  const { slips } = await ours.peer(from.agent)
  assert.equal(slips, Object.keys(wrongDiffs()).length)
  assert.equal(from.closed + to.closed, 0)
}

async function unsigned (run) {
  const ours = await run.ours()
  const policy = 'StrictNoSign'
  const [signs, not] = [await run.stock('js signs', { gossips: true }), await run.stock('js not', { gossips: true, policy })]
  const other = await run.stock('js other', { gossips: true })
  for (const stock of [signs, not, other]) await stock.dial(ours)
  const [commands, last] = [times(3, payment), payment()]
  for (const command of commands) await not.publish(diff(command))
  await until('ours has seen that nobody signed them', async () => (await ours.peer(not.agent)).slips >= commands.length)
  await signs.publish(diff(last))
  await other.receives([])
  await ours.has([last], idOf)
  for (const command of commands) assert.equal(await ours.transaction(idOf(command)), undefined)
  await until('what is signed arrives', () => other.received.length > 0)
  assert.equal(other.received.length, 1)
}

async function byHand (run) {
  const ours = await run.ours()
  const stock = await run.stock('js by hand')
  const gossip = await Gossip.listen(stock)
  await stock.dial(ours)
  await gossip.open(ours)
  const isFollowed = ({ 1: subscribes, 2: topics }) => subscribes[0] === 1 && Buffer.from(topics[0]).toString() === TOPIC
  await until('ours subscribes', () => gossip.subscribed.some(isFollowed))
  const [author, other] = [new Author(), new Author()]
  const right = times(2, payment)
  const [bare, withKey] = [author.message(diff(right[0])), author.message(diff(right[1]), { key: author.key })]
  gossip.say(subscribe, publish(bare), publish(withKey))
  await ours.has(right, idOf)
  const wrong = {
    'another signature': { signature: right => Buffer.from(right).fill(7, 40) },
    'half a signature': { signature: right => right.subarray(0, 32) },
    'no number': { seqno: null },
    'the key of another': { key: other.key }
  }
  const refused = Object.entries(wrong).map(([what, how]) => [what, how, payment()])
  for (const [, how, command] of refused) gossip.say(publish(author.message(diff(command), how)))
  await until('ours has seen what is wrong', async () => (await ours.peer(stock.agent)).slips === refused.length)
  // Of what ours has not seen it wants what it is told of, by the spec's id; what it has it gives to who wants it.
  const late = payment()
  const lateDiff = diff(late)
  gossip.say(ihave(messageId(TOPIC, lateDiff)))
  await until('ours wants it', () => gossip.wanted.some(id => hex(id) === hex(messageId(TOPIC, lateDiff))))
  const message = author.message(lateDiff)
  gossip.say(publish(message))
  await ours.has([late], idOf)
  for (const [what, , command] of refused) assert.equal(await ours.transaction(idOf(command)), undefined, what)
  gossip.say(iwant(messageId(TOPIC, lateDiff)))
  await until('ours gives it', () => gossip.published.some(it => hex(it) === hex(message)))
  assert.equal(stock.closed, 0)
}

// Ours knows where js listens, and must not dial it for that while it is here.
async function stays (run) {
  const ours = await run.ours({ finds: true })
  const all = await Promise.all(times(4, at => run.stock(`js stays ${at}`, { gossips: true })))
  for (const stock of all) await stock.dial(ours)
  const [commands, last] = [all.map(() => payment()), payment()]
  await Promise.all(all.map((stock, at) => stock.publish(diff(commands[at]))))
  await ours.has(commands, idOf)
  await ours.submit(last)
  for (const stock of all) {
    await until(`${stock.agent} hears the others and ours`, () => stock.received.length === all.length)
    assert.equal(stock.closed, 0)
    assert.deepEqual(stock.dialledBy, [])
  }
}

async function many (run) {
  const ours = await run.ours()
  const [from, to] = [await run.stock('js hurries', { gossips: true }), await run.stock('js keeps up', { gossips: true })]
  for (const stock of [from, to]) await stock.dial(ours)
  const commands = times(MANY, payment)
  const diffs = commands.map(command => diff(command))
  for (let at = 0; at < MANY; at += BURST) {
    await Promise.all(diffs.slice(at, at + BURST).map(data => from.publish(data)))
    await ours.has(commands.slice(at, at + BURST), idOf)
  }
  await to.receives(diffs)
  for (const data of diffs) assert.equal(to.count(data), 1)
  assert.equal((await ours.peer(from.agent)).slips, 0)
}

export default {
  'js: its payments, a delegation and a zkApp arrive at ours': arrive,
  'js: what is submitted at ours arrives, once': submitted,
  'js: message ids are of topic and data: two authors, one message': ids,
  'js: one invalid in ten is not sent on': invalid,
  'js: unsigned messages are refused, signed ones taken': unsigned,
  'js: gossip by hand: signatures right and wrong, IHAVE, IWANT': byHand,
  'js: gossips on while ours looks for peers, on the connection that stands': stays,
  [`js: ${MANY} diffs in a row, ${BURST} at a time, all arrive and are sent on once`]: many
}

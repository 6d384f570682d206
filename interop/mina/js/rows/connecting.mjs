// Transport, identify and ping: the spec's sections 1, 2.1 and 2.2.
import assert from 'node:assert/strict'
import { multiaddr } from '@multiformats/multiaddr'
import { hex } from '../binprot.mjs'
import { fields } from '../protobuf.mjs'
import { Stock } from '../stock.mjs'
import { Raw } from '../streams.mjs'
import { until, within } from '../wait.mjs'

const IDENTIFY = '/ipfs/id/1.0.0'
const IDENTIFY_BYTES_MAX = 4096
// What the strictest reader bears.
const CLOSED = [IDENTIFY, '/ipfs/id/push/1.0.0', '/ipfs/ping/1.0.0', '/coda/kad/1.0.0', '/floodsub/1.0.0',
  '/meshsub/1.0.0', '/meshsub/1.1.0', 'coda/rpcs/0.0.1', '/mina/node-status']
const NEEDED = [IDENTIFY, '/coda/kad/1.0.0', '/meshsub/1.1.0', 'coda/rpcs/0.0.1']
const PINGS = 3

const words = bytes => new TextDecoder().decode(bytes)

// What ours says of itself, read from the bytes.
async function checkIdentify (stock, ours) {
  const raw = await Raw.open(stock, ours, IDENTIFY)
  const message = await raw.frame('identify')
  assert.equal((await raw.ends('identify')).length, 0)
  await raw.close()
  assert.ok(message.length + 2 <= IDENTIFY_BYTES_MAX, `${message.length} bytes`)
  const said = fields(message)
  const connection = stock.connection(ours.id)
  assert.equal(hex(said[1][0]), hex(connection.remotePeer.publicKey.raw).padStart(72, '08011220'))
  assert.deepEqual(said[2].map(it => multiaddr(it).toString()), [ours.multiaddr.split('/p2p/')[0]])
  const protocols = said[3].map(words)
  assert.deepEqual(protocols.filter(it => !CLOSED.includes(it)), [])
  assert.deepEqual(NEEDED.filter(it => !protocols.includes(it)), [])
  assert.equal(words(said[5][0]), 'ipfs/0.1.0')
  assert.match(words(said[6][0]), /^polypeer\//)
  return { observed: multiaddr(said[4][0]).toString(), protocols }
}

// Both know each other, and answer each other's pings.
async function checkBoth (stock, ours) {
  const { observed, protocols } = await checkIdentify(stock, ours)
  const parsed = stock.identified.get(ours.id)
  assert.deepEqual(parsed.protocols, protocols)
  for (let count = 0; count < PINGS; count++) {
    await stock.libp2p.services.ping.ping(stock.connection(ours.id).remotePeer)
  }
  const peer = await until('ours has the answer to its ping', async () => {
    const peer = await ours.peer(stock.agent)
    return peer?.pingtime !== null && peer
  })
  assert.equal(stock.closed, 0)
  assert.equal(peer.slips, 0)
  return { observed, peer }
}

const port = address => address.split(/[:/]/).at(-1)

async function dials (run) {
  const ours = await run.ours()
  const stock = await run.stock('js dials')
  await stock.dial(ours)
  const { observed, peer } = await checkBoth(stock, ours)
  assert.equal(peer.inbound, true)
  assert.equal(port(observed), port(peer.addr))
}

async function isDialled (run) {
  const stock = await run.stock('js is dialled')
  const ours = await run.ours()
  await ours.dial(stock.address)
  await stock.meets(ours)
  const { observed, peer } = await checkBoth(stock, ours)
  assert.equal(peer.inbound, false)
  assert.equal(observed, stock.multiaddr.split('/p2p/')[0])
}

async function stranger (run) {
  const ours = await run.ours()
  const friend = await run.stock('js of this network')
  const stranger = run.keep(await Stock.start('js of another', 'f'.repeat(64)))
  await friend.dial(ours)
  await assert.rejects(stranger.libp2p.dial(multiaddr(ours.multiaddr)))
  await ours.dial(stranger.address)
  await until('ours gives up', async () => {
    const why = await ours.why(stranger.address)
    return why?.length > 0 && why
  })
  assert.equal(stranger.libp2p.getConnections().length, 0)
  assert.deepEqual((await ours.peers()).map(it => it.subver), [friend.agent])
  assert.equal(friend.closed, 0)
  await friend.libp2p.services.ping.ping(friend.connection(ours.id).remotePeer)
}

async function unknown (run) {
  const ours = await run.ours()
  const stock = await run.stock('js proposes')
  const connection = await stock.dial(ours)
  for (const protocol of ['/coda/lan/kad/1.0.0', '/mina/bitswap-exchange/ipfs/bitswap/1.2.0', 'no/slash']) {
    await assert.rejects(within('a refusal', 10_000, connection.newStream([protocol])), { name: 'UnsupportedProtocolError' })
  }
  await checkBoth(stock, ours)
}

export default {
  'js: dials ours: pnet, noise, /coda/yamux/1.0.0, identify, ping': dials,
  'js: is dialled by ours': isDialled,
  'js: another private network\'s key: no connection, either way': stranger,
  'js: unknown protocols are refused and the connection stays': unknown
}

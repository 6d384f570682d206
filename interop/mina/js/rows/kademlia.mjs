// Kademlia: the spec's section 2.3.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { multiaddr } from '@multiformats/multiaddr'
import { peerIdFromString } from '@libp2p/peer-id'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import { create as digest } from 'multiformats/hashes/digest'
import { hex } from '../binprot.mjs'
import { bytes, fields, number } from '../protobuf.mjs'
import { KAD, rendezvous } from '../stock.mjs'
import { Raw } from '../streams.mjs'
import { until } from '../wait.mjs'

const FIND_NODE = 4
const PEERS_MAX = 20
const SHA2_256 = 0x12

const bare = address => address.toString().split('/p2p/')[0]
const idBytes = id => peerIdFromString(id).toMultihash().bytes

// What a look-up finds, or nothing yet.
async function found (answers) {
  try {
    for await (const found of answers) return found
  } catch (error) {
    if (error.name !== 'NotFoundError') throw error
  }
}

// The peers nearest to an id, from frames of our own.
async function findNode (stock, ours, id) {
  const stream = await Raw.open(stock, ours, KAD)
  stream.put(Buffer.concat([number(1, FIND_NODE), bytes(2, idBytes(id)), number(10, 10)]))
  const answer = fields(await stream.frame('the answer'))
  await stream.close()
  assert.deepEqual(answer[1], [FIND_NODE])
  const peers = (answer[8] ?? []).map(fields)
  assert.ok(peers.length <= PEERS_MAX)
  return peers.map(peer => ({ id: hex(peer[1][0]), addresses: (peer[2] ?? []).map(it => multiaddr(it).toString()) }))
}

// js is connected with `near` only, and that with `far`.
async function finds (run) {
  const far = await run.ours({ finds: true, settings: { out_peers: 0 } })
  const near = await run.ours({ finds: true, settings: { out_peers: 0 }, args: ['--add-peer', far.address] })
  const stock = await run.stock('js seeks', { finds: true })
  await stock.dial(near)
  const wanted = peerIdFromString(far.id)
  const info = await until('js finds ours', () => stock.libp2p.peerRouting.findPeer(wanted))
  assert.deepEqual(info.multiaddrs.map(bare), [bare(far.multiaddr)])
  const nearest = await findNode(stock, near, far.id)
  assert.deepEqual(nearest, [{ id: hex(idBytes(far.id)), addresses: [bare(far.multiaddr)] }])
  // Both of ours say at the rendezvous that they are there.
  const place = CID.createV1(raw.code, digest(SHA2_256, createHash('sha256').update(rendezvous(run.chainId)).digest()))
  await until('js finds ours at the rendezvous', async () => {
    const provider = await found(stock.libp2p.contentRouting.findProviders(place))
    return provider && [near.id, far.id].includes(provider.id.toString())
  })
  assert.ok(stock.connection(near.id))
}

// Ours is connected with `near` only, and that with `far`.
async function isFound (run) {
  const [near, far] = [await run.stock('js near', { finds: true }), await run.stock('js far', { finds: true })]
  await far.libp2p.dial(multiaddr(near.multiaddr))
  await until('js knows js', () => near.libp2p.services.dht.routingTable.size > 0)
  const ours = await run.ours({ finds: true, args: ['--add-peer', near.address] })
  // Whether that connection stays is another matter: js may dial ours as well.
  await until('ours finds js', () => far.dialledBy.includes(ours.id))
  await until('ours knows js', () => ours.peer(far.agent))
  const known = await ours.addresses()
  assert.ok(known.some(it => it.address === far.address))
  assert.ok(near.connection(ours.id))
}

export default {
  'js: finds ours through a third node, by FIND_NODE and at the rendezvous': finds,
  'js: is found and dialled by ours through another js': isFound
}

// A stock js-libp2p, configured as the spec's section 10.2 says.
import { noise } from '@libp2p/noise'
import { gossipsub } from '@libp2p/gossipsub'
import { identify, identifyPush } from '@libp2p/identify'
import { kadDHT, passthroughMapper } from '@libp2p/kad-dht'
import { ping } from '@libp2p/ping'
import { preSharedKey } from '@libp2p/pnet'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { hex, text } from './binprot.mjs'
import { blake } from './commands.mjs'
import { until } from './wait.mjs'

export const TOPIC = 'coda/consensus-messages/0.0.1'
export const MESHSUB = '/meshsub/1.1.0'
export const KAD = '/coda/kad/1.0.0'
export const MUXER = '/coda/yamux/1.0.0'

// The spec's section 3.3.
export const messageId = (topic, data) => {
  const key = text(topic)
  return blake(data, key.length > 64 ? blake(key) : key)
}

export const rendezvous = chainId => text(`/coda/0.0.1/${chainId}`)

// The spec's section 1.2.
function protector (chainId) {
  const psk = text(`/key/swarm/psk/1.0.0/\n/base16/\n${hex(blake(rendezvous(chainId)))}`)
  // A machine with much to do takes longer than the second that is usual.
  return preSharedKey({ psk, timeout: 10_000 })
}

function muxer () {
  const factory = yamux()()
  factory.protocol = MUXER
  return factory
}

function pubsub (node, policy) {
  return gossipsub({
    D: 6,
    Dlo: 5,
    Dhi: 12,
    globalSignaturePolicy: policy,
    allowPublishToZeroTopicPeers: false,
    fallbackToFloodsub: false,
    msgIdFn: ({ topic, data }) => {
      const id = messageId(topic, data)
      node.hashed.push(hex(id))
      return id
    }
  })
}

export class Stock {
  // Data that came, in order; and the ids of all that were hashed, which is one for each that was sent or came.
  received = []
  hashed = []
  identified = new Map()
  // Who dialled it, and how many connections ended.
  dialledBy = []
  closed = 0

  static async start (agent, chainId, { gossips = false, policy = 'StrictSign', finds = false } = {}) {
    const node = new Stock()
    const services = { identify: identify(), push: identifyPush(), ping: ping() }
    if (gossips) services.pubsub = pubsub(node, policy)
    if (finds) services.dht = kadDHT({ protocol: KAD, clientMode: false, peerInfoMapper: passthroughMapper })
    node.agent = agent
    node.libp2p = await createLibp2p({
      nodeInfo: { userAgent: agent },
      addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
      transports: [tcp()],
      connectionProtector: protector(chainId),
      connectionEncrypters: [noise()],
      streamMuxers: [muxer],
      connectionGater: { denyDialMultiaddr: () => false },
      services
    })
    node.#listen()
    return node
  }

  #listen () {
    const { libp2p } = this
    libp2p.addEventListener('peer:identify', ({ detail }) => this.identified.set(detail.peerId.toString(), detail))
    libp2p.addEventListener('connection:open', ({ detail }) => {
      if (detail.direction === 'inbound') this.dialledBy.push(detail.remotePeer.toString())
    })
    libp2p.addEventListener('connection:close', () => this.closed++)
    this.pubsub?.addEventListener('gossipsub:message', ({ detail }) => this.received.push(detail.msg))
    this.pubsub?.subscribe(TOPIC)
  }

  get pubsub () {
    return this.libp2p.services.pubsub
  }

  get id () {
    return this.libp2p.peerId.toString()
  }

  get multiaddr () {
    return this.libp2p.getMultiaddrs()[0].toString()
  }

  // Where it listens, as HOST:PORT.
  get address () {
    const [, , host, , port] = this.multiaddr.split('/')
    return `${host}:${port}`
  }

  kill () {
    return this.libp2p.stop()
  }

  // The connection with this peer, if it stands.
  connection (id) {
    return this.libp2p.getConnections().find(it => it.remotePeer.toString() === id && it.status === 'open')
  }

  // Dials one of ours, until both are ready.
  async dial (ours) {
    const connection = await this.libp2p.dial(multiaddr(ours.multiaddr))
    await this.meets(ours)
    return connection
  }

  // Until both know each other, and each has the other in its mesh where there is one.
  async meets (ours) {
    await until(`${this.agent} knows ours`, () => this.identified.has(ours.id))
    await until(`ours knows ${this.agent}`, () => ours.peer(this.agent))
    if (this.pubsub) {
      const { pubsub } = this
      await until(`ours is in the mesh of ${this.agent}`, () => pubsub.getMeshPeers(TOPIC).includes(ours.id))
    }
  }

  publish (data) {
    return this.pubsub.publish(TOPIC, data)
  }

  // How often this data came and was sent.
  count (data) {
    const id = hex(messageId(TOPIC, data))
    return this.hashed.filter(it => it === id).length
  }

  has (data) {
    return this.received.some(message => hex(message.data) === hex(data))
  }

  receives (all, ms) {
    return until(`${this.agent} receives ${all.length} messages`, () => all.every(data => this.has(data)), ms)
  }
}

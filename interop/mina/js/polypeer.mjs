// Runs our node as a process, and asks it over HTTP.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdirSync, openSync, readFileSync, writeFileSync, closeSync } from 'node:fs'
import { join } from 'node:path'
import { hex } from './binprot.mjs'
import { until } from './wait.mjs'

const START_MS = 60_000
const NETWORK = 'small'
// Ends the node with whoever started it, even if that is killed: then the pipe closes.
const LEASH = '(read -r _; kill -KILL $$) <&3 >/dev/null 2>&1 & exec "$@" 3<&-'

export class Polypeer {
  // Starts one with its data in a folder.
  constructor (executable, folder, chainId, { settings, args }) {
    this.folder = folder
    this.data = join(folder, 'data')
    mkdirSync(folder, { recursive: true })
    const section = { protocol: 'mina', chain_id: chainId, check_proofs: false, ...settings }
    const lines = Object.entries(section).map(([key, it]) => `${key} = ${JSON.stringify(it)}`)
    const config = join(folder, 'config.toml')
    writeFileSync(config, `[networks.${NETWORK}]\n${lines.join('\n')}\n`)
    this.#spawn(executable, ['run', '--network', NETWORK, '--config', config, '--data-dir', this.data,
      '--listen', '127.0.0.1:0', '--api', '127.0.0.1:0', '--metrics', '127.0.0.1:0', '--no-dns-seed', ...args])
  }

  #spawn (executable, args) {
    const log = openSync(join(this.folder, 'log'), 'a')
    // Settings can also come from the environment, and must not.
    const kept = Object.entries(process.env).filter(([name]) => !name.startsWith('POLYPEER_'))
    const env = { ...Object.fromEntries(kept), RUST_LOG: 'info,polypeer=debug', NO_COLOR: '1' }
    this.child = spawn('sh', ['-c', LEASH, 'sh', executable, ...args], { env, stdio: ['ignore', log, log, 'pipe'] })
    this.gone = new Promise(resolve => this.child.once('close', resolve))
    this.child.once('exit', () => this.child.stdio[3].destroy())
    this.child.stdio[3].on('error', () => {})
    closeSync(log)
  }

  // Until it answers.
  ready () {
    const gone = this.gone.then(() => assert.fail(`polypeer ended by itself:\n${this.log().slice(-2000)}`))
    return Promise.race([until('polypeer answers', () => this.#meet(), START_MS), gone])
  }

  async #meet () {
    this.api = `http://${readFileSync(join(this.data, 'api.address'), 'utf8').trim()}/api/v1`
    this.token = readFileSync(join(this.data, 'api.token'), 'utf8').trim()
    this.address = (await this.network()).listen
    const [, id] = this.log().match(/it is known as (\S+)/)
    this.id = id
    return true
  }

  get multiaddr () {
    const [host, port] = this.address.split(':')
    return `/ip4/${host}/tcp/${port}/p2p/${this.id}`
  }

  log () {
    return readFileSync(join(this.folder, 'log'), 'utf8')
  }

  kill () {
    this.child.kill('SIGKILL')
    this.child.stdio[3].destroy()
    return this.gone
  }

  // What a path answers; nothing when there is none.
  async get (path) {
    const answer = await fetch(`${this.api}${path}`)
    if (answer.status === 404) return undefined
    assert.equal(answer.status, 200, `GET ${path}`)
    return answer.json()
  }

  async post (path, body) {
    const headers = { authorization: `Bearer ${this.token}`, 'content-type': 'application/json' }
    const request = { method: 'POST', headers, body: JSON.stringify(body) }
    const answer = await fetch(`${this.api}/networks/${NETWORK}${path}`, request)
    const said = await answer.text()
    assert.ok(answer.ok, `POST ${path}: ${answer.status} ${said}`)
    return said ? JSON.parse(said) : undefined
  }

  async network () {
    return (await this.get('/status')).networks[0]
  }

  peers () {
    return this.get(`/networks/${NETWORK}/peers`)
  }

  // The peer that calls itself this, once it is ready.
  async peer (agent) {
    return (await this.peers()).find(peer => peer.subver === agent && peer.ready)
  }

  addresses () {
    return this.get(`/networks/${NETWORK}/addresses`)
  }

  why (peer) {
    return this.get(`/networks/${NETWORK}/why/${peer}`)
  }

  dial (address) {
    return this.post('/peers', { address })
  }

  block (which) {
    return this.get(`/networks/${NETWORK}/blocks/${which}`)
  }

  transaction (id) {
    return this.get(`/networks/${NETWORK}/transactions/${hex(id)}`)
  }

  submit (command) {
    return this.post('/transactions', { hex: hex(command) })
  }

  // Until it has all of these.
  async has (commands, idOf) {
    for (const command of commands) {
      const found = await until(`ours has ${hex(command).slice(0, 40)}`, () => this.transaction(idOf(command)))
      assert.equal(found.hex, hex(command))
    }
  }
}

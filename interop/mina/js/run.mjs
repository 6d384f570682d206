// Runs js-libp2p against our node, on loopback.
//
//   npm ci && node run.mjs --polypeer ../../../target/debug/polypeer [--only WORDS]
//
// A line of JSON for each row: {"row", "outcome": "passed" or "failed", "what"}. It exits with 0 only if all passed. It wants
// Node 20 or newer.
import './polyfill.mjs'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'

// What needs the polyfill comes after it.
const { Polypeer } = await import('./polypeer.mjs')
const { Stock } = await import('./stock.mjs')
const { within } = await import('./wait.mjs')
const rooms = await Promise.all(['connecting', 'kademlia', 'gossip', 'rpc'].map(name => import(`./rows/${name}.mjs`)))

const ROW_MS = 60_000
const ALL_MS = 180_000
const END_MS = 5_000
const CHAIN_ID = '0123456789abcdef'.repeat(4)

// What one row starts; all of it ends with the row.
class Run {
  chainId = CHAIN_ID
  #started = []

  constructor (executable, folder) {
    this.executable = executable
    this.folder = folder
  }

  keep (started) {
    this.#started.push(started)
    return started
  }

  // A node of ours. It looks for nobody unless that is what the row is about.
  async ours ({ settings, args = [], finds = false } = {}) {
    const folder = join(this.folder, String(this.#started.length))
    const options = { settings, args: finds ? args : ['--no-discovery', ...args] }
    const node = this.keep(new Polypeer(this.executable, folder, this.chainId, options))
    await node.ready()
    return node
  }

  // A node of js-libp2p.
  async stock (agent, options) {
    return this.keep(await Stock.start(agent, this.chainId, options))
  }

  // The ends of what ours logged.
  logs () {
    return this.#started.filter(it => it instanceof Polypeer).map(it => `${it.folder}:\n${it.log().slice(-1500)}`)
  }

  async end () {
    await within('the end', END_MS, Promise.allSettled(this.#started.map(it => it.kill()))).catch(() => {})
  }
}

// Errors that nobody waits for are the row's that runs.
let fail = () => {}
process.on('uncaughtException', error => fail(error))
// Whoever ends this ends what it started too: the nodes go when their pipe does.
process.on('SIGTERM', () => process.exit(1))
process.on('SIGINT', () => process.exit(1))

async function outcome (row, ms, executable, folder) {
  const run = new Run(executable, folder)
  const broken = new Promise((resolve, reject) => { fail = reject })
  const started = Date.now()
  try {
    await within('the row', ms, Promise.race([row(run), broken]))
    return ['passed', `${((Date.now() - started) / 1000).toFixed(1)} s`]
  } catch (error) {
    return ['failed', [error.stack, ...run.logs()].join('\n')]
  } finally {
    await run.end()
  }
}

async function main ({ polypeer, only }) {
  const rows = rooms.flatMap(room => Object.entries(room.default)).filter(([name]) => name.includes(only))
  const folder = mkdtempSync(join(tmpdir(), 'polypeer-js-'))
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
  const end = Date.now() + ALL_MS
  let isGood = rows.length > 0
  for (const [at, [name, row]] of rows.entries()) {
    const left = end - Date.now()
    const [result, what] = left > 0
      ? await outcome(row, Math.min(ROW_MS, left), resolve(polypeer), join(folder, String(at)))
      : ['failed', `${ALL_MS / 1000} s for all are over`]
    isGood &&= result === 'passed'
    console.log(JSON.stringify({ row: name, outcome: result, what }))
  }
  return isGood
}

const { values } = parseArgs({ options: { polypeer: { type: 'string' }, only: { type: 'string', default: '' } } })
if (values.polypeer === undefined) {
  console.error('--polypeer PATH names our node')
  process.exit(2)
}
process.exit(await main(values) ? 0 : 1)

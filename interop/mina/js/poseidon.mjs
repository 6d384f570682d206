// Poseidon as the spec's section 6.3 has it: as much as a path of state hashes needs.
import { readFileSync } from 'node:fs'
import { le, text } from './binprot.mjs'
import { MODULUS } from './commands.mjs'

const file = new URL('../../../protocols/mina/tests/fixtures/vectors/poseidon_kimchi_fp.json', import.meta.url)
const numbers = rows => rows.map(row => row.map(BigInt))
const { mds, round_constants: constants } = JSON.parse(readFileSync(file))
const [MDS, CONSTANTS] = [mds, constants].map(numbers)
const PREFIX_BYTES = 20

const fromLe = bytes => bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n)

function power7 (value) {
  const square = (value * value) % MODULUS
  return (((square * square) % MODULUS) * ((square * value) % MODULUS)) % MODULUS
}

function permute (state) {
  return CONSTANTS.reduce((state, added) => {
    const powers = state.map(power7)
    return MDS.map((row, at) => (row.reduce((sum, it, to) => sum + it * powers[to], 0n) + added[at]) % MODULUS)
  }, state)
}

// The state hash of a block, of the one before it and of its body; all of them 32 bytes as on the wire.
export function stateHash (previous, body) {
  const prefix = fromLe(text('MinaProtoState'.padEnd(PREFIX_BYTES, '*')))
  const [first, second, third] = permute([prefix, 0n, 0n])
  const state = permute([(first + fromLe(previous)) % MODULUS, (second + fromLe(body)) % MODULUS, third])
  return le(state[0], 32)
}

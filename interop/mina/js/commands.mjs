// User commands and the envelopes that carry them, from the spec's sections 4.2 and 4.3.
import { blake2b } from '@noble/hashes/blake2.js'
import { concat, int, le, list, string, text, u32, u64 } from './binprot.mjs'

// What x must be below (the spec's section 6.3).
export const MODULUS = 0x40000000000000000000000000000000224698fc094cf91b992d30ed00000001n
const ONE = concat(le(1, 32), le(1, 32))

export const blake = (bytes, key) => blake2b(bytes, { dkLen: 32, key })

// A point that nobody has the key of: signatures are verified by nobody here.
function account (name) {
  const x = blake(text(name))
  x[31] &= 0x3f
  return x
}

const key = (x, isOdd = 0) => concat(x, [isOdd])

// Payments of one run differ from all others of it.
let count = 0

// A payment. What is said of it takes the place of what is right.
export function payment (wrong = {}) {
  const number = ++count
  const payer = key(account(`payer ${number}`))
  const payload = concat(
    u64(1_000_000_000 + number),
    wrong.payer ?? payer,
    u32(number % 200),
    [0], u32(0xffff_ffff),
    string(concat([1, 0], new Uint8Array(32))),
    [wrong.kind ?? 0], key(account(`receiver ${number}`)), u64((1n << 63n) + BigInt(number))
  )
  return concat([wrong.constructor ?? 0], payload, payer, ONE)
}

export function delegation () {
  const number = ++count
  const payer = key(account(`payer ${number}`), 1)
  const memo = concat([1, 2], text('hi'), new Uint8Array(30))
  const body = concat([1, 0], key(account(`delegate ${number}`)))
  return concat([0], u64(70_000 + number), payer, u32(40_000), [0], u32(2 ** 31), string(memo), body, payer, ONE)
}

// With (1, 1) for the signature, which is what commands here have.
export const idOf = command => blake(command.subarray(1))

let nonce = 0

export const envelope = (tag, value, count = value.length + 1) => concat(le(count, 8), [tag], value)
export const diffValue = (commands, number = ++nonce) => concat(list(commands), int(number))
export const diff = (...commands) => envelope(2, diffValue(commands))

// Diffs that nobody may send on, each wrong in one way.
export function wrongDiffs () {
  const right = () => diffValue([payment()])
  const sized = (value, by) => envelope(2, value, value.length + 1 + by)
  const outside = key(le(MODULUS, 32))
  const cut = right()
  return {
    'a count one too small': sized(right(), -1),
    'a count one too large': sized(right(), 1),
    'a byte behind it': envelope(2, concat(right(), [0])),
    'tag 3': envelope(3, right()),
    'a boolean 2': envelope(2, diffValue([payment({ payer: key(account('odd'), 2) })])),
    'an element that is the modulus': envelope(2, diffValue([payment({ payer: outside })])),
    'a third kind of command': envelope(2, diffValue([payment({ constructor: 2 })])),
    'a third kind of body': envelope(2, diffValue([payment({ kind: 2 })])),
    'a longer list than there is': envelope(2, concat([0x7f], right())),
    'a command that is cut off': envelope(2, cut.subarray(0, cut.length - 40))
  }
}

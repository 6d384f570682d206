// As much of protobuf as frames of identify, Kademlia and gossip need (the spec's sections 2.2, 2.3 and 3.4).
import { concat } from './binprot.mjs'

export function varint (number) {
  const out = []
  let rest = BigInt(number)
  for (; rest > 0x7fn; rest >>= 7n) out.push(Number(rest & 0x7fn) | 0x80)
  return Uint8Array.of(...out, Number(rest))
}

export const bytes = (field, value) => concat(varint((field << 3) | 2), varint(value.length), value)
export const number = (field, value) => concat(varint(field << 3), varint(value))
export const framed = message => concat(varint(message.length), message)

// Where the number in front ends, and what it is; nothing while not all of it is there.
export function readVarint (from, at = 0) {
  let value = 0n
  for (let shift = 0n; at < from.length && shift < 64n; shift += 7n) {
    const byte = from[at++]
    value |= BigInt(byte & 0x7f) << shift
    if (byte < 0x80) return [Number(value), at]
  }
}

// What each field has, in a list by its number.
export function fields (message) {
  const found = {}
  for (let at = 0; at < message.length;) {
    const [key, value] = readVarint(message, at)
    const [length, begin] = readVarint(message, value)
    const isBytes = (key & 7) === 2
    if (!isBytes && (key & 7) !== 0) throw new Error(`field ${key >> 3} is of type ${key & 7}`)
    const list = (found[key >> 3] ??= [])
    if (isBytes && begin + length > message.length) throw new Error(`field ${key >> 3} is cut off`)
    list.push(isBytes ? message.subarray(begin, begin + length) : length)
    at = isBytes ? begin + length : begin
  }
  return found
}

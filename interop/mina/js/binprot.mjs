// bin_prot as the spec's section 4.1 has it. Written from the table, not after our encoder, which it is to judge.

const bytes = part => (Array.isArray(part) ? Uint8Array.from(part) : part)

export const concat = (...parts) => new Uint8Array(Buffer.concat(parts.map(bytes)))
export const hex = bytes => Buffer.from(bytes).toString('hex')
export const unhex = text => new Uint8Array(Buffer.from(text, 'hex'))

// A number of so many bytes, little endian.
export function le (number, bytes) {
  const out = new Uint8Array(bytes)
  let rest = BigInt.asUintN(8 * bytes, BigInt(number))
  for (let at = 0; at < bytes; at++, rest >>= 8n) {
    out[at] = Number(rest & 0xffn)
  }
  return out
}

const fromLe = bytes => BigInt('0x' + (hex(Uint8Array.from(bytes).reverse()) || '0'))

const tagged = (tag, number, bytes) => concat([tag], le(number, bytes))

// A length.
export function nat0 (number) {
  if (number < 0x80) return Uint8Array.of(number)
  if (number < 0x1_0000) return tagged(0xfe, number, 2)
  return number < 0x1_0000_0000 ? tagged(0xfd, number, 4) : tagged(0xfc, number, 8)
}

export function int (number) {
  const value = BigInt(number)
  if (value >= 0n && value < 0x80n) return Uint8Array.of(Number(value))
  if (value < 0n && value >= -0x80n) return tagged(0xff, value, 1)
  for (const [tag, bytes] of [[0xfe, 2], [0xfd, 4]]) {
    if (BigInt.asIntN(8 * bytes, value) === value) return tagged(tag, value, bytes)
  }
  return tagged(0xfc, value, 8)
}

// Unsigned numbers are written as the signed ones with the same bits.
export const u32 = number => int(BigInt.asIntN(32, BigInt(number)))
export const u64 = number => int(BigInt.asIntN(64, BigInt(number)))

export const string = bytes => concat(nat0(bytes.length), bytes)
export const list = items => concat(nat0(items.length), ...items)
export const text = words => new TextEncoder().encode(words)

// By which a constructor of a polymorphic variant is known.
export function variant (name) {
  const hash = text(name).reduce((hash, byte) => (hash * 223n + BigInt(byte)) % (1n << 31n), 0n)
  return le(2n * hash + 1n, 4)
}

// Reads what is in front, and throws at what is none.
export class Reader {
  constructor (bytes) {
    this.bytes = bytes
    this.at = 0
  }

  take (count) {
    if (this.at + count > this.bytes.length) throw new Error(`${count} bytes wanted, ${this.bytes.length - this.at} left`)
    this.at += count
    return this.bytes.subarray(this.at - count, this.at)
  }

  byte () {
    return this.take(1)[0]
  }

  nat0 () {
    const first = this.byte()
    if (first < 0x80) return first
    const bytes = { 0xfe: 2, 0xfd: 4, 0xfc: 8 }[first]
    if (bytes === undefined) throw new Error(`a length does not begin with ${first}`)
    return Number(fromLe(this.take(bytes)))
  }

  int () {
    const first = this.byte()
    if (first < 0x80) return BigInt(first)
    const bytes = { 0xff: 1, 0xfe: 2, 0xfd: 4, 0xfc: 8 }[first]
    if (bytes === undefined) throw new Error(`a number does not begin with ${first}`)
    return BigInt.asIntN(8 * bytes, fromLe(this.take(bytes)))
  }

  string () {
    return this.take(this.nat0())
  }

  words () {
    return new TextDecoder().decode(this.string())
  }

  list (read) {
    return Array.from({ length: this.nat0() }, () => read(this))
  }

  rest () {
    return this.take(this.bytes.length - this.at)
  }

  end () {
    if (this.at !== this.bytes.length) throw new Error(`${this.bytes.length - this.at} bytes too many`)
  }
}

// Waits for what is to happen, and no longer than the row may take.
import { setTimeout as sleep } from 'node:timers/promises'

const ASK_MS = 50

// Until it is so: what it answers. The last error says why it never was.
export async function until (what, ask, ms = 20_000) {
  const end = Date.now() + ms
  let last
  while (Date.now() < end) {
    try {
      const answer = await ask()
      if (answer) return answer
    } catch (error) {
      last = error
    }
    await sleep(ASK_MS)
  }
  throw new Error(`${what}: not within ${ms / 1000} s${last ? `: ${last.message}` : ''}`)
}

export async function within (what, ms, promise) {
  let timer
  const late = new Promise((resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${ms / 1000} s`)), ms)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

/** What Node.js has without an import, for the browser's bundle. */

export { Buffer } from 'node:buffer'
export { default as process } from 'node:process'

const turns = new Map<number, () => void>()
const channel = new MessageChannel()
let last = 0

channel.port1.onmessage = ({ data }) => {
  const turn = turns.get(data)
  turns.delete(data)
  turn?.()
}

/** A message's way, which is not slowed down as nested timers are (HTML, "timers": 4 ms from the fifth on). */
export function setImmediate(turn: (...values: unknown[]) => void, ...values: readonly unknown[]): number {
  turns.set(++last, () => turn(...values))
  channel.port2.postMessage(last)
  return last
}

export function clearImmediate(turn: number): void {
  turns.delete(turn)
}

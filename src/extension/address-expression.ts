/** What a user types for an address: a number, an expression, an address of another address space. */

import type { GuestSession } from './adapter-line/adapter-lines.ts'
import { members } from './session-messages.ts'

/**
 * Addresses of other address spaces are taken as they are; everything else is an expression of the innermost frame.
 * Rejects when it is no address.
 */
export async function addressOf(session: GuestSession, threadId: number, expression: string): Promise<string> {
  const text = expression.trim()
  if (/^(0x[0-9a-f]{1,16}|cr3=.*)$/i.test(text)) return text
  const frames = members(await session.request('stackTrace', { threadId, levels: 1 })).stackFrames
  const frameId = Array.isArray(frames) ? members(frames[0]).id : undefined
  const format = { hex: true }
  const value = members(await session.request('evaluate', { expression: text, frameId, context: 'watch', format }))
  const { result, memoryReference } = value
  // The value of a number or pointer; of what has no number for a value, such as a struct, where it lies.
  const [number] = /^0x[0-9a-f]{1,16}/i.exec(String(result)) ?? []
  if (number !== undefined) return number
  if (typeof memoryReference === 'string' && /^0x/.test(memoryReference)) return memoryReference
  throw new Error(`"${text}" is ${String(result)}, which is no address`)
}

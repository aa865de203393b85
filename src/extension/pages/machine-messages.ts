/** What all pages are told, and what several of them ask for, with the checks of both sides. */

/** To a page. */
export type MachineMessage =
  /** The machine stands still or has changed: ask again. */
  | { readonly type: 'stopped' }
  | { readonly type: 'running' }
  | { readonly type: 'ended' }
  /** What it asked for can't be had. */
  | { readonly type: 'failed'; readonly message: string }

/** Is it one of these? */
export function isMachineMessage(value: unknown): value is MachineMessage {
  if (typeof value !== 'object' || value === null || !('type' in value)) return false
  if (value.type === 'failed') return 'message' in value && typeof value.message === 'string'
  return value.type === 'stopped' || value.type === 'running' || value.type === 'ended'
}

/** `protocol/address.ts` */
const REFERENCE = /^(?:phys:|hpa:|cr3=0x[0-9a-f]{1,16}:)?0x[0-9a-f]{1,16}$/i

/** An address of memory in any space, as DAP's `memoryReference` has it. */
export const isMemoryReference = (value: unknown): value is string => typeof value === 'string' && REFERENCE.test(value)

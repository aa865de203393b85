/** What a message from the debug adapter says about the guest. */

export type MessageEffect =
  | { readonly kind: 'none' }
  | { readonly kind: 'running' }
  | { readonly kind: 'stopped'; readonly threadId: number }
  /** The guest stands still, and something of it is no longer what it was. */
  | { readonly kind: 'changed' }

/** Requests after whose response the guest runs, or is about to. */
const RESUMING = ['launch', 'continue', 'next', 'stepIn', 'stepOut', 'restart']

/** @param message of the Debug Adapter Protocol */
export function messageEffect(message: unknown): MessageEffect {
  const { type, event, command, success, body } = members(message)
  if (type === 'response') return success === true && RESUMING.includes(String(command)) ? { kind: 'running' } : NONE
  if (type !== 'event') return NONE
  switch (event) {
    case 'stopped': {
      const { threadId } = members(body)
      return { kind: 'stopped', threadId: typeof threadId === 'number' ? threadId : 1 }
    }
    case 'continued':
      return { kind: 'running' }
    case 'invalidated':
    case 'memory':
      return { kind: 'changed' }
    default:
      return NONE
  }
}

const NONE: MessageEffect = { kind: 'none' }

/** Members by name; none of what is no object. */
export function members(value: unknown): { readonly [name: string]: unknown } {
  return typeof value === 'object' && value !== null ? Object.fromEntries(Object.entries(value)) : {}
}

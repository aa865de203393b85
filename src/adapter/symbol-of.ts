/** The symbol that covers an address, as bodies of requests carry it. */

import type { Session } from './session.ts'

/** Nothing where no symbol covers the address. */
export function symbolOf(session: Session, address: bigint): { symbol?: string } {
  const symbol = session.debugger.symbols.describe(address)
  return symbol === undefined ? {} : { symbol }
}

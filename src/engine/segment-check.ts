/** Limit and type checks of a data access outside 64-bit mode (SDM vol. 3, 5.3 to 5.5), where the quick check failed. */

import {
  RIGHTS_CODE,
  RIGHTS_DB,
  RIGHTS_EXPAND_DOWN,
  RIGHTS_P,
  RIGHTS_READABLE,
  RIGHTS_UNUSABLE,
  RIGHTS_WRITABLE,
} from '../x86/segment-rights.ts'
import type { CpuState } from './cpu-state.ts'
import { type GuestFault, generalProtection, stackFault } from './fault.ts'
import * as S from './state.ts'

const SS = S.SEGMENTS + 2 * S.SEGMENT_STRIDE

/**
 * Throws when an access of `bytes` at `offset` in the segment cache at `segment` is not allowed.
 * @param flush a cache line is flushed: that may be in an execute-only segment, too (SDM vol. 2, CLFLUSH)
 */
export function checkSegmentAccess(
  state: CpuState,
  segment: number,
  offset: number,
  bytes: number,
  write: boolean,
  flush = false,
): void {
  const fault = (): GuestFault => (segment === SS ? stackFault(0) : generalProtection(0))
  const rights = state.get32(segment + S.SEGMENT_RIGHTS)
  const limit = state.get32(segment + S.SEGMENT_LIMIT)
  if (rights & RIGHTS_UNUSABLE || !(rights & RIGHTS_P)) throw fault()
  const code = (rights & RIGHTS_CODE) !== 0
  if (code ? write || !(rights & RIGHTS_READABLE || flush) : write && !(rights & RIGHTS_WRITABLE)) throw fault()
  const last = offset + Math.max(bytes, 1) - 1
  if (!code && rights & RIGHTS_EXPAND_DOWN) {
    const top = rights & RIGHTS_DB ? 0xffff_ffff : 0xffff
    if (offset <= limit || last > top) throw fault()
  } else if (last > limit) throw fault()
}

/** Why a page fault happened, in words: the tables are asked for the same access once more. */

import type { MachineView, VcpuView } from '../inspect/machine-view.ts'
import { type AccessKind, translate } from '../inspect/translation.ts'

/** Bits of the error code (SDM vol. 3, 4.7). */
const ERROR_WRITE = 1 << 1
const ERROR_FETCH = 1 << 4

/** `write from CPL 3: the PT entry at guest-physical 0x111080 is not present`. Nothing is changed by asking. */
export function explainPageFault(machine: MachineView, vcpu: VcpuView, address: bigint, errorCode: number): string {
  const access: AccessKind =
    (errorCode & ERROR_FETCH) !== 0 ? 'execute' : (errorCode & ERROR_WRITE) !== 0 ? 'write' : 'read'
  const { fault, levels } = translate(machine, vcpu, address, { access })
  const at = levels.at(-1)?.entryAddress
  const entry = at === undefined ? '' : ` (last entry at guest-physical 0x${at.toString(16)})`
  const why =
    fault === undefined
      ? 'the page tables allow it now, and when the guest goes on the instruction is executed anew'
      : `${fault.why}${entry}`
  return `${access} from CPL ${vcpu.cpl}: ${why}`
}

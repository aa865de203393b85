/** Where a kernel handles page faults: the one place in it that the processor always knows, in any address space. */

import type { MachineView, VcpuView } from '../../inspect/machine-view.ts'
import { interruptGates } from '../../inspect/system-tables.ts'

const PAGE_FAULT = 14

/** Its linear address; undefined while the IDT has none, or can't be read. */
export function pageFaultHandler(machine: MachineView, vcpu: VcpuView): bigint | undefined {
  const gate = interruptGates(machine, vcpu).entries[PAGE_FAULT]
  return gate?.present ? gate.offset : undefined
}

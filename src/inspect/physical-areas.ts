/** What lies where in guest-physical memory: RAM and what firmware reserves of it, its tables, windows of devices. */

import type { MemoryArea } from './area-index.ts'
import { firmwareTables } from './firmware-tables.ts'
import type { MachineView } from './machine-view.ts'
import { placeOf } from './pci/pci-functions.ts'

const USABLE = 1
const PAGE = 4096n
/** Firmware keeps the end of the RAM below it for itself. */
const LEGACY_HOLE = 0xa_0000

/** IA32_APIC_BASE (SDM vol. 3, 12.4.4): enabled, x2APIC mode (then it has no window), and where it is. */
const APIC_ENABLED = 1n << 11n
const APIC_X2 = 1n << 10n
const APIC_BASE = 0xf_ffff_ffff_f000n

/** In ascending order of their starts; smaller ones lie within larger ones. */
export function physicalAreas(machine: MachineView): MemoryArea[] {
  const areas = [...ram(machine), ...tables(machine), ...windows(machine), ...localApics(machine)]
  return areas.sort((a, b) => (a.start < b.start ? -1 : a.start > b.start ? 1 : a.end > b.end ? -1 : 1))
}

const ram = ({ memoryMap }: MachineView): MemoryArea[] =>
  memoryMap.map(({ start, length, type }) =>
    type === USABLE
      ? area('ram', 'RAM', start, length)
      : area('reserved', start < LEGACY_HOLE ? 'extended BIOS data area' : 'firmware', start, length),
  )

const tables = (machine: MachineView): MemoryArea[] =>
  firmwareTables(machine).map(({ name, start, length }) => area('table', name, start, length))

function windows({ devices, pci }: MachineView): MemoryArea[] {
  return [
    ...devices.flatMap(({ name, memoryWindow }) =>
      memoryWindow === undefined ? [] : [area('device', name, memoryWindow.base, memoryWindow.size)],
    ),
    ...pci.flatMap(view =>
      view.windows.flatMap(({ bar, kind, size, mapped }) =>
        kind === 'io' || mapped === undefined
          ? []
          : [area('device', `${view.name} (PCI ${placeOf(view)}, BAR ${bar})`, mapped, size)],
      ),
    ),
  ]
}

/** Each processor sees its own at this address: those at the same one are one window. */
function localApics({ vcpus }: MachineView): MemoryArea[] {
  const bases = new Set<bigint>()
  for (const vcpu of vcpus) {
    const value = vcpu.register('msr_apic_base')
    if ((value & APIC_ENABLED) !== 0n && (value & APIC_X2) === 0n) bases.add(value & APIC_BASE)
  }
  return [...bases].map(start => ({ kind: 'device', name: 'local APIC', start, end: start + PAGE }))
}

const area = (kind: MemoryArea['kind'], name: string, start: number, length: number): MemoryArea => ({
  ...{ kind, name },
  start: BigInt(start),
  end: BigInt(start) + BigInt(length),
})

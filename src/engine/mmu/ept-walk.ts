/**
 * The walk of extended page tables (SDM vol. 3, 29.3): guest-physical to host-physical. Like the guest's own walk, one
 * piece of code for the MMU and for inspection. Tables are in host frames, so an entry's address is host-physical.
 */

export const EPT_READ = 1
export const EPT_WRITE = 2
export const EPT_EXECUTE = 4
const EPT_LARGE = 0x80

export type EptLevel = 'PML4' | 'PDPT' | 'PD' | 'PT'

/** Told of every entry that the walk reads. */
export type EptTrace = (level: EptLevel, table: number, index: number, entry: number, low: number, high: number) => void

/** Result of a walk; one object is used again and again. */
export class EptResult {
  /** Host-physical address of the byte asked for; meaningless when `rights` lacks what is needed. */
  hpa = 0
  /** What all entries together allow: a sum of EPT_READ, EPT_WRITE, EPT_EXECUTE; 0 when not present. */
  rights = 0
  pageShift = 12
  misconfigured = false
}

const LEVELS: readonly { readonly level: EptLevel; readonly shift: number }[] = [
  { level: 'PML4', shift: 39 },
  { level: 'PDPT', shift: 30 },
  { level: 'PD', shift: 21 },
  { level: 'PT', shift: 12 },
]

/**
 * @param root host-physical address of the EPT PML4 table.
 * @param words host memory as 32-bit words.
 */
export function walkEpt(root: number, gpa: number, words: Uint32Array, result: EptResult, trace?: EptTrace): void {
  let table = root
  let rights = EPT_READ | EPT_WRITE | EPT_EXECUTE
  result.misconfigured = false
  result.pageShift = 12
  for (const { level, shift } of LEVELS) {
    const index = Math.floor(gpa / 2 ** shift) & 0x1ff
    const entry = table + index * 8
    const low = words[entry >>> 2]
    const high = words[(entry >>> 2) + 1]
    trace?.(level, table, index, entry, low, high)
    const granted = low & (EPT_READ | EPT_WRITE | EPT_EXECUTE)
    if (granted === 0) {
      result.rights = 0
      return
    }
    // Writable but not readable is a misconfiguration (SDM vol. 3, 29.3.3.1), as is a large page where none can be.
    const large = (low & EPT_LARGE) !== 0
    if ((granted & (EPT_READ | EPT_WRITE)) === EPT_WRITE || (large && level === 'PML4')) {
      result.rights = 0
      result.misconfigured = true
      return
    }
    rights &= granted
    if (shift === 12 || large) {
      const size = 2 ** shift
      const base = (high & 0xf_ffff) * 2 ** 32 + Math.floor(low / 4096) * 4096
      result.hpa = Math.floor(base / size) * size + (gpa % size)
      result.pageShift = shift
      result.rights = rights
      return
    }
    table = (high & 0xf_ffff) * 2 ** 32 + Math.floor(low / 4096) * 4096
  }
}

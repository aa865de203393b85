/** Bits of control registers and descriptors in words. */

import * as control from '../../x86/control-registers.ts'
import {
  decodeGate,
  descriptorBase,
  descriptorDpl,
  descriptorLimit,
  descriptorRights,
  isCode,
  isPresent,
  isSystem,
} from '../../x86/descriptor.ts'
import {
  RIGHTS_ACCESSED,
  RIGHTS_CONFORMING,
  RIGHTS_DB,
  RIGHTS_EXPAND_DOWN,
  RIGHTS_G,
  RIGHTS_L,
  RIGHTS_READABLE,
  RIGHTS_WRITABLE,
} from '../../x86/segment-rights.ts'

/** Registers whose bits are known, with the prefix of their constants. */
export type BitRegister = 'cr0' | 'cr4' | 'efer'

const MEANINGS: Readonly<Record<BitRegister, Readonly<Record<string, string>>>> = {
  cr0: {
    PE: 'protected mode',
    MP: 'WAIT follows TS',
    EM: 'no x87: its instructions raise #NM',
    TS: 'task switched: floating point raises #NM',
    ET: 'always 1',
    NE: 'x87 errors as #MF',
    WP: 'read-only pages hold for the kernel too',
    AM: 'alignment checks',
    NW: 'not write-through',
    CD: 'caches off',
    PG: 'paging',
  },
  cr4: {
    VME: 'virtual-8086 extensions',
    PVI: 'protected-mode virtual interrupts',
    TSD: 'RDTSC in ring 0 only',
    DE: 'debugging extensions',
    PSE: '4 MiB pages in 32-bit paging',
    PAE: 'entries of 64 bits; needed for long mode',
    MCE: 'machine checks',
    PGE: 'global pages',
    PCE: 'RDPMC in every ring',
    OSFXSR: 'SSE, FXSAVE and FXRSTOR',
    OSXMMEXCPT: '#XM for SIMD floating point',
    UMIP: 'SGDT and its like in ring 0 only',
    LA57: '5-level paging',
    VMXE: 'VMX',
    FSGSBASE: 'RDFSBASE and its like',
    PCIDE: 'process-context identifiers',
    OSXSAVE: 'XSAVE and XCR0',
    SMEP: 'the kernel executes no user pages',
    SMAP: 'the kernel touches no user pages',
    PKE: 'protection keys',
  },
  efer: {
    SCE: 'SYSCALL and SYSRET',
    LME: 'long mode when paging begins',
    LMA: 'long mode is active',
    NXE: 'no-execute pages',
  },
}

/** `PE (bit 0): protected mode` of each bit that is set; bits without a name by their numbers. */
export function bitTexts(register: BitRegister, value: bigint): string[] {
  const names = new Map<number, string>()
  for (const [name, bit] of Object.entries(control)) {
    const short = new RegExp(`^${register.toUpperCase()}_(\\w+)$`).exec(name)?.[1]
    if (short !== undefined && typeof bit === 'number') names.set(31 - Math.clz32(bit), short)
  }
  const texts: string[] = []
  for (let bit = 0; bit < 64; bit++) {
    if (((value >> BigInt(bit)) & 1n) === 0n) continue
    const name = names.get(bit)
    texts.push(name === undefined ? `bit ${bit}: reserved` : `${name} (bit ${bit}): ${MEANINGS[register][name] ?? ''}`)
  }
  return texts
}

const GATES: Readonly<Record<number, string>> = {
  4: '16-bit call gate',
  5: 'task gate',
  6: '16-bit interrupt gate',
  7: '16-bit trap gate',
  12: 'call gate',
  14: 'interrupt gate',
  15: 'trap gate',
}
const SYSTEM: Readonly<Record<number, string>> = {
  1: 'available 16-bit TSS',
  2: 'LDT',
  3: 'busy 16-bit TSS',
  9: 'available TSS',
  11: 'busy TSS',
}

/** A quadword as a segment or gate descriptor; undefined when it can't be one. */
export function descriptorText(value: bigint): string | undefined {
  const lo = Number(value & 0xffff_ffffn)
  const hi = Number(value >> 32n)
  const rights = descriptorRights(hi)
  if (value === 0n) return 'null descriptor'
  // Nothing but flags of a segment that is not present would fit any number.
  if (!isPresent(rights)) return undefined
  const dpl = `DPL ${descriptorDpl(hi)}`
  const hex = (number: number | bigint): string => `0x${number.toString(16)}`
  if (isSystem(rights)) {
    const type = rights & 0xf
    if (Object.hasOwn(GATES, type)) {
      const gate = decodeGate(lo, hi)
      return `${GATES[type]}, ${dpl}, to selector ${hex(gate.selector)}, offset ${hex(gate.offset)} (bits 31:0)`
    }
    if (!Object.hasOwn(SYSTEM, type)) return undefined
    return `${SYSTEM[type]}, ${dpl}, base ${hex(descriptorBase(lo, hi))}, limit ${hex(descriptorLimit(lo, hi))}`
  }
  const has = (bit: number, text: string): string[] => ((rights & bit) !== 0 ? [text] : [])
  const kind = isCode(rights)
    ? [codeSize(rights), 'code', ...has(RIGHTS_READABLE, 'readable'), ...has(RIGHTS_CONFORMING, 'conforming')]
    : [
        ...has(RIGHTS_DB, '32-bit'),
        'data',
        (rights & RIGHTS_WRITABLE) !== 0 ? 'writable' : 'read-only',
        ...has(RIGHTS_EXPAND_DOWN, 'expand-down'),
      ]
  const where = [
    `base ${hex(descriptorBase(lo, hi))}`,
    `limit ${hex(descriptorLimit(lo, hi))}`,
    ...has(RIGHTS_G, 'counted in pages'),
  ]
  return [kind.join(' '), dpl, ...where, ...has(RIGHTS_ACCESSED, 'accessed')].join(', ')
}

function codeSize(rights: number): string {
  if ((rights & RIGHTS_L) !== 0) return '64-bit'
  return (rights & RIGHTS_DB) !== 0 ? '32-bit' : '16-bit'
}

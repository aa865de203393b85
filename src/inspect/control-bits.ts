/** Control, flags, debug and other registers of bits taken apart (SDM vol. 3, 2.2.1, 2.3, 2.5, 18.2; vol. 1, 3.4.3). */

import { CR4_PAE, CR4_PCIDE, EFER_LMA } from '../x86/control-registers.ts'

/** Is a bit of a register set? `mask` is one of the constants of `src/x86/`. */
export const isSet = (register: bigint, mask: number): boolean => (register & BigInt(mask)) !== 0n

export interface RegisterField {
  /** The manual's name. */
  readonly name: string
  /** Highest and lowest bit. */
  readonly high: number
  readonly low: number
  readonly value: bigint
  readonly meaning: string
}

export type DecodedRegister = 'cr0' | 'cr3' | 'cr4' | 'efer' | 'xcr0' | 'rflags' | 'dr6' | 'dr7' | 'mxcsr'

/** Lowest bit, name, meaning; four elements give the highest bit too. */
type FieldDefinition = readonly [low: number, name: string, meaning: string, high?: number]

const CR0: readonly FieldDefinition[] = [
  [0, 'PE', 'protection enable'],
  [1, 'MP', 'monitor coprocessor: WAIT obeys TS'],
  [2, 'EM', 'emulation: no x87, no SSE'],
  [3, 'TS', 'task switched: next x87 or SSE instruction raises #NM'],
  [4, 'ET', 'extension type'],
  [5, 'NE', 'numeric error: x87 reports by #MF'],
  [16, 'WP', 'write protect: read-only pages hold for the supervisor too'],
  [18, 'AM', 'alignment mask: RFLAGS.AC checks alignment at CPL 3'],
  [29, 'NW', 'not write-through'],
  [30, 'CD', 'cache disable'],
  [31, 'PG', 'paging'],
]

const CR4: readonly FieldDefinition[] = [
  [0, 'VME', 'virtual-8086 mode extensions'],
  [1, 'PVI', 'protected-mode virtual interrupts'],
  [2, 'TSD', 'time stamp disable outside ring 0'],
  [3, 'DE', 'debugging extensions'],
  [4, 'PSE', 'page size extensions: 4 MB pages'],
  [5, 'PAE', 'physical address extension'],
  [6, 'MCE', 'machine-check enable'],
  [7, 'PGE', 'global pages'],
  [8, 'PCE', 'performance counters in every ring'],
  [9, 'OSFXSR', 'FXSAVE and SSE enabled'],
  [10, 'OSXMMEXCPT', 'SSE reports by #XM'],
  [11, 'UMIP', 'SGDT, SIDT, SLDT, SMSW, STR only in ring 0'],
  [12, 'LA57', '57-bit linear addresses: 5-level paging'],
  [13, 'VMXE', 'VMX enable'],
  [14, 'SMXE', 'SMX enable'],
  [16, 'FSGSBASE', 'RDFSBASE and its kin enabled'],
  [17, 'PCIDE', 'process-context identifiers'],
  [18, 'OSXSAVE', 'XSAVE and XCR0 enabled'],
  [20, 'SMEP', 'supervisor does not execute user pages'],
  [21, 'SMAP', 'supervisor does not touch user pages unless RFLAGS.AC'],
  [22, 'PKE', 'protection keys for user pages'],
  [23, 'CET', 'control-flow enforcement'],
  [24, 'PKS', 'protection keys for supervisor pages'],
]

const EFER: readonly FieldDefinition[] = [
  [0, 'SCE', 'SYSCALL enable'],
  [8, 'LME', 'long mode enable'],
  [10, 'LMA', 'long mode active'],
  [11, 'NXE', 'no-execute enable'],
]

const RFLAGS: readonly FieldDefinition[] = [
  [0, 'CF', 'carry'],
  [2, 'PF', 'parity'],
  [4, 'AF', 'auxiliary carry'],
  [6, 'ZF', 'zero'],
  [7, 'SF', 'sign'],
  [8, 'TF', 'trap: single-step'],
  [9, 'IF', 'interrupts enabled'],
  [10, 'DF', 'direction: strings go down'],
  [11, 'OF', 'overflow'],
  [12, 'IOPL', 'I/O privilege level', 13],
  [14, 'NT', 'nested task'],
  [16, 'RF', 'resume: instruction breakpoints held off'],
  [17, 'VM', 'virtual-8086 mode'],
  [18, 'AC', 'alignment check, or SMAP override'],
  [19, 'VIF', 'virtual interrupt flag'],
  [20, 'VIP', 'virtual interrupt pending'],
  [21, 'ID', 'CPUID available'],
]

const DR6: readonly FieldDefinition[] = [
  [0, 'B0', 'breakpoint 0 met'],
  [1, 'B1', 'breakpoint 1 met'],
  [2, 'B2', 'breakpoint 2 met'],
  [3, 'B3', 'breakpoint 3 met'],
  [13, 'BD', 'debug register access detected'],
  [14, 'BS', 'single-step'],
  [15, 'BT', 'task switch'],
  [16, 'RTM', 'not in a transactional region'],
]

const DR7: readonly FieldDefinition[] = [
  ...[0, 1, 2, 3].flatMap((n): FieldDefinition[] => [
    [n * 2, `L${n}`, `breakpoint ${n} enabled for this task`],
    [n * 2 + 1, `G${n}`, `breakpoint ${n} enabled`],
  ]),
  [8, 'LE', 'exact local'],
  [9, 'GE', 'exact global'],
  [13, 'GD', 'general detect: access to a debug register raises #DB'],
  ...[0, 1, 2, 3].flatMap((n): FieldDefinition[] => [
    [16 + n * 4, `R/W${n}`, `kind of breakpoint ${n}: 0 execute, 1 write, 2 I/O, 3 read or write`, 17 + n * 4],
    [18 + n * 4, `LEN${n}`, `length of breakpoint ${n}: 0 one, 1 two, 2 eight, 3 four bytes`, 19 + n * 4],
  ]),
]

// SDM vol. 1, 13.3.
const XCR0: readonly FieldDefinition[] = [
  [0, 'X87', 'x87 state'],
  [1, 'SSE', 'XMM registers and MXCSR'],
  [2, 'AVX', 'upper halves of the YMM registers'],
  [9, 'PKRU', 'protection keys'],
]

// SDM vol. 1, 10.2.3.
const MXCSR: readonly FieldDefinition[] = [
  [0, 'IE', 'invalid operation'],
  [1, 'DE', 'denormal operand'],
  [2, 'ZE', 'divide by zero'],
  [3, 'OE', 'overflow'],
  [4, 'UE', 'underflow'],
  [5, 'PE', 'precision'],
  [6, 'DAZ', 'denormals are zeros'],
  [7, 'IM', 'invalid operation masked'],
  [8, 'DM', 'denormal operand masked'],
  [9, 'ZM', 'divide by zero masked'],
  [10, 'OM', 'overflow masked'],
  [11, 'UM', 'underflow masked'],
  [12, 'PM', 'precision masked'],
  [13, 'RC', 'rounding: 0 to nearest, 1 down, 2 up, 3 toward zero', 14],
  [15, 'FTZ', 'flush to zero'],
]

/** The one field that is an address: its value keeps its place. */
const BASE = 'BASE'

// SDM vol. 3, table 4-12: bits 11:0 are the PCID with CR4.PCIDE; else only PWT and PCD mean something.
const CR3_WITH_PCID: readonly FieldDefinition[] = [
  [0, 'PCID', 'process-context identifier', 11],
  [12, BASE, 'guest-physical address of the top-level table', 51],
]
const CR3_WITHOUT_PCID: readonly FieldDefinition[] = [
  [3, 'PWT', 'top-level table is written through'],
  [4, 'PCD', 'top-level table is not cached'],
  [12, BASE, 'guest-physical address of the top-level table', 51],
]
// With PAE paging CR3 points to 32-byte aligned PDPTEs (SDM vol. 3, table 4-7).
const CR3_PAE: readonly FieldDefinition[] = [
  [3, 'PWT', 'top-level table is written through'],
  [4, 'PCD', 'top-level table is not cached'],
  [5, BASE, 'guest-physical address of the page-directory-pointer table', 31],
]

/** What the fields of CR3 are depends on these. */
export interface PagingContext {
  readonly cr4: bigint
  readonly efer: bigint
}

/** The fields of a register, lowest bit first; reserved bits are left out. */
export function decodeRegister(name: DecodedRegister, value: bigint, context: PagingContext): RegisterField[] {
  return definitions(name, context).map(([low, field, meaning, high = low]) => {
    const bits = (value >> BigInt(low)) & ((1n << BigInt(high - low + 1)) - 1n)
    return { name: field, high, low, value: field === BASE ? bits << BigInt(low) : bits, meaning }
  })
}

function definitions(name: DecodedRegister, context: PagingContext): readonly FieldDefinition[] {
  switch (name) {
    case 'cr0':
      return CR0
    case 'cr3':
      if (!isSet(context.efer, EFER_LMA) && isSet(context.cr4, CR4_PAE)) return CR3_PAE
      return isSet(context.cr4, CR4_PCIDE) ? CR3_WITH_PCID : CR3_WITHOUT_PCID
    case 'cr4':
      return CR4
    case 'efer':
      return EFER
    case 'rflags':
      return RFLAGS
    case 'dr6':
      return DR6
    case 'dr7':
      return DR7
    case 'xcr0':
      return XCR0
    case 'mxcsr':
      return MXCSR
  }
}

/** One line: names of the single bits that are set, and wider fields with their value: `ZF IF IOPL=0`. */
export function summarizeFields(fields: readonly RegisterField[]): string {
  const parts: string[] = []
  for (const field of fields) {
    if (field.high > field.low) parts.push(`${field.name}=${fieldValue(field)}`)
    else if (field.value !== 0n) parts.push(field.name)
  }
  return parts.join(' ')
}

export const isAddressField = ({ name }: RegisterField): boolean => name === BASE

/** Addresses in hexadecimal, everything else in decimal. */
function fieldValue(field: RegisterField): string {
  return isAddressField(field) ? `0x${field.value.toString(16)}` : field.value.toString()
}

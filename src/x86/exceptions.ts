/** Exceptions by vector (SDM vol. 3, table 6-1), for people. */

export interface ExceptionFacts {
  readonly vector: number
  /** `#PF` */
  readonly mnemonic: string
  readonly name: string
}

/** Those that the architecture defines; vectors from 32 are interrupts. */
export const EXCEPTIONS: readonly ExceptionFacts[] = [
  { vector: 0, mnemonic: '#DE', name: 'divide error' },
  { vector: 1, mnemonic: '#DB', name: 'debug exception' },
  { vector: 2, mnemonic: 'NMI', name: 'non-maskable interrupt' },
  { vector: 3, mnemonic: '#BP', name: 'breakpoint' },
  { vector: 4, mnemonic: '#OF', name: 'overflow' },
  { vector: 5, mnemonic: '#BR', name: 'BOUND range exceeded' },
  { vector: 6, mnemonic: '#UD', name: 'invalid opcode' },
  { vector: 7, mnemonic: '#NM', name: 'device not available' },
  { vector: 8, mnemonic: '#DF', name: 'double fault' },
  { vector: 10, mnemonic: '#TS', name: 'invalid TSS' },
  { vector: 11, mnemonic: '#NP', name: 'segment not present' },
  { vector: 12, mnemonic: '#SS', name: 'stack-segment fault' },
  { vector: 13, mnemonic: '#GP', name: 'general protection' },
  { vector: 14, mnemonic: '#PF', name: 'page fault' },
  { vector: 16, mnemonic: '#MF', name: 'x87 floating-point error' },
  { vector: 17, mnemonic: '#AC', name: 'alignment check' },
  { vector: 18, mnemonic: '#MC', name: 'machine check' },
  { vector: 19, mnemonic: '#XM', name: 'SIMD floating-point exception' },
  { vector: 20, mnemonic: '#VE', name: 'virtualization exception' },
  { vector: 21, mnemonic: '#CP', name: 'control protection exception' },
]

/** Faults leave their instruction undone, to be executed anew; traps and aborts do not (SDM vol. 3, table 6-1). */
const FAULTS: ReadonlySet<number> = new Set([0, 5, 6, 7, 10, 11, 12, 13, 14, 16, 17, 19, 20, 21])

/** #DB is either, and counts as a trap here. */
export const isFault = (vector: number): boolean => FAULTS.has(vector)

/** `#PF page fault`, or `vector 32`. */
export function describeVector(vector: number): string {
  const facts = EXCEPTIONS.find(exception => exception.vector === vector)
  return facts === undefined ? `vector ${vector}` : `${facts.mnemonic} ${facts.name}`
}

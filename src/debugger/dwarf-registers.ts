/** Registers by DWARF's numbers and by the machine's names (x86-64 psABI, figure 3.36; i386 psABI, table 2.14). */

const numbered = (name: string, first: number, count: number): string[] =>
  Array.from({ length: count }, (_, index) => `${name}${first + index}`)

const X86_64: readonly (string | undefined)[] = [
  ...['rax', 'rdx', 'rcx', 'rbx', 'rsi', 'rdi', 'rbp', 'rsp'],
  ...numbered('r', 8, 8),
  'rip',
  ...numbered('xmm', 0, 16),
  ...numbered('st', 0, 8),
]
const I386: readonly (string | undefined)[] = [
  ...['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi', 'rip', 'rflags'],
  undefined,
  ...numbered('st', 0, 8),
  undefined,
  undefined,
  ...numbered('xmm', 0, 8),
]
const X86_64_BASES: ReadonlyMap<number, string> = new Map([
  [49, 'rflags'],
  [58, 'fs_base'],
  [59, 'gs_base'],
])

/** The machine's name; undefined for a number that means nothing here. */
export function registerName(number: number, bits: 32 | 64): string | undefined {
  return bits === 64 ? (X86_64[number] ?? X86_64_BASES.get(number)) : I386[number]
}

/** General registers and the program counter in the order of DWARF's numbers: what unwinding follows. */
export function unwoundRegisters(bits: 32 | 64): readonly string[] {
  return (bits === 64 ? X86_64.slice(0, 17) : I386.slice(0, 9)).filter(name => name !== undefined)
}

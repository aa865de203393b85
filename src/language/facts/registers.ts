/** Registers by name, and what each is for (SDM vol. 1, 3.4 and 3.7; vol. 3, 2.1). */

const PURPOSES: Readonly<Record<string, string>> = {
  rax: 'accumulator: results, and what MUL, DIV, IN, OUT and CMPXCHG use',
  rbx: 'general; callee-saved in the System V ABI',
  rcx: 'counts for LOOP, REP and shifts (CL); SYSCALL puts the return address here',
  rdx: 'general; upper half for MUL and DIV, port for IN and OUT',
  rsi: 'source of string instructions; second argument in the System V ABI',
  rdi: 'destination of string instructions; first argument in the System V ABI',
  rbp: 'frame pointer by convention',
  rsp: 'stack pointer',
  rip: 'instruction pointer',
  cs: 'code segment; its low two bits are CPL',
  ds: 'data segment',
  es: 'extra data segment, destination of string instructions',
  fs: 'data segment whose base counts in 64-bit mode too (IA32_FS_BASE)',
  gs: 'data segment whose base counts in 64-bit mode too (IA32_GS_BASE), exchanged by SWAPGS',
  ss: 'stack segment; its DPL is CPL',
  cr0: 'control register: protection, paging, caches, floating point',
  cr2: 'linear address of the last page fault',
  cr3: 'physical address of the top page table, and the PCID',
  cr4: 'control register: extensions',
  cr8: 'task priority: interrupts below it wait (TPR of the local APIC)',
  dr6: 'which debug conditions occurred',
  dr7: 'which debug conditions are armed',
}

const list = (pattern: string, from: number, to: number): string[] =>
  Array.from({ length: to - from + 1 }, (_, i) => pattern.replace('#', String(from + i)))

/** The parts of the general registers, each with the whole. */
const WHOLE = new Map<string, string>()
for (const letter of 'abcd')
  for (const part of [`r${letter}x`, `e${letter}x`, `${letter}x`, `${letter}h`, `${letter}l`])
    WHOLE.set(part, `r${letter}x`)
for (const name of ['si', 'di', 'bp', 'sp'])
  for (const part of [`r${name}`, `e${name}`, name, `${name}l`]) WHOLE.set(part, `r${name}`)
for (const name of list('r#', 8, 15)) for (const size of ['', 'd', 'w', 'b', 'l']) WHOLE.set(name + size, name)
for (const name of ['rip', 'eip', 'ip']) WHOLE.set(name, 'rip')

const REGISTERS: ReadonlySet<string> = new Set([
  ...WHOLE.keys(),
  ...['cs', 'ds', 'es', 'fs', 'gs', 'ss'],
  ...['cr0', 'cr2', 'cr3', 'cr4', 'cr8'],
  ...list('dr#', 0, 7),
  ...['st', ...list('st#', 0, 7)],
  ...[
    ...list('mm#', 0, 7),
    ...list('xmm#', 0, 31),
    ...list('ymm#', 0, 31),
    ...list('zmm#', 0, 31),
    ...list('k#', 0, 7),
  ],
])

export const REGISTER_NAMES: readonly string[] = [...REGISTERS].sort()

/** Without AT&T's percent sign, in any case. */
export const isRegister = (word: string): boolean => REGISTERS.has(word.toLowerCase())

/** The general register that `name` is a part of, itself included; undefined for other registers. */
export const wholeRegister = (name: string): string | undefined => WHOLE.get(name.toLowerCase())

/** One line about a register. */
export function describeRegister(word: string): string | undefined {
  const name = word.toLowerCase()
  if (!REGISTERS.has(name)) return undefined
  const whole = WHOLE.get(name)
  const purpose = PURPOSES[whole ?? name]
  const part = partText(name, whole)
  return [part, purpose].filter(text => text !== undefined).join('; ') || kindText(name)
}

function partText(name: string, whole: string | undefined): string | undefined {
  if (whole === undefined) return undefined
  const bits = width(name, whole)
  if (bits === '63:0') return '64 bits'
  const effect = bits === '31:0' ? '; a write clears the upper half' : ''
  return `bits ${bits} of ${whole.toUpperCase()}${effect}`
}

function width(name: string, whole: string): string {
  if (name === whole) return '63:0'
  if (/^(e|r\d+d$)/.test(name)) return '31:0'
  if (/^[abcd]h$/.test(name)) return '15:8'
  return /[lb]$/.test(name) ? '7:0' : '15:0'
}

function kindText(name: string): string {
  if (/^dr[0-3]$/.test(name)) return 'linear address of a hardware breakpoint'
  if (/^dr/.test(name)) return 'debug register'
  if (/^st/.test(name)) return 'x87 stack register, 80 bits'
  if (/^mm/.test(name)) return 'MMX register, 64 bits, over an x87 register'
  if (/^k/.test(name)) return 'AVX-512 mask register'
  return `vector register, ${{ x: 128, y: 256, z: 512 }[name[0]] ?? 128} bits`
}

/** Which words are instructions, and by which name iced-x86 knows them. */

import { Mnemonic } from 'iced-x86'
import type { Dialect } from '../syntax/source-line.ts'

/** In lower case, each with its number. */
const KNOWN = new Map<string, Mnemonic>()
for (const [name, value] of Object.entries(Mnemonic))
  if (typeof value === 'number' && name !== 'INVALID') KNOWN.set(name.toLowerCase(), value)

/** Other names of a condition (SDM vol. 1, appendix B). */
const CONDITION_ALIASES: Readonly<Record<string, string>> = {
  c: 'b',
  nae: 'b',
  nc: 'ae',
  nb: 'ae',
  z: 'e',
  nz: 'ne',
  na: 'be',
  nbe: 'a',
  nge: 'l',
  nl: 'ge',
  ng: 'le',
  nle: 'g',
  pe: 'p',
  po: 'np',
}

const ALIASES = new Map<string, string>([
  ['fwait', 'wait'],
  ['icebp', 'int1'],
  ['loopnz', 'loopne'],
  ['loopz', 'loope'],
  ['retfq', 'retf'],
  ['retfd', 'retf'],
  ['retn', 'ret'],
  ['retnq', 'ret'],
  ['retq', 'ret'],
  ['pushaw', 'pusha'],
  ['popaw', 'popa'],
  ['pushfw', 'pushf'],
  ['popfw', 'popf'],
  ['iretw', 'iret'],
  ['ud2a', 'ud2'],
  ['xlat', 'xlatb'],
  ['sal', 'shl'],
])
for (const prefix of ['j', 'set', 'cmov'])
  for (const [alias, condition] of Object.entries(CONDITION_ALIASES)) ALIASES.set(prefix + alias, prefix + condition)

/** AT&T syntax has names of its own for some instructions (GNU as, "i386-Mnemonics"). */
const AT_T_ALIASES = new Map<string, string>([
  ['cbtw', 'cbw'],
  ['cwtl', 'cwde'],
  ['cltq', 'cdqe'],
  ['cwtd', 'cwd'],
  ['cltd', 'cdq'],
  ['cqto', 'cqo'],
  ['lcall', 'call'],
  ['ljmp', 'jmp'],
  ['lret', 'retf'],
  ['lretl', 'retf'],
  ['lretq', 'retf'],
  ['lretw', 'retf'],
  ['movabs', 'mov'],
  ['movabsq', 'mov'],
  ['movsl', 'movsd'],
  ['movslq', 'movsxd'],
  ['movsbq', 'movsx'],
  ['movsbl', 'movsx'],
  ['movsbw', 'movsx'],
  ['movswl', 'movsx'],
  ['movswq', 'movsx'],
  ['movzbl', 'movzx'],
  ['movzbw', 'movzx'],
  ['movzbq', 'movzx'],
  ['movzwl', 'movzx'],
  ['movzwq', 'movzx'],
  ['movzb', 'movzx'],
  ['movzw', 'movzx'],
  ['stosl', 'stosd'],
  ['lodsl', 'lodsd'],
  ['scasl', 'scasd'],
  ['cmpsl', 'cmpsd'],
  ['insl', 'insd'],
  ['outsl', 'outsd'],
  ['ljmpl', 'jmp'],
  ['ljmpq', 'jmp'],
  ['ljmpw', 'jmp'],
  ['lcalll', 'call'],
  ['lcallq', 'call'],
  ['lcallw', 'call'],
  ['pushfl', 'pushfd'],
  ['popfl', 'popfd'],
  ['pushal', 'pushad'],
  ['popal', 'popad'],
  ['iretl', 'iretd'],
  ['sysretl', 'sysret'],
  ['sysexitl', 'sysexit'],
  ['sysexitq', 'sysexitq'],
])

export const PREFIXES: ReadonlySet<string> = new Set(
  'lock rep repe repz repne repnz xacquire xrelease bnd notrack wait'.split(' '),
)
const NASM_PREFIXES: ReadonlySet<string> = new Set('a16 a32 a64 o16 o32 o64 times'.split(' '))
const GAS_PREFIXES: ReadonlySet<string> = new Set(
  'data16 data32 addr16 addr32 rex rex.w rex64 cs ds es fs gs ss'.split(' '),
)

/** Whether a word stands before an instruction and belongs to it; `wait` is an instruction too. */
export function isPrefix(word: string, dialect: Dialect): boolean {
  const lower = word.toLowerCase()
  return PREFIXES.has(lower) || (dialect === 'nasm' ? NASM_PREFIXES : GAS_PREFIXES).has(lower)
}

/** Comparisons with the predicate in the name, such as CMPEQPS. */
const COMPARISON = /^(v?)cmp[a-z_]{2,8}(ps|pd|ss|sd)$/

/** iced-x86's name for what an assembler calls `word`, in lower case; undefined when it is no instruction. */
export function instructionName(word: string, dialect: Dialect): string | undefined {
  const lower = word.toLowerCase()
  const direct = known(lower)
  if (direct !== undefined) return direct
  const comparison = COMPARISON.exec(lower)
  if (comparison !== null) return `${comparison[1]}cmp${comparison[2]}`
  if (dialect === 'nasm') return undefined
  const atAndT = AT_T_ALIASES.get(lower)
  if (atAndT !== undefined) return atAndT
  // A suffix gives the size of the operands.
  return /[bwlqst]$/.test(lower) ? known(lower.slice(0, -1)) : undefined
}

function known(lower: string): string | undefined {
  const alias = ALIASES.get(lower)
  if (alias !== undefined) return alias
  return KNOWN.has(lower) && lower !== 'db' && lower !== 'dw' && lower !== 'dd' && lower !== 'dq' ? lower : undefined
}

/** @param name as {@link instructionName} gives it. */
export const mnemonicNumber = (name: string): Mnemonic | undefined => KNOWN.get(name)

/** Every name that completion offers, sorted; those of conditions in all their spellings. */
export const MNEMONIC_NAMES: readonly string[] = [
  ...new Set([...KNOWN.keys(), ...ALIASES.keys()].filter(name => known(name) !== undefined)),
].sort()

/** What iced-x86's tables know about an instruction, over all its forms. */

import {
  Code,
  CodeExt,
  CpuidFeature,
  Instruction,
  InstructionInfoFactory,
  type Mnemonic,
  OpAccess,
  Register,
  RflagsBits,
} from 'iced-x86'
import { describe, OWN_EXCEPTIONS } from './descriptions.ts'
import { mnemonicNumber } from './mnemonics.ts'

export interface InstructionForm {
  /** As the manual writes it: `ADD r/m64, imm8`. */
  readonly text: string
  /** `o64 83 /0 ib` */
  readonly encoding: string
  readonly in64BitMode: boolean
  /** How each operand is used: `read`, `write`, `read and write`. */
  readonly access: readonly string[]
}

export interface InstructionFacts {
  readonly name: string
  readonly description: string | undefined
  readonly forms: readonly InstructionForm[]
  readonly flags: Readonly<Record<'read' | 'written' | 'cleared' | 'set' | 'undefined', readonly string[]>>
  /** CPUID features, any one of which brings a form. */
  readonly features: readonly string[]
  /** Whom the processor lets execute it. */
  readonly privilege: string
  readonly exceptions: readonly string[]
  /** Registers that it uses without naming them, when it has no operands: `EAX (read)`. */
  readonly implicit: readonly string[]
}

const FLAG_NAMES = ['OF', 'SF', 'ZF', 'AF', 'CF', 'PF', 'DF', 'IF', 'AC'] as const
const X87_FLAGS = ['C0', 'C1', 'C2', 'C3'] as const
const FLAG_BITS = new Map<string, number>([...FLAG_NAMES, ...X87_FLAGS].map(name => [name, RflagsBits[name]]))

/** Forms of each mnemonic; made when first asked for, about 20 ms. */
let codes: Map<Mnemonic, Code[]> | undefined
const gathered = new Map<string, InstructionFacts>()

/** @param name as `instructionName` gives it. */
export function instructionFacts(name: string): InstructionFacts | undefined {
  const before = gathered.get(name)
  if (before !== undefined) return before
  const mnemonic = mnemonicNumber(name)
  if (mnemonic === undefined) return undefined
  codes ??= codesByMnemonic()
  const facts = gather(name, codes.get(mnemonic) ?? [])
  gathered.set(name, facts)
  return facts
}

function codesByMnemonic(): Map<Mnemonic, Code[]> {
  const map = new Map<Mnemonic, Code[]>()
  for (const code of Object.values(Code)) {
    if (typeof code !== 'number') continue
    const info = CodeExt.opCode(code)
    const list = map.get(info.mnemonic)
    if (list === undefined) map.set(info.mnemonic, [code])
    else list.push(code)
    info.free()
  }
  return map
}

/** What the forms of one instruction add up to. */
interface Sum {
  readonly forms: InstructionForm[]
  readonly flags: Record<keyof InstructionFacts['flags'], Set<string>>
  readonly features: Set<string>
  readonly implicit: Set<string>
  /** Texts of the forms that only ring 0 may execute. */
  readonly ring0: string[]
  mayNeedRing0: boolean
  memory: boolean
  vector: boolean
  x87: boolean
  floats: boolean
  lock: boolean
  stack: boolean
}

function gather(name: string, codesOfIt: readonly Code[]): InstructionFacts {
  const sum: Sum = {
    forms: [],
    flags: { read: new Set(), written: new Set(), cleared: new Set(), set: new Set(), undefined: new Set() },
    features: new Set(),
    implicit: new Set(),
    ring0: [],
    mayNeedRing0: false,
    memory: false,
    vector: false,
    x87: false,
    floats: false,
    lock: false,
    stack: false,
  }
  const factory = new InstructionInfoFactory()
  for (const code of codesOfIt) add(sum, code, factory)
  factory.free()
  const ordered = (set: ReadonlySet<string>): string[] => [...FLAG_BITS.keys()].filter(flag => set.has(flag))
  return {
    name,
    description: describe(name),
    forms: sum.forms,
    flags: {
      read: ordered(sum.flags.read),
      written: ordered(sum.flags.written),
      cleared: ordered(sum.flags.cleared),
      set: ordered(sum.flags.set),
      undefined: ordered(sum.flags.undefined),
    },
    features: [...sum.features],
    privilege: privilegeOf(sum),
    exceptions: exceptionsOf(name, sum),
    implicit: [...sum.implicit],
  }
}

function add(sum: Sum, code: Code, factory: InstructionInfoFactory): void {
  const info = CodeExt.opCode(code)
  const instruction = new Instruction()
  instruction.code = code
  const used = factory.info(instruction)
  const access = Array.from({ length: info.opCount }, (_, operand) => accessText(used.opAccess(operand)))
  const text = info.instructionString
  sum.forms.push({ text, encoding: info.opCodeString, in64BitMode: info.mode64, access })
  for (const [flag, bit] of FLAG_BITS) {
    if (instruction.rflagsRead & bit) sum.flags.read.add(flag)
    if (instruction.rflagsWritten & bit) sum.flags.written.add(flag)
    if (instruction.rflagsCleared & bit) sum.flags.cleared.add(flag)
    if (instruction.rflagsSet & bit) sum.flags.set.add(flag)
    if (instruction.rflagsUndefined & bit) sum.flags.undefined.add(flag)
  }
  for (const feature of instruction.cpuidFeatures()) sum.features.add(CpuidFeature[feature])
  if (info.opCount === 0 && info.mode64)
    for (const { register, access } of used.usedRegisters() as { register: Register; access: OpAccess }[])
      sum.implicit.add(`${Register[register]} (${accessText(access)})`)
  if (info.mustBeCpl0) sum.ring0.push(text)
  sum.mayNeedRing0 ||= info.mayRequireCpl0
  sum.memory ||= /\bm(\d|\b)|moffs|mib|vm\d/.test(text)
  sum.vector ||= /\b[xyz]mm/.test(text)
  sum.x87 ||= instruction.cpuidFeatures().includes(CpuidFeature.FPU)
  sum.floats ||= /[ps][sd]$/.test(text.split(' ')[0].toLowerCase()) && /\b[xyz]mm/.test(text)
  sum.lock ||= info.canUseLockPrefix
  sum.stack ||= instruction.isStackInstruction
  used.free()
  instruction.free()
  info.free()
}

function accessText(access: OpAccess): string {
  switch (access) {
    case OpAccess.Read:
      return 'read'
    case OpAccess.CondRead:
      return 'perhaps read'
    case OpAccess.Write:
      return 'written'
    case OpAccess.CondWrite:
      return 'perhaps written'
    case OpAccess.ReadWrite:
      return 'read and written'
    case OpAccess.ReadCondWrite:
      return 'read and perhaps written'
    default:
      return 'not accessed'
  }
}

function privilegeOf({ forms, ring0, mayNeedRing0 }: Sum): string {
  if (ring0.length === forms.length && forms.length > 0) return 'ring 0 only'
  if (ring0.length > 0) return `any ring; ring 0 only: ${ring0.join(', ')}`
  return mayNeedRing0 ? 'any ring, if IOPL, a bitmap or a bit of CR4 allows it' : 'any ring'
}

/** SDM vol. 3, 6.15, and vol. 2, 2.4 and 2.7: what the kind of an instruction implies, then what is its own. */
function exceptionsOf(name: string, sum: Sum): string[] {
  const found: string[] = []
  if (sum.ring0.length > 0) found.push('#GP outside ring 0')
  else if (sum.mayNeedRing0) found.push('#GP if it is not allowed')
  found.push(...(Object.hasOwn(OWN_EXCEPTIONS, name) ? OWN_EXCEPTIONS[name] : []))
  if (sum.memory) found.push('#GP, #SS or #PF from a memory operand', '#AC if alignment is checked')
  else if (sum.stack) found.push('#SS or #PF from the stack')
  if (sum.x87) found.push('#NM if CR0.EM or CR0.TS is 1', '#MF for a pending x87 exception')
  if (sum.vector) found.push('#NM if CR0.TS is 1', '#UD if CR4.OSFXSR (with VEX: OSXSAVE) is 0')
  if (sum.floats) found.push('#XM for an unmasked SIMD floating-point exception')
  if (sum.lock) found.push('#UD if LOCK is used and the destination is no memory')
  return found
}

/** Registers by the names that people use: parts of general registers, fields of control registers, vectors. */

import type { SegmentName } from '../../engine/processor.ts'
import { type DecodedRegister, decodeRegister } from '../../inspect/control-bits.ts'
import type { VcpuView } from '../../inspect/machine-view.ts'
import type { Type } from '../../symbols/dwarf/type-model.ts'
import { EXTENDED, U8, U16, U32, U64, vectorType } from './built-in-types.ts'
import { ExpressionError } from './expression-error.ts'
import type { Subject } from './subject.ts'

export interface RegisterOperand {
  readonly type: Type
  /** Unsigned, `type.size` bytes. Throws {@link ExpressionError} when the frame doesn't know it. */
  read(subject: Subject): bigint
  /** What to write for an assignment; undefined for what is derived from other state. */
  readonly whole: RegisterPart | undefined
}

/** Some bits of one of the machine's registers. */
export interface RegisterPart {
  /** The machine's name of the whole register. */
  readonly name: string
  /** The lowest bit, and how many. */
  readonly shift: number
  readonly bits: number
}

const SEGMENTS: readonly SegmentName[] = ['es', 'cs', 'ss', 'ds', 'fs', 'gs', 'ldtr', 'tr']
const SEGMENT_FIELDS = { base: U64, limit: U32, rights: U32, selector: U16 } as const
const DECODED: readonly DecodedRegister[] = ['cr0', 'cr3', 'cr4', 'efer', 'xcr0', 'rflags', 'dr6', 'dr7', 'mxcsr']
const FULL =
  /^(?:r(?:ax|bx|cx|dx|si|di|bp|sp|ip|flags)|r(?:[89]|1[0-5])|cr[02348]|dr[0-367]|efer|xcr0|pdpte[0-3]|[fg]s_base|msr_[a-z0-9_]+)$/
const NARROW = new Set(['mxcsr', 'pkru'])
const LEGACY_PARTS = /^(?:(e?)(ax|bx|cx|dx|si|di|bp|sp|ip|flags)|([abcd])([lh])|(si|di|bp|sp)l)$/
const NUMBERED_PARTS = /^(r(?:[89]|1[0-5]))([dwb])$/
const XMM = vectorType('xmm', 16)
const YMM = vectorType('ymm', 32)

/** Names for completion and for messages. */
export const REGISTER_NAMES: readonly string[] = [
  ...['rax', 'rbx', 'rcx', 'rdx', 'rsi', 'rdi', 'rbp', 'rsp', 'rip', 'rflags'],
  ...Array.from({ length: 8 }, (_, index) => `r${index + 8}`),
  ...SEGMENTS,
  ...['cr0', 'cr2', 'cr3', 'cr4', 'cr8', 'efer', 'gdtr', 'idtr', 'cpl', 'pc', 'sp', 'fp', 'fs_base', 'gs_base'],
  ...['dr0', 'dr1', 'dr2', 'dr3', 'dr6', 'dr7', 'xcr0', 'mxcsr', 'pkru'],
  ...Array.from({ length: 16 }, (_, index) => `xmm${index}`),
  ...Array.from({ length: 16 }, (_, index) => `ymm${index}`),
  ...Array.from({ length: 8 }, (_, index) => `st${index}`),
]

/** @param name without its `$`, in lower case. Throws {@link ExpressionError} for one that does not exist. */
export function findRegister(name: string): RegisterOperand {
  const segment = SEGMENTS.find(candidate => candidate === name)
  if (segment !== undefined) return segmentField(segment, 'selector')
  const table = name === 'gdtr' || name === 'idtr' ? name : undefined
  if (table !== undefined) return derived(U64, subject => subject.vcpu.table(table).base)
  if (name === 'cpl') return derived(U8, subject => BigInt(subject.vcpu.cpl))
  const part = registerPart(name)
  if (part === undefined) throw new ExpressionError(`there is no register $${name}${didYouMean(name)}`)
  return partOperand(name, part)
}

/** `$efer.NXE`, `$cs.base`; undefined when the register has no fields of its own. Throws for one it doesn't have. */
export function findRegisterField(name: string, field: string): RegisterOperand | undefined {
  const segment = SEGMENTS.find(candidate => candidate === name)
  if (segment !== undefined) {
    const known = Object.keys(SEGMENT_FIELDS)
    const wanted = isSegmentField(field) ? field : undefined
    if (wanted === undefined) throw new ExpressionError(`$${name} has the fields ${known.join(', ')}`)
    return segmentField(segment, wanted)
  }
  if (name === 'gdtr' || name === 'idtr') {
    if (field === 'base') return derived(U64, subject => subject.vcpu.table(name).base)
    if (field === 'limit') return derived(U16, subject => BigInt(subject.vcpu.table(name).limit))
    throw new ExpressionError(`$${name} has the fields base, limit`)
  }
  const decoded = DECODED.find(candidate => candidate === name || (name === 'eflags' && candidate === 'rflags'))
  if (decoded !== undefined) return decodedField(decoded, field)
  if (/^[xy]mm\d+$/.test(name)) return undefined
  throw new ExpressionError(`$${name} has no fields`)
}

export function registerFields(name: string): readonly string[] {
  if (SEGMENTS.some(candidate => candidate === name)) return Object.keys(SEGMENT_FIELDS)
  if (name === 'gdtr' || name === 'idtr') return ['base', 'limit']
  const decoded = DECODED.find(candidate => candidate === name)
  if (decoded === undefined) return []
  return decodeRegister(decoded, 0n, { cr4: 0n, efer: 0n }).map(field => field.name)
}

function isSegmentField(field: string): field is keyof typeof SEGMENT_FIELDS {
  return field in SEGMENT_FIELDS
}

function segmentField(name: SegmentName, field: keyof typeof SEGMENT_FIELDS): RegisterOperand {
  return derived(SEGMENT_FIELDS[field], ({ vcpu, segments }) => {
    const own = name === 'cs' || name === 'ss' ? segments?.[name] : undefined
    const now = vcpu.segment(name)
    if (own === undefined || (own.selector === now.selector && own.base === now.base)) return BigInt(now[field])
    if (field === 'selector' || field === 'base') return BigInt(own[field])
    throw new ExpressionError(`$${name}.${field} is not known in this frame: the vCPU has another segment now`)
  })
}

const derived = (type: Type, read: RegisterOperand['read']): RegisterOperand => ({ type, read, whole: undefined })

/** The bits of a field depend on the mode only in CR3, so its place is looked up once and, for CR3, each time. */
function decodedField(name: DecodedRegister, field: string): RegisterOperand {
  const find = (vcpu: VcpuView | undefined) => {
    const context = { cr4: vcpu?.register('cr4') ?? 0n, efer: vcpu?.register('efer') ?? 0n }
    const fields = decodeRegister(name, vcpu?.register(name) ?? 0n, context)
    const found = fields.find(candidate => candidate.name.toLowerCase() === field.toLowerCase())
    if (found !== undefined) return found
    throw new ExpressionError(`$${name} has no field "${field}"; it has ${fields.map(f => f.name).join(', ')}`)
  }
  if (name === 'cr3') return derived(U64, ({ vcpu }) => find(vcpu).value)
  const { high, low } = find(undefined)
  const bits = high - low + 1
  const read = (subject: Subject): bigint => BigInt.asUintN(bits, known(subject, name) >> BigInt(low))
  return { type: bits <= 8 ? U8 : U64, read, whole: { name, shift: low, bits } }
}

function partOperand(name: string, part: RegisterPart): RegisterOperand {
  const type = partType(part)
  const whole = name === 'rip' || name === 'pc' || name === 'eip' || name === 'ip' ? { ...part, name: 'rip' } : part
  if (part.shift === 0 && part.bits === 64) return { type, read: subject => known(subject, part.name), whole }
  const shift = BigInt(part.shift)
  return { type, read: subject => BigInt.asUintN(part.bits, known(subject, part.name) >> shift), whole }
}

function partType({ name, bits }: RegisterPart): Type {
  if (name.startsWith('xmm')) return XMM
  if (name.startsWith('ymm')) return YMM
  if (name.startsWith('st')) return EXTENDED
  return bits === 64 ? U64 : bits === 32 ? U32 : bits === 16 ? U16 : U8
}

function known(subject: Subject, name: string): bigint {
  const value = registerOrNothing(subject, name)
  if (value === undefined)
    throw new ExpressionError(`$${name} is not known in this frame: a called function changed it`)
  return value
}

function registerOrNothing(subject: Subject, name: string): bigint | undefined {
  try {
    return subject.register(name)
  } catch (error) {
    // A model-specific register that this processor does not have.
    if (error instanceof RangeError) throw new ExpressionError(`there is no register $${name}`, { cause: error })
    throw error
  }
}

function registerPart(name: string): RegisterPart | undefined {
  if (name === 'pc') return { name: 'rip', shift: 0, bits: 64 }
  if (name === 'sp') return { name: 'rsp', shift: 0, bits: 64 }
  if (name === 'fp') return { name: 'rbp', shift: 0, bits: 64 }
  if (FULL.test(name)) return { name, shift: 0, bits: 64 }
  if (NARROW.has(name)) return { name, shift: 0, bits: 32 }
  const vector = /^([xy])mm(\d|1[0-5])$/.exec(name)
  if (vector !== null) return { name, shift: 0, bits: vector[1] === 'x' ? 128 : 256 }
  if (/^st[0-7]$/.test(name)) return { name, shift: 0, bits: 80 }
  const numbered = NUMBERED_PARTS.exec(name)
  if (numbered !== null)
    return { name: numbered[1], shift: 0, bits: numbered[2] === 'd' ? 32 : numbered[2] === 'w' ? 16 : 8 }
  const legacy = LEGACY_PARTS.exec(name)
  if (legacy === null) return undefined
  const [, wide, whole, letter, half, low] = legacy
  if (whole !== undefined) return { name: `r${whole}`, shift: 0, bits: wide === 'e' ? 32 : 16 }
  if (letter !== undefined) return { name: `r${letter}x`, shift: half === 'h' ? 8 : 0, bits: 8 }
  return { name: `r${low}`, shift: 0, bits: 8 }
}

function didYouMean(name: string): string {
  const near = REGISTER_NAMES.filter(candidate => candidate.startsWith(name.slice(0, 2)) && name.length > 1).slice(0, 4)
  return near.length === 0 ? '' : `; did you mean ${near.map(each => `$${each}`).join(', ')}?`
}

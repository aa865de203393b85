/** Encodes one instance of an instruction form from what iced-x86 knows of its opcode. */

import {
  type Code,
  CodeExt,
  Decoder,
  DecoderOptions,
  Encoder,
  EncodingKind,
  Instruction,
  MandatoryPrefix,
  OpCodeOperandKind,
  OpCodeTableKind,
  OpKind,
  Register,
} from 'iced-x86'

export type Bits = 16 | 32 | 64
export type Form = 'register' | 'memory'

const ESCAPES: ReadonlyMap<OpCodeTableKind, readonly number[]> = new Map([
  [OpCodeTableKind.Normal, []],
  [OpCodeTableKind.T0F, [0x0f]],
  [OpCodeTableKind.T0F38, [0x0f, 0x38]],
  [OpCodeTableKind.T0F3A, [0x0f, 0x3a]],
])
const PREFIXES: ReadonlyMap<MandatoryPrefix, readonly number[]> = new Map([
  [MandatoryPrefix.P66, [0x66]],
  [MandatoryPrefix.PF3, [0xf3]],
  [MandatoryPrefix.PF2, [0xf2]],
])

/** Bytes behind the ModR/M byte and its displacement. */
function immediateBytes(kind: string, addressBytes: number): number {
  if (kind === 'imm8_const_1') return 0
  if (kind.startsWith('imm8')) return 1
  if (kind === 'imm16') return 2
  if (kind.startsWith('imm32')) return 4
  if (kind === 'imm64') return 8
  if (kind === 'mem_offs') return addressBytes
  if (kind === 'farbr2_2') return 4
  if (kind === 'farbr4_2') return 6
  const branch = /^(?:br\d+|xbegin|brdisp)_(\d)$/.exec(kind)
  return branch === null ? 0 : Number(branch[1])
}

const inRm = (kind: string): boolean => /_or_mem|_rm$|^mem|_mpx$/.test(kind) && kind !== 'mem_offs'
const inReg = (kind: string): boolean => /^(r\d+|seg|cr|dr|tr|xmm|mm|bnd)_reg(_mem)?$/.test(kind)
const inOpcode = (kind: string): boolean => kind.endsWith('_opcode')

/**
 * One instance of a form with a VEX prefix, by iced-x86's encoder: registers of different numbers, so that a gather is
 * valid, memory at RBX or EBX with index register 1 where the form wants a vector of indices.
 */
function encodeVexForm(code: Code, form: Form, bits: Bits): number[] | undefined {
  const info = CodeExt.opCode(code)
  const kinds = [info.op0Kind, info.op1Kind, info.op2Kind, info.op3Kind, info.op4Kind].slice(0, info.opCount)
  const valid = { 16: info.mode16, 32: info.mode32, 64: info.mode64 }[bits]
  info.free()
  const names = kinds.map(kind => OpCodeOperandKind[kind])
  const register = names.some(name => /_or_mem$|_rm$/.test(name))
  const memory = names.some(name => /^mem|^sibmem|_or_mem$/.test(name))
  // Branches with a VEX prefix were Knights Corner's alone.
  const branch = names.some(name => name.startsWith('br'))
  if (!valid || branch || !(form === 'register' ? register || !memory : memory)) return undefined
  const instruction = new Instruction()
  instruction.code = code
  names.forEach((name, operand) => {
    if (name.startsWith('imm')) {
      instruction.setOpKind(operand, OpKind.Immediate8)
      return
    }
    if (name === 'seg_rDI') {
      instruction.setOpKind(operand, bits === 64 ? OpKind.MemorySegRDI : OpKind.MemorySegEDI)
      return
    }
    if (name.startsWith('mem') || name === 'sibmem' || (name.endsWith('_or_mem') && form === 'memory')) {
      instruction.setOpKind(operand, OpKind.Memory)
      instruction.memoryBase = bits === 64 ? Register.RBX : Register.EBX
      if (name.includes('vsib'))
        instruction.memoryIndex = name.includes('_y') || /vsib\d+y/.test(name) ? Register.YMM1 : Register.XMM1
      return
    }
    instruction.setOpKind(operand, OpKind.Register)
    instruction.setOpRegister(operand, firstOf(name) + operand + (operand > 0 ? 1 : 0))
  })
  const encoder = new Encoder(bits)
  try {
    encoder.encode(instruction, 0n)
    return [...encoder.takeBuffer()]
  } finally {
    encoder.free()
    instruction.free()
  }
}

function firstOf(kind: string): Register {
  if (kind.startsWith('xmm')) return Register.XMM0
  if (kind.startsWith('ymm')) return Register.YMM0
  if (kind.startsWith('r32')) return Register.EAX
  if (kind.startsWith('r64')) return Register.RAX
  if (kind.startsWith('k')) return Register.K0
  if (kind.startsWith('tmm')) return Register.TMM0
  throw new Error(`no register for an operand of kind ${kind}`)
}

/**
 * One instance in a mode, with RBX or EBX as base of a memory operand, and register 3 for register operands; undefined
 * where there is no such form.
 */
export function encodeForm(code: Code, form: Form, bits: Bits): number[] | undefined {
  const info = CodeExt.opCode(code)
  if (info.encoding === EncodingKind.VEX) {
    info.free()
    return encodeVexForm(code, form, bits)
  }
  const kinds = [info.op0Kind, info.op1Kind, info.op2Kind, info.op3Kind]
    .slice(0, info.opCount)
    .map(kind => OpCodeOperandKind[kind])
  const memory = kinds.some(kind => /^mem|_or_mem|_mpx$/.test(kind) && kind !== 'mem_offs')
  const register = kinds.some(kind => inRm(kind) && !kind.startsWith('mem'))
  const valid = { 16: info.mode16, 32: info.mode32, 64: info.mode64 }[bits]
  const exists = info.encoding === EncodingKind.Legacy && valid && (form === 'register' ? register || !memory : memory)
  const { operandSize, addressSize } = info
  const addressBytes = (addressSize || bits) / 8
  const out: number[] = []
  if (info.fwait) out.push(0x9b)
  if ((operandSize === 16 && bits !== 16) || (operandSize === 32 && bits === 16)) out.push(0x66)
  const prefix = PREFIXES.get(info.mandatoryPrefix) ?? []
  const wide = operandSize === 64 && !info.defaultOpSize64 && !info.forceOpSize64
  const shortAddress = addressSize !== 0 && addressSize !== bits
  // LEA of 16-bit addresses, and absolute addresses, need no register: 32-bit addressing serves everywhere.
  const addressPrefix = shortAddress || (form === 'memory' && memory && bits === 16 && addressSize === 0)
  if (addressPrefix) out.push(0x67)
  out.push(...prefix)
  if (wide) out.push(0x48)
  out.push(...(ESCAPES.get(info.table) ?? []))
  const opcode = info.opCode
  const low = kinds.some(inOpcode) ? 3 : 0
  if (info.opCodeLength === 2) out.push(opcode >>> 8)
  out.push((opcode & 0xff) + low)
  const hasModRm = info.opCodeLength === 1 && (info.isGroup || info.isRmGroup || kinds.some(inRm) || kinds.some(inReg))
  if (hasModRm) {
    const reg = info.groupIndex >= 0 ? info.groupIndex : kinds.includes('cr_reg') ? 2 : 3
    const mod = form === 'memory' && memory ? 0 : 3
    out.push((mod << 6) | (reg << 3) | (info.rmGroupIndex >= 0 ? info.rmGroupIndex : 3))
  }
  for (const kind of kinds) out.push(...new Array<number>(immediateBytes(kind, addressBytes)).fill(0))
  info.free()
  if (!exists) return undefined
  return decodesTo(code, out, bits) ? out : undefined
}

function decodesTo(code: Code, bytes: readonly number[], bits: Bits): boolean {
  const decoder = new Decoder(bits, Uint8Array.from(bytes), DecoderOptions.None)
  const instruction = decoder.decode()
  const same = instruction.code === code && instruction.length === bytes.length
  instruction.free()
  decoder.free()
  return same
}

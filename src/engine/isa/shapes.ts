/**
 * Shapes of operands: one letter an operand. r register, i immediate, m memory in 64-bit mode without segment,
 * g any other memory, b branch target, s implicit memory of a string instruction.
 */

import { Code, CodeExt, OpCodeOperandKind, OpKind } from 'iced-x86'

/** Letters that an operand kind of the instruction's encoding can become; `mem` for m or g. */
function possibleLetters(kind: OpCodeOperandKind): readonly ('r' | 'i' | 'mem' | 'b' | 's')[] {
  const name = OpCodeOperandKind[kind]
  if (name.endsWith('_or_mem')) return ['r', 'mem']
  if (name === 'mem' || name === 'mem_offs' || name === 'seg_rBX_al' || name === 'seg_rDI') return ['mem']
  if (name.startsWith('imm')) return ['i']
  if (name.startsWith('br') || name.startsWith('farbr')) return ['b']
  if (name === 'seg_rSI' || name === 'es_rDI') return ['s']
  return ['r']
}

/** Every shape that the operands of a `Code` can have. */
export function possibleShapes(codeName: string): string[] {
  const info = CodeExt.opCode(codeNumber(codeName))
  let shapes = ['']
  const kinds = [info.op0Kind, info.op1Kind, info.op2Kind, info.op3Kind].slice(0, info.opCount)
  for (const kind of kinds) {
    const letters = possibleLetters(kind).flatMap(each => (each === 'mem' ? ['m', 'g'] : [each]))
    shapes = shapes.flatMap(shape => letters.map(letter => shape + letter))
  }
  info.free()
  return shapes
}

const CODES: Readonly<Record<string, Code | string>> = Code

/** Number of a `Code` by name, without the prefix of a repeated string instruction. */
export function codeNumber(name: string): Code {
  const code = CODES[name.replace(/^Rep(ne)?\./, '')]
  if (typeof code !== 'number') throw new Error(`iced-x86 knows no instruction ${name}`)
  return code
}

/** Does iced-x86 know the instruction? */
export function isCode(name: string): boolean {
  return typeof CODES[name] === 'number'
}

/** The letter of a decoded operand. @param flat the memory operand is in 64-bit mode without segment */
export function shapeLetter(kind: OpKind, flat: boolean): string {
  switch (kind) {
    case OpKind.Register:
      return 'r'
    case OpKind.Memory:
    case OpKind.MemorySegDI:
    case OpKind.MemorySegEDI:
    case OpKind.MemorySegRDI:
      return flat ? 'm' : 'g'
    case OpKind.NearBranch16:
    case OpKind.NearBranch32:
    case OpKind.NearBranch64:
    case OpKind.FarBranch16:
    case OpKind.FarBranch32:
      return 'b'
    case OpKind.Immediate8:
    case OpKind.Immediate8_2nd:
    case OpKind.Immediate16:
    case OpKind.Immediate32:
    case OpKind.Immediate64:
    case OpKind.Immediate8to16:
    case OpKind.Immediate8to32:
    case OpKind.Immediate8to64:
    case OpKind.Immediate32to64:
      return 'i'
    default:
      return 's'
  }
}

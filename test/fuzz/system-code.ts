/**
 * System instructions in sequences that make them take effect: a bit of a control register flipped, an MSR written with
 * a value it takes, a segment register loaded from the tables that are there, frames pushed for returns.
 */

import type { Random } from '../engine/guest/random.ts'
import { address, bytesOf, type CodeBits, modrm, RAM, selector } from './operands.ts'

const [EAX, ECX, EDX] = [0, 1, 2]

/** Before an instruction whose operand is to have 32 bits. */
const wide = (bits: CodeBits): number[] => (bits === 16 ? [0x66] : [])

/** mov r32, value */
const load = (bits: CodeBits, register: number, value: number): number[] => [
  ...wide(bits),
  0xb8 + register,
  ...bytesOf(value, 4),
]
/** btc eax, bit */
const flipBit = (bits: CodeBits, bit: number): number[] => [...wide(bits), 0x0f, 0xba, 0xf8, bit]

const MSRS = [
  ...[0x10, 0x1b, 0x3b, 0xfe, 0x174, 0x175, 0x176, 0x1a0, 0x1d9, 0x200, 0x201, 0x250, 0x277, 0x2ff, 0x6e0, 0xda0],
  ...[0xc0000080, 0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, 0xc0000100, 0xc0000101, 0xc0000102, 0xc0000103],
  ...[0x802, 0x803, 0x808, 0x80a, 0x80b, 0x80d, 0x80f, 0x828, 0x82f, 0x830, 0x832, 0x835, 0x838, 0x83e, 0x83f],
]
/** Bits of CR0 and CR4 that mean something; PE and PG less often, since few guests survive either. */
const CR0_BITS = [1, 2, 3, 5, 16, 16, 18, 29, 30, 0, 31]
const CR4_BITS = [0, 1, 2, 3, 4, 4, 5, 7, 7, 8, 9, 10, 11, 12, 16, 17, 18, 18, 20, 21, 22]

const SEQUENCES: readonly ((random: Random, bits: CodeBits) => number[])[] = [
  flipControlBit,
  loadCr3,
  writeMsr,
  writeMsr,
  extendedControl,
  protectionKeys,
  debugRegister,
  segmentRegister,
  segmentRegister,
  taskOrLocalTable,
  descriptorTable,
  farReturn,
  interruptReturn,
  flags,
  stateArea,
  stateArea,
  invalidate,
  localApic,
  ports,
  plain,
  plain,
  plain,
]

export function systemSequence(random: Random, bits: CodeBits): number[] {
  return random.pick(SEQUENCES)(random, bits)
}

const selectorValue = (random: Random): number => {
  const [low, high] = selector(random)
  return low | (high << 8)
}

function flipControlBit(random: Random, bits: CodeBits): number[] {
  const four = random.chance(0.6)
  const bit = random.pick(four ? CR4_BITS : CR0_BITS)
  const operand = 0xc0 | ((four ? 4 : 0) << 3) | EAX
  return [0x0f, 0x20, operand, ...flipBit(bits, bit), 0x0f, 0x22, operand]
}

/** A page of RAM, with any PCID and cache bits; sometimes bit 63, which keeps translations. */
function loadCr3(random: Random, bits: CodeBits): number[] {
  const value =
    ((random.chance(0.8) ? 1 : random.below(RAM / 4096)) << 12) | (random.chance(0.5) ? random.below(32) : 0)
  const keep = bits === 64 && random.chance(0.3) ? [0x48, 0x0f, 0xba, 0xe8, 63] : []
  return [...load(bits, EAX, value), ...keep, 0x0f, 0x22, 0xd8]
}

function writeMsr(random: Random, bits: CodeBits): number[] {
  const msr = random.chance(0.9) ? random.pick(MSRS) : random.word()
  const start = [...load(bits, ECX, msr), 0x0f, 0x32]
  if (random.chance(0.4)) return [...start, ...flipBit(bits, random.below(32)), 0x0f, 0x30]
  const value = random.chance(0.6) ? random.below(RAM) : random.word()
  const high = random.chance(0.8) ? 0 : random.word()
  return [...start, ...load(bits, EAX, value), ...load(bits, EDX, high), 0x0f, 0x30]
}

/** XGETBV, a bit flipped, XSETBV. */
function extendedControl(random: Random, bits: CodeBits): number[] {
  const bit = random.chance(0.9) ? random.pick([1, 2, 2, 9]) : random.below(32)
  return [...load(bits, ECX, random.below(10) ? 0 : 1), 0x0f, 0x01, 0xd0, ...flipBit(bits, bit), 0x0f, 0x01, 0xd1]
}

/** WRPKRU. */
function protectionKeys(random: Random, bits: CodeBits): number[] {
  const value = random.chance(0.5) ? 0 : random.word() & random.word()
  return [...load(bits, ECX, 0), ...load(bits, EDX, 0), ...load(bits, EAX, value), 0x0f, 0x01, 0xef]
}

function debugRegister(random: Random, bits: CodeBits): number[] {
  const register = random.below(8)
  const enables = random.word() & (random.chance(0.7) ? 0xffff_03ff : 0xffff_ffff)
  const value = register < 4 ? random.below(RAM) : enables
  return [...load(bits, EAX, value), 0x0f, random.chance(0.8) ? 0x23 : 0x21, 0xc0 | (register << 3) | EAX]
}

/** mov sreg, ax; CS is undefined. */
function segmentRegister(random: Random, bits: CodeBits): number[] {
  const register = random.pick([0, 2, 3, 4, 5, 3, 0, 1])
  if (random.chance(0.1)) return [0x0f, random.pick([0xb2, 0xb4, 0xb5]), ...modrm(random, bits, bits === 16)]
  return [...load(bits, EAX, selectorValue(random)), 0x8e, 0xc0 | (register << 3) | EAX]
}

/** SLDT, STR, LLDT, LTR, VERR, VERW; LAR and LSL. */
function taskOrLocalTable(random: Random, bits: CodeBits): number[] {
  const start = load(bits, EAX, selectorValue(random))
  if (random.chance(0.3)) return [...start, 0x0f, random.pick([2, 3]), 0xc0 | (random.below(8) << 3)]
  return [...start, 0x0f, 0x00, 0xc0 | (random.below(6) << 3)]
}

/** SGDT, SIDT, LGDT, LIDT, SMSW, LMSW, INVLPG: the loads less often. */
function descriptorTable(random: Random, bits: CodeBits): number[] {
  return [0x0f, 0x01, ...modrm(random, bits, bits === 16, random.pick([0, 1, 0, 1, 4, 4, 6, 7, 7, 2, 3]))]
}

/** push selector; push offset; retf */
function farReturn(random: Random, bits: CodeBits): number[] {
  const push = (value: number[]) => [...wide(bits), 0x68, ...value.concat([0, 0]).slice(0, 4)]
  const size = bits === 64 && random.chance(0.5) ? [0x48] : wide(bits)
  return [...push(selector(random)), ...push(address(random, 4)), ...size, 0xcb]
}

/** pushf; push cs (a plausible selector in 64-bit code); push offset; iret, with what was on the stack for SS and SP. */
function interruptReturn(random: Random, bits: CodeBits): number[] {
  const push = (value: number[]) => [...wide(bits), 0x68, ...value.concat([0, 0]).slice(0, 4)]
  const outer = [...push(selector(random)), ...push(address(random, 4))]
  const codeSegment = bits === 64 || random.chance(0.5) ? push([8 | random.below(4), 0]) : [...wide(bits), 0x0e]
  const size = bits === 64 ? [0x48] : wide(bits)
  return [...outer, ...wide(bits), 0x9c, ...codeSegment, ...push(address(random, 4)), ...size, 0xcf]
}

/** push flags; popf: TF, IOPL, NT, RF, AC, ID and the rest. */
function flags(random: Random, bits: CodeBits): number[] {
  const value = random.word() & (random.chance(0.8) ? 0x247ed5 : 0x3f7fd5)
  return [...wide(bits), 0x68, ...bytesOf(value, 4), ...wide(bits), 0x9d]
}

/** FXSAVE to XRSTOR, XSAVEC and relatives with any mask, from memory that is aligned for them. */
function stateArea(random: Random, bits: CodeBits): number[] {
  const mask = [...load(bits, EAX, random.chance(0.7) ? random.below(8) : random.word()), ...load(bits, EDX, 0)]
  const opcode = random.pick([
    [0x0f, 0xae, 0],
    [0x0f, 0xae, 1],
    [0x0f, 0xae, 2],
    [0x0f, 0xae, 3],
    [0x0f, 0xae, 4],
    [0x0f, 0xae, 5],
    [0x0f, 0xae, 6],
    [0x0f, 0xc7, 4],
  ])
  const target = bytesOf(random.below(RAM) & (random.chance(0.9) ? ~63 : -1), bits === 16 ? 2 : 4)
  const operand = (opcode[2] << 3) | (bits === 16 ? 6 : bits === 64 ? 4 : 5)
  const sib = bits === 64 ? [0x25] : []
  const rex = bits === 64 && random.chance(0.4) ? [0x48] : []
  return [...mask, ...rex, opcode[0], opcode[1], operand, ...sib, ...target]
}

/** INVLPG and INVPCID of a page of RAM, WBINVD, MOV from CR2. */
function invalidate(random: Random, bits: CodeBits): number[] {
  switch (random.below(4)) {
    case 0:
      return [0x0f, 0x01, ...modrm(random, bits, bits === 16, 7)]
    case 1:
      return [...load(bits, EAX, random.below(5)), 0x66, 0x0f, 0x38, 0x82, ...modrm(random, bits, bits === 16, EAX)]
    case 2:
      return [0x0f, random.pick([0x08, 0x09])]
    default:
      return [0x0f, 0x20, 0xd0]
  }
}

/** A register of the local APIC at its usual place: reachable without paging, and through the page behind RAM. */
function localApic(random: Random, bits: CodeBits): number[] {
  const register = random.pick([0x20, 0x30, 0x80, 0xb0, 0xd0, 0xe0, 0xf0, 0x280, 0x300, 0x310, 0x320, 0x380, 0x3e0])
  const base = random.chance(0.5) ? 0xfee0_0000 : RAM
  const value = random.chance(0.7)
    ? random.below(0x100) | (random.below(8) << 8) | (random.below(4) << 18)
    : random.word()
  if (bits === 64)
    return [...load(bits, EAX, value), random.pick([0x89, 0x8b]), 0x04, 0x25, ...bytesOf(base + register, 4)]
  const size = bits === 16 ? [0x66, 0x67] : []
  return [...load(bits, EAX, value), ...size, random.pick([0x89, 0x8b]), 0x05, ...bytesOf(base + register, 4)]
}

/** IN and OUT of any size, and with REP a few times. */
function ports(random: Random, bits: CodeBits): number[] {
  if (random.chance(0.5)) return [random.pick([0xe4, 0xe5, 0xe6, 0xe7]), random.below(256)]
  if (random.chance(0.5)) return [random.pick([0xec, 0xed, 0xee, 0xef])]
  return [...load(bits, ECX, random.below(8)), 0xf3, random.pick([0x6c, 0x6d, 0x6e, 0x6f])]
}

/** System instructions that need no preparation. */
function plain(random: Random): number[] {
  return random.pick([
    [0xfa],
    [0xfb],
    [0xfb],
    [0x9c],
    [0xcc],
    [0xce],
    [0xf1],
    [0xcd, random.below(256)],
    [0x0f, 0x05],
    [0x0f, 0x34],
    [0x0f, 0x07],
    [0x48, 0x0f, 0x07],
    [0x0f, 0x35],
    [0x48, 0x0f, 0x35],
    [0x0f, 0x01, 0xf8],
    [0x0f, 0x01, 0xf9],
    [0x0f, 0x01, 0xc1],
    [0x0f, 0x01, 0xc8],
    [0x0f, 0x01, 0xc9],
    [0x0f, 0x01, 0xca],
    [0x0f, 0x01, 0xcb],
    [0x0f, 0x01, 0xee],
    [0x0f, 0x01, 0xe8],
    [0x0f, 0x06],
    [0x0f, 0x31],
    [0x0f, 0x33],
    [0x0f, 0xa2],
    [0x0f, 0xc7, 0xf0 + random.below(16)],
    [0xf3, 0x0f, 0xae, 0xc0 + random.below(32)],
    [0xf3, 0x48, 0x0f, 0xae, 0xc0 + random.below(32)],
    [0xf3, 0x0f, 0xc7, 0xf8 + random.below(8)],
    [0xf4],
  ])
}

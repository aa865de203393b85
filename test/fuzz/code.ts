/**
 * A stream of random instructions of any mode: opcodes of every map with plausible prefixes, operands and immediates,
 * system instructions in the sequences that make them take effect, and bytes that are no code at all.
 */

import type { Random } from '../engine/guest/random.ts'
import { address, bytesOf, type CodeBits, modrm, RAM, randomBytes, selector } from './operands.ts'
import { systemSequence } from './system-code.ts'

/** Fills memory with instructions, of which a few have a byte changed. */
export function fillWithCode(into: Uint8Array, random: Random, bits: CodeBits): void {
  for (let at = 0; at < into.length; ) {
    const code = instruction(random, bits)
    if (random.chance(0.04)) code[random.below(code.length)] = random.below(256)
    into.set(code.slice(0, into.length - at), at)
    at += code.length
  }
}

export function fillWithBytes(into: Uint8Array, random: Random): void {
  for (let at = 0; at < into.length; at++) into[at] = random.below(256)
}

function instruction(random: Random, bits: CodeBits): number[] {
  const kind = random.below(100)
  if (kind < 40) return oneByte(random, bits)
  if (kind < 62) return twoByte(random, bits)
  if (kind < 72) return threeByte(random, bits)
  if (kind < 82) return vex(random, bits)
  if (kind < 88) return x87(random, bits)
  if (kind < 98) return systemSequence(random, bits)
  return randomBytes(random, 1 + random.below(8))
}

interface Prefixes {
  readonly bytes: readonly number[]
  readonly operand16: boolean
  readonly address16: boolean
  readonly wide: boolean
}

function prefixes(random: Random, bits: CodeBits): Prefixes {
  const bytes: number[] = []
  const operandSize = random.chance(0.15)
  const addressSize = random.chance(0.04)
  if (operandSize) bytes.push(0x66)
  if (addressSize) bytes.push(0x67)
  if (random.chance(0.1)) bytes.push(random.pick([0xf2, 0xf3]))
  if (random.chance(0.04)) bytes.push(0xf0)
  if (random.chance(0.05)) bytes.push(random.pick([0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65]))
  const rex = bits === 64 && random.chance(0.45) ? 0x40 | random.below(16) : 0
  if (rex !== 0) bytes.push(rex)
  return {
    bytes,
    operand16: operandSize !== (bits === 16),
    address16: bits !== 64 && addressSize !== (bits === 16),
    wide: (rex & 8) !== 0,
  }
}

const ONE_BYTE_MODRM = new Set([
  ...[0x62, 0x63, 0x69, 0x6b, 0xc0, 0xc1, 0xc4, 0xc5, 0xc6, 0xc7, 0xd0, 0xd1, 0xd2, 0xd3, 0xf6, 0xf7, 0xfe, 0xff],
  ...Array.from({ length: 16 }, (_, i) => 0x80 + i),
  ...Array.from({ length: 8 }, (_, i) => 0xd8 + i),
])
const hasModrm = (opcode: number): boolean => (opcode < 0x40 ? (opcode & 7) < 4 : ONE_BYTE_MODRM.has(opcode))

function oneByte(random: Random, bits: CodeBits): number[] {
  const prefix = prefixes(random, bits)
  let opcode = random.below(256)
  // HLT and far transfers to anywhere come too, but rarely, so that guests live longer.
  if ([0xf4, 0xea, 0x9a, 0xcb, 0xca, 0xcf].includes(opcode) && random.chance(0.8)) opcode = 0x89
  if (opcode === 0x0f) opcode = 0x8b
  const operand = hasModrm(opcode) ? modrm(random, bits, prefix.address16) : []
  return [...prefix.bytes, opcode, ...operand, ...oneByteImmediate(random, opcode, operand, prefix, bits)]
}

function oneByteImmediate(
  random: Random,
  opcode: number,
  operand: readonly number[],
  prefix: Prefixes,
  bits: CodeBits,
): number[] {
  const full = prefix.operand16 ? 2 : 4
  const bytes = (count: number) => randomBytes(random, count)
  if (opcode < 0x40) return (opcode & 7) === 4 ? bytes(1) : (opcode & 7) === 5 ? bytes(full) : []
  if (opcode >= 0xa0 && opcode <= 0xa3) return bytesOf(random.below(RAM), prefix.address16 ? 2 : bits === 64 ? 8 : 4)
  if (opcode >= 0xb0 && opcode <= 0xbf)
    return opcode < 0xb8 ? bytes(1) : prefix.wide ? bytes(8) : random.chance(0.5) ? bytes(full) : address(random, full)
  if (opcode >= 0x70 && opcode <= 0x7f) return bytes(1)
  if ((opcode & 0xfe) === 0xf6) return (operand[0] >> 3) & 6 ? [] : bytes(opcode === 0xf6 ? 1 : full)
  if (opcode === 0xe8 || opcode === 0xe9) return near(random, full)
  if (opcode === 0x9a || opcode === 0xea) return [...address(random, full), ...selector(random)]
  if ([0x69, 0x81, 0xc7, 0x68, 0xa9].includes(opcode)) return bytes(full)
  if ([0x6a, 0x6b, 0x80, 0x82, 0x83, 0xc0, 0xc1, 0xc6, 0xcd, 0xeb, 0xa8, 0xd4, 0xd5].includes(opcode)) return bytes(1)
  if (opcode >= 0xe0 && opcode <= 0xe7) return bytes(1)
  if (opcode === 0xc2 || opcode === 0xca) return bytesOf(random.below(32), 2)
  return opcode === 0xc8 ? [random.below(64), 0, random.below(4)] : []
}

const near = (random: Random, bytes: number): number[] =>
  bytesOf(2 ** (8 * bytes) + random.below(0x2000) - 0x1000, bytes)

const TWO_BYTE_WITHOUT_MODRM = new Set([
  ...[0x05, 0x06, 0x07, 0x08, 0x09, 0x0b, 0x0e, 0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x37, 0x77],
  ...[0xa0, 0xa1, 0xa2, 0xa8, 0xa9, 0xaa, ...Array.from({ length: 8 }, (_, i) => 0xc8 + i)],
])
const TWO_BYTE_WITH_IMMEDIATE = new Set([0x70, 0x71, 0x72, 0x73, 0xa4, 0xac, 0xba, 0xc2, 0xc4, 0xc5, 0xc6])

function twoByte(random: Random, bits: CodeBits): number[] {
  const prefix = prefixes(random, bits)
  const opcode = random.below(256)
  if (opcode >= 0x80 && opcode <= 0x8f)
    return [...prefix.bytes, 0x0f, opcode, ...near(random, prefix.operand16 ? 2 : 4)]
  const operand = TWO_BYTE_WITHOUT_MODRM.has(opcode) ? [] : modrm(random, bits, prefix.address16)
  const immediate = TWO_BYTE_WITH_IMMEDIATE.has(opcode) ? randomBytes(random, 1) : []
  return [...prefix.bytes, 0x0f, opcode, ...operand, ...immediate]
}

/** Opcodes of the maps 0F 38 and 0F 3A that are assigned, by ranges: first, last. */
const MAP_38 = [0x00, 0x1e, 0x20, 0x25, 0x28, 0x41, 0x80, 0x82, 0xc8, 0xcd, 0xdb, 0xdf, 0xf0, 0xf9]
const MAP_3A = [0x08, 0x0f, 0x14, 0x17, 0x20, 0x22, 0x40, 0x44, 0x60, 0x63, 0xcc, 0xcc, 0xdf, 0xdf]

function fromRanges(random: Random, ranges: readonly number[]): number {
  if (random.chance(0.1)) return random.below(256)
  const range = random.below(ranges.length / 2) * 2
  return ranges[range] + random.below(ranges[range + 1] - ranges[range] + 1)
}

function threeByte(random: Random, bits: CodeBits): number[] {
  const prefix = prefixes(random, bits)
  // Most of both maps have 66 as part of the opcode.
  const mandatory = random.chance(0.5) && prefix.bytes.length === 0 ? [0x66] : []
  const bytes = [...mandatory, ...prefix.bytes, 0x0f]
  const operand = modrm(random, bits, prefix.address16)
  return random.chance(0.65)
    ? [...bytes, 0x38, fromRanges(random, MAP_38), ...operand]
    : [...bytes, 0x3a, fromRanges(random, MAP_3A), ...operand, random.below(256)]
}

const VEX_38 = [...MAP_38, 0x0c, 0x0f, 0x13, 0x13, 0x16, 0x1a, 0x2c, 0x2f, 0x36, 0x36, 0x45, 0x47, 0x58, 0x5a].concat([
  0x78, 0x79, 0x8c, 0x8e, 0x90, 0x93, 0x96, 0x9f, 0xa6, 0xaf, 0xb6, 0xbf, 0xf2, 0xf7,
])
const VEX_3A = [...MAP_3A, 0x00, 0x06, 0x18, 0x1d, 0x38, 0x39, 0x46, 0x46, 0x4a, 0x4c, 0xf0, 0xf0]

/** VEX of two or three bytes (SDM vol. 2, 2.3.5): most have L, W and vvvv that their instruction may have. */
function vex(random: Random, bits: CodeBits): number[] {
  const pp = random.pick([0, 1, 1, 1, 2, 3])
  const vvvv = random.chance(0.3) ? 15 : random.below(16)
  const tail = (vvvv << 3) | (random.below(2) << 2) | pp
  const address16 = bits === 16
  const operand = modrm(random, bits, address16)
  // Outside 64-bit mode the inverted R and X are set: otherwise these are LES and LDS.
  const inverted = bits === 64 ? random.below(8) << 5 : 0xe0
  if (random.chance(0.4)) {
    const opcode = random.below(256)
    const immediate = TWO_BYTE_WITH_IMMEDIATE.has(opcode) ? randomBytes(random, 1) : []
    return [0xc5, (inverted & 0x80) | tail, opcode, ...operand, ...immediate]
  }
  const map = random.chance(0.02) ? random.below(32) : random.pick([1, 2, 2, 3])
  const opcode = map === 2 ? fromRanges(random, VEX_38) : map === 3 ? fromRanges(random, VEX_3A) : random.below(256)
  const immediate = map === 3 || (map === 1 && TWO_BYTE_WITH_IMMEDIATE.has(opcode)) ? randomBytes(random, 1) : []
  const width = random.chance(0.3) ? 0x80 : 0
  return [0xc4, inverted | map, width | tail, opcode, ...operand, ...immediate]
}

function x87(random: Random, bits: CodeBits): number[] {
  const prefix = prefixes(random, bits)
  return [...prefix.bytes, 0xd8 + random.below(8), ...modrm(random, bits, prefix.address16)]
}

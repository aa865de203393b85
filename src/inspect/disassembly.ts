/** Disassembly by the library that the processor decodes with, so that what is shown is what runs. */

import {
  Decoder,
  DecoderOptions,
  FlowControl,
  Formatter,
  FormatterSyntax,
  type Instruction,
  Mnemonic,
  OpKind,
} from 'iced-x86'

export interface DisassembledInstruction {
  /** Linear address. */
  readonly address: bigint
  /** Empty where nothing can be read. */
  readonly bytes: Uint8Array
  readonly text: string
  /** False where the bytes are no instruction or can't be read. */
  readonly valid: boolean
  /** Symbol that starts here or, for the first instruction, surrounds it. */
  readonly symbol?: string
}

export interface SymbolLookup {
  /** The symbol that contains `address`, or undefined. */
  containing(address: bigint): { readonly name: string; readonly address: bigint } | undefined
}

export type Syntax = 'intel' | 'att'

export interface CodeSource {
  readonly bits: 16 | 32 | 64
  /** Linear address of offset 0 of the code segment; branch targets wrap within the segment. */
  readonly codeBase: bigint
  /** Bytes at a linear address, as many of `length` as can be read, or none at all. */
  read(address: bigint, length: number): Uint8Array
  readonly symbols?: SymbolLookup
  readonly syntax?: Syntax
}

/** SDM vol. 2, 2.3.11. */
const LONGEST_INSTRUCTION = 15
/** Decoding that starts at a wrong byte falls in step with the right one within a few instructions. */
const SETTLING_BYTES = 64
/** Backward decoding starts at a symbol if one is at most so far away. */
const FARTHEST_SYMBOL = 16384

const formatters: Record<Syntax, Formatter> = { intel: intelFormatter(), att: new Formatter(FormatterSyntax.Gas) }

function intelFormatter(): Formatter {
  const formatter = new Formatter(FormatterSyntax.Intel)
  formatter.hexPrefix = '0x'
  formatter.hexSuffix = ''
  formatter.uppercaseHex = false
  formatter.spaceAfterOperandSeparator = true
  formatter.branchLeadingZeros = false
  return formatter
}

/**
 * `count` instructions, beginning `offset` instructions after (or, when negative, before) the one at `address`.
 * Always returns exactly `count`; where memory can't be read each entry stands for one byte.
 */
export function disassemble(
  source: CodeSource,
  address: bigint,
  offset: number,
  count: number,
): DisassembledInstruction[] {
  const before = Math.max(0, -offset)
  const skipped = Math.max(0, offset)
  const preceding = before > 0 ? disassembleBefore(source, address, before) : []
  const following = disassembleForward(source, address, Math.max(0, count + skipped - before)).slice(skipped)
  return nameSymbols(source, [...preceding, ...following].slice(0, count))
}

/**
 * Length of the instruction at `address` when it is one that a person steps over: a call, a system call, a repeated
 * string instruction; otherwise undefined.
 */
export function stepsOver(source: CodeSource, address: bigint): number | undefined {
  const decoder = new Decoder(source.bits, source.read(address, LONGEST_INSTRUCTION), DecoderOptions.None)
  const instruction = decoder.decode()
  const { flowControl, length } = instruction
  const calls =
    flowControl === FlowControl.Call ||
    flowControl === FlowControl.IndirectCall ||
    flowControl === FlowControl.Interrupt
  const repeated = instruction.isStringInstruction && (instruction.hasRepPrefix || instruction.hasRepnePrefix)
  instruction.free()
  decoder.free()
  return calls || repeated ? length : undefined
}

/** `count` instructions from `address` on. */
function disassembleForward(source: CodeSource, address: bigint, count: number): DisassembledInstruction[] {
  const instructions: DisassembledInstruction[] = []
  let at = address
  while (instructions.length < count) {
    const wanted = Math.min((count - instructions.length) * LONGEST_INSTRUCTION, 65536)
    const run = decodeRun(source, at, source.read(at, wanted), count - instructions.length, wanted)
    instructions.push(...run)
    const last = run[run.length - 1]
    at = wrap(source, last.address + BigInt(Math.max(1, last.bytes.length)))
  }
  return instructions
}

/** Decodes at least one entry. What `bytes` cuts off at its end is left to the next run, unless memory ends there. */
function decodeRun(
  source: CodeSource,
  address: bigint,
  bytes: Uint8Array,
  most: number,
  wanted: number,
): DisassembledInstruction[] {
  if (bytes.length === 0) return [{ address, bytes, text: '??', valid: false }]
  const memoryEnds = bytes.length < wanted
  const decoder = new Decoder(source.bits, bytes, DecoderOptions.None)
  decoder.ip = BigInt.asUintN(64, address - source.codeBase)
  const formatter = formatters[source.syntax ?? 'intel']
  const run: DisassembledInstruction[] = []
  while (decoder.canDecode && run.length < most) {
    const start = decoder.position
    if (!memoryEnds && run.length > 0 && bytes.length - start < LONGEST_INSTRUCTION) break
    const instruction = decoder.decode()
    const at = wrap(source, address + BigInt(start))
    if (instruction.isInvalid) {
      run.push({ address: at, bytes: bytes.slice(start, start + 1), text: '(bad)', valid: false })
      instruction.free()
      decoder.position = start + 1
      decoder.ip = BigInt.asUintN(64, at + 1n - source.codeBase)
      continue
    }
    const text = (farBranchText(source, instruction) ?? formatter.format(instruction)) + annotation(source, instruction)
    run.push({ address: at, bytes: bytes.slice(start, start + instruction.length), text, valid: true })
    instruction.free()
  }
  decoder.free()
  return run
}

/** `jmp 0x8:0x100031`, as assemblers have it: the formatter puts the selector behind the offset. */
function farBranchText({ syntax = 'intel' }: CodeSource, instruction: Instruction): string | undefined {
  const kind = instruction.opCount === 0 ? undefined : instruction.op0Kind
  if (syntax !== 'intel' || (kind !== OpKind.FarBranch16 && kind !== OpKind.FarBranch32)) return undefined
  const name = instruction.mnemonic === Mnemonic.Call ? 'call' : 'jmp'
  const offset = kind === OpKind.FarBranch16 ? instruction.farBranch16 : instruction.farBranch32
  return `${name} 0x${instruction.farBranchSelector.toString(16)}:0x${offset.toString(16)}`
}

/** The symbol that a branch goes to or an operand refers to. */
function annotation(source: CodeSource, instruction: Instruction): string {
  const target = referencedAddress(source, instruction)
  const symbol = target === undefined ? undefined : source.symbols?.containing(target)
  return symbol === undefined || target === undefined ? '' : ` <${symbolWithOffset(symbol, target)}>`
}

function referencedAddress(source: CodeSource, instruction: Instruction): bigint | undefined {
  if (instruction.isIpRelMemoryOperand) return instruction.ipRelMemoryAddress
  const flow = instruction.flowControl
  if (flow === FlowControl.Next || flow === FlowControl.Return || instruction.opCount === 0) return undefined
  const kind = instruction.op0Kind
  if (kind !== OpKind.NearBranch16 && kind !== OpKind.NearBranch32 && kind !== OpKind.NearBranch64) return undefined
  return wrap(source, instruction.nearBranchTarget + source.codeBase)
}

export function symbolWithOffset(symbol: { name: string; address: bigint }, address: bigint): string {
  return address === symbol.address ? symbol.name : `${symbol.name}+0x${(address - symbol.address).toString(16)}`
}

/**
 * The `count` instructions that end at `address`. Code can't be decoded backwards: decoding starts at a place known
 * to be, or likely to become, in step, and must arrive at `address` exactly.
 */
function disassembleBefore(source: CodeSource, address: bigint, count: number): DisassembledInstruction[] {
  const far = BigInt(count * LONGEST_INSTRUCTION)
  const found = fromSymbol(source, address, far) ?? fromAnyByte(source, address, far) ?? []
  const last = found.slice(-count)
  // In front of what can be read there is nothing, said an entry a byte.
  let at = last[0]?.address ?? address
  while (last.length < count) {
    at = wrap(source, at - 1n)
    last.unshift({ address: at, bytes: new Uint8Array(0), text: '??', valid: false })
  }
  return last
}

function fromSymbol(source: CodeSource, address: bigint, far: bigint): DisassembledInstruction[] | undefined {
  if (source.symbols === undefined) return undefined
  let start = source.symbols.containing(address - 1n)?.address
  // One function may not have enough instructions in front of the address: begin with an earlier one.
  while (start !== undefined && address - start < far) {
    const earlier = source.symbols.containing(start - 1n)?.address
    if (earlier === undefined || earlier >= start || address - earlier > FARTHEST_SYMBOL) break
    start = earlier
  }
  if (start === undefined || start >= address || address - start > FARTHEST_SYMBOL) return undefined
  return decodeUpTo(source, start, address)
}

function fromAnyByte(source: CodeSource, address: bigint, far: bigint): DisassembledInstruction[] | undefined {
  const lowest = address - far - BigInt(SETTLING_BYTES)
  // A start on a 64-byte boundary does not move while the view scrolls by an instruction.
  let start = lowest < 0n ? 0n : (lowest / 64n) * 64n
  for (let tries = 0; start < address && tries < 4096; start += 1n, tries++) {
    const found = decodeUpTo(source, start, address)
    if (found !== undefined) return found
  }
  return undefined
}

function decodeUpTo(source: CodeSource, start: bigint, end: bigint): DisassembledInstruction[] | undefined {
  const length = Number(end - start)
  const bytes = source.read(start, length)
  if (bytes.length < length) return undefined
  const run = decodeRun(source, start, bytes, length, length + 1)
  const last = run[run.length - 1]
  if (last.address + BigInt(last.bytes.length) !== end) return undefined
  return last.valid ? run : undefined
}

/** Linear addresses have 32 bits outside 64-bit mode (SDM vol. 3, 3.4.4). */
function wrap(source: CodeSource, address: bigint): bigint {
  return BigInt.asUintN(source.bits === 64 ? 64 : 32, address)
}

function nameSymbols(source: CodeSource, instructions: DisassembledInstruction[]): DisassembledInstruction[] {
  return instructions.map((instruction, i) => {
    const symbol = source.symbols?.containing(instruction.address)
    if (symbol === undefined || (i > 0 && symbol.address !== instruction.address)) return instruction
    return { ...instruction, symbol: symbolWithOffset(symbol, instruction.address) }
  })
}

/**
 * Decodes a basic block into records: from one address up to a control transfer, the end of the page, a breakpoint or
 * the length limit. Decoding itself is iced-x86's; this file maps its operands to addresses in the processor's state.
 */

import { Code, CodeExt, Decoder, DecoderError, DecoderOptions, Instruction, OpKind, Register } from 'iced-x86'
import type { Assist } from '../assist.ts'
import type { CpuModel } from '../cpu-model.ts'
import type { HostMemory } from '../host-memory.ts'
import type { CalledHandlers } from '../interpreter/called-handlers.ts'
import { fusionKey } from '../interpreter/fusion.ts'
import type { Definition, Definitions } from '../isa/definition.ts'
import { handlerKey, INTERNAL } from '../isa/handlers.ts'
import { shapeLetter } from '../isa/shapes.ts'
import { CODE_BASE, CODE_SIZE } from '../layout.ts'
import { MODE_CODE_32, MODE_CODE_64, MODE_CODE_SIZE, MODE_FLAT_DATA, MODE_LIMITED_CODE } from '../mode.ts'
import * as S from '../state.ts'
import { ADDRESS_WIDTH, REGISTER_ADDRESS, REGISTER_NUMBER } from './operand-address.ts'
import * as R from './record.ts'

/** Instructions in a block at most: bounds the time between two looks at the budget. */
const MAX_INSTRUCTIONS = 64
/** Entries after which a block is compiled unless a processor is told otherwise: by then it has cost as much as compiling it does. */
export const HOT_ENTRIES = 40_000
/** Bytes given to iced-x86 at once: copying them costs more than a short block. */
const WINDOW = 192
/** Longest instruction (SDM vol. 2, 2.3.11). */
export const MAX_LENGTH = 15

/**
 * Without BMI1 and LZCNT, F3 0F BC and BD are BSF and BSR with an ignored prefix (SDM vol. 2, TZCNT and LZCNT).
 * WBNOINVD is in no model.
 */
function decoderOptions(model: CpuModel): DecoderOptions {
  return (
    DecoderOptions.NoWbnoinvd |
    (model.has('bmi1') ? 0 : DecoderOptions.NoMPFX_0FBC) |
    (model.has('lzcnt') ? 0 : DecoderOptions.NoMPFX_0FBD)
  )
}

interface CodeEntry {
  readonly definition: Definition | undefined
  readonly assist: number
  readonly memoryBytes: number
  readonly ends: boolean
  readonly jumps: boolean
  readonly operandSize: number
  readonly string: boolean
  /** Its memory operand is an absolute address (moffs). */
  readonly absolute: boolean
}

/** Names of memory operands of which the address, not the memory, is used. */
const LEA = /^Lea_/
/** Destinations of string instructions, which no prefix can move out of ES. */
const DESTINATION_ES: ReadonlySet<OpKind> = new Set([OpKind.MemoryESDI, OpKind.MemoryESEDI, OpKind.MemoryESRDI])
/** Elements at RSI. */
const SOURCE: ReadonlySet<OpKind> = new Set([OpKind.MemorySegSI, OpKind.MemorySegESI, OpKind.MemorySegRSI])
const [RSI, RDI] = [6, 7]
const STRING = /^(Movs[bwdq]_m|Stos|Lods|Scas|Cmps[bwdq]_m|Ins[bwd]_m|Outs[bwd]_DX)/

export interface DecodedBlock {
  readonly address: number
  /** Bytes of guest code, from the first. */
  readonly bytes: number
  readonly instructions: number
}

export class BlockDecoder {
  readonly #memory: HostMemory
  readonly #definitions: Definitions
  readonly #handlers: ReadonlyMap<string, number>
  readonly #called: CalledHandlers
  readonly #names: ReadonlyMap<number, string>
  readonly #entries: (CodeEntry | undefined)[] = []
  readonly #repeated: (CodeEntry | undefined)[] = []
  readonly #instruction = new Instruction()
  readonly #options: DecoderOptions
  readonly #hotEntries: number
  readonly assists: Assist[] = []
  /** Of their instructions. */
  readonly assistNames: string[] = []
  /** Next free record. */
  #next = CODE_BASE

  /** @param hotEntries entries after which a block is worth compiling; 0 for never */
  constructor(
    memory: HostMemory,
    model: CpuModel,
    definitions: Definitions,
    handlers: ReadonlyMap<string, number>,
    called: CalledHandlers,
    hotEntries: number,
  ) {
    this.#memory = memory
    this.#options = decoderOptions(model)
    this.#definitions = definitions
    this.#handlers = handlers
    this.#called = called
    this.#hotEntries = hotEntries
    this.#names = new Map(
      Object.entries(Code).flatMap(([name, value]) => (typeof value === 'number' ? [[value, name] as const] : [])),
    )
  }

  /** Is there no room for another block? Then all must be dropped. */
  get full(): boolean {
    return this.#next + (MAX_INSTRUCTIONS + 3) * R.RECORD_SIZE > CODE_BASE + CODE_SIZE
  }

  dropAll(): void {
    this.#next = CODE_BASE
  }

  /**
   * @param bytes guest code from the block's first byte, to the end of its page (or beyond, when the first instruction
   * crosses it)
   * @param maximum instructions at most
   * @param offsetInPage of the first byte
   * @returns a block without instructions when the first one needs more bytes
   * @param stopAt offsets from the first byte before which the block must end (breakpoints)
   */
  decode(
    bytes: Uint8Array,
    mode: number,
    offsetInPage: number,
    maximum: number,
    stopAt?: (offset: number) => boolean,
  ): DecodedBlock {
    const { u32, u16, u8, i32 } = this.#memory
    const header = this.#next
    const size = mode & MODE_CODE_SIZE
    const bits = size === MODE_CODE_64 ? 64 : size === MODE_CODE_32 ? 32 : 16
    const decoder = new Decoder(bits, bytes.length > WINDOW ? bytes.subarray(0, WINDOW) : bytes, this.#options)
    const instruction = this.#instruction
    const limit = Math.min(maximum, MAX_INSTRUCTIONS)
    // Branches are remembered only within the page, and never from a block that runs alone.
    const linkable = maximum > 1 && (mode & MODE_LIMITED_CODE) === 0
    let at = header + R.RECORD_SIZE
    let count = 0
    let offset = 0
    let open = true
    let previous: string | undefined
    let previousAt = 0
    while (open && count < limit) {
      if (offset >= bytes.length || (count > 0 && stopAt?.(offset))) break
      decoder.decodeOut(instruction)
      const length = instruction.length
      const code = instruction.code
      if (code === Code.INVALID && count > 0) break
      // An instruction that crosses into the next page is a block of its own, checked against both pages.
      if (count > 0 && offsetInPage + offset + length > 4096) break
      u32.fill(0, at >> 2, (at + R.RECORD_SIZE) >> 2)
      u8[at + R.LENGTH] = length
      u16[(at + R.RIP_OFFSET) >> 1] = offset
      u8[at + R.SLOT] = count
      if (code === Code.INVALID && decoder.lastError === DecoderError.NoMoreBytes) break
      const entry = this.#entry(code, instruction)
      const key = this.#fill(at, entry, mode, bits)
      const handler = this.#handlers.get(key)
      if (handler === undefined) throw new Error(`no handler for ${key}`)
      u16[(at + R.HANDLER) >> 1] = handler
      this.#called.require(handler)
      if (key.endsWith(':b') || key.endsWith(':b:legacy')) this.#setLinks(at, linkable, offsetInPage, offset + length)
      if (previous !== undefined) {
        const fused = this.#handlers.get(fusionKey(previous, key))
        if (fused !== undefined) u16[(previousAt + R.HANDLER) >> 1] = fused
      }
      previous = key
      previousAt = at
      at += R.RECORD_SIZE
      offset += length
      count++
      if (entry.ends) open = false
    }
    decoder.free()
    // The end of a cut block goes on at the next instruction like a jump there, and counts for nothing.
    u32.fill(0, at >> 2, (at + R.RECORD_SIZE) >> 2)
    const jump = this.#handlers.get(handlerKey('JmpDirect', 'b', bits === 64, true))
    u16[(at + R.HANDLER) >> 1] = jump ?? 0
    if (jump !== undefined) this.#called.require(jump)
    this.#called.install()
    u8[at + R.ATTRIBUTES] = 1
    u8[at + R.SLOT] = count
    u16[(at + R.RIP_OFFSET) >> 1] = offset
    i32[(at + R.IMMEDIATE) >> 2] = offset
    if (linkable && offsetInPage + offset < 4096) i32[(at + R.LINK_TAKEN) >> 2] = 0
    else i32[(at + R.LINK_TAKEN) >> 2] = 1
    at += R.RECORD_SIZE
    u32.fill(0, header >> 2, (header + R.RECORD_SIZE) >> 2)
    i32[(header + R.BLOCK_COUNT) >> 2] = count
    u16[(header + R.BLOCK_BYTES) >> 1] = offset
    u16[(header + R.BLOCK_MODE) >> 1] = mode
    i32[(header + R.BLOCK_HEAT) >> 2] = maximum > 1 ? this.#hotEntries : 0
    i32[(header + R.BLOCK_LINKABLE) >> 2] = linkable && offsetInPage + offset <= 4096 ? -1 : 0
    this.#next = at
    return { address: header, bytes: offset, instructions: count }
  }

  #entry(code: Code, instruction: Instruction): CodeEntry {
    const repeated = (instruction.hasRepPrefix || instruction.hasRepnePrefix) && this.#isString(code)
    if (!repeated) return (this.#entries[code] ??= this.#makeEntry(code, ''))
    const index = code * 2 + (instruction.hasRepnePrefix ? 1 : 0)
    return (this.#repeated[index] ??= this.#makeEntry(code, instruction.hasRepnePrefix ? 'Repne.' : 'Rep.'))
  }

  #isString(code: Code): boolean {
    return STRING.test(this.#names.get(code) ?? '')
  }

  #makeEntry(code: Code, prefix: string): CodeEntry {
    const name = this.#names.get(code) ?? 'INVALID'
    const found = this.#definitions.get(prefix + name) ?? this.#definitions.get(name)
    const operandSize = CodeExt.opCode(code).operandSize
    const common = { operandSize, string: STRING.test(name), absolute: name.includes('moffs') }
    if (found === undefined)
      return { ...common, definition: INTERNAL.undefined, assist: -1, memoryBytes: 0, ends: true, jumps: false }
    if ('assist' in found) {
      this.assists.push(found.assist)
      this.assistNames.push(name)
      const { memoryBytes, writes, ends } = found
      return {
        ...common,
        definition: undefined,
        assist: this.assists.length - 1 + (writes ? 0x8000 : 0),
        memoryBytes,
        ends,
        jumps: false,
      }
    }
    return {
      ...common,
      definition: found,
      assist: -1,
      memoryBytes: LEA.test(name) ? -1 : 0,
      ends: found.ends !== undefined,
      jumps: found.ends === 'jump',
    }
  }

  /** Fills a record's operands; returns the key of its handler. */
  #fill(at: number, entry: CodeEntry, mode: number, bits: number): string {
    const { u8, u16 } = this.#memory
    const instruction = this.#instruction
    const long = bits === 64
    const isAssist = entry.definition === undefined
    let operandSize = entry.operandSize
    let addressSize = bits
    let hasMemory = false
    let flat = false
    let shape = ''
    for (let operand = 0; operand < instruction.opCount; operand++) {
      const kind = instruction.opKind(operand)
      switch (kind) {
        case OpKind.Register: {
          const register = instruction.opRegister(operand)
          if (operand < R.OPERAND.length)
            u16[(at + R.OPERAND[operand]) >> 1] = isAssist ? REGISTER_NUMBER[register] : REGISTER_ADDRESS[register]
          break
        }
        case OpKind.Memory:
          addressSize = this.#memoryOperand(at, mode, bits, entry.memoryBytes < 0, entry.absolute)
          hasMemory = true
          flat = u8[at + R.ADDRESS_KIND] === R.AddressKind.plain64
          break
        case OpKind.NearBranch16:
          operandSize = 16
          this.#branch(at, BigInt.asIntN(32, instruction.nearBranchTarget))
          break
        case OpKind.NearBranch32:
          operandSize = 32
          this.#branch(at, BigInt.asIntN(32, instruction.nearBranchTarget))
          break
        case OpKind.NearBranch64:
          operandSize = 64
          this.#branch(at, BigInt.asIntN(64, instruction.nearBranchTarget))
          break
        case OpKind.FarBranch16:
          this.#farPointer(at, instruction.farBranchSelector, instruction.farBranch16)
          break
        case OpKind.FarBranch32:
          this.#farPointer(at, instruction.farBranchSelector, instruction.farBranch32)
          break
        case OpKind.MemorySegSI:
        case OpKind.MemorySegESI:
        case OpKind.MemorySegRSI:
        case OpKind.MemorySegDI:
        case OpKind.MemorySegEDI:
        case OpKind.MemorySegRDI:
        case OpKind.MemoryESDI:
        case OpKind.MemoryESEDI:
        case OpKind.MemoryESRDI:
          addressSize = stringAddressSize(kind)
          hasMemory = true
          this.#stringOperand(at, mode, addressSize, SOURCE.has(kind))
          flat = u8[at + R.ADDRESS_KIND] === R.AddressKind.plain64
          break
        default:
          this.#immediate(at, kind, operand)
      }
      shape += shapeLetter(kind, flat)
    }
    const repeat = instruction.hasRepnePrefix ? 2 : instruction.hasRepPrefix ? 1 : 0
    const attribute = (value: number) => (value === 64 ? 2 : value === 32 ? 1 : 0)
    u8[at + R.ATTRIBUTES] =
      attribute(operandSize === 0 ? (long ? 32 : bits) : operandSize) |
      (attribute(addressSize) << 2) |
      (repeat << 4) |
      (hasMemory ? R.HAS_MEMORY : 0) |
      (entry.definition?.implicit && !entry.string ? R.USES_STACK : 0)
    if (entry.definition === undefined) {
      u16[(at + R.ASSIST) >> 1] = entry.assist
      // MONITOR's address is in RAX, and takes a segment prefix.
      const prefix = instruction.segmentPrefix
      if (!hasMemory && prefix !== Register.None) u16[(at + R.SEGMENT) >> 1] = REGISTER_ADDRESS[prefix]
      u8[at + R.ACCESS_SIZE] = Math.min(entry.memoryBytes, 255)
      return handlerKey(entry.ends ? 'AssistEnds' : 'Assist', '', true, true)
    }
    const { name, implicit, ends } = entry.definition
    const twofold = implicit === true || ends === 'jump'
    const plain = entry.string ? long && flat : long
    // Definitions that ignore their operands are listed without them; internal ones have none.
    const wanted = entry.definition.name === 'Undefined' ? '' : shape
    return handlerKey(name, wanted, plain, twofold)
  }

  /** Fills base, index, displacement and the kind of address; returns the address size. */
  #memoryOperand(at: number, mode: number, bits: number, addressOnly: boolean, absolute: boolean): number {
    const { u8, u16, i32 } = this.#memory
    const instruction = this.#instruction
    const base = instruction.memoryBase
    const index = instruction.memoryIndex
    const displSize = instruction.memoryDisplSize
    let size = ADDRESS_WIDTH[base] || ADDRESS_WIDTH[index]
    if (size === 0) size = displSize === 2 ? 16 : displSize === 4 ? 32 : displSize === 8 ? 64 : bits
    u16[(at + R.BASE) >> 1] = REGISTER_ADDRESS[base]
    // XLAT's index is AL, which its definition adds.
    const vector = REGISTER_ADDRESS[index] >= S.VECTORS
    u16[(at + R.INDEX) >> 1] = index === Register.AL || vector ? S.ZERO : REGISTER_ADDRESS[index]
    // Indices of a gather are added one by one: operand 1, which is the memory, names their register.
    if (vector) u16[(at + R.OPERAND[1]) >> 1] = REGISTER_NUMBER[index]
    u8[at + R.SCALE] = Math.log2(instruction.memoryIndexScale)
    const displacement = BigInt.asIntN(64, instruction.memoryDisplacement)
    let low = Number(BigInt.asIntN(32, displacement))
    if (absolute) {
      this.#wide(at, displacement)
      this.#addressKind(at, mode, size, this.#segmentOf(mode), false)
      return size
    }
    if (base === Register.RIP && BigInt(low) !== displacement) {
      // Counted from the block's start the displacement left 32 bits: the index makes up for it.
      const negative = displacement < 0n
      u16[(at + R.INDEX) >> 1] = negative ? S.NEGATIVE_BIAS : S.BIAS
      u8[at + R.SCALE] = 0
      low = Number(displacement + (negative ? 1n : -1n) * 0x8000_0000n)
    }
    if (instruction.code === Code.Pop_rm16 || instruction.code === Code.Pop_rm32 || instruction.code === Code.Pop_rm64)
      if (REGISTER_ADDRESS[base] === S.GPR + 4 * 8) low += popSize(instruction.code)
    i32[(at + R.DISPLACEMENT) >> 2] = low
    this.#addressKind(at, mode, size, this.#segmentOf(mode), addressOnly)
    return size
  }

  /**
   * Segment of the memory operand. In 64-bit mode only FS and GS can be chosen (SDM vol. 1, 3.4.2.1); whether the
   * others are the stack's, which its faults tell, follows from the base whatever prefix there is.
   */
  #segmentOf(mode: number): Register {
    const instruction = this.#instruction
    const chosen = instruction.memorySegment
    if ((mode & MODE_CODE_SIZE) !== MODE_CODE_64 || chosen === Register.FS || chosen === Register.GS) return chosen
    const base = REGISTER_ADDRESS[instruction.memoryBase]
    return base === S.GPR + 4 * 8 || base === S.GPR + 5 * 8 ? Register.SS : Register.DS
  }

  #addressKind(at: number, mode: number, size: number, segment: Register, addressOnly: boolean): void {
    const { u8, u16 } = this.#memory
    const { AddressKind } = R
    u16[(at + R.SEGMENT) >> 1] = REGISTER_ADDRESS[segment]
    const based = segment === Register.FS || segment === Register.GS
    let kind: number
    if ((mode & MODE_CODE_SIZE) === MODE_CODE_64) {
      if (addressOnly && size !== 64) {
        // LEA has no segment: its offset is only cut.
        u16[(at + R.SEGMENT) >> 1] = REGISTER_ADDRESS[Register.DS]
        kind = AddressKind.narrow64
      } else if (size !== 64) kind = AddressKind.narrow64
      else kind = based && !addressOnly ? AddressKind.based64 : AddressKind.plain64
    } else {
      const wide = size === 32
      const flat = addressOnly || ((mode & MODE_FLAT_DATA) !== 0 && !based && segment !== Register.CS)
      if (flat) kind = wide ? AddressKind.flat32 : AddressKind.flat16
      else kind = wide ? AddressKind.checked32 : AddressKind.checked16
    }
    u8[at + R.ADDRESS_KIND] = kind
  }

  /** Implicit operands of string instructions: the record names the source's segment; a destination is in ES. */
  #stringOperand(at: number, mode: number, size: number, source: boolean): void {
    const { u16 } = this.#memory
    const instruction = this.#instruction
    let segment: Register = Register.ES
    for (let operand = 0; operand < instruction.opCount; operand++)
      if (!DESTINATION_ES.has(instruction.opKind(operand)) && instruction.opKind(operand) !== OpKind.Register)
        segment = this.#segmentOf(mode)
    u16[(at + R.BASE) >> 1] = S.GPR + (source ? RSI : RDI) * 8
    u16[(at + R.INDEX) >> 1] = S.ZERO
    this.#addressKind(at, mode, size, segment, false)
  }

  #branch(at: number, target: bigint): void {
    this.#memory.i32[(at + R.IMMEDIATE) >> 2] = Number(BigInt.asIntN(32, target))
  }

  #farPointer(at: number, selector: number, offset: number): void {
    this.#memory.u8[at + R.ADDRESS_KIND] = R.FAR_POINTER
    this.#wide(at, (BigInt(selector) << 32n) | BigInt(offset))
  }

  #wide(at: number, value: bigint): void {
    this.#memory.u64[(at + R.WIDE) >> 3] = BigInt.asUintN(64, value)
  }

  #immediate(at: number, kind: OpKind, operand: number): void {
    const instruction = this.#instruction
    if (kind === OpKind.Immediate64) {
      this.#wide(at, instruction.immediate64)
      return
    }
    const value = BigInt.asIntN(32, BigInt(instruction.immediate(operand)))
    const i32 = this.#memory.i32
    // ENTER is the one instruction with two immediates: the second goes to the upper half.
    if (kind === OpKind.Immediate8_2nd) i32[(at + R.IMMEDIATE) >> 2] |= Number(value) << 16
    else i32[(at + R.IMMEDIATE) >> 2] = Number(value)
  }

  /** Direct branches within the page may remember their targets; a link of 1 says never. */
  #setLinks(at: number, linkable: boolean, offsetInPage: number, next: number): void {
    const { i32 } = this.#memory
    const target = offsetInPage + i32[(at + R.IMMEDIATE) >> 2]
    // A branch that cuts RIP to 16 bits leaves the page where RIP is 64 KiB or more: whether it is, the code can't say.
    const cuts = this.#instruction.op0Kind === OpKind.NearBranch16
    i32[(at + R.LINK_TAKEN) >> 2] = linkable && !cuts && target >= 0 && target < 4096 ? 0 : 1
    i32[(at + R.LINK_NEXT) >> 2] = linkable && offsetInPage + next < 4096 ? 0 : 1
  }
}

function popSize(code: Code): number {
  return code === Code.Pop_rm16 ? 2 : code === Code.Pop_rm32 ? 4 : 8
}

function stringAddressSize(kind: OpKind): 16 | 32 | 64 {
  switch (kind) {
    case OpKind.MemorySegSI:
    case OpKind.MemorySegDI:
    case OpKind.MemoryESDI:
      return 16
    case OpKind.MemorySegESI:
    case OpKind.MemorySegEDI:
    case OpKind.MemoryESEDI:
      return 32
    default:
      return 64
  }
}

/** Disassembly in the mode of the code. */

import type { DebugProtocol } from '@vscode/debugprotocol'
import type { Address } from '../../inspect/address.ts'
import type { DisassembledInstruction } from '../../inspect/disassembly.ts'
import { advance, hex, parseAddress } from '../../protocol/address.ts'
import { Fields } from '../../protocol/fields.ts'
import type { LinePlace } from '../../symbols/dwarf/debug-info.ts'
import type { Progress } from '../progress.ts'
import { MOST_INSTRUCTIONS, OFFSETS, type RequestFamily } from '../request.ts'
import type { Session } from '../session.ts'

/** Instructions between which other messages are heard. */
const PIECE = 1024
const INSTRUCTION_OFFSETS = { least: -MOST_INSTRUCTIONS, most: MOST_INSTRUCTIONS }

export const disassemblyRequests: RequestFamily = {
  async disassemble(session, args, _afterResponse, progress) {
    const fields = new Fields('disassemble', args)
    const reference = parseAddress(fields.string('memoryReference'))
    const address = advance(reference, fields.optionalInteger('offset', OFFSETS) ?? 0)
    const offset = fields.optionalInteger('instructionOffset', INSTRUCTION_OFFSETS) ?? 0
    const count = fields.integer('instructionCount', { least: 0, most: MOST_INSTRUCTIONS })
    const symbols = fields.boolean('resolveSymbols', true)
    const instructions = await inPieces(session, progress, address, offset, count)
    const places = address.space === 'linear' ? new SourcePlaces(session) : undefined
    return {
      instructions: instructions.map(instruction => ({
        ...instructionBody(instruction, symbols),
        ...(instruction.valid ? places?.next(instruction.address) : undefined),
      })),
    }
  },
}

async function inPieces(
  session: Session,
  progress: Progress,
  address: Address,
  offset: number,
  count: number,
): Promise<DisassembledInstruction[]> {
  const { focus, symbols } = session.debugger
  const instructions = session.debugger.disassemble(focus, address, offset, Math.min(count, PIECE))
  while (instructions.length < count) {
    await progress.turn('Disassembling', instructions.length / count)
    const last = instructions[instructions.length - 1]
    const at = BigInt.asUintN(64, last.address + BigInt(Math.max(1, last.bytes.length)))
    const most = Math.min(count - instructions.length, PIECE)
    const [first, ...rest] = session.debugger.disassemble(focus, { ...address, address: at }, 0, most)
    const { symbol, ...plain } = first
    // Of the first instruction of all the symbol is told that it is in the middle of.
    instructions.push(symbols.containing(at)?.address === at ? first : plain, ...rest)
  }
  return instructions
}

/** Where instructions that follow one another are from. A source is named again only when it is another. */
class SourcePlaces {
  readonly #session: Session
  #line: LinePlace | undefined
  #source: DebugProtocol.Source | undefined
  #named: string | undefined

  constructor(session: Session) {
    this.#session = session
  }

  /** Nothing where the line is not known, or its source not on this machine. */
  next(address: bigint): Pick<DebugProtocol.DisassembledInstruction, 'location' | 'line' | 'column'> {
    if (this.#line === undefined || address < this.#line.low || address >= this.#line.high) this.#look(address)
    if (this.#line === undefined || this.#source === undefined) return {}
    const { line, column } = this.#line
    const isNamed = this.#named === this.#source.path
    this.#named = this.#source.path
    return { ...(isNamed ? {} : { location: this.#source }), line, ...(column === 0 ? {} : { column }) }
  }

  #look(address: bigint): void {
    const { symbols } = this.#session.debugger
    const line = symbols.lineAt(address)
    // Line 0 is code that no line stands for.
    this.#line = line?.line === 0 ? undefined : line
    if (this.#line === undefined) return
    const module = symbols.framesAt(address)?.file.path ?? symbols.moduleAt(address)?.name
    this.#source = this.#session.sources.source(this.#line.file, module)
  }
}

function instructionBody(
  instruction: DisassembledInstruction,
  symbols: boolean,
): DebugProtocol.DisassembledInstruction {
  return {
    // A plain number: VS Code drops an address with a prefix.
    address: hex(instruction.address),
    instruction: instruction.text,
    ...(instruction.bytes.length > 0 ? { instructionBytes: byteText(instruction.bytes) } : {}),
    ...(symbols && instruction.symbol !== undefined ? { symbol: instruction.symbol } : {}),
    ...(instruction.valid ? {} : { presentationHint: 'invalid' as const }),
  }
}

const byteText = (bytes: Uint8Array): string => Array.from(bytes, byte => byte.toString(16).padStart(2, '0')).join(' ')

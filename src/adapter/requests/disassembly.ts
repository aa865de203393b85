/** Disassembly in the mode of the code. */

import type { DebugProtocol } from '@vscode/debugprotocol'
import type { DisassembledInstruction } from '../../inspect/disassembly.ts'
import { advance, hex, parseAddress } from '../../protocol/address.ts'
import { Fields } from '../../protocol/fields.ts'
import type { LinePlace } from '../../symbols/dwarf/debug-info.ts'
import { MOST_INSTRUCTIONS, OFFSETS, type RequestFamily } from '../request.ts'
import type { Session } from '../session.ts'

const INSTRUCTION_OFFSETS = { least: -MOST_INSTRUCTIONS, most: MOST_INSTRUCTIONS }

export const disassemblyRequests: RequestFamily = {
  disassemble(session, args) {
    const fields = new Fields('disassemble', args)
    const reference = parseAddress(fields.string('memoryReference'))
    const address = advance(reference, fields.optionalInteger('offset', OFFSETS) ?? 0)
    const offset = fields.optionalInteger('instructionOffset', INSTRUCTION_OFFSETS) ?? 0
    const count = fields.integer('instructionCount', { least: 0, most: MOST_INSTRUCTIONS })
    const symbols = fields.boolean('resolveSymbols', true)
    const instructions = session.debugger.disassemble(session.debugger.focus, address, offset, count)
    const places = address.space === 'linear' ? new SourcePlaces(session) : undefined
    return {
      instructions: instructions.map(instruction => ({
        ...instructionBody(instruction, symbols),
        ...(instruction.valid ? places?.next(instruction.address) : undefined),
      })),
    }
  },
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
    const module = symbols.framesAt(address)?.file.path ?? symbols.moduleAt(address)?.name
    this.#source = this.#line === undefined ? undefined : this.#session.sources.source(this.#line.file, module)
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

/** Disassembly in the mode of the code. */

import type { DebugProtocol } from '@vscode/debugprotocol'
import type { DisassembledInstruction } from '../../inspect/disassembly.ts'
import { advance, hex, parseAddress } from '../../protocol/address.ts'
import { Fields } from '../../protocol/fields.ts'
import { MOST_INSTRUCTIONS, OFFSETS, type RequestFamily } from '../request.ts'

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
    return { instructions: instructions.map(instruction => instructionBody(instruction, symbols)) }
  },
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

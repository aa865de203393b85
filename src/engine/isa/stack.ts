/** Stack instructions of the general registers (SDM vol. 2: PUSH, POP, LEAVE). */

import * as S from '../state.ts'
import { i32, i64 } from '../wasm/value.ts'
import type { DefinitionTable } from './definition.ts'
import type { InstructionScope } from './instruction-scope.ts'
import { apply, type Bits, word } from './word.ts'

const [RSP, RBP] = [4, 5]

/** LEAVE: the stack pointer from the frame pointer, in the width of the stack, then POP of the frame pointer. */
function leave(scope: InstructionScope, bits: Bits): void {
  const { f } = scope
  // The value comes from where the stack pointer will be, which must not move if reading it faults.
  if (scope.flatStack !== undefined) {
    const frame = scope.gpr(RBP, scope.flatStack)
    const value = scope.load(bits, scope.stackAddress(bits, frame))
    scope.setGpr(RSP, scope.flatStack, apply('add', frame, word(scope.flatStack, bits / 8)))
    scope.setGpr(RBP, bits, value)
    return
  }
  const value = f.let(f.callValue(scope.runtime.frameTop, i32(bits / 8), scope.record()))
  f.call(scope.runtime.stackFromFrame)
  scope.registersChanged()
  scope.stackAdjust(i64(bits / 8))
  scope.setGpr(RBP, bits, bits === 64 ? value : value.wrap())
}

export function defineStack(table: DefinitionTable): void {
  for (const bits of [16, 32, 64] as const) {
    table.define([`Push_r${bits}`, `Push_rm${bits}`], {
      name: `Push${bits}`,
      bits: [bits],
      hot: true,
      implicit: true,
      emit: scope => scope.push(bits, scope.read(0)),
    })
    table.define([`Pop_r${bits}`, `Pop_rm${bits}`], {
      name: `Pop${bits}`,
      bits: [bits],
      hot: true,
      implicit: true,
      emit: scope => {
        const value = scope.stackTop(bits)
        if (scope.isMemory) {
          // The store may fault, so the stack pointer follows it; the decoder has counted the increment into an
          // address that is based on the stack pointer (SDM vol. 2, POP).
          scope.write(0, value)
          scope.stackAdjust(i64(bits / 8))
        } else {
          scope.stackAdjust(i64(bits / 8))
          scope.write(0, value)
        }
      },
    })
  }
  for (const [code, bits] of [
    ['Push_imm16', 16],
    ['Pushw_imm8', 16],
    ['Pushd_imm32', 32],
    ['Pushd_imm8', 32],
    ['Pushq_imm32', 64],
    ['Pushq_imm8', 64],
  ] as const)
    table.define(code, {
      name: `PushImmediate${bits}`,
      bits: [bits],
      implicit: true,
      emit: scope => scope.push(bits, scope.read(0)),
    })

  // Segment registers: a 32-bit push writes 16 bits and leaves the upper half of the slot (SDM vol. 2, PUSH); zero-extension
  // is what older processors do and what is visible here.
  for (const segment of ['ES', 'CS', 'SS', 'DS', 'FS', 'GS'])
    for (const [letter, bits] of [
      ['w', 16],
      ['d', 32],
      ['q', 64],
    ] as const) {
      if (letter === 'q' && segment !== 'FS' && segment !== 'GS') continue
      table.define(`Push${letter}_${segment}`, {
        name: `PushSegment${bits}`,
        bits: [bits],
        implicit: true,
        emit: scope => {
          const selector = scope.f.load('i32', scope.registerAddress(0), S.SEGMENT_SELECTOR)
          scope.push(bits, bits === 64 ? scope.f.let(selector).extendU() : scope.f.let(selector))
        },
      })
    }

  for (const [letter, bits] of [
    ['w', 16],
    ['d', 32],
    ['q', 64],
  ] as const)
    table.define(`Leave${letter}`, {
      name: `Leave${bits}`,
      bits: [],
      hot: true,
      implicit: true,
      emit: scope => leave(scope, bits),
    })
}

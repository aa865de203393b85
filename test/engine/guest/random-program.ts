/**
 * Random programs with loops, calls, forward branches, repeated strings, faults that handlers skip, reads of the
 * time-stamp counter, and a periodic interrupt of the local APIC's timer. A program ends at HLT with interrupts off.
 */

import type { Guest } from './guest.ts'
import { CODE, DATA, enterLongMode, STACK, setGate } from './long-mode.ts'
import type { Random } from './random.ts'
import { type CodeStyle, DATA_BYTES, RandomCode } from './random-code.ts'

const SLOT = 16
const TIMER_VECTOR = 0x40
const TIMER_HANDLER = 0x7200
/** Counts the interrupts. */
export const TICKS = 0x8000

const STYLE: CodeStyle = { holes: 0.05, division: true, sse: true, strings: true, balanced: true }

/** NOPs of 9 bytes at most (SDM vol. 2, NOP: recommended multi-byte sequences). */
const NOPS = [
  [],
  [0x90],
  [0x66, 0x90],
  [0x0f, 0x1f, 0x00],
  [0x0f, 0x1f, 0x40, 0x00],
  [0x0f, 0x1f, 0x44, 0x00, 0x00],
  [0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00],
  [0x0f, 0x1f, 0x80, 0, 0, 0, 0],
  [0x0f, 0x1f, 0x84, 0x00, 0, 0, 0, 0],
  [0x66, 0x0f, 0x1f, 0x84, 0x00, 0, 0, 0, 0],
]

/** Pads an instruction to a slot, where a fault handler goes on. */
function slot(instruction: readonly number[]): number[] {
  const out = [...instruction]
  while (out.length < SLOT) out.push(...NOPS[Math.min(9, SLOT - out.length)])
  return out
}

const word = (value: number): number[] => [0, 8, 16, 24].map(shift => (value >> shift) & 0xff)

/** mov ecx, msr; mov eax, value; xor edx, edx; wrmsr */
const wrmsr = (msr: number, value: number): number[] => [
  ...[0xb9, ...word(msr)],
  ...[0xb8, ...word(value)],
  ...[0x31, 0xd2, 0x0f, 0x30],
]

const [APIC_BASE, EOI, SPURIOUS, LVT_TIMER, INITIAL_COUNT, DIVIDE] = [0x1b, 0x80b, 0x80f, 0x832, 0x838, 0x83e]

function startTimer(period: number): number[] {
  return [
    ...wrmsr(APIC_BASE, 0xfee0_0d00),
    ...wrmsr(SPURIOUS, 0x1ff),
    ...wrmsr(DIVIDE, 0xb),
    ...wrmsr(LVT_TIMER, 0x2_0000 | TIMER_VECTOR),
    ...wrmsr(INITIAL_COUNT, period),
  ]
}

// push rax; push rcx; push rdx; inc dword [abs TICKS]; end of interrupt; pop rdx; pop rcx; pop rax; iretq
const HANDLER = [
  ...[0x50, 0x51, 0x52],
  ...[0xff, 0x04, 0x25, ...word(TICKS)],
  ...wrmsr(EOI, 0),
  ...[0x5a, 0x59, 0x58, 0x48, 0xcf],
]

/** Slots of a straight piece of code, with branches over the next few. */
function piece(random: Random, code: RandomCode, snippets: number): number[] {
  const slots: number[][] = []
  while (slots.length < snippets) {
    if (random.chance(0.1)) {
      const over = 1 + random.below(3)
      slots.push([0x0f, 0x80 | random.below(16), ...word(SLOT * (1 + over) - 6)])
    } else if (random.chance(0.05)) slots.push([0x0f, 0x31])
    else slots.push(...code.snippet())
  }
  // Where a branch of the last slots may lead.
  slots.push([], [], [])
  return slots.flatMap(slot)
}

/** Writes a program to the guest and puts its vCPU at the start. */
export function loadRandomProgram(guest: Guest, random: Random, iterations = 10): void {
  const code = new RandomCode(random, STYLE)
  const body: number[] = []
  const subroutines = CODE + 0x4000
  const calls = random.below(3)
  for (let i = 0; i <= calls; i++) {
    body.push(...piece(random, code, 4 + random.below(8)))
    if (i === calls) continue
    const here = CODE + 0x100 + body.length
    body.push(...slot([0xe8, ...word(subroutines + i * 0x400 - (here + 5))]))
    guest.write(subroutines + i * 0x400, [...piece(random, code, 3 + random.below(5)), 0xc3])
  }
  // dec r13d; jnz to the start of the loop; cli; hlt
  body.push(...slot([0x41, 0xff, 0xcd]))
  body.push(...slot([0x0f, 0x85, ...word(-(body.length + 6))]))
  body.push(0xfa, 0xf4)

  enterLongMode(guest)
  setGate(guest, TIMER_VECTOR, TIMER_HANDLER)
  guest.write(TIMER_HANDLER, HANDLER)
  guest.write(TICKS, word(0))
  const prologue = [...startTimer(60 + random.below(100)), 0xfb]
  // jmp from the prologue to the loop
  guest.write(CODE, [...prologue, 0xe9, ...word(0x100 - prologue.length - 5)])
  guest.write(CODE + 0x100, body)
  guest.write(
    DATA,
    Array.from({ length: DATA_BYTES }, () => random.below(256)),
  )
  for (const name of 'rbx rbp rsi rdi r8 r9 r10 r11 r12'.split(' ')) guest.setRegisters({ [name]: random.operand() })
  for (let i = 0; i < 16; i++) guest.setRegisters({ [`xmm${i}`]: (random.operand() << 64n) | random.operand() })
  guest.setRegisters({ r13: iterations, r14: random.below(16), r15: DATA, rsp: STACK - 0x200, mxcsr: 0x1f80 })
  guest.clock.count = 0
}

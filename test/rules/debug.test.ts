/** Rules of the debug registers: single-step, code, data and I/O breakpoints, general detection, RF (SDM vol. 3, chapter 17). */

import { afterAll, beforeEach, describe, expect } from 'vitest'
import { Guest, Host } from '../engine/guest/guest.ts'
import { CODE, DATA, enterLongMode, HOLE, PAGE_TABLE, STACK, setGate, VMCALL } from '../engine/guest/long-mode.ts'
import { rule } from './rule.ts'

const host = new Host()
const guest = new Guest(host, { cpus: 2 })
afterAll(() => guest.release())

const HANDLER = 0x7400
/** Where the handler writes: pairs of RIP and DR6. */
const LOG = 0x9000
const TF = 0x100
const B0 = 1
const BS = 1 << 14
const [STORE, LOAD] = [
  [0x89, 0x07], // mov [rdi], eax
  [0x8b, 0x07], // mov eax, [rdi]
]

/**
 * push rax; mov rax, [rsp+8]; mov [r11], rax; mov rax, dr6; mov [r11+8], rax; add r11, 16; xor eax, eax; mov dr6, rax;
 * bts dword [rsp+24], 16 (RF: a code breakpoint is left); pop rax; iretq
 */
const LOGGER = [
  ...[0x50, 0x48, 0x8b, 0x44, 0x24, 0x08, 0x49, 0x89, 0x03],
  ...[0x0f, 0x21, 0xf0, 0x49, 0x89, 0x43, 0x08, 0x49, 0x83, 0xc3, 0x10, 0x31, 0xc0, 0x0f, 0x23, 0xf0],
  ...[0x0f, 0xba, 0x6c, 0x24, 0x18, 0x10, 0x58, 0x48, 0xcf],
]

interface Trap {
  readonly at: number
  readonly dr6: number
}

function traps(): Trap[] {
  const found: Trap[] = []
  for (let at = LOG; at < Number(guest.register('r11')); at += 16)
    found.push({ at: Number(guest.read64(at)) - CODE, dr6: Number(guest.read64(at + 8)) & 0xe00f })
  return found
}

/** Runs code to VMCALL and returns the debug exceptions it had. */
function debugged(code: readonly number[], registers: Readonly<Record<string, bigint | number>> = {}): Trap[] {
  guest.write(CODE, [...code, ...VMCALL])
  guest.setRegisters({ rip: CODE, r11: LOG, rdi: DATA, rflags: 2, ...registers })
  expect(guest.run(10_000)).toEqual({ reason: 'vmcall' })
  return traps()
}

/** DR7 for breakpoint `index`: R/W and LEN as encoded. */
const enable = (index: number, kind: number, length: number): number =>
  (1 << (2 * index)) | (kind << (16 + 4 * index)) | (length << (18 + 4 * index))
const [ON_FETCH, ON_WRITE, ON_ACCESS] = [0, 1, 3]
const [ONE, TWO, EIGHT, FOUR] = [0, 1, 2, 3]

beforeEach(() => {
  enterLongMode(guest)
  setGate(guest, 1, HANDLER)
  guest.write(HANDLER, LOGGER)
})

describe('single-step', () => {
  rule(
    'debug',
    'SDM vol. 3, 17.3.1.4',
    'TF raises #DB with BS after each instruction, a taken branch and each iteration of a repeated one included',
    () => {
      // 0: inc eax; 2: jmp 5; 4: nop; 5: rep stosb (3); 7: nop; vmcall at 8
      const code = [0xff, 0xc0, 0xeb, 0x01, 0x90, 0xf3, 0xaa, 0x90]
      expect(debugged(code, { rflags: 2 | TF, rcx: 3 })).toEqual([2, 5, 5, 5, 7, 8].map(at => ({ at, dr6: BS })))
    },
  )

  rule(
    'debug',
    'SDM vol. 3, 17.3.1.4',
    'The first single-step trap follows the instruction behind the POPF that sets TF, and the last one the POPF that clears it',
    () => {
      // 0: push TF; 5: popfq; 6: nop; 7: nop; 8: push 2; 10: popfq; 11: nop
      const code = [0x68, 0x00, 0x01, 0x00, 0x00, 0x9d, 0x90, 0x90, 0x6a, 0x02, 0x9d, 0x90]
      expect(debugged(code).map(({ at }) => at)).toEqual([7, 8, 10, 11])
    },
  )

  rule(
    'debug',
    'SDM vol. 3, 17.3.1.4',
    'A fault is delivered with TF clear, and single-stepping goes on behind its IRET',
    () => {
      // 0: ud2 in a slot; 16: nop
      const code = [0x0f, 0x0b, ...new Array<number>(14).fill(0x90), 0x90]
      expect(debugged(code, { rflags: 2 | TF }).map(({ at }) => at)).toEqual([16 + 1])
    },
  )

  rule('debug', 'SDM vol. 3, 6.8.3', 'A single-step trap waits for the instruction behind MOV SS', () => {
    // 0: mov ss, ax; 2: nop; 3: nop
    const ss = guest.register('ss')
    expect(debugged([0x8e, 0xd0, 0x90, 0x90], { rflags: 2 | TF, rax: ss }).map(({ at }) => at)).toEqual([3, 4])
  })
})

describe('a code breakpoint', () => {
  rule(
    'debug',
    'SDM vol. 3, 17.3.1.1',
    'A code breakpoint is a fault before its instruction, and RF in the image lets that go on',
    () => {
      const code = [0xff, 0xc0, 0xff, 0xc0, 0xff, 0xc0, 0xff, 0xc0]
      for (let index = 0; index < 4; index++) {
        const registers = { rax: 0, [`dr${index}`]: CODE + 4, dr7: enable(index, ON_FETCH, ONE) | 0x400 }
        expect(debugged(code, registers)).toEqual([{ at: 4, dr6: 1 << index }])
        expect(guest.register('rax')).toBe(4n)
      }
    },
  )

  rule(
    'debug',
    'SDM vol. 3, 17.3.1.1',
    'RF holds off one instruction only: a code breakpoint in a loop hits each time round',
    () => {
      // 0: inc eax; 2: dec ecx; 4: jnz 0
      const registers = { rcx: 5, dr0: CODE + 2, dr7: enable(0, ON_FETCH, ONE) }
      expect(debugged([0xff, 0xc0, 0xff, 0xc9, 0x75, 0xfa], registers)).toHaveLength(5)
    },
  )

  rule(
    'debug',
    'SDM vol. 3, 17.2.4',
    'A breakpoint whose L and G bits are clear, or whose address is not met, does nothing',
    () => {
      const code = [0xff, 0xc0, 0xff, 0xc0]
      expect(debugged(code, { dr0: CODE + 2, dr7: 0x400 })).toEqual([])
      expect(debugged(code, { dr0: CODE + 1, dr7: enable(0, ON_FETCH, ONE) })).toEqual([])
    },
  )
})

describe('a data breakpoint', () => {
  rule('debug', 'SDM vol. 3, 17.3.1.2', 'A data breakpoint is a trap: the write is done when #DB follows it', () => {
    const registers = { rax: 7, dr1: DATA, dr7: enable(1, ON_WRITE, FOUR) }
    expect(debugged([0x90, ...STORE, 0x90], registers)).toEqual([{ at: 3, dr6: B0 << 1 }])
    expect(guest.read32(DATA)).toBe(7)
  })

  rule('debug', 'SDM vol. 3, 17.2.4', 'R/W 01 breaks on writes only, 11 on reads and writes', () => {
    expect(debugged(LOAD, { dr0: DATA, dr7: enable(0, ON_WRITE, FOUR) })).toEqual([])
    expect(debugged(LOAD, { dr0: DATA, dr7: enable(0, ON_ACCESS, FOUR) })).toEqual([{ at: 2, dr6: B0 }])
    expect(debugged(STORE, { dr0: DATA, dr7: enable(0, ON_ACCESS, FOUR) })).toEqual([{ at: 2, dr6: B0 }])
  })

  rule(
    'debug',
    'SDM vol. 3, 17.2.5',
    'A data breakpoint is met by any access that overlaps it in a byte, for each length',
    () => {
      for (const [length, bytes] of [
        [ONE, 1],
        [TWO, 2],
        [FOUR, 4],
        [EIGHT, 8],
      ] as const)
        for (let at = DATA + 0x10 - 5; at < DATA + 0x10 + 9; at++) {
          const overlaps = at < DATA + 0x10 + bytes && DATA + 0x10 < at + 4
          const found = debugged(STORE, { rdi: at, dr2: DATA + 0x10, dr7: enable(2, ON_WRITE, length) })
          expect(found, `${at - DATA}, ${bytes}`).toEqual(overlaps ? [{ at: 2, dr6: 4 }] : [])
        }
    },
  )

  rule(
    'debug',
    'SDM vol. 3, 17.2.5',
    "The low bits of a breakpoint's address that its length covers are ignored",
    () => {
      expect(debugged(STORE, { rdi: DATA, dr0: DATA + 3, dr7: enable(0, ON_WRITE, FOUR) })).toHaveLength(1)
    },
  )

  rule(
    'debug',
    'SDM vol. 3, 17.2.4',
    'Data breakpoints are met by accesses across pages, of 16 bytes, of the stack, and by FXSAVE and SGDT',
    () => {
      const at = DATA + 0x1000
      expect(debugged(STORE, { rdi: at - 2, dr0: at, dr7: enable(0, ON_WRITE, ONE) })).toHaveLength(1)
      expect(debugged([0x0f, 0x11, 0x07], { rdi: at - 8, dr0: at + 7, dr7: enable(0, ON_WRITE, ONE) })).toHaveLength(1)
      expect(debugged([0x50], { dr0: STACK - 8, dr7: enable(0, ON_WRITE, EIGHT) })).toHaveLength(1)
      // fxsave [rdi]; sgdt [rdi]
      expect(debugged([0x0f, 0xae, 0x07], { dr0: DATA + 32, dr7: enable(0, ON_WRITE, EIGHT) })).toHaveLength(1)
      expect(debugged([0x0f, 0x01, 0x07], { dr0: DATA + 2, dr7: enable(0, ON_WRITE, EIGHT) })).toHaveLength(1)
    },
  )

  rule(
    'debug',
    'SDM vol. 3, 17.3.1.2',
    'A data breakpoint interrupts a repeated instruction after the iteration that meets it',
    () => {
      const found = debugged([0xf3, 0xaa], { rcx: 100, rdi: DATA, dr0: DATA + 40, dr7: enable(0, ON_WRITE, TWO) })
      expect(found).toEqual([
        { at: 0, dr6: B0 },
        { at: 0, dr6: B0 },
      ])
      expect(guest.register('rcx')).toBe(0n)
    },
  )

  rule(
    'debug',
    'SDM vol. 3, 17.2.3',
    'DR6 tells of every breakpoint that was met and of the single step at once',
    () => {
      const dr7 = enable(0, ON_WRITE, FOUR) | enable(3, ON_ACCESS, ONE)
      expect(debugged(STORE, { dr0: DATA, dr3: DATA + 1, dr7 })).toEqual([{ at: 2, dr6: 9 }])
      expect(debugged(STORE, { dr0: DATA, dr3: DATA + 1, dr7, rflags: 2 | TF })[0]).toEqual({ at: 2, dr6: 9 | BS })
    },
  )

  rule(
    'debug',
    'SDM vol. 3, 6.8.3',
    'The trap of a data breakpoint that MOV SS itself meets waits for the instruction behind it',
    () => {
      guest.write32(DATA, Number(guest.register('ss')))
      // 0: mov ss, [rdi]; 2: nop
      expect(debugged([0x8e, 0x17, 0x90, 0x90], { dr0: DATA, dr7: enable(0, ON_ACCESS, TWO) })).toEqual([
        { at: 3, dr6: B0 },
      ])
    },
  )

  rule('debug', 'SDM vol. 3, 17.3.1.2', 'An instruction that faults meets no data breakpoint', () => {
    // mov [rdi], rax across into a hole, in a slot
    const code = [0x48, 0x89, 0x07, ...new Array<number>(13).fill(0x90)]
    const found = debugged(code, { rdi: HOLE - 4, dr0: HOLE - 4, dr7: enable(0, ON_WRITE, FOUR) })
    expect(found).toEqual([])
  })

  rule(
    'debug',
    'SDM vol. 3, 17.2.4',
    'A data breakpoint works on a page that the TLB holds, and is gone when DR7 disables it',
    () => {
      expect(debugged([...STORE, ...LOAD])).toEqual([])
      const registers = { dr0: DATA, dr7: enable(0, ON_ACCESS, FOUR) }
      expect(debugged([...STORE, ...LOAD], registers)).toHaveLength(2)
      expect(debugged([...STORE, ...LOAD], { dr7: 0x400 })).toEqual([])
    },
  )

  rule('debug', 'SDM vol. 3, 17.2.4', 'MOV to DR7 sets and clears breakpoints for the instructions behind it', () => {
    // mov dr0, rdi; mov dr7, rax; then the store
    const code = [0x0f, 0x23, 0xc7, 0x0f, 0x23, 0xf8, ...STORE, 0x31, 0xc0, 0x0f, 0x23, 0xf8, ...STORE]
    expect(debugged(code, { rax: enable(0, ON_WRITE, FOUR), dr7: 0x400 })).toEqual([{ at: 8, dr6: B0 }])
  })

  rule(
    'debug',
    'SDM vol. 3, 17.2.1',
    'Breakpoints are linear addresses: another linear address of the same memory does not meet one',
    () => {
      guest.write64(PAGE_TABLE + (HOLE >>> 12) * 8, BigInt(DATA) | 3n)
      const registers = { dr0: DATA, dr7: enable(0, ON_WRITE, FOUR) }
      expect(debugged(STORE, { ...registers, rdi: HOLE })).toEqual([])
      expect(debugged(STORE, { ...registers, rdi: DATA })).toHaveLength(1)
    },
  )

  rule('debug', 'SDM vol. 3, 17.2', 'The debug registers of one processor do not break on another', () => {
    const [first, second] = guest.vcpus
    second.restore({ ...second.save(), state: first.save().state })
    expect(debugged(STORE, { dr0: DATA, dr7: enable(0, ON_WRITE, FOUR) })).toHaveLength(1)
    guest.write(CODE, [...STORE, ...VMCALL])
    guest.setRegisters({ rip: CODE, r11: LOG, rdi: DATA, dr7: 0x400 }, second)
    expect(guest.run(10, second)).toEqual({ reason: 'vmcall' })
    expect(guest.register('r11', second)).toBe(BigInt(LOG))
    guest.setRegisters({ dr7: 0x400 })
  })

  rule('debug', 'SDM vol. 3, 17.3.1.2', 'A program computes the same with a breakpoint in its loop as without', () => {
    const code = [...STORE, 0xff, 0xc0, ...LOAD, 0xff, 0xc9, 0x75, 0xf6]
    debugged(code, { rax: 0, rcx: 50 })
    const plain = guest.register('rax')
    const found = debugged(code, { rax: 0, rcx: 50, dr0: DATA, dr7: enable(0, ON_WRITE, FOUR) })
    expect(found).toHaveLength(50)
    expect(guest.register('rax')).toBe(plain)
  })
})

/** Single-step, code and data breakpoints of the guest's own debug registers (SDM vol. 3, chapter 17). */

import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { Guest, Host } from './guest/guest.ts'
import { CODE, DATA, enterLongMode, HOLE, PAGE_TABLE, STACK, setGate, VMCALL } from './guest/long-mode.ts'

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
  it('traps after each instruction, taken branches and each iteration of a repeated one included', () => {
    // 0: inc eax; 2: jmp 5; 4: nop; 5: rep stosb (3); 7: nop; vmcall at 8
    const code = [0xff, 0xc0, 0xeb, 0x01, 0x90, 0xf3, 0xaa, 0x90]
    expect(debugged(code, { rflags: 2 | TF, rcx: 3 })).toEqual([2, 5, 5, 5, 7, 8].map(at => ({ at, dr6: BS })))
  })

  it('begins after the instruction that follows POPF, and ends in the handler of the trap', () => {
    // 0: push TF; 5: popfq; 6: nop; 7: nop; 8: push 2; 10: popfq; 11: nop
    const code = [0x68, 0x00, 0x01, 0x00, 0x00, 0x9d, 0x90, 0x90, 0x6a, 0x02, 0x9d, 0x90]
    expect(debugged(code).map(({ at }) => at)).toEqual([7, 8, 10, 11])
  })

  it('does not step into the handler of a fault, and goes on after it', () => {
    // 0: ud2 in a slot; 16: nop
    const code = [0x0f, 0x0b, ...new Array<number>(14).fill(0x90), 0x90]
    expect(debugged(code, { rflags: 2 | TF }).map(({ at }) => at)).toEqual([16 + 1])
  })

  it('waits while MOV SS holds traps off', () => {
    // 0: mov ss, ax; 2: nop; 3: nop
    const ss = guest.register('ss')
    expect(debugged([0x8e, 0xd0, 0x90, 0x90], { rflags: 2 | TF, rax: ss }).map(({ at }) => at)).toEqual([3, 4])
  })
})

describe('a code breakpoint', () => {
  it('faults before its instruction, wherever that is in a block, and RF lets it go on', () => {
    const code = [0xff, 0xc0, 0xff, 0xc0, 0xff, 0xc0, 0xff, 0xc0]
    for (let index = 0; index < 4; index++) {
      const registers = { rax: 0, [`dr${index}`]: CODE + 4, dr7: enable(index, ON_FETCH, ONE) | 0x400 }
      expect(debugged(code, registers)).toEqual([{ at: 4, dr6: 1 << index }])
      expect(guest.register('rax')).toBe(4n)
    }
  })

  it('hits each time round a loop', () => {
    // 0: inc eax; 2: dec ecx; 4: jnz 0
    const registers = { rcx: 5, dr0: CODE + 2, dr7: enable(0, ON_FETCH, ONE) }
    expect(debugged([0xff, 0xc0, 0xff, 0xc9, 0x75, 0xfa], registers)).toHaveLength(5)
  })

  it('does nothing while it is not enabled, or at another address', () => {
    const code = [0xff, 0xc0, 0xff, 0xc0]
    expect(debugged(code, { dr0: CODE + 2, dr7: 0x400 })).toEqual([])
    expect(debugged(code, { dr0: CODE + 1, dr7: enable(0, ON_FETCH, ONE) })).toEqual([])
  })
})

describe('a data breakpoint', () => {
  it('traps after a write to its bytes, with the write done', () => {
    const registers = { rax: 7, dr1: DATA, dr7: enable(1, ON_WRITE, FOUR) }
    expect(debugged([0x90, ...STORE, 0x90], registers)).toEqual([{ at: 3, dr6: B0 << 1 }])
    expect(guest.read32(DATA)).toBe(7)
  })

  it('lets reads pass or traps after them, as its R/W bits say', () => {
    expect(debugged(LOAD, { dr0: DATA, dr7: enable(0, ON_WRITE, FOUR) })).toEqual([])
    expect(debugged(LOAD, { dr0: DATA, dr7: enable(0, ON_ACCESS, FOUR) })).toEqual([{ at: 2, dr6: B0 }])
    expect(debugged(STORE, { dr0: DATA, dr7: enable(0, ON_ACCESS, FOUR) })).toEqual([{ at: 2, dr6: B0 }])
  })

  it('is met by an access that overlaps it in one byte, and not by its neighbours', () => {
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
  })

  it('ignores the low bits of its address that its length covers', () => {
    expect(debugged(STORE, { rdi: DATA, dr0: DATA + 3, dr7: enable(0, ON_WRITE, FOUR) })).toHaveLength(1)
  })

  it('is met by accesses across pages, by 16 bytes, by the stack, and by what TypeScript executes', () => {
    const at = DATA + 0x1000
    expect(debugged(STORE, { rdi: at - 2, dr0: at, dr7: enable(0, ON_WRITE, ONE) })).toHaveLength(1)
    expect(debugged([0x0f, 0x11, 0x07], { rdi: at - 8, dr0: at + 7, dr7: enable(0, ON_WRITE, ONE) })).toHaveLength(1)
    expect(debugged([0x50], { dr0: STACK - 8, dr7: enable(0, ON_WRITE, EIGHT) })).toHaveLength(1)
    // fxsave [rdi]; sgdt [rdi]
    expect(debugged([0x0f, 0xae, 0x07], { dr0: DATA + 32, dr7: enable(0, ON_WRITE, EIGHT) })).toHaveLength(1)
    expect(debugged([0x0f, 0x01, 0x07], { dr0: DATA + 2, dr7: enable(0, ON_WRITE, EIGHT) })).toHaveLength(1)
  })

  it('is met by the iteration of a repeated instruction, which is interrupted there', () => {
    const found = debugged([0xf3, 0xaa], { rcx: 100, rdi: DATA, dr0: DATA + 40, dr7: enable(0, ON_WRITE, TWO) })
    expect(found).toEqual([
      { at: 0, dr6: B0 },
      { at: 0, dr6: B0 },
    ])
    expect(guest.register('rcx')).toBe(0n)
  })

  it('tells of several at once', () => {
    const dr7 = enable(0, ON_WRITE, FOUR) | enable(3, ON_ACCESS, ONE)
    expect(debugged(STORE, { dr0: DATA, dr3: DATA + 1, dr7 })).toEqual([{ at: 2, dr6: 9 }])
    expect(debugged(STORE, { dr0: DATA, dr3: DATA + 1, dr7, rflags: 2 | TF })[0]).toEqual({ at: 2, dr6: 9 | BS })
  })

  it('waits while MOV SS holds traps off', () => {
    guest.write32(DATA, Number(guest.register('ss')))
    // 0: mov ss, [rdi]; 2: nop
    expect(debugged([0x8e, 0x17, 0x90, 0x90], { dr0: DATA, dr7: enable(0, ON_ACCESS, TWO) })).toEqual([
      { at: 3, dr6: B0 },
    ])
  })

  it('is not met by an instruction that faults', () => {
    // mov [rdi], rax across into a hole, in a slot
    const code = [0x48, 0x89, 0x07, ...new Array<number>(13).fill(0x90)]
    const found = debugged(code, { rdi: HOLE - 4, dr0: HOLE - 4, dr7: enable(0, ON_WRITE, FOUR) })
    expect(found).toEqual([])
  })

  it('works on a page that the TLB held, and is gone when it is cleared', () => {
    expect(debugged([...STORE, ...LOAD])).toEqual([])
    const registers = { dr0: DATA, dr7: enable(0, ON_ACCESS, FOUR) }
    expect(debugged([...STORE, ...LOAD], registers)).toHaveLength(2)
    expect(debugged([...STORE, ...LOAD], { dr7: 0x400 })).toEqual([])
  })

  it('is set by the guest itself', () => {
    // mov dr0, rdi; mov dr7, rax; then the store
    const code = [0x0f, 0x23, 0xc7, 0x0f, 0x23, 0xf8, ...STORE, 0x31, 0xc0, 0x0f, 0x23, 0xf8, ...STORE]
    expect(debugged(code, { rax: enable(0, ON_WRITE, FOUR), dr7: 0x400 })).toEqual([{ at: 8, dr6: B0 }])
  })

  it('is of linear addresses: another address of the same frame does not meet it', () => {
    guest.write64(PAGE_TABLE + (HOLE >>> 12) * 8, BigInt(DATA) | 3n)
    const registers = { dr0: DATA, dr7: enable(0, ON_WRITE, FOUR) }
    expect(debugged(STORE, { ...registers, rdi: HOLE })).toEqual([])
    expect(debugged(STORE, { ...registers, rdi: DATA })).toHaveLength(1)
  })

  it('is of one processor', () => {
    const [first, second] = guest.vcpus
    second.restore({ ...second.save(), state: first.save().state })
    expect(debugged(STORE, { dr0: DATA, dr7: enable(0, ON_WRITE, FOUR) })).toHaveLength(1)
    guest.write(CODE, [...STORE, ...VMCALL])
    guest.setRegisters({ rip: CODE, r11: LOG, rdi: DATA, dr7: 0x400 }, second)
    expect(guest.run(10, second)).toEqual({ reason: 'vmcall' })
    expect(guest.register('r11', second)).toBe(BigInt(LOG))
    guest.setRegisters({ dr7: 0x400 })
  })

  it('does not change the count or what the program computes', () => {
    const code = [...STORE, 0xff, 0xc0, ...LOAD, 0xff, 0xc9, 0x75, 0xf6]
    debugged(code, { rax: 0, rcx: 50 })
    const plain = guest.register('rax')
    const found = debugged(code, { rax: 0, rcx: 50, dr0: DATA, dr7: enable(0, ON_WRITE, FOUR) })
    expect(found).toHaveLength(50)
    expect(guest.register('rax')).toBe(plain)
  })
})

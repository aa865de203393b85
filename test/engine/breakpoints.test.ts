/** Breakpoints of the debugger: the code is cut there, and nothing of the guest is touched. */

import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Guest, Host } from './guest/guest.ts'
import { CODE, enterLongMode, HOLE, setGate, VMCALL } from './guest/long-mode.ts'

const host = new Host()
const guest = new Guest(host)
afterAll(() => guest.release())
afterEach(() => host.processor.setCodeStops({ breakpoints: [] }))
beforeEach(() => enterLongMode(guest))

const breakAt = (...addresses: number[]) =>
  host.processor.setCodeStops({
    breakpoints: addresses.map(address => ({ space: 'linear', address: BigInt(address) })),
  })
const rip = () => Number(guest.register('rip'))

describe('a breakpoint', () => {
  it('is reported before its instruction, once, and the run goes on from there', () => {
    guest.write(CODE, [0xff, 0xc0, 0xff, 0xc0, 0xff, 0xc0, ...VMCALL]) // inc eax, three times
    guest.setRegisters({ rax: 0 })
    breakAt(CODE, CODE + 4)
    expect(guest.run(100)).toEqual({ reason: 'breakpoint' })
    expect([rip(), guest.register('rax')]).toEqual([CODE, 0n])
    expect(guest.run(100)).toEqual({ reason: 'breakpoint' })
    expect([rip(), guest.register('rax')]).toEqual([CODE + 4, 2n])
    expect(guest.run(100)).toEqual({ reason: 'vmcall' })
    expect(guest.register('rax')).toBe(3n)
  })

  it('is reported each time round a loop, whatever ran before it was set', () => {
    guest.write(CODE, [0xff, 0xc0, 0xff, 0xc9, 0x75, 0xfa, ...VMCALL]) // inc eax; dec ecx; jnz
    guest.setRegisters({ rcx: 3000 })
    guest.run(5000)
    const left = Number(guest.register('rcx'))
    breakAt(CODE)
    for (let i = 0; i < 20; i++) {
      expect(guest.run(1000)).toEqual({ reason: 'breakpoint' })
      expect(rip()).toBe(CODE)
    }
    expect(Number(guest.register('rcx'))).toBeLessThan(left - 18)
    breakAt()
    expect(guest.run(100_000)).toEqual({ reason: 'vmcall' })
  })

  it('at an instruction that faults and one at its handler are both reported', () => {
    setGate(guest, 14, 0x7400)
    guest.write(0x7400, VMCALL)
    guest.write(CODE, [0x8b, 0x07]) // mov eax, [rdi]
    guest.setRegisters({ rdi: HOLE })
    breakAt(CODE, 0x7400)
    expect(guest.run(100)).toEqual({ reason: 'breakpoint' })
    expect(rip()).toBe(CODE)
    expect(guest.run(100)).toEqual({ reason: 'breakpoint' })
    expect(rip()).toBe(0x7400)
    expect(guest.run(100)).toEqual({ reason: 'vmcall' })
  })

  it('is of a linear address, in whatever page and mode it is reached', () => {
    // Real mode: CS 0x100, IP 0x20 is linear 0x1020.
    guest.vcpu.reset()
    const { registers } = guest.vcpu
    registers.setSegment('cs', { ...registers.segment('cs'), selector: 0x100, base: 0x1000n })
    guest.write(0x101e, [0x40, 0x40, 0x40]) // inc ax
    guest.setRegisters({ rip: 0x1e, rax: 0 })
    breakAt(0x1020)
    expect(guest.run(10)).toEqual({ reason: 'breakpoint' })
    expect([rip(), guest.register('rax')]).toEqual([0x20, 2n])
  })
})

describe('a breakpoint that is planted again', () => {
  /** Counts down in a loop; CODE + 2 is in its middle. */
  const LOOP = [0xff, 0xc0, 0xff, 0xc9, 0x75, 0xfa, ...VMCALL] // inc eax; dec ecx; jnz
  const MIDDLE = CODE + 2
  const stopInTheMiddle = (): void => {
    breakAt(MIDDLE)
    expect(guest.run(1000)).toEqual({ reason: 'breakpoint' })
    expect(rip()).toBe(MIDDLE)
    breakAt()
    expect(guest.run(1)).toEqual({ reason: 'budget' })
  }
  beforeEach(() => {
    guest.write(CODE, LOOP)
    guest.setRegisters({ rax: 0, rcx: 100_000 })
  })

  it('costs no decoding as long as nothing ran by there without it', () => {
    stopInTheMiddle()
    stopInTheMiddle()
    const { blocksDecoded } = host.processor.statistics
    for (let i = 0; i < 10; i++) stopInTheMiddle()
    expect(host.processor.statistics.blocksDecoded).toBe(blocksDecoded)
  })

  it('is reported after code ran by there without it, and after many others were planted and removed', () => {
    stopInTheMiddle()
    expect(guest.run(30_000)).toEqual({ reason: 'budget' })
    stopInTheMiddle()
    for (let i = 0; i < 200; i++) {
      breakAt(0x6000 + i)
      breakAt()
    }
    stopInTheMiddle()
    expect(guest.run(1_000_000)).toEqual({ reason: 'vmcall' })
    expect(guest.register('rax')).toBe(100_000n)
  })

  it('is reported after the code was written anew', () => {
    stopInTheMiddle()
    guest.write(CODE, LOOP)
    stopInTheMiddle()
    stopInTheMiddle()
  })
})

describe('code segments', () => {
  it('may be more than the processor remembers', () => {
    // The same linear code under 2,305 segments: inc eax, then far to the segment below.
    const linear = 0xf000
    guest.vcpu.reset()
    const { registers } = guest.vcpu
    // 0: inc eax; 2: dec bx; 3: add dx, 16; 6: push bx; 7: push dx; 8: cmp bx, -1; 11: je 14; 13: retf; 14: vmcall
    guest.write(linear, [
      ...[0x66, 0x40, 0x4b, 0x83, 0xc2, 0x10, 0x53, 0x52],
      ...[0x83, 0xfb, 0xff, 0x74, 0x01, 0xcb, ...VMCALL],
    ])
    guest.setRegisters({ rax: 0 })
    for (let round = 0; round < 3; round++) {
      guest.setRegisters({ rbx: 0x900, rdx: linear - 0x9000, rsp: 0x8000, rip: linear - 0x9000 })
      registers.setSegment('cs', { ...registers.segment('cs'), selector: 0x900, base: 0x9000n })
      expect(guest.run(1_000_000)).toEqual({ reason: 'vmcall' })
    }
    expect(guest.register('rax')).toBe(BigInt(3 * 0x901))
  })
})

describe('a predicate', () => {
  /** Counts down from 1000 in a loop that calls CODE + 0x40 each time round. */
  const LOOP = [0xff, 0xc9, 0xe8, 0x39, 0, 0, 0, 0x85, 0xc9, 0x75, 0xf5, ...VMCALL]
  const CALLED = CODE + 0x40
  function loadLoop(): void {
    guest.write(CODE, LOOP)
    guest.write(CALLED, [0xff, 0xc0, 0xc3]) // inc eax; ret
    guest.setRegisters({ rax: 0, rcx: 1000 })
    guest.clock.count = 0
  }

  it('is asked once an execution, sees the registers, and leaves count and result as they are', () => {
    loadLoop()
    expect(guest.run(100_000)).toEqual({ reason: 'vmcall' })
    const count = guest.clock.count
    for (const piece of [100_000, 1, 2, 3, 7]) {
      enterLongMode(guest)
      loadLoop()
      const seen: number[] = []
      host.processor.setCodeStops({
        breakpoints: [
          {
            space: 'linear',
            address: BigInt(CALLED),
            reached: view => {
              seen.push(view.low(1))
              return false
            },
          },
        ],
      })
      let exit = guest.run(piece)
      while (exit.reason === 'budget') exit = guest.run(piece)
      expect(exit).toEqual({ reason: 'vmcall' })
      expect(seen).toEqual(Array.from({ length: 1000 }, (_, i) => 999 - i))
      expect([guest.clock.count, guest.register('rax')]).toEqual([count, 1000n])
    }
  })

  it('stops when it holds, and reads memory', () => {
    loadLoop()
    guest.write32(0x5000, 0)
    guest.write(CALLED, [0xff, 0x04, 0x25, 0, 0x50, 0, 0, 0xc3]) // inc dword [0x5000]; ret
    host.processor.setCodeStops({
      breakpoints: [{ space: 'linear', address: BigInt(CALLED), reached: view => view.read(0x5000, 0, 4) === 500 }],
    })
    expect(guest.run(100_000)).toEqual({ reason: 'breakpoint' })
    expect([rip(), guest.register('rcx')]).toEqual([CALLED, 499n])
    expect(guest.run(100_000)).toEqual({ reason: 'vmcall' })
  })

  it('of a host address is asked by whatever linear address its code is reached', () => {
    loadLoop()
    let hits = 0
    const address = BigInt(guest.hpa(CALLED + 2))
    host.processor.setCodeStops({
      breakpoints: [{ space: 'host', address, reached: () => ++hits === 7 }],
    })
    expect(guest.run(100_000)).toEqual({ reason: 'breakpoint' })
    expect([rip(), guest.register('rax')]).toEqual([CALLED + 2, 7n])
    expect(guest.run(100_000)).toEqual({ reason: 'vmcall' })
    expect(hits).toBe(1000)
  })

  it('is asked once for an instruction that faults and is executed after its handler returns', () => {
    setGate(guest, 14, 0x7400)
    guest.write(0x7400, [0xbf, 0, 0x50, 0, 0, 0x48, 0x83, 0xc4, 8, 0x48, 0xcf]) // mov edi, 0x5000; add rsp, 8; iretq
    guest.write(CODE, [0x8b, 0x07, ...VMCALL]) // mov eax, [rdi]
    guest.setRegisters({ rdi: HOLE })
    let hits = 0
    host.processor.setCodeStops({
      breakpoints: [{ space: 'linear', address: BigInt(CODE), reached: () => ++hits > 100 }],
    })
    expect(guest.run(100)).toEqual({ reason: 'vmcall' })
    expect(hits).toBe(1)
  })

  it('is asked once for a repeated instruction, however it is cut', () => {
    guest.write(CODE, [0xf3, 0xaa, ...VMCALL]) // rep stosb
    for (const piece of [1, 3, 1000]) {
      guest.setRegisters({ rip: CODE, rcx: 50, rdi: 0x5000 })
      let hits = 0
      host.processor.setCodeStops({
        breakpoints: [{ space: 'linear', address: BigInt(CODE), reached: () => ++hits > 100 }],
      })
      let exit = guest.run(piece)
      while (exit.reason === 'budget') exit = guest.run(piece)
      expect([exit.reason, hits]).toEqual(['vmcall', 1])
    }
  })

  it('is not asked where somebody stands already', () => {
    loadLoop()
    let hits = 0
    host.processor.setCodeStops({
      breakpoints: [{ space: 'linear', address: BigInt(CODE), reached: () => ++hits > 0 }],
    })
    guest.vcpu.leaveBreakpoint()
    expect(guest.run(4)).toEqual({ reason: 'budget' })
    expect(hits).toBe(0)
    expect(guest.run(100)).toEqual({ reason: 'breakpoint' })
  })
})

describe('instructions that call a debugger', () => {
  it('stop before XCHG BX, BX and INT3 when asked for, in each mode, and then go on', () => {
    for (const [code, kind] of [
      [[0x66, 0x87, 0xdb], 'magic'],
      [[0xcc], 'int3'],
    ] as const) {
      setGate(guest, 3, 0x7400)
      guest.write(0x7400, VMCALL)
      guest.write(CODE, [0xff, 0xc0, ...code, ...VMCALL])
      guest.setRegisters({ rip: CODE, rax: 0 })
      host.processor.setCodeStops({ breakpoints: [], [kind]: {} })
      expect(guest.run(100)).toEqual({ reason: 'breakpoint' })
      expect([rip(), guest.register('rax')]).toEqual([CODE + 2, 1n])
      expect(guest.run(100)).toEqual({ reason: 'vmcall' })
      guest.setRegisters({ rip: CODE })
      host.processor.setCodeStops({ breakpoints: [] })
      expect(guest.run(100)).toEqual({ reason: 'vmcall' })
    }
  })
})

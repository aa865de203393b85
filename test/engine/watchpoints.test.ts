/** Data breakpoints of the debugger: any number, any size, and nothing of the guest is touched. */

import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { WatchedAccess, Watchpoint } from '../../src/engine/processor.ts'
import { Guest, Host, TIERS } from './guest/guest.ts'
import { CODE, DATA, enterLongMode, STACK, setGate, VMCALL } from './guest/long-mode.ts'

describe.each(TIERS)('a watchpoint in $tier code', ({ hotEntries }) => {
  const host = new Host({ hotEntries })
  const guest = new Guest(host)
  const met: WatchedAccess[] = []
  afterAll(() => guest.release())
  afterEach(() => host.processor.setWatchpoints([]))
  beforeEach(() => {
    enterLongMode(guest)
    met.length = 0
  })

  const watch = (options: Partial<Watchpoint> & { readonly address: bigint; readonly length: number }): void =>
    host.processor.setWatchpoints([
      {
        ...{ space: 'linear', reads: false, writes: true },
        met: access => met.push(access) > 0,
        ...options,
      },
    ])
  const rip = () => Number(guest.register('rip'))

  it('stops after the instruction that writes, with the value before and after', () => {
    guest.write(CODE, [0xc7, 0x07, 1, 2, 3, 4, 0xc7, 0x47, 4, 5, 6, 7, 8, ...VMCALL]) // mov dword [rdi], ...; [rdi+4]
    guest.write32(DATA + 4, 0x11223344)
    guest.setRegisters({ rdi: DATA })
    watch({ address: BigInt(DATA + 5), length: 1 })
    expect(guest.run(100)).toEqual({ reason: 'breakpoint' })
    expect(rip()).toBe(CODE + 13)
    expect(met).toEqual([
      {
        ...{ rip: BigInt(CODE + 6), linear: BigInt(DATA + 4), size: 4, write: true, address: BigInt(DATA + 5) },
        ...{ before: Uint8Array.of(0x33), after: Uint8Array.of(6) },
      },
    ])
    expect(guest.run(100)).toEqual({ reason: 'vmcall' })
  })

  it('of reads is not met by writes, and the other way round', () => {
    guest.write(CODE, [0x89, 0x07, 0x8b, 0x07, ...VMCALL]) // mov [rdi], eax; mov eax, [rdi]
    guest.setRegisters({ rdi: DATA })
    watch({ address: BigInt(DATA), length: 4, reads: true, writes: false })
    expect(guest.run(100)).toEqual({ reason: 'breakpoint' })
    expect(rip()).toBe(CODE + 4)
    expect(guest.run(100)).toEqual({ reason: 'vmcall' })
    expect(met.map(({ write }) => write)).toEqual([false])
  })

  it('meets an instruction that reads and writes once, as a write', () => {
    guest.write(CODE, [0xff, 0x07, ...VMCALL]) // inc dword [rdi]
    guest.write32(DATA, 41)
    guest.setRegisters({ rdi: DATA })
    watch({ address: BigInt(DATA), length: 4, reads: true })
    expect(guest.run(100)).toEqual({ reason: 'breakpoint' })
    expect(met.map(({ write, before, after }) => [write, before[0], after[0]])).toEqual([[true, 41, 42]])
  })

  it('sees each iteration of a repeated instruction, and the run goes on between them', () => {
    guest.write(CODE, [0xf3, 0xaa, ...VMCALL]) // rep stosb
    guest.setRegisters({ rdi: DATA, rcx: 20, rax: 7 })
    watch({ address: BigInt(DATA + 10), length: 3 })
    for (const left of [9, 8, 7]) {
      expect(guest.run(100)).toEqual({ reason: 'breakpoint' })
      expect([rip(), Number(guest.register('rcx'))]).toEqual([CODE, left])
    }
    expect(guest.run(100)).toEqual({ reason: 'vmcall' })
  })

  it('of a host address is met by whatever linear address', () => {
    guest.write64(0x4000 + (0x30000 / 4096) * 8, BigInt(DATA) | 3n)
    guest.write(CODE, [0xc6, 0x07, 9, ...VMCALL]) // mov byte [rdi], 9
    guest.setRegisters({ rdi: 0x30010 })
    watch({ space: 'host', address: BigInt(guest.hpa(DATA + 0x10)), length: 1 })
    expect(guest.run(100)).toEqual({ reason: 'breakpoint' })
    expect(met[0]).toMatchObject({ linear: 0x30010n, address: BigInt(guest.hpa(DATA + 0x10)) })
  })

  it('is met across the end of a page, by its part in each', () => {
    guest.write(CODE, [0x48, 0x89, 0x07, ...VMCALL]) // mov [rdi], rax
    guest.setRegisters({ rdi: DATA + 4096 - 3, rax: -1 })
    watch({ address: BigInt(DATA + 4096), length: 8192 })
    expect(guest.run(100)).toEqual({ reason: 'breakpoint' })
    expect(met.map(({ address, after }) => [Number(address), after.length])).toEqual([[DATA + 4096, 5]])
  })

  it('sees what the delivery of an exception pushes', () => {
    setGate(guest, 6, 0x7400)
    guest.write(0x7400, VMCALL)
    guest.write(CODE, [0x0f, 0x0b]) // ud2
    watch({ address: BigInt(STACK - 0x100), length: 0x100 })
    expect(guest.run(100)).toEqual({ reason: 'breakpoint' })
    expect(rip()).toBe(0x7400)
    expect(met).toHaveLength(5)
    expect(met.every(access => access.rip === BigInt(CODE))).toBe(true)
    expect(guest.run(100)).toEqual({ reason: 'vmcall' })
  })

  it('that does not hold leaves the instruction count as it is', () => {
    // mov [rdi], ecx; mov eax, [rdi+64]; dec ecx; jnz
    guest.write(CODE, [0x89, 0x0f, 0x8b, 0x47, 64, 0xff, 0xc9, 0x75, 0xf7, ...VMCALL])
    const results: unknown[] = []
    for (const watching of [false, true]) {
      guest.setRegisters({ rip: CODE, rdi: DATA, rcx: 500 })
      guest.clock.count = 0
      let asked = 0
      if (watching) watch({ address: BigInt(DATA), length: 4, met: () => ++asked > 1000 })
      expect(guest.run(100_000)).toEqual({ reason: 'vmcall' })
      results.push([guest.clock.count, guest.read32(DATA)])
      expect(asked).toBe(watching ? 500 : 0)
    }
    expect(results[1]).toEqual(results[0])
  })
})

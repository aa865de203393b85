/** Accesses to guest-physical addresses where no RAM is: each device access happens once, and in order. */

import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import type { GuestAccess } from '../../src/engine/processor.ts'
import { Guest, Host } from './guest/guest.ts'
import { CODE, DATA, enterLongMode, HOLE, PAGE_TABLE, VMCALL } from './guest/long-mode.ts'

const host = new Host()
const guest = new Guest(host)
afterAll(() => guest.release())

/** Guest-physical address of the device, mapped at {@link HOLE}. */
const DEVICE = 0xfd00_0000

interface Access extends GuestAccess {
  readonly offset: number
}

/** Runs code to VMCALL, answering reads of the device by `answer`; returns the accesses that it saw. */
function accesses(code: readonly number[], answer: (offset: number, size: number) => bigint = () => 0n): Access[] {
  guest.write(CODE, [...code, ...VMCALL])
  guest.setRegisters({ rip: CODE })
  guest.clock.count = 0
  const seen: Access[] = []
  for (let exits = 0; exits < 100; exits++) {
    const exit = guest.run(1000)
    if (exit.reason === 'vmcall') return seen
    if (exit.reason !== 'ept-violation' || exit.access === undefined) throw new Error(`unexpected ${exit.reason}`)
    const offset = exit.gpa - DEVICE
    seen.push({ offset, ...exit.access })
    guest.vcpu.completeAccess(exit.access.write ? 0n : answer(offset, exit.access.size))
  }
  throw new Error('too many exits')
}

beforeEach(() => {
  enterLongMode(guest)
  guest.write64(PAGE_TABLE + (HOLE >>> 12) * 8, BigInt(DEVICE) | 3n)
  guest.setRegisters({ rdi: HOLE + 0x10, rax: 0x1122_3344_5566_7788n, rcx: 0 })
})

describe('a device', () => {
  it('is read once, and the instruction goes on with the value', () => {
    expect(accesses([0x8b, 0x07], () => 0xcafe_baben)).toEqual([{ offset: 0x10, write: false, size: 4, value: 0n }])
    expect(guest.register('rax')).toBe(0xcafe_baben)
    expect(guest.clock.count).toBe(2)
  })

  it.each([
    [1, [0x88, 0x07], 0x88n],
    [2, [0x66, 0x89, 0x07], 0x7788n],
    [4, [0x89, 0x07], 0x5566_7788n],
    [8, [0x48, 0x89, 0x07], 0x1122_3344_5566_7788n],
  ] as const)('is written once: %i bytes', (size, code, value) => {
    expect(accesses(code)).toEqual([{ offset: 0x10, write: true, size, value }])
  })

  it('is read, then written by a read-modify-write instruction', () => {
    // or dword [rdi], 1
    expect(accesses([0x83, 0x0f, 0x01], () => 0xf0n)).toEqual([
      { offset: 0x10, write: false, size: 4, value: 0n },
      { offset: 0x10, write: true, size: 4, value: 0xf1n },
    ])
    // xchg [rdi], eax; the register gets what the device had
    expect(accesses([0x87, 0x07], () => 0xabcdn)).toEqual([
      { offset: 0x10, write: false, size: 4, value: 0n },
      { offset: 0x10, write: true, size: 4, value: 0x5566_7788n },
    ])
    expect(guest.register('rax')).toBe(0xabcdn)
    // lock bts dword [rdi], 3
    expect(accesses([0xf0, 0x0f, 0xba, 0x2f, 0x03], () => 1n)).toEqual([
      { offset: 0x10, write: false, size: 4, value: 0n },
      { offset: 0x10, write: true, size: 4, value: 9n },
    ])
    // lock cmpxchg [rdi], ecx, which compares unequal and writes back what it read
    expect(accesses([0xf0, 0x0f, 0xb1, 0x0f], () => 0x77n)).toEqual([
      { offset: 0x10, write: false, size: 4, value: 0n },
      { offset: 0x10, write: true, size: 4, value: 0x77n },
    ])
    expect(guest.register('rax')).toBe(0x77n)
    // neg byte [rdi]
    expect(accesses([0xf6, 0x1f], () => 1n)).toEqual([
      { offset: 0x10, write: false, size: 1, value: 0n },
      { offset: 0x10, write: true, size: 1, value: 0xffn },
    ])
    // cmpxchg8b [rdi]
    expect(accesses([0x0f, 0xc7, 0x0f], () => 0x1_0000_0002n)).toEqual([
      { offset: 0x10, write: false, size: 8, value: 0n },
      { offset: 0x10, write: true, size: 8, value: 0x1_0000_0002n },
    ])
    expect([guest.register('rdx'), guest.register('rax')]).toEqual([1n, 2n])
  })

  it('is reached in naturally aligned pieces', () => {
    guest.setRegisters({ rdi: HOLE + 0x13 })
    expect(accesses([0x89, 0x07]).map(({ offset, size }) => [offset, size])).toEqual([
      [0x13, 1],
      [0x14, 2],
      [0x16, 1],
    ])
    guest.setRegisters({ rdi: HOLE + 0x20 })
    // movups xmm0, [rdi]: 16 bytes
    expect(accesses([0x0f, 0x10, 0x07], offset => BigInt(offset)).map(({ offset, size }) => [offset, size])).toEqual([
      [0x20, 8],
      [0x28, 8],
    ])
    expect(guest.register('xmm0')).toBe((0x28n << 64n) | 0x20n)
  })

  it('shares an access that begins in RAM', () => {
    guest.setRegisters({ rdi: HOLE - 2, rax: 0x4433_2211 })
    expect(accesses([0x89, 0x07])).toEqual([{ offset: 0, write: true, size: 2, value: 0x4433n }])
    expect([...guest.read(HOLE - 2, 2)]).toEqual([0x11, 0x22])
    guest.setRegisters({ rdi: HOLE - 2 })
    // add [rdi], eax
    guest.setRegisters({ rax: 0x0001_0001 })
    expect(accesses([0x01, 0x07], () => 0x10n)).toEqual([
      { offset: 0, write: false, size: 2, value: 0n },
      { offset: 0, write: true, size: 2, value: 0x11n },
    ])
    expect([...guest.read(HOLE - 2, 2)]).toEqual([0x12, 0x22])
  })

  it('sees each element of a repeated string instruction', () => {
    guest.write(
      DATA,
      Array.from({ length: 16 }, (_, i) => i + 1),
    )
    guest.setRegisters({ rsi: DATA, rdi: HOLE, rcx: 4 })
    expect(accesses([0xf3, 0xa5]).map(({ offset, value }) => [offset, value])).toEqual([
      [0, 0x0403_0201n],
      [4, 0x0807_0605n],
      [8, 0x0c0b_0a09n],
      [12, 0x100f_0e0dn],
    ])
    expect(guest.clock.count).toBe(5)
    // From a device to itself: read, write, read, write.
    guest.setRegisters({ rsi: HOLE, rdi: HOLE + 0x100, rcx: 2 })
    expect(
      accesses([0xf3, 0xa4], offset => BigInt(offset + 5)).map(each => [each.write, each.offset, each.value]),
    ).toEqual([
      [false, 0, 0n],
      [true, 0x100, 5n],
      [false, 1, 0n],
      [true, 0x101, 6n],
    ])
  })

  it('is pushed to and popped from by the stack', () => {
    guest.setRegisters({ rsp: HOLE + 0x40, rax: 0x99 })
    expect(accesses([0x50, 0x5b], () => 0x99n).map(each => [each.write, each.offset, each.value])).toEqual([
      [true, 0x38, 0x99n],
      [false, 0x38, 0n],
    ])
    expect(guest.register('rbx')).toBe(0x99n)
  })

  it('that is a frame after all is found by running again', () => {
    guest.write(CODE, [0x89, 0x07, ...VMCALL])
    guest.setRegisters({ rip: CODE, rdi: HOLE })
    expect(guest.run(10)).toMatchObject({ reason: 'ept-violation', gpa: DEVICE })
    guest.write64(PAGE_TABLE + (HOLE >>> 12) * 8, 0x40003n)
    expect(guest.run(10)).toEqual({ reason: 'vmcall' })
    expect(guest.read32(0x40000)).toBe(0x5566_7788)
  })
})

describe('string I/O', () => {
  it('sends elements at RSI, and stores those it gets at RDI', () => {
    guest.write(DATA, [0x11, 0x22, 0, 0])
    // rep outsb; insb; vmcall
    guest.write(CODE, [0xf3, 0x6e, 0x6c, ...VMCALL])
    guest.setRegisters({ rip: CODE, rsi: DATA, rdi: DATA + 2, rcx: 2, rdx: 0xe9 })
    expect(guest.run(10)).toMatchObject({ reason: 'io', write: true, size: 1, value: 0x11 })
    expect(guest.run(10)).toMatchObject({ reason: 'io', write: true, size: 1, value: 0x22 })
    expect(guest.run(10)).toMatchObject({ reason: 'io', write: false, size: 1, port: 0xe9 })
    guest.vcpu.completeIn(0x33)
    expect(guest.run(10)).toEqual({ reason: 'vmcall' })
    expect([...guest.read(DATA, 4)]).toEqual([0x11, 0x22, 0x33, 0])
    expect([guest.register('rsi'), guest.register('rdi'), guest.register('rcx')]).toEqual([
      ...[BigInt(DATA + 2), BigInt(DATA + 3)],
      0n,
    ])
  })
})

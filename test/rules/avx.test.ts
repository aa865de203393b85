/** Instructions with a VEX prefix where the system has a say: when they are usable, what their faults leave behind. */

import { afterAll, describe, expect } from 'vitest'
import type { SegmentRegister } from '../../src/engine/processor.ts'
import { Guest, Host, TIERS } from '../engine/guest/guest.ts'
import { CODE, CODE_64, DATA, DATA_FLAT, enterLongMode, HOLE, PAGE_TABLE } from '../engine/guest/long-mode.ts'
import { type Area, rule } from './rule.ts'

const [UNDEFINED, NOT_AVAILABLE, PROTECTION, PAGE_FAULT, SIMD] = [6, 7, 13, 14, 19]
/** PAE, PGE, OSFXSR, OSXMMEXCPT, OSXSAVE. */
const CR4 = 0x4_06a0
const OSXMMEXCPT = 0x400
const OSXSAVE = 0x4_0000
const CR0 = 0x8001_0031

// vaddps xmm0, xmm1, xmm2
const ADD = [0xc5, 0xf0, 0x58, 0xc2]
// vaddps ymm0, ymm1, ymmword [rdi]
const ADD_MEMORY = [0xc5, 0xf4, 0x58, 0x07]
// vmovdqu ymm0, ymmword [rdi], and the store
const LOAD = [0xc5, 0xfe, 0x6f, 0x07]
const STORE = [0xc5, 0xfe, 0x7f, 0x07]
// vpgatherdd xmm0, [rdi + xmm2*4], xmm1
const GATHER = [0xc4, 0xe2, 0x71, 0x90, 0x04, 0x97]
// vmaskmovps xmm0, xmm1, [rdi], and the store of xmm0
const MASKED_LOAD = [0xc4, 0xe2, 0x71, 0x2c, 0x07]
const MASKED_STORE = [0xc4, 0xe2, 0x71, 0x2e, 0x07]

const lanes = (...values: number[]): bigint =>
  values.reduceRight((all, value) => (all << 32n) | BigInt(value >>> 0), 0n)
const SELECTED = 0x8000_0000
const ONES = (1n << 256n) - 1n
const LOW = (1n << 128n) - 1n

const guests = TIERS.map(({ hotEntries }) => new Guest(new Host({ hotEntries }), { exceptionBitmap: 0xffff_ffff }))
afterAll(() => {
  for (const each of guests) each.release()
})
let [guest] = guests

/** A rule that is shown in either tier, each beginning in 64-bit mode with AVX enabled and clear data. */
function inBothTiers(area: Area, source: string, text: string, test: () => void): void {
  rule(area, source, text, () => {
    for (const each of guests) {
      guest = each
      enterLongMode(guest)
      guest.setRegisters({ cr4: CR4, xcr0: 7, rdi: DATA })
      guest.write(DATA, new Uint8Array(8192))
      test()
    }
  })
}

describe('an instruction with a VEX prefix', () => {
  let faultAddress: bigint | undefined
  /** The vector that an instruction raises, or undefined. */
  function vectorOf(code: readonly number[], rip = CODE): number | undefined {
    guest.write(CODE, [...code, 0x90, 0x90])
    guest.setRegisters({ rip })
    const exit = guest.run(1)
    if (exit.reason === 'budget') return undefined
    if (exit.reason !== 'exception') throw new Error(`unexpected ${exit.reason}`)
    faultAddress = exit.address
    return exit.vector
  }

  const enabling = 'SDM vol. 1, 14.5'
  inBothTiers('extended state', enabling, 'VEX instructions are undefined without CR4.OSXSAVE', () => {
    guest.setRegisters({ cr4: CR4 & ~OSXSAVE })
    for (const code of [ADD, ADD_MEMORY, GATHER, MASKED_LOAD]) expect(vectorOf(code)).toBe(UNDEFINED)
    guest.setRegisters({ cr4: CR4 })
    expect(vectorOf(ADD)).toBeUndefined()
  })

  inBothTiers(
    'extended state',
    enabling,
    'VEX instructions are undefined unless XCR0 has both SSE and AVX state',
    () => {
      for (const xcr0 of [1, 3]) {
        guest.setRegisters({ xcr0 })
        for (const code of [ADD, GATHER, MASKED_STORE]) expect(vectorOf(code)).toBe(UNDEFINED)
      }
    },
  )

  inBothTiers('extended state', 'SDM vol. 2, 2.4', 'CR0.TS makes VEX instructions raise #NM, CR0.EM nothing', () => {
    guest.setRegisters({ cr0: CR0 | 8 })
    for (const code of [ADD, ADD_MEMORY, GATHER, MASKED_LOAD]) expect(vectorOf(code)).toBe(NOT_AVAILABLE)
    guest.setRegisters({ cr0: CR0 | 4 })
    for (const code of [ADD, GATHER]) expect(vectorOf(code)).toBeUndefined()
    // addps xmm0, xmm1
    expect(vectorOf([0x0f, 0x58, 0xc1])).toBe(UNDEFINED)
  })

  inBothTiers('extended state', 'SDM vol. 2, 2.3', 'A VEX prefix is undefined after LOCK, 66, F2, F3 or REX', () => {
    for (const prefix of [0xf0, 0x66, 0xf2, 0xf3, 0x48]) expect(vectorOf([prefix, ...ADD])).toBe(UNDEFINED)
  })

  inBothTiers('extended state', 'SDM vol. 2, 2.3.6', 'VEX.vvvv that names no operand must be all ones', () => {
    // vsqrtps xmm0, xmm1, with vvvv 1111 and 1110
    expect(vectorOf([0xc5, 0xf8, 0x51, 0xc1])).toBeUndefined()
    expect(vectorOf([0xc5, 0xf0, 0x51, 0xc1])).toBe(UNDEFINED)
  })

  inBothTiers('extended state', 'SDM vol. 2, 2.3.7', 'VEX.L is undefined where there is no such length', () => {
    // vphminposuw xmm0, xmm1, with L 0 and 1; vpermq ymm0, ymm1, 0 with L 1 and 0
    expect(vectorOf([0xc4, 0xe2, 0x79, 0x41, 0xc1])).toBeUndefined()
    expect(vectorOf([0xc4, 0xe2, 0x7d, 0x41, 0xc1])).toBe(UNDEFINED)
    expect(vectorOf([0xc4, 0xe3, 0xfd, 0x00, 0xc1, 0])).toBeUndefined()
    expect(vectorOf([0xc4, 0xe3, 0xf9, 0x00, 0xc1, 0])).toBe(UNDEFINED)
  })

  const SEGMENT_16: SegmentRegister = { selector: 0, base: 0n, limit: 0xffff, rights: 0x93 }
  inBothTiers('modes', 'SDM vol. 2, 2.3.3', 'VEX instructions are undefined in real mode', () => {
    guest.setRegisters({ cr0: 0x30, efer: 0 })
    guest.vcpu.registers.setSegment('cs', { ...SEGMENT_16, base: BigInt(CODE), rights: 0x9b })
    for (const name of ['ss', 'ds', 'es'] as const) guest.vcpu.registers.setSegment(name, SEGMENT_16)
    expect(vectorOf(ADD, 0)).toBe(UNDEFINED)
  })

  inBothTiers('modes', 'SDM vol. 2, 2.3.3', 'VEX instructions are undefined in virtual-8086 mode', () => {
    guest.setRegisters({ cr0: 0x31, efer: 0, rflags: 0x2_3002 })
    const segment = { ...SEGMENT_16, rights: 0xf3 }
    guest.vcpu.registers.setSegment('cs', { ...segment, selector: CODE >> 4, base: BigInt(CODE) })
    for (const name of ['ss', 'ds', 'es'] as const) guest.vcpu.registers.setSegment(name, segment)
    expect(vectorOf(ADD, 0)).toBe(UNDEFINED)
  })

  inBothTiers(
    'modes',
    'SDM vol. 2, VZEROUPPER',
    'VZEROUPPER and VZEROALL leave registers 8 to 15 alone outside 64-bit mode',
    () => {
      for (const [code, rest] of [
        [[0xc5, 0xf8, 0x77], LOW],
        [[0xc5, 0xfc, 0x77], 0n],
      ] as const) {
        enterLongMode(guest)
        guest.setRegisters({ cr4: CR4, xcr0: 7 })
        for (let i = 0; i < 16; i++) guest.setRegisters({ [`ymm${i}`]: ONES })
        guest.vcpu.registers.setSegment('cs', { ...CODE_64, rights: 0xc09b })
        expect(vectorOf(code)).toBeUndefined()
        const values = Array.from({ length: 16 }, (_, i) => guest.register(`ymm${i}`))
        expect(values).toEqual([...new Array(8).fill(rest), ...new Array(8).fill(ONES)])
        guest.vcpu.registers.setSegment('cs', CODE_64)
        expect(vectorOf(code)).toBeUndefined()
        expect(guest.register('ymm15')).toBe(rest)
      }
    },
  )

  inBothTiers('extended state', 'SDM vol. 1, 14.1.1', 'VEX.128 clears what is above XMM, SSE keeps it', () => {
    for (const [code, above] of [
      [[0xc5, 0xf8, 0x28, 0xc1], 0n],
      [[0x0f, 0x28, 0xc1], ONES >> 128n],
    ] as const) {
      guest.setRegisters({ ymm0: ONES, ymm1: 5n })
      expect(vectorOf(code)).toBeUndefined()
      expect(guest.register('ymm0')).toBe((above << 128n) | 5n)
    }
  })

  inBothTiers(
    'exceptions',
    'SDM vol. 1, 14.9',
    'Of VEX instructions only moves that ask for it need aligned memory',
    () => {
      guest.setRegisters({ rdi: DATA + 16 })
      expect(vectorOf(ADD_MEMORY)).toBeUndefined()
      // vmovaps ymm0, [rdi]; vmovntdq [rdi], ymm0; vmovntdqa ymm0, [rdi]
      for (const code of [
        [0xc5, 0xfc, 0x28, 0x07],
        [0xc5, 0xfd, 0xe7, 0x07],
        [0xc4, 0xe2, 0x7d, 0x2a, 0x07],
      ])
        expect(vectorOf(code)).toBe(PROTECTION)
      // vmovaps xmm0, [rdi]
      expect(vectorOf([0xc5, 0xf8, 0x28, 0x07])).toBeUndefined()
    },
  )

  inBothTiers('exceptions', 'SDM vol. 1, 11.5.1', 'A vector exception is #UD without CR4.OSXMMEXCPT', () => {
    // vdivps ymm0, ymm1, ymm2 with division by zero unmasked
    const divide = [0xc5, 0xf4, 0x5e, 0xc2]
    const values = { ymm0: 7n, ymm1: lanes(0, 0, 0, 0, 0, 0, 0, 0x3f80_0000), ymm2: 0n, mxcsr: 0x1d80 }
    guest.setRegisters({ ...values, ymm1: lanes(...new Array(8).fill(0x3f80_0000)) })
    expect(vectorOf(divide)).toBe(SIMD)
    expect(guest.register('mxcsr')).toBe(0x1d84n)
    expect(guest.register('ymm0')).toBe(7n)
    guest.setRegisters({ ...values, cr4: CR4 & ~OSXMMEXCPT })
    expect(vectorOf(divide)).toBe(UNDEFINED)
  })

  inBothTiers(
    'exceptions',
    'SDM vol. 1, 11.5.3',
    'Exceptions of all lanes of a YMM operation are reported together',
    () => {
      // vdivps ymm0, ymm1, ymm2: 0/0 in lane 7 is invalid, 1/0 in lane 0 a division by zero
      const one = 0x3f80_0000
      guest.setRegisters({ ymm1: lanes(one, one, one, one, one, one, one, 0), mxcsr: 0x1d80 })
      guest.setRegisters({ ymm2: lanes(0, one, one, one, one, one, one, 0) })
      expect(vectorOf([0xc5, 0xf4, 0x5e, 0xc2])).toBe(SIMD)
      expect(guest.register('mxcsr')).toBe(0x1d85n)
    },
  )

  const BYTES = Array.from({ length: 32 }, (_, i) => i + 1)
  const VALUE = BYTES.reduceRight((all, byte) => (all << 8n) | BigInt(byte), 0n)
  inBothTiers('paging', 'SDM vol. 3, 4.7', 'A YMM store that faults on its second page writes nothing', () => {
    for (let offset = 1; offset < 32; offset++) {
      guest.setRegisters({ rdi: HOLE - offset, ymm0: ONES })
      expect(vectorOf(STORE)).toBe(PAGE_FAULT)
      expect(faultAddress).toBe(BigInt(HOLE))
      expect([...guest.read(HOLE - 32, 32)]).toEqual(new Array(32).fill(0))
    }
  })

  inBothTiers('paging', 'SDM vol. 3, 4.1', 'A YMM access may lie on two pages in any proportion', () => {
    for (let offset = 1; offset < 32; offset++) {
      const address = DATA + 4096 - offset
      guest.setRegisters({ rdi: address, ymm0: VALUE })
      expect(vectorOf(STORE)).toBeUndefined()
      expect([...guest.read(address, 32)]).toEqual(BYTES)
      guest.setRegisters({ ymm0: 0n })
      expect(vectorOf(LOAD)).toBeUndefined()
      expect(guest.register('ymm0')).toBe(VALUE)
    }
  })

  inBothTiers('segments', 'SDM vol. 3, 5.3', 'All 32 bytes of a YMM access must be within the limit', () => {
    guest.vcpu.registers.setSegment('cs', { ...CODE_64, rights: 0xc09b })
    guest.vcpu.registers.setSegment('ds', { ...DATA_FLAT, limit: DATA + 0x1e, rights: 0x4093 })
    for (const code of [LOAD, STORE, ADD_MEMORY]) expect(vectorOf(code)).toBe(PROTECTION)
    guest.vcpu.registers.setSegment('ds', { ...DATA_FLAT, limit: DATA + 0x1f, rights: 0x4093 })
    for (const code of [LOAD, STORE, ADD_MEMORY]) expect(vectorOf(code)).toBeUndefined()
  })

  inBothTiers(
    'exceptions',
    'SDM vol. 2, VMASKMOV',
    'Elements that the mask of VMASKMOV leaves out do not fault',
    () => {
      // The first two elements are before the hole.
      guest.setRegisters({ rdi: HOLE - 8, xmm0: lanes(1, 2, 3, 4), xmm1: lanes(SELECTED, SELECTED, 0, 0) })
      expect(vectorOf(MASKED_STORE)).toBeUndefined()
      expect(vectorOf(MASKED_LOAD)).toBeUndefined()
      expect(guest.register('ymm0')).toBe(lanes(1, 2, 0, 0))
      guest.setRegisters({ rdi: HOLE, xmm1: 0n })
      expect(vectorOf(MASKED_LOAD)).toBeUndefined()
      expect(vectorOf(MASKED_STORE)).toBeUndefined()
    },
  )

  inBothTiers('exceptions', 'SDM vol. 2, VMASKMOV', 'A masked store that faults has stored no element', () => {
    guest.setRegisters({ rdi: HOLE - 8, xmm0: lanes(1, 2, 3, 4), xmm1: lanes(SELECTED, SELECTED, SELECTED, 0) })
    expect(vectorOf(MASKED_STORE)).toBe(PAGE_FAULT)
    expect(faultAddress).toBe(BigInt(HOLE))
    expect([...guest.read(HOLE - 8, 8)]).toEqual(new Array(8).fill(0))
  })

  const GATHERS = 'SDM vol. 2, VPGATHERDD'
  inBothTiers('exceptions', GATHERS, 'A gather that faults has loaded the elements before, their mask clear', () => {
    guest.write32(DATA, 11)
    guest.write32(DATA + 4, 22)
    const hole = (HOLE - DATA) / 4
    guest.setRegisters({ ymm0: ONES, ymm1: ONES, xmm2: lanes(0, 1, hole, 0) })
    expect(vectorOf(GATHER)).toBe(PAGE_FAULT)
    expect(faultAddress).toBe(BigInt(HOLE))
    expect(guest.register('xmm0')).toBe(lanes(11, 22, -1, -1))
    expect(guest.register('xmm1')).toBe(lanes(0, 0, -1, -1))
    // Restarted where it can go on, it finishes.
    guest.write64(PAGE_TABLE + (HOLE >>> 12) * 8, BigInt(HOLE) | 3n)
    guest.write32(HOLE, 33)
    expect(vectorOf(GATHER)).toBeUndefined()
    expect(guest.register('ymm0')).toBe(lanes(11, 22, 33, 11))
    expect(guest.register('ymm1')).toBe(0n)
  })

  inBothTiers('exceptions', GATHERS, 'A gather does not access what its mask leaves out', () => {
    const hole = (HOLE - DATA) / 4
    guest.write32(DATA, 11)
    guest.setRegisters({ xmm0: lanes(5, 6, 7, 8), xmm1: lanes(0, SELECTED, 0, 0), xmm2: lanes(hole, 0, hole, hole) })
    expect(vectorOf(GATHER)).toBeUndefined()
    expect(guest.register('ymm0')).toBe(lanes(5, 11, 7, 8))
    expect(guest.register('ymm1')).toBe(0n)
  })

  inBothTiers('exceptions', GATHERS, 'Destination, index and mask of a gather must differ', () => {
    // vpgatherdd xmm1, [rdi + xmm2*4], xmm1; xmm2, [rdi + xmm2*4], xmm1; xmm0, [rdi + xmm1*4], xmm1
    for (const code of [
      [0xc4, 0xe2, 0x71, 0x90, 0x0c, 0x97],
      [0xc4, 0xe2, 0x71, 0x90, 0x14, 0x97],
      [0xc4, 0xe2, 0x71, 0x90, 0x04, 0x8f],
    ])
      expect(vectorOf(code)).toBe(UNDEFINED)
  })

  inBothTiers('exceptions', GATHERS, '32-bit addresses of a gather wrap at 4 GiB in each element', () => {
    guest.write32(DATA, 11)
    guest.setRegisters({ rdi: 0xffff_fff0n, xmm1: lanes(SELECTED, 0, 0, 0), xmm2: lanes((DATA + 16) / 4, 0, 0, 0) })
    // With the address size of 32 bits.
    expect(vectorOf([0x67, ...GATHER])).toBeUndefined()
    expect(guest.register('xmm0') & 0xffff_ffffn).toBe(11n)
  })

  inBothTiers('virtualization', 'SDM vol. 3, 29.2', 'A YMM access to a device is one of 8 bytes four times', () => {
    const device = 0xfd00_0000
    guest.write64(PAGE_TABLE + (HOLE >>> 12) * 8, BigInt(device) | 3n)
    const run = (code: readonly number[], answer: (offset: number) => bigint): string[] => {
      guest.write(CODE, [...code, 0x90])
      guest.setRegisters({ rip: CODE, rdi: HOLE })
      const seen: string[] = []
      for (let exit = guest.run(1); exit.reason === 'ept-violation'; exit = guest.run(1)) {
        const { access } = exit
        if (access === undefined) throw new Error('no access')
        const offset = exit.gpa - device
        seen.push(`${access.write ? 'write' : 'read'} ${offset} ${access.size} ${access.value}`)
        guest.vcpu.completeAccess(access.write ? 0n : answer(offset))
        if (guest.clock.count > 0 && seen.length > 10) throw new Error('without end')
      }
      return seen
    }
    expect(run(LOAD, offset => BigInt(offset + 1))).toEqual([0, 8, 16, 24].map(offset => `read ${offset} 8 0`))
    expect(guest.register('ymm0')).toBe(1n | (9n << 64n) | (17n << 128n) | (25n << 192n))
    expect(run(STORE, () => 0n)).toEqual([0, 8, 16, 24].map(offset => `write ${offset} 8 ${offset + 1}`))
    // Elements of a gather are read once each, however often the instruction begins anew.
    guest.setRegisters({ xmm0: 0n, xmm1: ONES & LOW, xmm2: lanes(0, 1, 2, 3) })
    expect(run(GATHER, offset => BigInt(offset + 1))).toEqual([0, 4, 8, 12].map(offset => `read ${offset} 4 0`))
    expect(guest.register('xmm0')).toBe(lanes(1, 5, 9, 13))
  })
})

/**
 * Canonical addresses where registers keep them and where control goes; 4-level paging has 48 bits, 5-level paging 57.
 * What a register keeps is held to the processor's widest linear address.
 */

import { afterAll, beforeEach, describe, expect } from 'vitest'
import { enterRing, P, PS, RW, US } from '../engine/guest/page-tables.ts'
import { ALL, CODE, CODE_USER, FRAME, fault, GP, PagingGuest, STACK_TOP } from './paging-guest.ts'
import { rule } from './rule.ts'

const paging = new PagingGuest('max,-la57')
const wide = new PagingGuest('max')
afterAll(() => {
  paging.guest.release()
  wide.guest.release()
})
const { guest } = paging

const BAD = 0x0000_8000_0000_0000n
/** Canonical with 57 bits, not with 48. */
const WIDE = 0x00ff_0000_0000_0000n
const SITUATION = { mode: '4-level', leaf: ALL } as const

beforeEach(() => {
  paging.prepare(SITUATION)
})

/** Exit, RIP, RSP and CPL after an instruction. */
function run(code: readonly number[], registers: Readonly<Record<string, bigint | number>>, on = paging) {
  const exit = on.execute(code, registers)
  const { registers: file } = on.guest.vcpu
  return { exit, rip: file.get('rip'), rsp: file.get('rsp'), cpl: file.cpl }
}

const AT_BRANCH = { exit: GP, rip: BigInt(CODE), rsp: BigInt(STACK_TOP) }

describe('near branches', () => {
  rule(
    'transfers',
    'SDM vol. 2, JMP',
    'An indirect near JMP to an address that is not canonical is #GP(0) at the JMP',
    () => {
      expect(run([0xff, 0xe0], { rax: BAD })).toMatchObject(AT_BRANCH)
    },
  )

  rule(
    'transfers',
    'SDM vol. 2, CALL',
    'An indirect near CALL to an address that is not canonical is #GP(0) at the CALL, and pushes nothing',
    () => {
      guest.write64(STACK_TOP - 8, 0x1111n)
      expect(run([0xff, 0xd0], { rax: BAD })).toMatchObject(AT_BRANCH)
      expect(guest.read64(STACK_TOP - 8)).toBe(0x1111n)
    },
  )

  rule(
    'transfers',
    'SDM vol. 2, RET',
    'A near RET to an address that is not canonical is #GP(0) at the RET, and pops nothing',
    () => {
      guest.write64(STACK_TOP, BAD)
      expect(run([0xc3], {})).toMatchObject(AT_BRANCH)
      expect(run([0xc2, 8, 0], {})).toMatchObject(AT_BRANCH)
    },
  )

  rule('transfers', 'SDM vol. 1, 3.3.7.1', 'With CR4.LA57 near branches go to addresses of 57 bits', () => {
    wide.prepare({ mode: '4-level', leaf: ALL })
    expect(run([0xff, 0xe0], { rax: WIDE }, wide).exit).toMatchObject(GP)
    wide.prepare({ mode: '5-level', leaf: ALL })
    expect(run([0xff, 0xe0], { rax: WIDE }, wide)).toMatchObject({ exit: { reason: 'budget' }, rip: WIDE })
    // The fetch there finds no page.
    expect(wide.guest.run(1)).toMatchObject({ vector: 14, address: WIDE })
  })
})

describe('far branches and returns', () => {
  beforeEach(() => {
    guest.write64(0x20008, 0x00af_9b00_0000_ffffn)
    guest.write64(0x20010, 0x00cf_9300_0000_ffffn)
    guest.vcpu.registers.setTable('gdtr', { base: 0x20000n, limit: 0x3f })
  })

  rule('transfers', 'SDM vol. 2, RET', 'A far RET to an address that is not canonical is #GP(0) at the RET', () => {
    guest.write64(STACK_TOP, BAD)
    guest.write64(STACK_TOP + 8, 8n)
    expect(run([0x48, 0xcb], {})).toMatchObject(AT_BRANCH)
  })

  rule(
    'transfers',
    'SDM vol. 2, IRET',
    'IRETQ to an address that is not canonical is #GP(0) at the IRETQ, and pops nothing',
    () => {
      for (const [index, value] of [BAD, 8n, 2n, BigInt(STACK_TOP), 16n].entries())
        guest.write64(STACK_TOP + index * 8, value)
      expect(run([0x48, 0xcf], {})).toMatchObject(AT_BRANCH)
    },
  )

  rule('transfers', 'SDM vol. 2, JMP', 'A far JMP through memory to an address that is not canonical is #GP(0)', () => {
    guest.write64(Number(FRAME), BAD)
    guest.write(Number(FRAME) + 8, [8, 0])
    paging.prepare(SITUATION).map(0x4000_0000n, FRAME, ALL)
    guest.write64(Number(FRAME), BAD)
    guest.write(Number(FRAME) + 8, [8, 0])
    guest.vcpu.registers.setTable('gdtr', { base: 0x20000n, limit: 0x3f })
    expect(run([0x48, 0xff, 0x2f], { rdi: 0x4000_0000 })).toMatchObject(AT_BRANCH)
  })

  rule(
    'transfers',
    'AMD64 APM vol. 3, SYSRET',
    'SYSRET to an address that is not canonical faults at the fetch, in ring 3, as on AMD',
    () => {
      guest.setRegisters({ efer: guest.register('efer') | 1n, msr_star: 0x0013_0008_0000_0000n })
      const after = run([0x48, 0x0f, 0x07], { rcx: BAD, r11: 2 })
      expect(after).toMatchObject({ exit: { reason: 'budget' }, rip: BAD, cpl: 3 })
      expect(guest.run(1)).toMatchObject(GP)
    },
  )
})

describe('registers that keep an address', () => {
  const MSRS = [
    ['IA32_LSTAR', 0xc000_0082],
    ['IA32_CSTAR', 0xc000_0083],
    ['IA32_FS_BASE', 0xc000_0100],
    ['IA32_GS_BASE', 0xc000_0101],
    ['IA32_KERNEL_GS_BASE', 0xc000_0102],
    ['IA32_SYSENTER_ESP', 0x175],
    ['IA32_SYSENTER_EIP', 0x176],
  ] as const
  const write = (on: PagingGuest, msr: number, value: bigint) =>
    on.execute([0x0f, 0x30], { rcx: msr, rax: value & 0xffff_ffffn, rdx: value >> 32n })

  for (const [name, msr] of MSRS)
    rule(
      'system instructions',
      'SDM vol. 2, WRMSR',
      `WRMSR of an address that is not canonical to ${name} is #GP(0)`,
      () => {
        expect(write(paging, msr, BAD)).toMatchObject(GP)
        expect(write(paging, msr, 0xffff_7fff_ffff_ffffn)).toMatchObject(GP)
        expect(write(paging, msr, 0xffff_8000_0000_0000n)).toEqual({ reason: 'budget' })
      },
    )

  rule(
    'system instructions',
    'SDM vol. 1, 3.3.7.1',
    'Where CPUID reports 57 address bits WRMSR takes such addresses whatever CR4.LA57 is',
    () => {
      for (const mode of ['4-level', '5-level'] as const) {
        wide.prepare({ mode, leaf: ALL })
        for (const [, msr] of MSRS) {
          expect(write(wide, msr, WIDE)).toEqual({ reason: 'budget' })
          expect(write(wide, msr, 0x0100_0000_0000_0000n)).toMatchObject(GP)
        }
      }
    },
  )

  rule(
    'system instructions',
    'SDM vol. 2, LGDT/LIDT',
    'LGDT and LIDT of a base that is not canonical are #GP(0) and load nothing',
    () => {
      guest.write(0x20000, [0xff, 0x0f])
      guest.write64(0x20002, BAD)
      const before = [guest.vcpu.registers.table('gdtr'), guest.vcpu.registers.table('idtr')]
      for (const modrm of [0x17, 0x1f]) expect(paging.execute([0x0f, 0x01, modrm], { rdi: 0x20000 })).toMatchObject(GP)
      expect([guest.vcpu.registers.table('gdtr'), guest.vcpu.registers.table('idtr')]).toEqual(before)
    },
  )

  for (const [name, modrm, type] of [
    ['LLDT', 0xd0, 0x82],
    ['LTR', 0xd8, 0x89],
  ] as const)
    rule(
      'system instructions',
      `SDM vol. 2, ${name}`,
      `${name} of a descriptor whose base is not canonical is #GP of the selector`,
      () => {
        guest.write64(0x20008, BigInt(type) << 40n)
        guest.vcpu.registers.setTable('gdtr', { base: 0x20000n, limit: 0x1f })
        guest.write64(0x20010, BAD >> 32n)
        expect(paging.execute([0x0f, 0x00, modrm], { rax: 8 })).toMatchObject(fault(13, 8))
        guest.write64(0x20010, 0xffff_8000n)
        expect(paging.execute([0x0f, 0x00, modrm], { rax: 8 })).toEqual({ reason: 'budget' })
      },
    )
})

describe('event delivery', () => {
  const [IDT, GDT, TSS] = [0x20000, 0x20400, 0x20500]

  /** INT 20h in ring 3 through a gate of ring 0. */
  function interrupt(offset: bigint, ist: number, pointer: bigint) {
    guest.write64(GDT + 8, 0x00af_9b00_0000_ffffn)
    guest.vcpu.registers.setTable('gdtr', { base: BigInt(GDT), limit: 15 })
    guest.vcpu.registers.setTable('idtr', { base: BigInt(IDT), limit: 0x3ff })
    const high = ((offset >> 16n) & 0xffffn) << 48n
    guest.write64(IDT + 0x200, (offset & 0xffffn) | (8n << 16n) | (BigInt(ist) << 32n) | (0xee00n << 32n) | high)
    guest.write64(IDT + 0x208, offset >> 32n)
    guest.vcpu.registers.setSegment('tr', { selector: 24, base: BigInt(TSS), limit: 0x67, rights: 0x8b })
    guest.write64(TSS + 4, pointer)
    guest.write64(TSS + 36, pointer)
    enterRing(guest.vcpu, '4-level', 3)
    return paging.execute([0xcd, 0x20], {}, { user: true })
  }

  rule('interrupts', 'SDM vol. 3, 6.14.1', 'A gate whose offset is not canonical is #GP(0)', () => {
    expect(interrupt(BAD, 0, BigInt(STACK_TOP))).toMatchObject(GP)
    expect(guest.register('rip')).toBe(BigInt(CODE_USER))
  })

  rule('interrupts', 'SDM vol. 3, 6.14.4', 'A stack pointer of the TSS that is not canonical is #SS(0)', () => {
    expect(interrupt(BigInt(CODE), 0, BAD)).toMatchObject(fault(12))
  })

  rule(
    'interrupts',
    'SDM vol. 3, 6.14.5',
    'A stack pointer of the interrupt stack table that is not canonical is #SS(0)',
    () => {
      expect(interrupt(BigInt(CODE), 1, BAD)).toMatchObject(fault(12))
      expect(interrupt(BigInt(CODE), 1, BigInt(STACK_TOP))).toEqual({ reason: 'budget' })
    },
  )
})

describe('INVLPG', () => {
  rule('tlb', 'SDM vol. 2, INVLPG', 'INVLPG of an address that is not canonical does nothing', () => {
    const tables = paging.prepare(SITUATION)
    // The page whose number has the same low bits.
    tables.map(0x4000_0000n, FRAME, ALL)
    expect(paging.access(SITUATION, 'read', 0x4000_0000n)).toEqual({ reason: 'budget' })
    tables.map(0x4000_0000n, 0n, 0n)
    expect(paging.execute([0x0f, 0x01, 0x3f], { rdi: BAD | 0x4000_0000n })).toEqual({ reason: 'budget' })
    expect(paging.access(SITUATION, 'read', 0x4000_0000n)).toEqual({ reason: 'budget' })
  })
})

describe('CR4.LA57', () => {
  const MOV_CR4 = [0x0f, 0x22, 0xe0]
  const LA57 = 1n << 12n

  rule('modes', 'SDM vol. 2, MOV to control registers', 'LA57 can be changed neither way in long mode: #GP(0)', () => {
    for (const mode of ['4-level', '5-level'] as const) {
      wide.prepare({ mode, leaf: ALL })
      const cr4 = wide.guest.register('cr4')
      expect(wide.execute(MOV_CR4, { rax: cr4 ^ LA57 })).toMatchObject(GP)
      expect(wide.guest.register('cr4')).toBe(cr4)
    }
  })

  rule('modes', 'SDM vol. 3, 2.5', 'LA57 can be set outside long mode, where it changes no translation', () => {
    for (const mode of ['32-bit', 'PAE'] as const) {
      wide.prepare({ mode, leaf: ALL })
      expect(wide.execute(MOV_CR4, { rax: wide.guest.register('cr4') | LA57 })).toEqual({ reason: 'budget' })
      expect(wide.access({ mode, leaf: ALL }, 'read')).toEqual({ reason: 'budget' })
    }
  })

  rule('modes', 'SDM vol. 3, 2.5', 'LA57 is reserved where CPUID does not report it', () => {
    paging.prepare({ mode: 'PAE', leaf: ALL })
    expect(paging.execute(MOV_CR4, { rax: guest.register('cr4') | LA57 })).toMatchObject(GP)
  })

  rule('paging', 'SDM vol. 3, 4.5', 'With LA57 linear address bits 56:48 choose the entry of the top table', () => {
    const tables = wide.prepare({ mode: '5-level', leaf: ALL })
    for (const index of [1n, 0x80n, 0xffn, 0x100n, 0x1ffn]) {
      const linear = BigInt.asUintN(64, BigInt.asIntN(57, index << 48n))
      tables.map(linear, 0n, P | RW | US | PS, 2)
      expect(tables.entries(linear)[0] & 0xfff).toBe(Number(index) * 8)
      expect(wide.access({ mode: '5-level', leaf: ALL }, 'read', linear + FRAME)).toEqual({ reason: 'budget' })
    }
  })
})

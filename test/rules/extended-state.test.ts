/** Rules of x87, SSE and AVX state: when it may be used, and how it is saved and restored. */

import { afterAll, beforeEach, describe, expect } from 'vitest'
import { parseCpuModel } from '../../src/engine/cpu-model.ts'
import { hasNasm, nasmNote } from '../engine/guest/assemble.ts'
import { Host } from '../engine/guest/guest.ts'
import { DATA, SystemGuest, type SystemMode } from '../engine/guest/system-guest.ts'
import { rule } from './rule.ts'

const host = new Host({ model: parseCpuModel('max') })
const system = new SystemGuest(host)
const { guest } = system
afterAll(() => system.release())

const GP0 = '#GP(0x0)'
const [PAE, OSFXSR, OSXSAVE, PKE] = [5, 9, 18, 22].map(bit => 1 << bit)
const CR4 = PAE | OSFXSR | OSXSAVE
const [CR0_MP, CR0_EM, CR0_TS] = [2, 4, 8]
const CR0_LONG = 0x8000_0031
const [X87, SSE, AVX, PKRU] = [1, 2, 4, 0x200]
const ALL = X87 | SSE | AVX | PKRU
const COMPACTED = 1n << 63n
/** Offsets in an area at DATA. */
const [MXCSR, XMM, HEADER, XCOMP_BV, EXTENDED, PKRU_AT] = [24, 160, 512, 520, 576, 832]

/** 64-bit code in ring 0 with all of the extended state enabled. */
function enter(ring: 0 | 3 = 0, registers: Readonly<Record<string, bigint | number>> = {}): void {
  system.enter('long', ring)
  guest.setRegisters({ cr4: CR4, xcr0: ALL, mxcsr: 0x1f80, ...registers })
}

/** A program that executes `instruction` for these components. */
const about = (components: number, instruction: string): string =>
  `mov eax, ${components}\nxor edx, edx\n${instruction}`

/** Sets the header of the area, of which the rest is zeros, with a good MXCSR. */
function header(saved: number, format = 0n): void {
  guest.write32(DATA + MXCSR, 0x1f80)
  guest.write64(DATA + HEADER, BigInt(saved))
  guest.write64(DATA + XCOMP_BV, format)
}

const fill = (length: number): void => guest.write(DATA, new Uint8Array(length).fill(0xcc))
const UNTOUCHED = 0xcccc_cccc_cccc_ccccn

beforeEach(() => enter())

describe.skipIf(!hasNasm)(`XCR0${nasmNote}`, () => {
  rule('extended state', 'SDM vol. 3, table 10-1', 'XCR0 is 1 after RESET', () => {
    system.enter('long')
    expect(system.run('xor ecx, ecx\nxgetbv', { registers: { cr4: CR4 } })).toBe('end')
    expect([system.register('rax'), system.register('rdx')]).toEqual([1, 0])
  })

  rule('extended state', 'SDM vol. 2, XGETBV', 'XGETBV and XSETBV are #UD without CR4.OSXSAVE', () => {
    for (const name of ['xgetbv', 'xsetbv']) {
      enter(0, { cr4: PAE | OSFXSR })
      expect(system.run(`xor ecx, ecx\n${about(1, name)}`)).toBe('#UD')
    }
  })

  rule('extended state', 'SDM vol. 2, XGETBV', 'XGETBV is for every privilege level', () => {
    enter(3)
    expect(system.run('xor ecx, ecx\nxgetbv')).toBe('end')
    expect(system.register('rax')).toBe(ALL)
  })

  rule('extended state', 'SDM vol. 2, XGETBV', 'XGETBV of a register that there is not is #GP(0)', () => {
    expect(system.run('mov ecx, 2\nxgetbv')).toBe(GP0)
  })

  rule('extended state', 'SDM vol. 1, 13.6', 'XGETBV of 1 tells the components that are enabled and in use', () => {
    // MXCSR is not part of it.
    const registers = { mxcsr: 0x1fa0, xcr0: X87 | SSE | AVX, pkru: 1 }
    const source = 'fninit\npcmpeqb xmm3, xmm3\nmov ecx, 1\nxgetbv'
    header(0)
    expect(system.run(`${about(ALL, 'xrstor [0x20000]')}\n${source}`, { registers })).toBe('end')
    expect(system.register('rax')).toBe(SSE)
  })

  rule('extended state', 'SDM vol. 2, XSETBV', 'XSETBV outside ring 0 is #GP(0)', () => {
    enter(3)
    expect(system.run(`xor ecx, ecx\n${about(1, 'xsetbv')}`)).toBe(GP0)
  })

  rule('extended state', 'SDM vol. 2, XSETBV', 'XSETBV of another register than XCR0 is #GP(0)', () => {
    expect(system.run(`mov ecx, 1\n${about(1, 'xsetbv')}`)).toBe(GP0)
  })

  rule('extended state', 'SDM vol. 2, XSETBV', 'XCR0 without x87 is #GP(0)', () => {
    expect(system.run(`xor ecx, ecx\n${about(SSE | AVX, 'xsetbv')}`)).toBe(GP0)
  })

  rule('extended state', 'SDM vol. 2, XSETBV', 'XCR0 with AVX and without SSE is #GP(0)', () => {
    expect(system.run(`xor ecx, ecx\n${about(X87 | AVX, 'xsetbv')}`)).toBe(GP0)
  })

  rule('extended state', 'SDM vol. 2, XSETBV', 'A component in XCR0 that the processor has not is #GP(0)', () => {
    expect(system.run(`xor ecx, ecx\n${about(X87 | 8, 'xsetbv')}`)).toBe(GP0)
    enter()
    expect(system.run('xor ecx, ecx\nmov eax, 1\nmov edx, 1\nxsetbv')).toBe(GP0)
  })
})

describe.skipIf(!hasNasm)(`use of extended state${nasmNote}`, () => {
  const run = (source: string, registers: Readonly<Record<string, bigint | number>>): string => {
    enter(0, registers)
    return system.run(source)
  }

  rule('extended state', 'SDM vol. 3, table 2-2', 'FWAIT is #NM only with both CR0.MP and CR0.TS', () => {
    expect(run('fwait', { cr0: CR0_LONG | CR0_TS })).toBe('end')
    expect(run('fwait', { cr0: CR0_LONG | CR0_EM | CR0_MP })).toBe('end')
    expect(run('fwait', { cr0: CR0_LONG | CR0_MP | CR0_TS })).toBe('#NM')
  })

  rule(
    'extended state',
    'SDM vol. 3, 13.1.4',
    'PREFETCHh, SFENCE and CRC32 need neither CR4.OSFXSR nor CR0.TS clear',
    () => {
      const source = 'prefetcht0 [0x20000]\nsfence\nlfence\nmfence\ncrc32 eax, ebx'
      expect(run(source, { cr0: CR0_LONG | CR0_TS | CR0_EM, cr4: PAE })).toBe('end')
    },
  )

  rule('extended state', 'SDM vol. 2, LDMXCSR', 'LDMXCSR of a reserved bit is #GP(0)', () => {
    guest.write32(DATA, 0x1_1f80)
    expect(system.run('ldmxcsr [0x20000]')).toBe(GP0)
  })

  rule(
    'extended state',
    'SDM vol. 2, FXSAVE',
    'FXSAVE and FXRSTOR of an address that is not a multiple of 16 are #GP(0)',
    () => {
      for (const name of ['fxsave', 'fxrstor']) expect(run(`${name} [0x20008]`, {})).toBe(GP0)
    },
  )

  rule('extended state', 'SDM vol. 2, FXRSTOR', 'FXRSTOR of a reserved bit of MXCSR is #GP(0)', () => {
    guest.write32(DATA + MXCSR, 0x8000_0000)
    expect(system.run('fxrstor [0x20000]')).toBe(GP0)
  })

  rule(
    'extended state',
    'SDM vol. 2, FXSAVE',
    'FXSAVE of an area whose end is beyond the segment limit is #GP(0)',
    () => {
      const run32 = (limit: number): string => {
        system.enter('protected')
        const data = guest.vcpu.registers.segment('ds')
        guest.vcpu.registers.setSegment('ds', { ...data, limit })
        return system.run('fxsave [0x20000]', { registers: { cr4: OSFXSR } })
      }
      expect(run32(DATA + 511)).toBe('end')
      expect(run32(DATA + 510)).toBe(GP0)
    },
  )

  rule('extended state', 'SDM vol. 1, 14.1', 'A change of XCR0 by XSETBV decides on AVX at once', () => {
    const source = `xor ecx, ecx\n${about(X87 | SSE, 'xsetbv')}\nvaddps xmm0, xmm1, xmm2`
    expect(run(source, {})).toBe('#UD')
    expect(run(source.replace(`eax, ${X87 | SSE}`, `eax, ${X87 | SSE | AVX}`), { xcr0: X87 })).toBe('end')
  })

  rule(
    'extended state',
    'SDM vol. 2, table 2-29',
    'VEX instructions of general registers need neither CR4.OSXSAVE nor XCR0',
    () => {
      expect(run('andn eax, ebx, ecx', { cr4: PAE, xcr0: X87, cr0: CR0_LONG | CR0_TS })).toBe('end')
    },
  )

  rule('extended state', 'SDM vol. 2, table 2-29', 'VEX instructions are #UD in real and virtual-8086 mode', () => {
    // andn eax, ebx, ecx
    const source = 'db 0xc4, 0xe2, 0x60, 0xf2, 0xc1'
    const inMode = (mode: SystemMode): string => {
      system.enter(mode)
      return system.run(source)
    }
    expect(inMode('real')).toBe('#UD')
    expect(inMode('virtual-8086')).toBe('#UD')
    expect(inMode('protected')).toBe('end')
  })
})

describe.skipIf(!hasNasm)(`XSAVE and its like${nasmNote}`, () => {
  const SAVES = ['xsave', 'xsaveopt', 'xsavec', 'xrstor']

  rule('extended state', 'SDM vol. 2, XSAVE', 'XSAVE and its like are #UD without CR4.OSXSAVE', () => {
    for (const name of SAVES) {
      enter(0, { cr4: PAE | OSFXSR, cr0: CR0_LONG | CR0_TS })
      expect(system.run(about(ALL, `${name} [0x20001]`))).toBe('#UD')
    }
  })

  rule(
    'extended state',
    'SDM vol. 2, XSAVE',
    'XSAVE and its like are #NM with CR0.TS, before their operand is looked at',
    () => {
      for (const name of SAVES) {
        enter(0, { cr0: CR0_LONG | CR0_TS })
        expect(system.run(about(ALL, `${name} [0x20001]`))).toBe('#NM')
      }
    },
  )

  rule('extended state', 'SDM vol. 2, XSAVE', 'XSAVE and its like do not heed CR0.EM', () => {
    enter(0, { cr0: CR0_LONG | CR0_EM })
    expect(system.run(about(ALL, 'xsave [0x20000]\nxrstor [0x20000]'))).toBe('end')
  })

  rule('extended state', 'SDM vol. 1, 13.4', 'An area that is not at a multiple of 64 is #GP(0)', () => {
    for (const name of SAVES) {
      enter()
      expect(system.run(about(ALL, `${name} [0x20020]`))).toBe(GP0)
    }
  })

  rule('extended state', 'SDM vol. 2, XSAVE', 'XSAVE with LOCK is #UD', () => {
    expect(system.run(about(ALL, 'db 0xf0, 0x0f, 0xae, 0x21'))).toBe('#UD')
  })

  rule(
    'extended state',
    'SDM vol. 1, 13.7',
    'XSAVE changes XSTATE_BV for the components that it saves, and no other part of the header',
    () => {
      guest.write64(DATA + HEADER, 0xff00n)
      guest.write64(DATA + XCOMP_BV, 0x1234n)
      expect(system.run(`pcmpeqb xmm0, xmm0\n${about(SSE | AVX, 'xsave [0x20000]')}`)).toBe('end')
      expect([guest.read64(DATA + HEADER), guest.read64(DATA + XCOMP_BV)]).toEqual([0xff02n, 0x1234n])
    },
  )

  rule(
    'extended state',
    'SDM vol. 1, 13.7',
    'XSAVE saves the components in both XCR0 and EDX:EAX, and leaves the rest of the area',
    () => {
      fill(896)
      enter(0, { xcr0: X87 | SSE, xmm0: 0x1234n })
      fill(896)
      expect(system.run(about(SSE | AVX, 'xsave [0x20000]'))).toBe('end')
      expect([guest.read64(DATA), guest.read64(DATA + XMM), guest.read64(DATA + EXTENDED)]).toEqual([
        UNTOUCHED,
        0x1234n,
        UNTOUCHED,
      ])
    },
  )

  rule('extended state', 'SDM vol. 1, 13.7', 'XSAVE saves MXCSR with SSE or AVX, not with x87', () => {
    for (const [components, saved] of [
      [X87, false],
      [SSE, true],
      [AVX, true],
    ] as const) {
      enter()
      expect(system.run(about(components, 'xsave [0x20000]'))).toBe('end')
      expect(guest.read32(DATA + MXCSR)).toBe(saved ? 0x1f80 : 0)
    }
  })

  rule(
    'extended state',
    'SDM vol. 1, 13.9',
    'XSAVEOPT does not write a component in its initial configuration, and says so in XSTATE_BV',
    () => {
      header(SSE | AVX)
      expect(system.run(`${about(ALL, 'xrstor [0x20000]')}\nvxorps ymm0, ymm0, ymm0\npcmpeqb xmm1, xmm1`)).toBe('end')
      fill(896)
      guest.setRegisters({ rip: 0x10000 })
      expect(system.run(about(SSE | AVX, 'xsaveopt [0x20000]'))).toBe('end')
      expect([guest.read64(DATA + XMM + 16), guest.read64(DATA + EXTENDED)]).toEqual([
        0xffff_ffff_ffff_ffffn,
        UNTOUCHED,
      ])
      expect(guest.read64(DATA + HEADER) & BigInt(SSE | AVX)).toBe(BigInt(SSE))
    },
  )

  rule(
    'extended state',
    'SDM vol. 1, 13.10',
    'XSAVEC has room for the components that are asked for, one behind the other',
    () => {
      enter(0, { pkru: 0x5555_5554 })
      expect(system.run(about(SSE | PKRU, 'xsavec [0x20000]'))).toBe('end')
      expect(guest.read64(DATA + HEADER)).toBe(BigInt(PKRU))
      expect(guest.read64(DATA + XCOMP_BV)).toBe(COMPACTED | BigInt(SSE | PKRU))
      expect(guest.read32(DATA + EXTENDED)).toBe(0x5555_5554)
    },
  )

  rule(
    'extended state',
    'SDM vol. 1, 13.10',
    'XSAVEC saves SSE when MXCSR is not 1F80H, though the registers are zero',
    () => {
      enter(0, { mxcsr: 0x1fa0 })
      expect(system.run(about(SSE, 'xsavec [0x20000]'))).toBe('end')
      expect([guest.read64(DATA + HEADER), guest.read32(DATA + MXCSR)]).toEqual([2n, 0x1fa0])
    },
  )

  rule(
    'extended state',
    'SDM vol. 1, 13.5.1',
    'XSAVE64 saves 64 bits of the x87 instruction pointer, XSAVE 32 and a selector',
    () => {
      const source = (name: string) => `fninit\nfld1\n${about(X87, `${name} [0x20000]`)}\n`
      expect(system.run(source('xsave64'))).toBe('end')
      expect(guest.read64(DATA + 8)).toBe(0x1_0002n)
      enter()
      expect(system.run(source('xsave'))).toBe('end')
      expect([guest.read32(DATA + 8), guest.read32(DATA + 12) & 0xffff]).toEqual([0x1_0002, system.selector('cs')])
    },
  )

  rule('extended state', 'SDM vol. 1, 13.7', 'Nothing of an area is written when a part of it can not be', () => {
    // XMM registers in one page, the header in the next, which is absent.
    guest.write64(system.pageEntry(DATA + 0x1000), 0n)
    expect(system.run(about(X87 | SSE, 'xsave [0x20e00]'))).toBe('#PF(0x2)')
    expect(guest.read(DATA + 0xe00, 512).every(byte => byte === 0)).toBe(true)
  })

  rule('extended state', 'SDM vol. 1, 13.4', 'An area whose end is beyond the segment limit is #GP(0)', () => {
    const inProtectedMode = (limit: number): string => {
      system.enter('protected')
      const data = guest.vcpu.registers.segment('ds')
      guest.vcpu.registers.setSegment('ds', { ...data, limit })
      return system.run(about(ALL, 'xsave [0x20000]'), { registers: { cr4: OSFXSR | OSXSAVE, xcr0: X87 | SSE } })
    }
    expect(inProtectedMode(DATA + EXTENDED - 1)).toBe('end')
    expect(inProtectedMode(DATA + EXTENDED - 2)).toBe(GP0)
  })

  rule(
    'extended state',
    'SDM vol. 1, 13.5.2',
    'Outside 64-bit mode XMM8 to XMM15 are neither saved nor restored',
    () => {
      system.enter('protected')
      fill(512)
      header(SSE)
      const registers = { cr4: OSFXSR | OSXSAVE, xcr0: X87 | SSE, xmm7: 7n, xmm8: 8n }
      expect(system.run(about(SSE, 'xsave [0x20000]'), { registers })).toBe('end')
      expect([guest.read64(DATA + XMM + 7 * 16), guest.read64(DATA + XMM + 8 * 16)]).toEqual([7n, UNTOUCHED])
      guest.setRegisters({ rip: 0x10000, xmm7: 0n })
      expect(system.run(about(SSE, 'xrstor [0x20000]'))).toBe('end')
      expect([guest.register('xmm7'), guest.register('xmm8')]).toEqual([7n, 8n])
    },
  )
})

describe.skipIf(!hasNasm)(`XRSTOR${nasmNote}`, () => {
  const restore = (components: number): string => system.run(about(components, 'xrstor [0x20000]'))

  rule(
    'extended state',
    'SDM vol. 1, 13.8',
    'A component that is asked for and not in XSTATE_BV is initialized',
    () => {
      enter(0, { xmm0: 5n, pkru: 4 })
      header(0)
      expect(system.run(`fninit\nfld1\n${about(ALL, 'xrstor [0x20000]')}\nfnstsw ax`)).toBe('end')
      expect([guest.register('xmm0'), system.register('pkru'), system.register('rax') & 0xffff]).toEqual([0n, 0, 0])
    },
  )

  rule('extended state', 'SDM vol. 1, 13.8', 'A component that is not asked for stays', () => {
    enter(0, { xmm0: 5n, pkru: 4 })
    header(0)
    expect(restore(X87 | AVX)).toBe('end')
    expect([guest.register('xmm0'), system.register('pkru')]).toEqual([5n, 4])
  })

  rule(
    'extended state',
    'SDM vol. 1, 13.8.1',
    'XSTATE_BV with a component that is not in XCR0 is #GP(0), asked for or not',
    () => {
      enter(0, { xcr0: X87 | SSE })
      header(AVX)
      expect(restore(X87)).toBe(GP0)
    },
  )

  rule(
    'extended state',
    'SDM vol. 1, 13.8.1',
    'Bytes 15:8 and 23:16 of a standard header that are not zero are #GP(0)',
    () => {
      for (const offset of [8, 15, 16, 23]) {
        enter()
        header(X87)
        guest.write(DATA + HEADER + offset, [1])
        expect(restore(X87)).toBe(GP0)
      }
    },
  )

  rule('extended state', 'SDM vol. 1, 13.8.1', 'Bytes 63:24 of a standard header do not matter', () => {
    header(0)
    for (const offset of [24, 63]) guest.write(DATA + HEADER + offset, [1])
    expect(restore(ALL)).toBe('end')
  })

  rule(
    'extended state',
    'SDM vol. 1, 13.8.1',
    'MXCSR of a standard area is loaded with SSE or AVX, whatever XSTATE_BV says',
    () => {
      for (const [components, mxcsr] of [
        [X87, 0x1f80],
        [SSE, 0x1fa0],
        [AVX, 0x1fa0],
      ]) {
        enter()
        header(0)
        guest.write32(DATA + MXCSR, 0x1fa0)
        expect(restore(components)).toBe('end')
        expect(system.register('mxcsr')).toBe(mxcsr)
      }
    },
  )

  rule(
    'extended state',
    'SDM vol. 1, 13.8.1',
    'A reserved bit of MXCSR is #GP(0), and no component is restored',
    () => {
      enter(0, { xmm0: 5n })
      header(SSE)
      guest.write32(DATA + MXCSR, 0x1_0000)
      expect(restore(ALL)).toBe(GP0)
      expect(guest.register('xmm0')).toBe(5n)
    },
  )

  rule(
    'extended state',
    'SDM vol. 1, 13.8.2',
    'A compacted area initializes MXCSR with SSE, and leaves it with AVX alone',
    () => {
      for (const [components, mxcsr] of [
        [AVX, 0x1fa0],
        [SSE, 0x1f80],
      ]) {
        enter(0, { mxcsr: 0x1fa0 })
        header(0, COMPACTED | BigInt(SSE | AVX))
        guest.write32(DATA + MXCSR, 0x8000_0000)
        expect(restore(components)).toBe('end')
        expect(system.register('mxcsr')).toBe(mxcsr)
      }
    },
  )

  rule(
    'extended state',
    'SDM vol. 1, 13.8.2',
    'XSTATE_BV with a component that a compacted area has no room for is #GP(0)',
    () => {
      header(SSE | X87, COMPACTED | BigInt(SSE))
      expect(restore(SSE)).toBe(GP0)
    },
  )

  rule('extended state', 'SDM vol. 1, 13.8.2', 'A compacted area with room for what is not in XCR0 is #GP(0)', () => {
    header(0, COMPACTED | 8n)
    expect(restore(SSE)).toBe(GP0)
  })

  rule('extended state', 'SDM vol. 1, 13.8.2', 'Bytes 63:16 of a compacted header that are not zero are #GP(0)', () => {
    for (const offset of [16, 24, 63]) {
      enter()
      header(0, COMPACTED)
      guest.write(DATA + HEADER + offset, [1])
      expect(restore(SSE)).toBe(GP0)
    }
  })

  rule(
    'extended state',
    'SDM vol. 1, 13.4.3',
    'In a compacted area a component lies behind those that there is room for, saved or not',
    () => {
      header(PKRU, COMPACTED | BigInt(AVX | PKRU))
      guest.write32(DATA + EXTENDED, 1)
      guest.write32(DATA + EXTENDED + 256, 2)
      expect(restore(PKRU)).toBe('end')
      expect(system.register('pkru')).toBe(2)
      enter()
      header(PKRU, COMPACTED | BigInt(PKRU))
      guest.write32(DATA + EXTENDED, 1)
      expect(restore(PKRU)).toBe('end')
      expect(system.register('pkru')).toBe(1)
    },
  )

  rule('extended state', 'SDM vol. 3, 4.6.2', 'PKRU that XRSTOR loads holds from the next instruction on', () => {
    const key = 1n << 59n
    enter(3, { cr4: CR4 | PKE })
    guest.write64(system.pageEntry(DATA + 0x1000), guest.read64(system.pageEntry(DATA + 0x1000)) | key)
    header(PKRU)
    // Access to key 1 is off.
    guest.write32(DATA + PKRU_AT, 4)
    const source = `mov ebx, [0x21000]\n${about(PKRU, 'xrstor [0x20000]')}\ninc ecx\nmov ebx, [0x21000]`
    expect(system.run(source, { registers: { rcx: 0 } })).toBe('#PF(0x25)')
    expect(system.register('rcx')).toBe(1)
  })
})

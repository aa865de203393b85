/** The walk of the paging structures: formats, rights, error codes, accessed and dirty flags. */

import { afterAll, describe, expect } from 'vitest'
import { A, D, enterRing, G, isLong, MODES, type Mode, NX, P, PS, RW, US } from '../engine/guest/page-tables.ts'
import {
  ALL,
  CODE,
  codeOf,
  FRAME,
  GP,
  INSTRUCTIONS,
  KINDS,
  LONG_MODES,
  OTHER_FRAME,
  PagingGuest,
  TARGETS,
  WIDE_MODES,
} from './paging-guest.ts'
import { rule } from './rule.ts'

const paging = new PagingGuest()
const { guest } = paging
afterAll(() => guest.release())

/** Levels above the last one that have rights: all but the PDPTEs of PAE paging. */
const LEVELS_WITH_RIGHTS: Readonly<Record<Mode, readonly number[]>> = {
  '32-bit': [1],
  PAE: [1],
  '4-level': [1, 2, 3],
  '5-level': [1, 2, 3, 4],
}

const FORMATS: Readonly<Record<Mode, { readonly section: string; readonly entries: string }>> = {
  '32-bit': { section: 'SDM vol. 3, 4.3', entries: 'PDE or PTE' },
  PAE: { section: 'SDM vol. 3, 4.4.2', entries: 'PDPTE, PDE or PTE' },
  '4-level': { section: 'SDM vol. 3, 4.5', entries: 'PML4E, PDPTE, PDE or PTE' },
  '5-level': { section: 'SDM vol. 3, 4.5', entries: 'PML5E, PML4E, PDPTE, PDE or PTE' },
}

describe('translation', () => {
  for (const mode of MODES) {
    const { section, entries } = FORMATS[mode]

    rule(
      'paging',
      section,
      `${mode} paging finds a 4-KByte page by ${entries}, each chosen by its part of the linear address`,
      () => {
        const tables = paging.prepare({ mode, leaf: ALL })
        guest.write32(Number(FRAME) + 0xabc, 0x1234_5678)
        expect(paging.access({ mode, leaf: ALL }, 'read')).toEqual({ reason: 'budget' })
        expect(guest.register('rax')).toBe(0x1234_5678n)
        expect(new Set(tables.entries(TARGETS[mode]).map(entry => entry & 0xfff))).not.toContain(0)
      },
    )

    rule(
      'paging',
      section,
      `${mode} paging: a ${entries} with P clear makes any access a page fault with P clear in its error code`,
      () => {
        const top = mode === 'PAE' ? [0, 1, 2] : [0, ...LEVELS_WITH_RIGHTS[mode]]
        for (const levels of top)
          for (const kind of KINDS)
            for (const user of [false, true]) {
              const situation = levels === 0 ? { leaf: RW | US } : { leaf: ALL, above: { [levels]: { clear: P } } }
              paging.faults({ mode, user, ...situation }, kind, codeOf(kind, user ? 4 : 0))
            }
      },
    )
  }

  rule(
    'paging',
    'SDM vol. 3, table 4-4',
    'A PDE of 32-bit paging with PS set maps 4 MBytes when CR4.PSE is set',
    () => {
      const target = TARGETS['32-bit']
      const situation = { mode: '32-bit', leaf: ALL, pse: true } as const
      const tables = paging.prepare(situation)
      tables.map(target, 0x80_0000n, ALL | PS, 1)
      const gpa = 0x80_0000 + Number(target & 0x3f_ffffn)
      expect(paging.access(situation, 'write')).toMatchObject({ reason: 'ept-violation', gpa })
    },
  )

  rule('paging', 'SDM vol. 3, 4.3', 'PS of a PDE is ignored in 32-bit paging while CR4.PSE is clear', () => {
    paging.allows({ mode: '32-bit', leaf: ALL, above: { 1: { set: PS } } }, 'read')
  })

  rule('paging', 'SDM vol. 3, table 4-4', 'Bits 20:13 of a 4-MByte page are address bits 39:32 (PSE-36)', () => {
    const target = TARGETS['32-bit']
    const situation = { mode: '32-bit', leaf: ALL, pse: true } as const
    paging.prepare(situation).map(target, 0x0180_0000n | (0xa5n << 13n), ALL | PS, 1)
    const gpa = 0xa5 * 2 ** 32 + 0x0180_0000 + Number(target & 0x3f_ffffn)
    expect(paging.access(situation, 'read')).toMatchObject({ reason: 'ept-violation', gpa })
  })

  for (const mode of WIDE_MODES)
    rule(
      'paging',
      FORMATS[mode].section,
      `A PDE of ${mode} paging with PS set maps 2 MBytes, whatever CR4.PSE is`,
      () => {
        for (const pse of [false, true]) {
          const situation = { mode, leaf: ALL, pse }
          const base = 1n << 38n
          paging.prepare(situation).map(TARGETS[mode], base, ALL | PS, 1)
          const gpa = Number(base + (TARGETS[mode] & 0x1f_ffffn))
          expect(paging.access(situation, 'write')).toMatchObject({ reason: 'ept-violation', gpa })
        }
      },
    )

  for (const mode of LONG_MODES)
    rule('paging', 'SDM vol. 3, table 4-16', `A PDPTE of ${mode} paging with PS set maps 1 GByte`, () => {
      const tables = paging.prepare({ mode, leaf: ALL })
      const linear = TARGETS[mode] + (1n << 30n)
      tables.map(linear, 3n << 30n, ALL | PS, 2)
      const gpa = 3 * 2 ** 30 + Number(linear & 0x3fff_ffffn)
      expect(paging.access({ mode, leaf: ALL }, 'read', linear)).toMatchObject({ reason: 'ept-violation', gpa, linear })
    })

  rule(
    'paging',
    'SDM vol. 3, table 4-20',
    'Bit 7 of a PTE and bit 12 of an entry that maps a large page are PAT and change no translation',
    () => {
      for (const mode of MODES) {
        paging.allows({ mode, leaf: ALL | PS }, 'read')
        const situation = { mode, leaf: ALL, pse: true }
        paging.prepare(situation).map(TARGETS[mode], 0x80_0000n | (1n << 12n), ALL | PS, 1)
        expect(paging.access(situation, 'read')).toMatchObject({ reason: 'ept-violation' })
      }
    },
  )

  rule(
    'paging',
    'SDM vol. 3, 4.5',
    'Linear addresses of the upper half are translated by the upper half of the top table',
    () => {
      for (const [mode, linear, index] of [
        ['4-level', 0xffff_8000_0000_0000n, 256],
        ['5-level', 0xff00_0000_0000_0000n, 256],
        ['5-level', 0xffff_8000_0000_0000n, 511],
      ] as const) {
        const tables = paging.prepare({ mode, leaf: ALL })
        tables.map(linear, OTHER_FRAME, ALL)
        expect(tables.entries(linear)[0] & 0xfff).toBe(index * 8)
        expect(paging.access({ mode, leaf: ALL }, 'read', linear)).toEqual({ reason: 'budget' })
      }
    },
  )
})

describe('error codes', () => {
  rule('paging', 'SDM vol. 3, 4.7', 'W/R of the error code tells a write', () => {
    for (const mode of MODES) {
      paging.faults({ mode, leaf: 0n }, 'read', 0)
      paging.faults({ mode, leaf: 0n }, 'write', 2)
    }
  })

  rule('paging', 'SDM vol. 3, 4.7', 'A read-modify-write instruction faults as a write', () => {
    paging.prepare({ mode: '4-level', leaf: 0n })
    // add [rdi], eax
    expect(paging.execute([0x01, 0x07], { rdi: TARGETS['4-level'] })).toMatchObject({ vector: 14, errorCode: 2 })
  })

  rule('paging', 'SDM vol. 3, 4.7', 'U/S of the error code tells an access from CPL 3', () => {
    for (const mode of MODES) {
      paging.faults({ mode, leaf: P | RW, user: true }, 'read', 5)
      paging.faults({ mode, leaf: 0n, user: false }, 'read', 0)
    }
  })

  rule('paging', 'SDM vol. 3, 4.6', "Implicit accesses to descriptor tables are the supervisor's also at CPL 3", () => {
    for (const mode of MODES) {
      paging.prepare({ mode, leaf: 0n })
      guest.vcpu.registers.setTable('gdtr', { base: TARGETS[mode] & ~0xfffn, limit: 0xff })
      enterRing(guest.vcpu, mode, 3)
      // mov ds, eax
      expect(paging.execute([0x8e, 0xd8], { rax: 0x2b }, { user: true })).toMatchObject({ vector: 14, errorCode: 0 })
    }
  })

  for (const [why, option] of [
    ['EFER.NXE with CR4.PAE', { noExecute: true }],
    ['CR4.SMEP', { smep: true }],
  ] as const)
    rule('paging', 'SDM vol. 3, 4.7', `I/D of the error code tells a fetch while ${why} is set`, () => {
      for (const mode of MODES) {
        const tells = !('noExecute' in option) || mode !== '32-bit'
        paging.faults({ mode, leaf: 0n, ...option }, 'fetch', tells ? 16 : 0)
        paging.faults({ mode, leaf: 0n, ...option }, 'read', 0)
      }
    })

  rule(
    'paging',
    'SDM vol. 3, 4.7',
    'I/D of the error code is clear for a fetch while neither NXE nor SMEP is set',
    () => {
      for (const mode of MODES) paging.faults({ mode, leaf: 0n }, 'fetch', 0)
    },
  )

  rule(
    'paging',
    'SDM vol. 3, 4.7',
    'RSVD of the error code comes with P, and is found before missing rights are',
    () => {
      for (const mode of WIDE_MODES) paging.faults({ mode, leaf: P | (1n << 45n), user: true }, 'write', 15)
    },
  )

  rule('paging', 'SDM vol. 3, 4.7', 'Nothing of an entry with P clear is reserved', () => {
    for (const mode of WIDE_MODES) {
      paging.faults({ mode, leaf: (1n << 45n) | NX }, 'read', 0)
      if (isLong(mode)) paging.faults({ mode, leaf: ALL, above: { 3: { set: PS, clear: P } } }, 'read', 0)
    }
  })

  rule(
    'paging',
    'SDM vol. 3, 6.15',
    'CR2 holds the linear address when the handler of a page fault is entered, and the error code lies on its stack',
    () => {
      const tables = paging.prepare({ mode: '4-level', leaf: 0n })
      for (const page of [0x5000n, 0x6000n]) tables.map(page, page, P | RW)
      guest.write64(0x6008, 0x00af_9b00_0000_ffffn)
      guest.write64(0x5000 + 14 * 16, 0x0001_8e00_0008_0800n)
      guest.write64(0x5000 + 14 * 16 + 8, 0n)
      guest.vcpu.registers.setTable('gdtr', { base: 0x6000n, limit: 15 })
      guest.vcpu.registers.setTable('idtr', { base: 0x5000n, limit: 0xfff })
      // mov rax, cr2; pop rbx; hlt
      guest.write(CODE + 0x800, [0x0f, 0x20, 0xd0, 0x5b, 0xf4])
      guest.vcpu.controls.exceptionBitmap = 0
      const exit = paging.execute(INSTRUCTIONS.write, { rdi: 0xffff_ffff_8123_4567n, rax: 0 }, { count: 100 })
      guest.vcpu.controls.exceptionBitmap = 0xffff_ffff
      expect(exit).toEqual({ reason: 'hlt' })
      expect(guest.register('rax')).toBe(0xffff_ffff_8123_4567n)
      expect(guest.register('rbx')).toBe(2n)
    },
  )

  rule(
    'paging',
    'SDM vol. 3, 4.7',
    'An access that crosses into a page that faults reports the first byte of that page, and writes neither page',
    () => {
      for (const mode of MODES) {
        const situation = { mode, leaf: ALL }
        const tables = paging.prepare(situation)
        const edge = (TARGETS[mode] | 0xfffn) - 1n
        expect(paging.access(situation, 'write', edge)).toMatchObject({ vector: 14, errorCode: 2, address: edge + 2n })
        expect(guest.read32(Number(FRAME) + 0xffc)).toBe(0x9090_9090)
        expect(paging.access(situation, 'read', edge)).toMatchObject({ vector: 14, errorCode: 0, address: edge + 2n })
        tables.map(edge + 2n, OTHER_FRAME, ALL)
        guest.setRegisters({ rax: 0 })
        expect(paging.access(situation, 'write', edge)).toEqual({ reason: 'budget' })
        expect(guest.read32(Number(FRAME) + 0xffc)).toBe(0x0000_9090)
        expect(guest.read32(Number(OTHER_FRAME)) & 0xffff).toBe(0)
      }
    },
  )

  rule(
    'paging',
    'SDM vol. 3, 4.7',
    'An instruction that crosses into a page that faults reports the first byte of that page as a fetch',
    () => {
      const situation = { mode: '4-level', leaf: ALL, noExecute: true } as const
      paging.prepare(situation)
      const edge = (TARGETS['4-level'] | 0xfffn) - 1n
      guest.write(Number(FRAME) + 0xffe, [0x8b, 0x87])
      guest.setRegisters({ rip: edge })
      expect(guest.run(1)).toMatchObject({ vector: 14, errorCode: 16, address: edge + 2n })
    },
  )
})

describe('rights', () => {
  rule(
    'paging',
    'SDM vol. 3, 4.6.1',
    'The supervisor reads and fetches user pages while neither SMAP nor SMEP is set',
    () => {
      for (const mode of MODES) for (const kind of KINDS) paging.allows({ mode, leaf: ALL, writeProtect: true }, kind)
    },
  )

  rule('paging', 'SDM vol. 3, 4.6.1', 'The supervisor writes to read-only pages while CR0.WP is clear', () => {
    for (const mode of MODES) {
      paging.allows({ mode, leaf: P | US }, 'write')
      paging.allows({ mode, leaf: P }, 'write')
    }
  })

  rule(
    'paging',
    'SDM vol. 3, 4.6.1',
    'With CR0.WP set the supervisor writes only where R/W is set at every level',
    () => {
      for (const mode of MODES) {
        paging.faults({ mode, leaf: P | US, writeProtect: true }, 'write', 3)
        paging.allows({ mode, leaf: P | US, writeProtect: true }, 'read')
        for (const level of LEVELS_WITH_RIGHTS[mode])
          paging.faults({ mode, leaf: ALL, above: { [level]: { clear: RW } }, writeProtect: true }, 'write', 3)
      }
    },
  )

  rule(
    'paging',
    'SDM vol. 3, 4.6.1',
    'The user writes only where R/W is set at every level, whatever CR0.WP is',
    () => {
      for (const mode of MODES)
        for (const writeProtect of [false, true]) {
          paging.faults({ mode, leaf: P | US, user: true, writeProtect }, 'write', 7)
          for (const level of LEVELS_WITH_RIGHTS[mode])
            paging.faults({ mode, leaf: ALL, above: { [level]: { clear: RW } }, user: true, writeProtect }, 'write', 7)
          paging.allows({ mode, leaf: ALL, user: true, writeProtect }, 'write')
        }
    },
  )

  rule('paging', 'SDM vol. 3, 4.6', 'The user reaches only pages whose U/S is set at every level', () => {
    for (const mode of MODES)
      for (const kind of KINDS) {
        paging.faults({ mode, leaf: P | RW, user: true }, kind, codeOf(kind, 5))
        for (const level of LEVELS_WITH_RIGHTS[mode])
          paging.faults({ mode, leaf: ALL, above: { [level]: { clear: US } }, user: true }, kind, codeOf(kind, 5))
        paging.allows({ mode, leaf: ALL, user: true }, kind)
      }
  })

  rule('paging', 'SDM vol. 3, 4.6.1', 'Large pages have the rights of their one entry', () => {
    for (const mode of MODES) {
      const situation = { mode, leaf: ALL, pse: true, user: true }
      for (const [flags, kind, code] of [
        [P | PS, 'read', 5],
        [P | US | PS, 'write', 7],
      ] as const) {
        paging.prepare(situation).map(TARGETS[mode], 0n, flags, 1)
        expect(paging.access(situation, kind)).toMatchObject({ vector: 14, errorCode: code })
      }
    }
  })

  rule(
    'paging',
    'SDM vol. 3, 4.6.1',
    'XD at any level keeps supervisor and user from fetching, while EFER.NXE is set',
    () => {
      for (const mode of WIDE_MODES)
        for (const [user, code] of [
          [false, 17],
          [true, 21],
        ] as const) {
          paging.faults({ mode, leaf: ALL | NX, user, noExecute: true }, 'fetch', code)
          for (const level of LEVELS_WITH_RIGHTS[mode])
            paging.faults({ mode, leaf: ALL, above: { [level]: { set: NX } }, user, noExecute: true }, 'fetch', code)
        }
    },
  )

  rule('paging', 'SDM vol. 3, 4.6.1', 'XD keeps nobody from reading or writing', () => {
    for (const mode of WIDE_MODES)
      for (const kind of ['read', 'write'] as const)
        for (const user of [false, true]) paging.allows({ mode, leaf: ALL | NX, user, noExecute: true }, kind)
  })

  rule(
    'paging',
    'SDM vol. 3, 4.6.1',
    'CR4.SMEP keeps the supervisor from fetching user pages, and from nothing else',
    () => {
      for (const mode of MODES) {
        paging.faults({ mode, leaf: ALL, smep: true }, 'fetch', 17)
        paging.allows({ mode, leaf: P | RW, smep: true }, 'fetch')
        paging.allows({ mode, leaf: ALL, smep: true }, 'read')
        paging.allows({ mode, leaf: ALL, smep: true, user: true }, 'fetch')
      }
    },
  )

  rule('paging', 'SDM vol. 3, 4.6', "For SMEP and SMAP a page is the user's only if U/S is set at every level", () => {
    for (const mode of MODES)
      for (const level of LEVELS_WITH_RIGHTS[mode]) {
        paging.allows({ mode, leaf: ALL, above: { [level]: { clear: US } }, smep: true }, 'fetch')
        paging.allows({ mode, leaf: ALL, above: { [level]: { clear: US } }, smap: true }, 'write')
      }
  })

  rule('paging', 'SDM vol. 3, 4.6.1', 'CR4.SMAP keeps the supervisor from reading and writing user pages', () => {
    for (const mode of MODES) {
      paging.faults({ mode, leaf: ALL, smap: true }, 'read', 1)
      paging.faults({ mode, leaf: ALL, smap: true }, 'write', 3)
      for (const kind of ['read', 'write'] as const) {
        paging.allows({ mode, leaf: P | RW, smap: true }, kind)
        paging.allows({ mode, leaf: ALL, smap: true, user: true }, kind)
      }
    }
  })

  rule(
    'paging',
    'SDM vol. 3, 4.6.1',
    'RFLAGS.AC lets explicit supervisor accesses pass SMAP, also to read-only pages while CR0.WP is clear',
    () => {
      for (const mode of MODES) {
        paging.allows({ mode, leaf: ALL, smap: true, alignmentCheck: true }, 'read')
        paging.allows({ mode, leaf: ALL, smap: true, alignmentCheck: true }, 'write')
        paging.allows({ mode, leaf: P | US, smap: true, alignmentCheck: true }, 'write')
        paging.faults({ mode, leaf: P | US, smap: true, alignmentCheck: true, writeProtect: true }, 'write', 3)
      }
    },
  )

  rule(
    'paging',
    'SDM vol. 3, 4.6.1',
    'RFLAGS.AC does not let implicit supervisor accesses pass SMAP, at any CPL',
    () => {
      for (const mode of MODES)
        for (const cpl of [0, 3] as const) {
          paging.prepare({ mode, leaf: ALL, smap: true })
          const base = TARGETS[mode] & ~0xfffn
          guest.vcpu.registers.setTable('gdtr', { base, limit: 0xff })
          enterRing(guest.vcpu, mode, cpl)
          // mov ds, eax
          const exit = paging.execute([0x8e, 0xd8], { rax: 0x2b, rflags: 0x4_0002 }, { user: cpl === 3 })
          expect(exit).toMatchObject({ vector: 14, errorCode: 1, address: base + 0x28n })
        }
    },
  )

  rule('paging', 'SDM vol. 3, 4.6.1', 'SMAP does not concern fetches', () => {
    for (const mode of MODES) paging.allows({ mode, leaf: ALL, smap: true }, 'fetch')
  })

  rule('paging', 'SDM vol. 3, 4.1.3', 'EFER.NXE means nothing to 32-bit paging', () => {
    paging.allows({ mode: '32-bit', leaf: ALL, noExecute: true }, 'fetch')
  })
})

describe('reserved bits', () => {
  const reserved = (mode: Mode, level: number, bits: readonly bigint[]): void => {
    for (const bit of bits)
      for (const kind of KINDS) {
        const set = 1n << bit
        const situation = level === 0 ? { leaf: ALL | set } : { leaf: ALL, above: { [level]: { set } } }
        paging.faults({ mode, ...situation }, kind, codeOf(kind, 9))
      }
  }

  rule(
    'paging',
    'SDM vol. 3, table 4-11',
    'Bits 62:52 and those beyond the physical-address width are reserved in PDEs and PTEs of PAE paging',
    () => {
      for (const level of [0, 1]) reserved('PAE', level, [40n, 47n, 51n, 52n, 58n, 62n])
    },
  )

  for (const mode of LONG_MODES) {
    rule(
      'paging',
      'SDM vol. 3, 4.5',
      `Bits 51:40 are reserved in entries of every level of ${mode} paging on a processor with 40 address bits`,
      () => {
        for (const level of [0, ...LEVELS_WITH_RIGHTS[mode]]) reserved(mode, level, [40n, 46n, 51n])
      },
    )

    rule('paging', 'SDM vol. 3, 4.5', `Bits 62:52 are ignored in entries of every level of ${mode} paging`, () => {
      for (const level of [0, ...LEVELS_WITH_RIGHTS[mode]]) {
        const set = 0x7ffn << 52n
        paging.allows(
          level === 0 ? { mode, leaf: ALL | set } : { mode, leaf: ALL, above: { [level]: { set } } },
          'read',
        )
      }
    })
  }

  rule('paging', 'SDM vol. 3, 4.5', 'XD is reserved in entries of every level while EFER.NXE is clear', () => {
    for (const mode of WIDE_MODES) for (const level of [0, ...LEVELS_WITH_RIGHTS[mode]]) reserved(mode, level, [63n])
  })

  rule('paging', 'SDM vol. 3, table 4-15', 'PS is reserved in a PML4E', () => {
    for (const mode of LONG_MODES) reserved(mode, 3, [7n])
  })

  rule('paging', 'SDM vol. 3, table 4-14', 'PS is reserved in a PML5E', () => reserved('5-level', 4, [7n]))

  const reservedInLarge = (mode: Mode, level: number, bits: readonly bigint[]): void => {
    const situation = { mode, leaf: ALL, pse: true }
    for (const bit of bits) {
      const tables = paging.prepare(situation)
      tables.map(TARGETS[mode], 1n << bit, ALL | PS, level)
      expect(paging.access(situation, 'read'), `bit ${bit}`).toMatchObject({ vector: 14, errorCode: 9 })
    }
  }

  rule('paging', 'SDM vol. 3, table 4-4', 'Bit 21 of a 4-MByte page is reserved', () =>
    reservedInLarge('32-bit', 1, [21n]),
  )

  for (const mode of WIDE_MODES)
    rule('paging', FORMATS[mode].section, `Bits 20:13 of a 2-MByte page of ${mode} paging are reserved`, () =>
      reservedInLarge(mode, 1, [13n, 16n, 20n]),
    )

  rule('paging', 'SDM vol. 3, table 4-16', 'Bits 29:13 of a 1-GByte page are reserved', () => {
    for (const mode of LONG_MODES) reservedInLarge(mode, 2, [13n, 20n, 21n, 29n])
  })
})

describe('accessed and dirty flags', () => {
  for (const mode of MODES)
    rule(
      'paging',
      'SDM vol. 3, 4.8',
      `An access sets A in every entry of ${mode} paging that it uses${mode === 'PAE' ? ', but for PDPTEs' : ''}`,
      () => {
        for (const kind of KINDS) {
          const tables = paging.allows({ mode, leaf: ALL }, kind)
          for (const [level, entry] of tables.entries(TARGETS[mode]).entries())
            expect((tables.get(entry) & A) !== 0n, `level ${level}`).toBe(!(mode === 'PAE' && level === 0))
        }
      },
    )

  rule('paging', 'SDM vol. 3, 4.8', 'A write sets D in the entry that maps the page, and in none above it', () => {
    for (const mode of MODES) {
      const tables = paging.allows({ mode, leaf: ALL }, 'write')
      const dirty = tables.entries(TARGETS[mode]).map(entry => (tables.get(entry) & D) !== 0n)
      expect(dirty).toEqual([...dirty.slice(1).fill(false), true])
    }
  })

  rule('paging', 'SDM vol. 3, 4.8', 'Reads and fetches do not set D', () => {
    for (const mode of MODES)
      for (const kind of ['read', 'fetch'] as const) {
        const tables = paging.allows({ mode, leaf: ALL }, kind)
        for (const entry of tables.entries(TARGETS[mode])) expect(tables.get(entry) & D).toBe(0n)
      }
  })

  rule('paging', 'SDM vol. 3, 4.8', 'The first write to a page that has been read sets D', () => {
    for (const mode of MODES) {
      const tables = paging.allows({ mode, leaf: ALL }, 'read')
      const leaf = tables.entries(TARGETS[mode]).at(-1) ?? 0
      expect(tables.get(leaf) & (A | D)).toBe(A)
      paging.access({ mode, leaf: ALL }, 'write')
      expect(tables.get(leaf) & (A | D)).toBe(A | D)
    }
  })

  rule('paging', 'SDM vol. 3, 4.8', 'The entry of a large page gets A and D itself', () => {
    for (const mode of MODES) {
      const situation = { mode, leaf: ALL, pse: true }
      const tables = paging.prepare(situation)
      tables.map(TARGETS[mode], 0x80_0000n, ALL | PS, 1)
      paging.access(situation, 'write')
      expect(tables.get(tables.entries(TARGETS[mode], 1).at(-1) ?? 0) & (A | D)).toBe(A | D)
    }
  })

  rule('paging', 'SDM vol. 3, 4.8', 'An access that faults sets neither A nor D', () => {
    for (const mode of MODES) paging.faults({ mode, leaf: P | RW, user: true }, 'write', 7)
  })

  rule('paging', 'SDM vol. 3, 4.8', 'A and D are never cleared by the processor', () => {
    const tables = paging.allows({ mode: '4-level', leaf: ALL | A | D | G }, 'read')
    expect(tables.get(tables.entries(TARGETS['4-level']).at(-1) ?? 0)).toBe(FRAME | ALL | A | D | G)
  })

  rule(
    'paging',
    'SDM vol. 3, 4.8',
    'A comparison with memory reads it and sets no D, and an exchange that stores what was there sets D',
    () => {
      for (const [code, marks] of [
        [[0x3b, 0x07], A], // cmp eax, [rdi]
        [[0x0f, 0xb1, 0x0f], A | D], // cmpxchg [rdi], ecx, which stores also where it compares unequal
      ] as const) {
        const tables = paging.prepare({ mode: '4-level', leaf: ALL })
        expect(paging.execute(code, { rdi: TARGETS['4-level'], rax: 1 })).toEqual({ reason: 'budget' })
        expect(tables.get(tables.entries(TARGETS['4-level']).at(-1) ?? 0) & (A | D)).toBe(marks)
      }
    },
  )
})

describe('what only some processors have', () => {
  const plain = new PagingGuest('max,-pdpe1gb')
  afterAll(() => plain.guest.release())

  rule('paging', 'SDM vol. 3, 4.1.4', 'PS is reserved in a PDPTE where CPUID does not report 1-GByte pages', () => {
    for (const mode of LONG_MODES) {
      plain.prepare({ mode, leaf: ALL }).map(TARGETS[mode], 0n, ALL | PS, 2)
      expect(plain.access({ mode, leaf: ALL }, 'read')).toMatchObject({ vector: 14, errorCode: 9 })
    }
  })
})

describe('canonical operands', () => {
  for (const [mode, bad] of [
    ['4-level', [0x0000_8000_0000_0000n, 0xffff_7fff_ffff_ffffn, 0x1234_0000_0000_0000n]],
    ['5-level', [0x0100_0000_0000_0000n, 0xfeff_ffff_ffff_ffffn, 0x1234_0000_0000_0000n]],
  ] as const)
    rule(
      'paging',
      'SDM vol. 1, 3.3.7.1',
      `An access to an address that is not canonical with ${mode} paging is #GP(0)`,
      () => {
        paging.prepare({ mode, leaf: ALL })
        for (const linear of bad)
          for (const kind of ['read', 'write'] as const)
            expect(paging.access({ mode, leaf: ALL }, kind, linear)).toMatchObject(GP)
      },
    )

  rule(
    'paging',
    'SDM vol. 1, 3.3.7.1',
    'An access that begins at a canonical address and ends beyond the lower half is #GP(0)',
    () => {
      for (const [mode, page] of [
        ['4-level', 0x0000_7fff_ffff_f000n],
        ['5-level', 0x00ff_ffff_ffff_f000n],
      ] as const) {
        paging.prepare({ mode, leaf: ALL }).map(page, FRAME, ALL)
        for (const kind of ['read', 'write'] as const)
          expect(paging.access({ mode, leaf: ALL }, kind, page + 0xffen)).toMatchObject(GP)
      }
    },
  )

  rule('paging', 'SDM vol. 3, 6.15', 'A stack access to an address that is not canonical is #SS(0)', () => {
    paging.prepare({ mode: '4-level', leaf: ALL })
    for (const code of [
      [0x50], // push rax
      [0x58], // pop rax
      [0xe8, 0, 0, 0, 0], // call
      [0xc3], // ret
      [0x9c], // pushfq
      [0x8b, 0x45, 0x00], // mov eax, [rbp]
      [0x8b, 0x04, 0x24], // mov eax, [rsp]
      [0xff, 0x37], // push qword [rdi]
    ]) {
      const bad = 0x8000_0000_0000_0000n
      const exit = paging.execute(code, { rsp: bad, rbp: bad, rdi: TARGETS['4-level'] })
      expect(exit, Buffer.from(code).toString('hex')).toMatchObject({ vector: 12, errorCode: 0 })
    }
  })

  rule('paging', 'SDM vol. 1, 3.3.7.1', 'An instruction that ends beyond the lower half is #GP(0)', () => {
    paging.prepare({ mode: '4-level', leaf: ALL }).map(0x0000_7fff_ffff_f000n, FRAME, ALL)
    guest.write(Number(FRAME) + 0xffe, [0x8b, 0x87])
    guest.setRegisters({ rip: 0x0000_7fff_ffff_fffen, rdi: TARGETS['4-level'] })
    expect(guest.run(1)).toMatchObject(GP)
  })

  rule('paging', 'SDM vol. 1, 3.3.7', 'Addresses of compatibility mode have 32 bits and are always canonical', () => {
    for (const mode of LONG_MODES) {
      paging.prepare({ mode, leaf: ALL }).map(0xf000_0000n, FRAME, ALL)
      guest.vcpu.registers.setSegment('cs', { selector: 0x18, base: 0n, limit: 0xffff_ffff, rights: 0xc09b })
      expect(paging.execute(INSTRUCTIONS.read, { rdi: 0xffff_ffff_f000_0000n })).toEqual({ reason: 'budget' })
      expect(guest.register('rax')).toBe(0x9090_9090n)
    }
  })
})

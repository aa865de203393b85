/** Rules of virtual-8086 mode, its extensions (CR4.VME) and virtual interrupts in protected mode (CR4.PVI). */

import { afterAll, beforeEach, describe, expect } from 'vitest'
import { hasNasm, nasmNote } from '../engine/guest/assemble.ts'
import { Host } from '../engine/guest/guest.ts'
import {
  CODE,
  CODE0,
  CODE3,
  code,
  DATA,
  DATA0,
  DATA3,
  descriptor,
  dpl,
  GATE,
  RIGHTS,
  STACK,
  STACK0,
  SystemGuest,
  TSS,
} from '../engine/guest/system-guest.ts'
import { rule } from './rule.ts'

const system = new SystemGuest(new Host())
const { guest } = system
afterAll(() => system.release())

const [IF, TF, NT, VM, AC, VIF, VIP] = [9, 8, 14, 17, 18, 19, 20].map(bit => 1 << bit)
const IOPL3 = 3 << 12
const [VME, PVI] = [1, 2]
/** The 8086 program's handler of INT 21h, at CODE. */
const PROGRAM_HANDLER = 0x100
const V86 = 2 | VM

/** The stack of the 8086 program, in words from its top. */
const word = (index: number): number =>
  guest.read32(Number(guest.vcpu.registers.segment('ss').base) + system.register('rsp') + index * 2) & 0xffff
/** EFLAGS in place. */
const flags = (): number => system.register('rflags')

/** Bit of an interrupt in the redirection bitmap: set for the IDT, clear for the 8086 program. */
function redirect(vector: number, toProgram: boolean): void {
  const at = TSS + 0x200 - 32 + (vector >> 3)
  guest.write(at, [toProgram ? guest.read(at, 1)[0] & ~(1 << (vector & 7)) : 1 << (vector & 7)])
}

beforeEach(() => {
  system.enter('virtual-8086')
  guest.write32(0x21 * 4, ((CODE >>> 4) << 16) | PROGRAM_HANDLER)
  guest.write(CODE + PROGRAM_HANDLER, [0x0f, 0x01, 0xc1])
})

describe.skipIf(!hasNasm)(`virtual-8086 mode${nasmNote}`, () => {
  rule(
    'modes',
    'SDM vol. 3, 20.1.1',
    'In virtual-8086 mode the base of a segment is its selector times 16, its limit FFFFH, and no descriptor is read',
    () => {
      expect(system.run('mov ax, 0x1234\nmov ds, ax\nmov al, [0xffff]')).toBe('end')
      expect(guest.vcpu.registers.segment('ds')).toMatchObject({ selector: 0x1234, base: 0x12340n, limit: 0xffff })
    },
  )

  rule('modes', 'SDM vol. 3, 20.2.7', 'CLI in virtual-8086 mode below IOPL 3 is #GP(0)', () => {
    expect(system.run('cli', { registers: { rflags: V86 | IF } })).toBe('#GP(0x0)')
  })

  rule('modes', 'SDM vol. 3, 20.2.7', 'PUSHF in virtual-8086 mode below IOPL 3 is #GP(0)', () => {
    expect(system.run('pushf')).toBe('#GP(0x0)')
  })

  rule('modes', 'SDM vol. 3, 20.2.7', 'POPF in virtual-8086 mode below IOPL 3 is #GP(0)', () => {
    expect(system.run('popf')).toBe('#GP(0x0)')
  })

  rule('modes', 'SDM vol. 3, 20.2.7', 'IRET in virtual-8086 mode below IOPL 3 is #GP(0)', () => {
    expect(system.run('iret')).toBe('#GP(0x0)')
  })

  rule('modes', 'SDM vol. 3, 20.2.7', 'INT n in virtual-8086 mode below IOPL 3 is #GP(0)', () => {
    expect(system.run('int 0x21')).toBe('#GP(0x0)')
  })

  rule('modes', 'SDM vol. 2, INT n', 'INT3 and INTO in virtual-8086 mode go through the IDT at any IOPL', () => {
    expect(system.run('int3')).toBe('#BP')
    system.enter('virtual-8086')
    expect(system.run('mov al, 0x7f\ninc al\ninto')).toBe('#OF')
  })

  rule('modes', 'SDM vol. 2, CLI', 'CLI, STI, PUSHF and POPF with IOPL 3 work on IF itself', () => {
    const registers = { rflags: V86 | IOPL3 | IF }
    expect(system.run('cli\npushf\npop ax\nsti\npushf\npop bx', { registers })).toBe('end')
    expect(system.register('rax') & (IF | IOPL3)).toBe(IOPL3)
    expect(system.register('rbx') & (IF | IOPL3)).toBe(IOPL3 | IF)
  })

  rule('modes', 'SDM vol. 2, POPF', 'POPF in virtual-8086 mode with IOPL 3 does not change IOPL', () => {
    expect(system.run('push word 2\npopf', { registers: { rflags: V86 | IOPL3 | IF } })).toBe('end')
    expect(flags() & (IOPL3 | IF | VM)).toBe(IOPL3 | VM)
  })

  rule(
    'modes',
    'SDM vol. 3, 20.2.6',
    'IN and OUT in virtual-8086 mode ask the permission bitmap even with IOPL 3',
    () => {
      expect(system.run('in al, 0x80', { registers: { rflags: V86 | IOPL3 } })).toBe('#GP(0x0)')
    },
  )

  rule('modes', 'SDM vol. 3, 20.2.1', 'Virtual-8086 mode runs at privilege level 3: HLT is #GP(0)', () => {
    expect(system.run('hlt', { registers: { rflags: V86 | IOPL3 } })).toBe('#GP(0x0)')
  })

  rule('modes', 'SDM vol. 2, LLDT, LAR', 'LAR, SLDT and ARPL are #UD in virtual-8086 mode', () => {
    for (const source of ['lar ax, bx', 'sldt ax', 'arpl ax, bx', 'verr ax']) {
      system.enter('virtual-8086')
      expect(system.run(source), source).toBe('#UD')
    }
  })

  rule(
    'modes',
    'SDM vol. 3, 20.3.1',
    'An event in virtual-8086 mode pushes GS, FS, DS, ES, SS, ESP, EFLAGS, CS and EIP on the stack of ring 0',
    () => {
      const registers = { rflags: V86 | IOPL3 | NT, rsp: 0x5432 }
      expect(system.run('mov ax, 0x1111\nmov gs, ax\nmov ax, 0x2222\nmov fs, ax\nint 0x40', { registers })).toBe(
        'INT 64',
      )
      const frame = Array.from({ length: 9 }, (_, i) => system.pushed(i))
      expect(frame).toEqual([12, CODE >> 4, V86 | IOPL3 | NT, 0x5432, 0x3000, DATA >> 4, DATA >> 4, 0x2222, 0x1111])
      expect(system.register('rsp')).toBe(STACK0 - 36)
    },
  )

  rule(
    'modes',
    'SDM vol. 3, 20.3.1',
    'An event in virtual-8086 mode clears VM, NT, TF and RF and leaves null selectors in DS, ES, FS and GS',
    () => {
      expect(system.run('int 0x40', { registers: { rflags: V86 | IOPL3 | NT | IF } })).toBe('INT 64')
      expect(flags() & (VM | NT | TF | IF)).toBe(0)
      expect((['ds', 'es', 'fs', 'gs'] as const).map(name => system.selector(name))).toEqual([0, 0, 0, 0])
      expect([system.selector('cs'), system.selector('ss')]).toEqual([CODE0, DATA0])
    },
  )

  rule(
    'modes',
    'SDM vol. 3, 20.3.1',
    'A gate of virtual-8086 mode to code of a ring other than 0 is #GP with its selector',
    () => {
      system.setGate(0x40, GATE.interrupt | dpl(3), CODE3)
      expect(system.run('int 0x40', { registers: { rflags: V86 | IOPL3 } })).toBe(`#GP(0x${(CODE3 & ~3).toString(16)})`)
    },
  )

  rule('modes', 'SDM vol. 3, 20.3.1', 'A gate of virtual-8086 mode to conforming code is #GP with its selector', () => {
    system.set(0x60, descriptor(RIGHTS.conforming))
    system.setGate(0x40, GATE.interrupt | dpl(3), 0x60)
    expect(system.run('int 0x40', { registers: { rflags: V86 | IOPL3 } })).toBe('#GP(0x60)')
  })

  rule(
    'modes',
    'SDM vol. 3, 20.2.5',
    'IRET of ring 0 with VM in the image enters virtual-8086 mode with nine doublewords and all flags',
    () => {
      system.enter('protected')
      const pushes = [0x1111, 0x2222, 0x3333, 0x4444, 0x3000, 0x8000, V86 | IOPL3 | VIF | AC, CODE >> 4, 0x200]
      guest.write(CODE + 0x200, [0x0f, 0x01, 0xc1])
      expect(system.run(`${pushes.map(value => `push dword ${value}`).join('\n')}\niretd`)).toBe('end')
      expect((['gs', 'fs', 'ds', 'es', 'ss', 'cs'] as const).map(name => system.selector(name))).toEqual([
        ...[0x1111, 0x2222, 0x3333, 0x4444, 0x3000],
        CODE >> 4,
      ])
      expect(flags()).toBe(V86 | IOPL3 | VIF | AC)
      expect([system.register('rsp'), system.register('rip')]).toEqual([0x8000, 0x203])
    },
  )

  rule('modes', 'SDM vol. 2, IRET', 'IRET of ring 3 with VM in the image does not enter virtual-8086 mode', () => {
    system.enter('protected', 3)
    guest.write(CODE + 0x200, [0x0f, 0x01, 0xc1])
    expect(system.run(`push dword ${V86}\npush dword ${CODE3}\npush dword ${CODE + 0x200}\niretd`)).toBe('end')
    expect(flags() & VM).toBe(0)
    expect(system.selector('cs')).toBe(CODE3)
  })

  rule('modes', 'SDM vol. 2, POPF', 'POPFD of ring 0 does not change VM', () => {
    system.enter('protected')
    expect(system.run(`push dword ${V86}\npopfd`)).toBe('end')
    expect(flags() & VM).toBe(0)
  })
})

describe.skipIf(!hasNasm)(`virtual-8086 mode extensions${nasmNote}`, () => {
  rule('modes', 'SDM vol. 3, 20.3.2', 'CLI with CR4.VME below IOPL 3 clears VIF and leaves IF', () => {
    expect(system.run('cli', { registers: { cr4: VME, rflags: V86 | IF | VIF } })).toBe('end')
    expect(flags() & (IF | VIF)).toBe(IF)
  })

  rule('modes', 'SDM vol. 3, 20.3.2', 'STI with CR4.VME below IOPL 3 sets VIF and leaves IF', () => {
    expect(system.run('sti', { registers: { cr4: VME, rflags: V86 } })).toBe('end')
    expect(flags() & (IF | VIF)).toBe(VIF)
  })

  rule('modes', 'SDM vol. 3, 20.3.2', 'STI with CR4.VME below IOPL 3 and VIP set is #GP(0)', () => {
    expect(system.run('sti', { registers: { cr4: VME, rflags: V86 | VIP } })).toBe('#GP(0x0)')
    expect(system.pushed(3) & VIF).toBe(0)
  })

  rule('modes', 'SDM vol. 2, CLI', 'CLI with CR4.VME and IOPL 3 clears IF and leaves VIF', () => {
    expect(system.run('cli', { registers: { cr4: VME, rflags: V86 | IOPL3 | IF | VIF } })).toBe('end')
    expect(flags() & (IF | VIF)).toBe(VIF)
  })

  rule('modes', 'SDM vol. 2, PUSHF', 'PUSHF with CR4.VME below IOPL 3 shows VIF as IF, and IOPL 3', () => {
    for (const virtual of [0, VIF]) {
      system.enter('virtual-8086')
      expect(system.run('pushf', { registers: { cr4: VME, rflags: V86 | virtual | (virtual ? 0 : IF) | 1 } })).toBe(
        'end',
      )
      expect(word(0)).toBe(3 | IOPL3 | (virtual ? IF : 0))
    }
  })

  rule('modes', 'SDM vol. 2, PUSHF', 'PUSHFD with CR4.VME below IOPL 3 is #GP(0)', () => {
    expect(system.run('pushfd', { registers: { cr4: VME } })).toBe('#GP(0x0)')
  })

  rule('modes', 'SDM vol. 2, POPF', 'POPF with CR4.VME below IOPL 3 loads VIF for IF, and leaves IF and IOPL', () => {
    const registers = { cr4: VME, rflags: V86 | IF }
    expect(system.run(`push word ${2 | NT | 1}\npopf`, { registers })).toBe('end')
    expect(flags()).toBe(V86 | IF | NT | 1)
    system.enter('virtual-8086')
    expect(system.run(`push word ${2 | IF | IOPL3}\npopf`, { registers: { cr4: VME, rflags: V86 } })).toBe('end')
    expect(flags()).toBe(V86 | VIF)
  })

  rule(
    'modes',
    'SDM vol. 2, POPF',
    'POPF with CR4.VME below IOPL 3 that would set IF while VIP is set is #GP(0)',
    () => {
      const registers = { cr4: VME, rflags: V86 | VIP, rsp: 0x100 }
      expect(system.run(`push word ${2 | IF}\npopf`, { registers })).toBe('#GP(0x0)')
      expect(system.pushed(4)).toBe(0xfe)
    },
  )

  rule('modes', 'SDM vol. 2, POPF', 'POPF with CR4.VME below IOPL 3 that would set TF is #GP(0)', () => {
    expect(system.run(`push word ${2 | TF}\npopf`, { registers: { cr4: VME } })).toBe('#GP(0x0)')
  })

  rule('modes', 'SDM vol. 2, POPF', 'POPFD with CR4.VME below IOPL 3 is #GP(0)', () => {
    expect(system.run('popfd', { registers: { cr4: VME } })).toBe('#GP(0x0)')
  })

  rule('modes', 'SDM vol. 3, 20.3.2', 'IRET with CR4.VME below IOPL 3 loads VIF for IF', () => {
    const source = `push word ${2 | IF}\npush word ${CODE >> 4}\npush word ${PROGRAM_HANDLER}\niret`
    expect(system.run(source, { registers: { cr4: VME, rflags: V86 } })).toBe('end')
    expect(flags()).toBe(V86 | VIF)
    expect(system.register('rip')).toBe(PROGRAM_HANDLER + 3)
  })

  rule(
    'modes',
    'SDM vol. 3, 20.3.2',
    'IRET with CR4.VME below IOPL 3 to an image with IF while VIP is set is #GP(0)',
    () => {
      const source = `push word ${2 | IF}\npush word ${CODE >> 4}\npush word ${PROGRAM_HANDLER}\niret`
      expect(system.run(source, { registers: { cr4: VME, rflags: V86 | VIP } })).toBe('#GP(0x0)')
    },
  )

  rule('modes', 'SDM vol. 3, 20.3.2', 'IRETD with CR4.VME below IOPL 3 is #GP(0)', () => {
    expect(system.run('iretd', { registers: { cr4: VME } })).toBe('#GP(0x0)')
  })

  rule(
    'modes',
    'SDM vol. 3, table 20-2, method 6',
    'INT n with CR4.VME below IOPL 3 and its bit clear goes to the 8086 program, with VIF as IF and IOPL 3 pushed',
    () => {
      redirect(0x21, true)
      expect(system.run('int 0x21', { registers: { cr4: VME, rflags: V86 | VIF } })).toBe('end')
      expect(system.register('rip')).toBe(PROGRAM_HANDLER + 3)
      expect([word(0), word(1), word(2)]).toEqual([2, CODE >> 4, 2 | IOPL3 | IF])
      expect(flags()).toBe(V86)
    },
  )

  rule(
    'modes',
    'SDM vol. 3, table 20-2, method 5',
    'INT n with CR4.VME at IOPL 3 and its bit clear goes to the 8086 program and clears IF',
    () => {
      redirect(0x21, true)
      expect(system.run('int 0x21', { registers: { cr4: VME, rflags: V86 | IOPL3 | IF | VIF } })).toBe('end')
      expect([word(0), word(1), word(2)]).toEqual([2, CODE >> 4, 2 | IOPL3 | IF])
      expect(flags()).toBe(V86 | IOPL3 | VIF)
    },
  )

  rule(
    'modes',
    'SDM vol. 3, table 20-2, method 4',
    'INT n with CR4.VME at IOPL 3 and its bit set goes through the IDT',
    () => {
      redirect(0x21, false)
      expect(system.run('int 0x21', { registers: { cr4: VME, rflags: V86 | IOPL3 } })).toBe('INT 33')
    },
  )

  rule('modes', 'SDM vol. 3, table 20-2, method 3', 'INT n with CR4.VME below IOPL 3 and its bit set is #GP(0)', () => {
    redirect(0x21, false)
    expect(system.run('int 0x21', { registers: { cr4: VME } })).toBe('#GP(0x0)')
  })

  rule('modes', 'SDM vol. 2, INT n', 'INT3 is never redirected to the 8086 program', () => {
    redirect(3, true)
    expect(system.run('int3', { registers: { cr4: VME } })).toBe('#BP')
  })

  rule(
    'modes',
    'SDM vol. 3, 20.3.3',
    'An exception of virtual-8086 mode goes through the IDT whatever the bitmap says',
    () => {
      redirect(0, true)
      expect(system.run('xor cx, cx\ndiv cx', { registers: { cr4: VME } })).toBe('#DE')
    },
  )

  rule('modes', 'SDM vol. 3, 20.3.3', 'INT n whose bit lies beyond the limit of the TSS is #GP(0)', () => {
    const { registers } = guest.vcpu
    registers.setSegment('tr', { ...registers.segment('tr'), limit: 0x1e3 })
    expect(system.run('int 0x21', { registers: { cr4: VME, rflags: V86 | IOPL3 } })).toBe('#GP(0x0)')
  })
})

describe.skipIf(!hasNasm)(`protected-mode virtual interrupts${nasmNote}`, () => {
  beforeEach(() => system.enter('protected', 3))

  rule('modes', 'SDM vol. 3, 20.4', 'CLI and STI at CPL 3 with CR4.PVI below IOPL 3 work on VIF', () => {
    expect(system.run('sti', { registers: { cr4: PVI } })).toBe('end')
    expect(flags() & (IF | VIF)).toBe(VIF)
    system.enter('protected', 3)
    expect(system.run('cli', { registers: { cr4: PVI, rflags: 2 | IF | VIF } })).toBe('end')
    expect(flags() & (IF | VIF)).toBe(IF)
  })

  rule('modes', 'SDM vol. 3, 20.4', 'STI at CPL 3 with CR4.PVI and VIP set is #GP(0)', () => {
    expect(system.run('sti', { registers: { cr4: PVI, rflags: 2 | VIP } })).toBe('#GP(0x0)')
  })

  rule('modes', 'SDM vol. 2, CLI', 'CLI at CPL 3 below IOPL 3 without CR4.PVI is #GP(0), CR4.VME or not', () => {
    expect(system.run('cli', { registers: { cr4: VME } })).toBe('#GP(0x0)')
  })

  rule('modes', 'SDM vol. 2, CLI', 'CLI at CPL 1 above IOPL is #GP(0) with CR4.PVI', () => {
    const { registers } = guest.vcpu
    system.set(0x60, descriptor(RIGHTS.data | dpl(1)))
    registers.setSegment('cs', { ...registers.segment('cs'), selector: 0x69, rights: RIGHTS.code | 1 | dpl(1) })
    registers.setSegment('ss', { ...registers.segment('ss'), selector: 0x61, rights: RIGHTS.data | 1 | dpl(1) })
    expect(system.run('cli', { registers: { cr4: PVI } })).toBe('#GP(0x0)')
  })

  rule('modes', 'SDM vol. 3, 20.4', 'PUSHF and POPF at CPL 3 are not changed by CR4.PVI', () => {
    const source = `push dword ${2 | IF}\npopfd\npushfd\npop eax`
    expect(system.run(source, { registers: { cr4: PVI, rflags: 2 | VIF } })).toBe('end')
    expect(system.register('rax') & (IF | VIF | IOPL3)).toBe(VIF)
  })

  rule('modes', 'SDM vol. 2, IRET', 'IRETD of ring 0 loads VIF and VIP from the image', () => {
    system.enter('protected')
    const frame = [DATA3, STACK, 2 | VIF | VIP, CODE3, CODE + 0x200]
    guest.write(CODE + 0x200, code(32, 'db 0x0f, 0x01, 0xc1'))
    expect(system.run(`${frame.map(value => `push dword ${value}`).join('\n')}\niretd`)).toBe('end')
    expect(flags() & (VIF | VIP)).toBe(VIF | VIP)
  })
})

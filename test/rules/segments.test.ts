/** Rules of segments: limits, types, privileges, and loads of segment registers. */

import { afterAll, beforeEach, describe, expect } from 'vitest'
import { hasNasm, nasmNote } from '../engine/guest/assemble.ts'
import { Host, TIERS } from '../engine/guest/guest.ts'
import {
  CODE,
  DATA,
  DATA0,
  DATA3,
  descriptor,
  dpl,
  FREE,
  GATE,
  gate,
  LDTR,
  LOCAL,
  RIGHTS,
  SystemGuest,
  TR,
} from '../engine/guest/system-guest.ts'
import { rule } from './rule.ts'

const system = new SystemGuest(new Host())
const { guest } = system
afterAll(() => system.release())

const hex = (value: number): string => `0x${value.toString(16)}`
const ZF = 0x40

/** Runs a program in ring 0 of protected mode whose DS is the segment at FREE. */
function withDs(value: bigint, source: string): string {
  system.enter('protected')
  system.set(FREE, value)
  return system.run(`mov ax, ${FREE}\nmov ds, ax\n${source}`)
}
/** The same with SS. */
function withSs(value: bigint, source: string): string {
  system.enter('protected')
  system.set(FREE, value)
  return system.run(`mov ax, ${FREE}\nmov ss, ax\n${source}`)
}
/** Outcome of loading a selector into a segment register. */
function loading(register: string, selector: number): string {
  return system.run(`mov ax, ${selector}\nmov ${register}, ax`)
}

describe.skipIf(!hasNasm)(`segment limits${nasmNote}`, () => {
  const small = descriptor(0x4092, DATA, 0xff)

  rule(
    'segments',
    'SDM vol. 3, 5.3',
    'A byte at the limit of a data segment is accessed, one beyond it is #GP(0)',
    () => {
      expect(withDs(small, 'mov al, [0xff]')).toBe('end')
      expect(withDs(small, 'mov al, [0x100]')).toBe('#GP(0x0)')
    },
  )

  rule('segments', 'SDM vol. 3, 5.3', 'An operand that the limit cuts is #GP(0), for reads and for writes', () => {
    for (const source of ['mov ax, [0xff]', 'mov [0xfd], eax', 'fld qword [0xf9]'])
      expect(withDs(small, source), source).toBe('#GP(0x0)')
    expect(withDs(small, 'mov eax, [0xfc]')).toBe('end')
  })

  rule('segments', 'SDM vol. 3, 5.3', 'An access through SS beyond its limit is #SS(0)', () => {
    expect(withSs(small, 'mov esp, 0x80\nmov al, [esp + 0x80]')).toBe('#SS(0x0)')
    expect(withSs(descriptor(0x4092, 0, 0x3_ffff), 'mov al, [ss:0x40000]')).toBe('#SS(0x0)')
  })

  rule('segments', 'SDM vol. 3, 5.3', 'A push that does not fit below the limit of SS is #SS(0) and leaves ESP', () => {
    system.enter('protected', 3)
    system.set(FREE, descriptor(0x4092 | dpl(3), DATA, 0xff))
    expect(system.run(`mov ax, ${FREE | 3}\nmov ss, ax\nmov esp, 0x102\npush eax`)).toBe('#SS(0x0)')
    expect(system.pushed(4)).toBe(0x102)
  })

  rule(
    'segments',
    'SDM vol. 3, 5.3',
    'The limit of a descriptor with G set counts pages and covers the last one whole',
    () => {
      const pages = descriptor(0xc092, DATA, 0)
      expect(withDs(pages, 'mov eax, [0xffc]')).toBe('end')
      expect(withDs(pages, 'mov eax, [0xffd]')).toBe('#GP(0x0)')
    },
  )

  rule(
    'segments',
    'SDM vol. 3, 5.3',
    'An expand-down segment holds the offsets above its limit, up to FFFFFFFFH with B set',
    () => {
      const down = descriptor(0x4096, DATA, 0xff)
      expect(withDs(down, 'mov al, [0xff]')).toBe('#GP(0x0)')
      expect(withDs(down, 'mov al, [0x100]')).toBe('end')
      expect(withDs(down, 'mov al, [0x10000]')).toBe('end')
    },
  )

  rule('segments', 'SDM vol. 3, 5.3', 'An expand-down segment with B clear ends at FFFFH', () => {
    const down = descriptor(RIGHTS.expandDown16, DATA, 0xff)
    expect(withDs(down, 'mov al, [0xffff]')).toBe('end')
    expect(withDs(down, 'mov ax, [0xffff]')).toBe('#GP(0x0)')
    expect(withDs(down, 'mov al, [0x10000]')).toBe('#GP(0x0)')
  })

  rule('segments', 'SDM vol. 3, 5.3', 'An expand-down stack faults with #SS(0) at and below its limit', () => {
    system.enter('protected', 3)
    system.set(FREE, descriptor(0x4096 | dpl(3), 0, 0x2_efff))
    expect(system.run(`mov ax, ${FREE | 3}\nmov ss, ax\nmov esp, 0x2f004\npush eax`)).toBe('end')
    system.enter('protected', 3)
    system.set(FREE, descriptor(0x4096 | dpl(3), 0, 0x2_efff))
    expect(system.run(`mov ax, ${FREE | 3}\nmov ss, ax\nmov esp, 0x2f002\npush eax`)).toBe('#SS(0x0)')
  })

  rule('segments', 'SDM vol. 3, 5.3', 'A word at offset FFFFH of real mode is #GP', () => {
    system.enter('real')
    expect(system.run('mov bx, 0xffff\nmov ax, [bx]')).toBe('#GP')
  })

  rule('segments', 'SDM vol. 3, 5.3', 'A word at offset FFFFH of the stack of real mode is #SS', () => {
    system.enter('real')
    expect(system.run('mov bp, 0xffff\nmov ax, [bp]')).toBe('#SS')
  })

  rule('segments', 'SDM vol. 1, 3.3.5', '16-bit addresses wrap at 64 KiB before the segment is added', () => {
    system.enter('protected')
    guest.write(DATA + 2, [0x5a])
    system.set(FREE, descriptor(0x4092, DATA, 0xffff))
    expect(system.run(`mov ax, ${FREE}\nmov ds, ax\nmov bx, 0xffff\nmov al, [bx + 3]`)).toBe('end')
    expect(system.register('rax') & 0xff).toBe(0x5a)
  })

  rule('segments', 'SDM vol. 3, 3.4.2', 'Base and 32-bit offset add up modulo 2^32', () => {
    guest.write(DATA, [0x77])
    expect(withDs(descriptor(0xc092, DATA + 0x1000), 'mov al, [0xfffff000]')).toBe('end')
    system.enter('protected')
    guest.write(DATA, [0x77])
    system.set(FREE, descriptor(0xc092, DATA + 0x1000))
    system.run(`mov ax, ${FREE}\nmov ds, ax\nmov al, [0xfffff000]`)
    expect(system.register('rax') & 0xff).toBe(0x77)
  })

  rule('segments', 'SDM vol. 3, 5.3.1', '64-bit mode checks no limits of data segments', () => {
    system.enter('long')
    system.set(FREE, descriptor(0x4092, 0, 0))
    expect(system.run(`mov ax, ${FREE}\nmov ds, ax\nmov al, [${DATA}]`)).toBe('end')
  })

  rule(
    'segments',
    'SDM vol. 1, 3.4.2.1',
    '64-bit mode adds no base for ES, CS, SS and DS, and adds that of FS and GS',
    () => {
      system.enter('long')
      system.set(FREE, descriptor(0xc092, 0x1000))
      guest.write(DATA, [1])
      guest.write(DATA + 0x1000, [2])
      const source = `mov ax, ${FREE}\nmov ds, ax\nmov fs, ax\nmov bl, [${DATA}]\nmov cl, [fs:${DATA}]`
      expect(system.run(source)).toBe('end')
      expect([system.register('rbx'), system.register('rcx')]).toEqual([1, 2])
    },
  )

  rule('segments', 'SDM vol. 2, JMP', 'A near jump beyond the limit of CS is #GP(0) at the jump', () => {
    system.enter('protected')
    const { registers } = guest.vcpu
    registers.setSegment('cs', { ...registers.segment('cs'), limit: CODE + 0xff })
    for (const source of [
      `jmp ${CODE + 0x100}`,
      `mov eax, ${CODE + 0x100}\njmp eax`,
      `xor eax, eax\njz near ${CODE + 0x100}`,
    ]) {
      system.enter('protected')
      registers.setSegment('cs', { ...registers.segment('cs'), limit: CODE + 0xff })
      expect(system.run(source), source).toBe('#GP(0x0)')
      expect(system.pushed(1), source).toBe(CODE + (source.startsWith('jmp') ? 0 : source.startsWith('mov') ? 5 : 2))
    }
  })

  rule('segments', 'SDM vol. 2, CALL', 'A near call beyond the limit of CS is #GP(0) and pushes nothing', () => {
    for (const source of [`call ${CODE + 0x100}`, `mov eax, ${CODE + 0x100}\ncall eax`]) {
      system.enter('protected', 3)
      const { registers } = guest.vcpu
      registers.setSegment('cs', { ...registers.segment('cs'), limit: CODE + 0xff })
      expect(system.run(source, { registers: { rsp: DATA + 0x100 } }), source).toBe('#GP(0x0)')
      expect([system.pushed(4), guest.read32(DATA + 0xfc)], source).toEqual([DATA + 0x100, 0])
    }
  })

  rule('segments', 'SDM vol. 2, RET', 'A near return beyond the limit of CS is #GP(0) and pops nothing', () => {
    system.enter('protected', 3)
    const { registers } = guest.vcpu
    registers.setSegment('cs', { ...registers.segment('cs'), limit: CODE + 0xff })
    guest.write32(DATA + 0x100, CODE + 0x100)
    expect(system.run('ret', { registers: { rsp: DATA + 0x100 } })).toBe('#GP(0x0)')
    expect([system.pushed(1), system.pushed(4)]).toEqual([CODE, DATA + 0x100])
  })

  rule('segments', 'SDM vol. 2, LOOP', 'LOOP beyond the limit of CS is #GP(0) and counts nothing', () => {
    system.enter('protected')
    const { registers } = guest.vcpu
    registers.setSegment('cs', { ...registers.segment('cs'), limit: CODE + 0x1f })
    expect(system.run('mov ecx, 3\nloop $ + 0x40')).toBe('#GP(0x0)')
    expect(system.register('rcx')).toBe(3)
  })

  rule(
    'segments',
    'SDM vol. 3, 5.3',
    'Execution that runs past the limit of CS is #GP(0) at the first byte beyond it',
    () => {
      system.enter('protected')
      const { registers } = guest.vcpu
      registers.setSegment('cs', { ...registers.segment('cs'), limit: CODE + 1 })
      expect(system.run('nop\nnop\nnop')).toBe('#GP(0x0)')
      expect(system.pushed(1)).toBe(CODE + 2)
    },
  )

  rule('segments', 'SDM vol. 2, JMP', 'A near jump to an address that is not canonical is #GP(0) at the jump', () => {
    for (const source of ['jmp rax', 'call rax', 'push rax\nret']) {
      system.enter('long')
      expect(system.run(source, { registers: { rax: 0x8000_0000_0000n, rsp: DATA + 0x800 } }), source).toBe('#GP(0x0)')
      expect(system.pushed(1), source).toBe(source === 'push rax\nret' ? CODE + 1 : CODE)
      expect(system.pushed(4), source).toBe(source === 'push rax\nret' ? DATA + 0x7f8 : DATA + 0x800)
    }
  })
})

describe.skipIf(!hasNasm)(`segment types${nasmNote}`, () => {
  rule('segments', 'SDM vol. 3, 5.5', 'A write to a read-only data segment is #GP(0)', () => {
    expect(withDs(descriptor(RIGHTS.readOnly), `mov [${DATA}], al`)).toBe('#GP(0x0)')
    expect(withDs(descriptor(RIGHTS.readOnly), `mov al, [${DATA}]`)).toBe('end')
  })

  rule('segments', 'SDM vol. 3, 5.5', 'A write to a code segment is #GP(0), readable or not', () => {
    system.enter('protected')
    expect(system.run(`mov [cs:${DATA}], al`)).toBe('#GP(0x0)')
    expect(withDs(descriptor(RIGHTS.code), `mov [${DATA}], al`)).toBe('#GP(0x0)')
  })

  rule('segments', 'SDM vol. 3, 5.5', 'A read of an execute-only code segment is #GP(0)', () => {
    system.enter('protected')
    const { registers } = guest.vcpu
    registers.setSegment('cs', { ...registers.segment('cs'), rights: RIGHTS.executeOnly | 1 })
    expect(system.run(`mov al, [cs:${DATA}]`)).toBe('#GP(0x0)')
  })

  rule(
    'segments',
    'SDM vol. 3, 5.5',
    'A read-modify-write of a read-only segment is #GP(0) before anything is written',
    () => {
      expect(withDs(descriptor(RIGHTS.readOnly), `inc dword [${DATA}]`)).toBe('#GP(0x0)')
      expect(guest.read32(DATA)).toBe(0)
    },
  )

  rule(
    'segments',
    'SDM vol. 3, 5.4.1',
    'An access through a null selector in DS, ES, FS or GS is #GP(0), the load is not',
    () => {
      for (const name of ['ds', 'es', 'fs', 'gs']) {
        system.enter('protected')
        expect(system.run(`xor eax, eax\nmov ${name}, ax\nmov al, [${name}:${DATA}]`), name).toBe('#GP(0x0)')
        expect(system.pushed(1), name).toBe(CODE + 4)
      }
    },
  )

  rule('segments', 'SDM vol. 3, 5.4.1', 'Selectors 1, 2 and 3 are null selectors too', () => {
    for (const selector of [1, 2, 3]) {
      system.enter('protected')
      expect(loading('ds', selector)).toBe('end')
      expect(system.selector('ds')).toBe(selector)
    }
  })

  rule('segments', 'SDM vol. 3, 5.4.1.1', '64-bit mode accesses memory through null selectors in DS and ES', () => {
    system.enter('long')
    expect(system.run(`xor eax, eax\nmov ds, ax\nmov es, ax\nmov al, [${DATA}]`)).toBe('end')
  })
})

describe.skipIf(!hasNasm)(`loads of segment registers${nasmNote}`, () => {
  beforeEach(() => system.enter('protected'))

  rule(
    'segments',
    'SDM vol. 3, 3.4.5.1',
    'A load of a segment register sets the accessed bit of its descriptor',
    () => {
      system.set(FREE, descriptor(RIGHTS.data))
      expect(loading('es', FREE)).toBe('end')
      expect(system.rightsOf(FREE)).toBe(0x93)
    },
  )

  rule('segments', 'SDM vol. 3, 3.4.5.1', 'A load that faults leaves the accessed bit clear', () => {
    system.set(FREE, system.absent(descriptor(RIGHTS.data)))
    expect(loading('es', FREE)).toBe(`#NP(${hex(FREE)})`)
    expect(system.rightsOf(FREE)).toBe(0x12)
  })

  rule('segments', 'SDM vol. 3, 3.5.1', 'A selector beyond the limit of the GDT is #GP with the selector', () => {
    expect(loading('ds', 0x3f8)).toBe('#GP(0x3f8)')
    system.enter('protected')
    expect(loading('ds', 0x400)).toBe('#GP(0x400)')
  })

  rule('segments', 'SDM vol. 3, 6.13', 'The error code of a selector fault has TI and not the RPL', () => {
    expect(loading('ds', 0x87)).toBe('#GP(0x84)')
  })

  rule('segments', 'SDM vol. 3, 3.4.2', 'A selector with TI set is looked up in the LDT', () => {
    system.set(LOCAL, descriptor(RIGHTS.data, 0x1234_5000))
    expect(loading('fs', LOCAL)).toBe('end')
    expect(guest.vcpu.registers.segment('fs').base).toBe(0x1234_5000n)
  })

  rule('segments', 'SDM vol. 3, 3.5.1', 'A selector with TI set while LDTR is null is #GP with the selector', () => {
    expect(system.run(`xor eax, eax\nlldt ax\nmov ax, ${LOCAL}\nmov ds, ax`)).toBe(`#GP(${hex(LOCAL)})`)
  })

  rule('segments', 'SDM vol. 3, 5.4', 'A load of a system segment into DS is #GP with the selector', () => {
    expect(loading('ds', TR)).toBe(`#GP(${hex(TR)})`)
    system.enter('protected')
    expect(loading('ds', LDTR)).toBe(`#GP(${hex(LDTR)})`)
  })

  rule('segments', 'SDM vol. 3, 5.4', 'A load of execute-only code into DS is #GP, readable code is loaded', () => {
    system.set(FREE, descriptor(RIGHTS.executeOnly))
    expect(loading('ds', FREE)).toBe(`#GP(${hex(FREE)})`)
    system.enter('protected')
    system.set(FREE, descriptor(RIGHTS.code))
    expect(loading('ds', FREE)).toBe('end')
  })

  rule('segments', 'SDM vol. 3, 5.6', 'A data segment whose DPL is below CPL is #GP with the selector', () => {
    system.enter('protected', 3)
    expect(loading('ds', DATA0 | 3)).toBe(`#GP(${hex(DATA0)})`)
  })

  rule(
    'segments',
    'SDM vol. 3, 5.6',
    'A data segment whose DPL is below the RPL of the selector is #GP, also at CPL 0',
    () => {
      expect(loading('ds', DATA0 | 1)).toBe(`#GP(${hex(DATA0)})`)
      system.enter('protected')
      expect(loading('ds', DATA3)).toBe('end')
    },
  )

  rule('segments', 'SDM vol. 3, 5.6.1', 'Conforming code is loaded into DS whatever its DPL', () => {
    system.enter('protected', 3)
    system.set(FREE, descriptor(RIGHTS.conforming))
    expect(loading('ds', FREE | 3)).toBe('end')
  })

  rule('segments', 'SDM vol. 2, MOV', 'A data segment that is not present is #NP with the selector', () => {
    system.set(FREE, system.absent(descriptor(RIGHTS.data)))
    expect(loading('gs', FREE)).toBe(`#NP(${hex(FREE)})`)
  })

  rule('segments', 'SDM vol. 2, MOV', 'Type and privilege of a segment are checked before its presence', () => {
    system.set(FREE, system.absent(descriptor(RIGHTS.executeOnly)))
    expect(loading('ds', FREE)).toBe(`#GP(${hex(FREE)})`)
  })

  rule('segments', 'SDM vol. 2, MOV', 'A stack segment that is not present is #SS with the selector', () => {
    system.set(FREE, system.absent(descriptor(RIGHTS.data)))
    expect(loading('ss', FREE)).toBe(`#SS(${hex(FREE)})`)
  })

  rule('segments', 'SDM vol. 2, MOV', 'A null selector in SS is #GP(0) outside 64-bit mode', () => {
    expect(loading('ss', 0)).toBe('#GP(0x0)')
  })

  rule(
    'segments',
    'SDM vol. 2, MOV',
    '64-bit mode loads a null selector into SS below CPL 3 if its RPL is CPL, and not at CPL 3',
    () => {
      system.enter('long')
      expect(loading('ss', 0)).toBe('end')
      system.enter('long')
      expect(loading('ss', 1)).toBe('#GP(0x0)')
      system.enter('long', 3)
      expect(loading('ss', 3)).toBe('#GP(0x0)')
    },
  )

  rule('segments', 'SDM vol. 3, 5.7', 'A stack segment whose RPL or DPL is not CPL is #GP with the selector', () => {
    expect(loading('ss', DATA0 | 1)).toBe(`#GP(${hex(DATA0)})`)
    system.enter('protected')
    expect(loading('ss', DATA3)).toBe(`#GP(${hex(DATA3 & ~3)})`)
    system.enter('protected', 3)
    expect(loading('ss', DATA0)).toBe(`#GP(${hex(DATA0)})`)
  })

  rule('segments', 'SDM vol. 2, MOV', 'A stack segment must be writable data: others are #GP with the selector', () => {
    for (const rights of [RIGHTS.readOnly, RIGHTS.code, RIGHTS.executeOnly]) {
      system.enter('protected')
      system.set(FREE, descriptor(rights))
      expect(loading('ss', FREE)).toBe(`#GP(${hex(FREE)})`)
    }
  })

  rule('segments', 'SDM vol. 2, MOV', 'MOV to CS is #UD', () => {
    expect(system.run('db 0x8e, 0xc8')).toBe('#UD')
  })

  rule('segments', 'SDM vol. 2, MOV', 'MOV to or from segment registers 6 and 7 is #UD', () => {
    for (const modrm of [0xf0, 0xf8])
      for (const opcode of [0x8c, 0x8e]) {
        system.enter('protected')
        expect(system.run(`db ${opcode}, ${modrm}`)).toBe('#UD')
      }
  })

  rule(
    'segments',
    'SDM vol. 2, POP',
    'POP SS takes its selector from the old stack and moves ESP by the operand size',
    () => {
      system.set(FREE, descriptor(RIGHTS.data))
      expect(system.run(`push dword 0xffff0000 + ${FREE}\npop ss`)).toBe('end')
      expect([system.selector('ss'), system.register('rsp')]).toEqual([FREE, 0x3f000])
    },
  )

  rule('segments', 'SDM vol. 2, POP', 'POP of a segment register that faults leaves ESP', () => {
    expect(system.run('push dword 0x87\npop ds')).toBe('#GP(0x84)')
    // Error code, EIP, CS, EFLAGS, the operand.
    expect(system.pushed(4)).toBe(0x87)
  })

  rule(
    'segments',
    'SDM vol. 2, LDS',
    'LDS, LES, LFS, LGS and LSS load the selector behind the offset, or nothing when that faults',
    () => {
      system.set(FREE, descriptor(RIGHTS.data))
      for (const name of ['ds', 'es', 'fs', 'gs', 'ss'] as const) {
        system.enter('protected')
        system.set(FREE, descriptor(RIGHTS.data))
        guest.write32(DATA, 0x1234_5678)
        guest.write32(DATA + 4, FREE)
        expect(system.run(`l${name} ebx, [${DATA}]`), name).toBe('end')
        expect([system.register('rbx'), system.selector(name)]).toEqual([0x1234_5678, FREE])
        system.enter('protected')
        guest.write32(DATA, 0x1234_5678)
        guest.write32(DATA + 4, 0x80)
        expect(system.run(`l${name} ebx, [${DATA}]`), name).toBe('#GP(0x80)')
        expect(system.register('rbx')).toBe(0)
      }
    },
  )

  rule('segments', 'SDM vol. 2, LDS', 'LDS and LES with a register operand are #UD', () => {
    expect(system.run('db 0xc5, 0xc0')).toBe('#UD')
    system.enter('protected')
    expect(system.run('db 0xc4, 0xc0')).toBe('#UD')
  })

  rule(
    'segments',
    'SDM vol. 2, MOV',
    'MOV from a segment register zero-extends to 32 bits, and writes 16 bits to memory',
    () => {
      guest.write32(DATA, 0xffff_ffff)
      expect(system.run(`mov eax, -1\nmov eax, ds\nmov [${DATA}], ds`)).toBe('end')
      expect([system.register('rax'), guest.read32(DATA) >>> 0]).toEqual([DATA0, (0xffff_0000 | DATA0) >>> 0])
    },
  )
})

describe.skipIf(!hasNasm)(`questions about selectors${nasmNote}`, () => {
  beforeEach(() => system.enter('protected', 3))
  /** Is ZF set after an instruction on the selector in AX? */
  function asked(instruction: string, selector: number): boolean {
    expect(system.run(`mov eax, ${selector}\nmov ebx, -1\n${instruction}`)).toBe('end')
    return (system.register('rflags') & ZF) !== 0
  }

  rule('segments', 'SDM vol. 2, LAR', 'LAR gives the rights of a visible descriptor and sets ZF', () => {
    expect(asked('lar ebx, eax', DATA3)).toBe(true)
    // Bits 19:16 are undefined.
    expect(system.register('rbx') & 0xfff0_ffff).toBe(0x00c0_f200)
  })

  rule(
    'segments',
    'SDM vol. 2, LAR',
    'LAR of a null, unreachable or missing descriptor clears ZF and leaves its destination',
    () => {
      for (const selector of [0, DATA0 | 3, 0x3ff8]) {
        system.enter('protected', 3)
        expect(asked('lar ebx, eax', selector)).toBe(false)
        expect(system.register('rbx')).toBe(0xffff_ffff)
      }
    },
  )

  rule('segments', 'SDM vol. 2, LAR', 'LAR knows call gates and task gates, LSL does not', () => {
    system.set(FREE, gate(GATE.call | dpl(3), 0))
    expect(asked('lar ebx, eax', FREE | 3)).toBe(true)
    expect(system.register('rbx')).toBe(0xec00)
    system.enter('protected', 3)
    system.set(FREE, gate(GATE.call | dpl(3), 0))
    expect(asked('lsl ebx, eax', FREE | 3)).toBe(false)
  })

  rule('segments', 'SDM vol. 2, LAR', 'LAR and LSL do not know interrupt and trap gates', () => {
    for (const instruction of ['lar', 'lsl']) {
      system.enter('protected', 3)
      system.set(FREE, gate(GATE.interrupt | dpl(3), 0))
      expect(asked(`${instruction} ebx, eax`, FREE | 3)).toBe(false)
    }
  })

  rule('segments', 'SDM vol. 2, LAR', 'LAR and LSL do not know 16-bit TSSs and gates in long mode', () => {
    for (const value of [
      descriptor(RIGHTS.tss16 | dpl(3)),
      gate(GATE.call16 | dpl(3), 0),
      gate(GATE.task | dpl(3), 0),
    ]) {
      system.enter('long', 3)
      system.set(FREE, value)
      expect(asked('lar ebx, eax', FREE | 3)).toBe(false)
    }
  })

  rule('segments', 'SDM vol. 2, LSL', 'LSL gives the limit in bytes', () => {
    expect(asked('lsl ebx, eax', DATA3)).toBe(true)
    expect(system.register('rbx')).toBe(0xffff_ffff)
    system.enter('protected', 3)
    system.set(FREE, descriptor(0x4092 | dpl(3), 0, 0x123))
    expect(asked('lsl ebx, eax', FREE | 3)).toBe(true)
    expect(system.register('rbx')).toBe(0x123)
  })

  rule('segments', 'SDM vol. 2, LAR', 'LAR and VERR see conforming code of any DPL', () => {
    for (const instruction of ['lar ebx, eax', 'verr ax']) {
      system.enter('protected', 3)
      system.set(FREE, descriptor(RIGHTS.conforming))
      expect(asked(instruction, FREE | 3), instruction).toBe(true)
    }
  })

  rule('segments', 'SDM vol. 2, VERR', 'VERR and VERW answer by type and privilege in ZF and never fault', () => {
    const answers = [
      [descriptor(RIGHTS.data | dpl(3)), true, true],
      [descriptor(RIGHTS.readOnly | dpl(3)), true, false],
      [descriptor(RIGHTS.code | dpl(3)), true, false],
      [descriptor(RIGHTS.executeOnly | dpl(3)), false, false],
      [descriptor(RIGHTS.data), false, false],
      [descriptor(RIGHTS.ldt | dpl(3)), false, false],
    ] as const
    for (const [value, readable, writable] of answers)
      for (const [instruction, answer] of [
        ['verr ax', readable],
        ['verw ax', writable],
      ] as const) {
        system.enter('protected', 3)
        system.set(FREE, value)
        expect(asked(instruction, FREE | 3), `${instruction} ${value.toString(16)}`).toBe(answer)
      }
  })

  rule(
    'segments',
    'SDM vol. 2, VERR',
    'VERR, LAR and LSL do not set the accessed bit, and do not need the segment present',
    () => {
      system.set(FREE, system.absent(descriptor(RIGHTS.data | dpl(3))))
      expect(asked('verr ax', FREE | 3)).toBe(true)
      expect(system.rightsOf(FREE)).toBe(0x72)
    },
  )

  rule('segments', 'SDM vol. 2, ARPL', 'ARPL raises an RPL and tells so in ZF', () => {
    expect(system.run('mov eax, 0x41\nmov ebx, 3\narpl ax, bx')).toBe('end')
    expect([system.register('rax'), system.register('rflags') & ZF]).toEqual([0x43, ZF])
    system.enter('protected', 3)
    expect(system.run('mov eax, 0x43\nmov ebx, 1\narpl ax, bx')).toBe('end')
    expect([system.register('rax'), system.register('rflags') & ZF]).toEqual([0x43, 0])
  })

  rule('segments', 'SDM vol. 2, LAR', 'LAR, LSL, VERR, VERW and ARPL are #UD in real mode', () => {
    for (const source of ['lar ax, bx', 'lsl ax, bx', 'verr ax', 'verw ax', 'arpl ax, bx']) {
      system.enter('real')
      expect(system.run(source), source).toBe('#UD')
    }
  })

  rule(
    'segments',
    'SDM vol. 3, 3.4.3',
    'A change of a descriptor has no effect on a segment register before it is loaded again',
    () => {
      system.enter('protected')
      system.set(FREE, descriptor(RIGHTS.data, 0x1000))
      const source = `mov ax, ${FREE}\nmov fs, ax\nmov dword [0x1000 + ${FREE} + 2], 0\nmov bl, [fs:0]`
      expect(system.run(source)).toBe('end')
      expect(guest.vcpu.registers.segment('fs').base).toBe(0x1000n)
    },
  )
})

for (const { tier, hotEntries } of TIERS)
  describe.skipIf(!hasNasm)(`targets of near branches, ${tier}${nasmNote}`, () => {
    const hot = new SystemGuest(new Host({ hotEntries }))
    afterAll(() => hot.release())

    rule(
      'segments',
      'SDM vol. 2, RET',
      `A return that has gone to good addresses is #GP(0) at the first that is not canonical, with RSP as it was, ${tier}`,
      () => {
        hot.enter('long', 3)
        // Fifty returns to the loop, then one to RBX.
        const source = `mov ecx, 50\nmov rbx, 0x800000000000\nagain: lea rax, [rel next]\ntest ecx, ecx\ncmovz rax, rbx
          push rax\nback: ret\nnext: dec ecx\njmp again`
        expect(hot.run(source)).toBe('#GP(0x0)')
        expect([hot.guest.read(hot.pushed(1), 1)[0], hot.pushed(4)]).toEqual([0xc3, 0x2f000 - 8])
        expect(hot.register('rcx')).toBe(0)
      },
    )

    rule(
      'segments',
      'SDM vol. 2, Jcc',
      `A conditional jump beyond the limit of CS is #GP(0) only when it is taken, ${tier}`,
      () => {
        hot.enter('protected', 3)
        const { registers } = hot.guest.vcpu
        registers.setSegment('cs', { ...registers.segment('cs'), limit: CODE + 0xff })
        expect(hot.run('mov ecx, 50\nagain: dec ecx\njz near $ + 0x200\njmp again')).toBe('#GP(0x0)')
        expect([hot.pushed(1), hot.register('rcx')]).toEqual([CODE + 6, 0])
      },
    )
  })

/** Rules of transfers between code segments: far JMP, CALL and RET, call gates, IRET, SYSCALL and SYSENTER. */

import { afterAll, beforeEach, describe, expect } from 'vitest'
import { hasNasm, nasmNote } from '../engine/guest/assemble.ts'
import { Host } from '../engine/guest/guest.ts'
import {
  CODE,
  CODE0,
  CODE3,
  COMPATIBLE0,
  COMPATIBLE3,
  DATA,
  DATA0,
  DATA3,
  descriptor,
  dpl,
  FREE,
  GATE,
  GDT,
  gate,
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

const VMCALL = [0x0f, 0x01, 0xc1]
/** Where transfers of these rules go: code that ends the run. */
const TARGET = CODE + 0x800
const NT = 1 << 14
const [IF, RF] = [1 << 9, 1 << 16]
const IOPL3 = 3 << 12

const hex = (value: number): string => `0x${(value & ~3).toString(16)}`
const pushes = (...values: (number | string)[]): string => values.map(value => `push dword ${value}\n`).join('')
const pushes64 = (...values: number[]): string => values.map(value => `push qword ${value}\n`).join('')

function enter(mode: 'protected' | 'long', ring: 0 | 3 = 0): void {
  system.enter(mode, ring)
  guest.write(TARGET, VMCALL)
}
/** The run ended at the target of the transfer. */
const arrived = (): boolean => system.register('rip') === TARGET + VMCALL.length

beforeEach(() => enter('protected'))

describe.skipIf(!hasNasm)(`far JMP and CALL to a code segment${nasmNote}`, () => {
  rule('transfers', 'SDM vol. 3, 5.8.1', 'A far jump goes to code of the same ring, and CS has CPL for its RPL', () => {
    enter('protected', 3)
    expect(system.run(`jmp ${CODE3 & ~3}:${TARGET}`)).toBe('end')
    expect([arrived(), system.selector('cs')]).toEqual([true, CODE3])
  })

  rule('transfers', 'SDM vol. 3, 5.8.1', 'A far jump to code of another DPL is #GP with the selector', () => {
    expect(system.run(`jmp ${CODE3}:${TARGET}`)).toBe(`#GP(${hex(CODE3)})`)
    enter('protected', 3)
    expect(system.run(`jmp ${CODE0}:${TARGET}`)).toBe(`#GP(${hex(CODE0)})`)
  })

  rule('transfers', 'SDM vol. 3, 5.8.1', 'A far jump with an RPL above CPL is #GP with the selector', () => {
    expect(system.run(`jmp ${CODE0 | 1}:${TARGET}`)).toBe(`#GP(${hex(CODE0)})`)
  })

  rule('transfers', 'SDM vol. 3, 5.8.1.2', 'A far jump to conforming code of a lower DPL keeps CPL', () => {
    enter('protected', 3)
    system.set(FREE, descriptor(RIGHTS.conforming))
    expect(system.run(`jmp ${FREE}:${TARGET}`)).toBe('end')
    expect(system.selector('cs')).toBe(FREE | 3)
  })

  rule(
    'transfers',
    'SDM vol. 3, 5.8.1.2',
    'A far jump to conforming code of a higher DPL is #GP with the selector',
    () => {
      system.set(FREE, descriptor(RIGHTS.conforming | dpl(3)))
      expect(system.run(`jmp ${FREE}:${TARGET}`)).toBe(`#GP(${hex(FREE)})`)
    },
  )

  rule('transfers', 'SDM vol. 2, JMP', 'A far jump to a null selector is #GP(0)', () => {
    expect(system.run(`jmp 3:${TARGET}`)).toBe('#GP(0x0)')
  })

  rule(
    'transfers',
    'SDM vol. 2, JMP',
    'A far jump to a data segment, an LDT or an interrupt gate is #GP with the selector',
    () => {
      for (const value of [descriptor(RIGHTS.data), descriptor(RIGHTS.ldt), gate(GATE.interrupt, CODE0, TARGET)]) {
        enter('protected')
        system.set(FREE, value)
        expect(system.run(`jmp ${FREE}:${TARGET}`)).toBe(`#GP(${hex(FREE)})`)
      }
    },
  )

  rule('transfers', 'SDM vol. 2, JMP', 'A far jump to code that is not present is #NP with the selector', () => {
    system.set(FREE, system.absent(descriptor(RIGHTS.code)))
    expect(system.run(`jmp ${FREE}:${TARGET}`)).toBe(`#NP(${hex(FREE)})`)
  })

  rule(
    'transfers',
    'SDM vol. 2, JMP',
    'A far jump beyond the limit of the new CS is #GP(0) at the jump and changes nothing',
    () => {
      system.set(FREE, descriptor(0x409a, 0, 0xfff))
      expect(system.run(`jmp ${FREE}:0x1000`)).toBe('#GP(0x0)')
      expect([system.pushed(1), system.pushed(2)]).toEqual([CODE, CODE0])
      expect(system.rightsOf(FREE)).toBe(0x9a)
    },
  )

  rule('transfers', 'SDM vol. 3, 3.4.5.1', 'A far jump sets the accessed bit of the code segment', () => {
    system.set(FREE, descriptor(RIGHTS.code))
    expect(system.run(`jmp ${FREE}:${TARGET}`)).toBe('end')
    expect(system.rightsOf(FREE)).toBe(0x9b)
  })

  rule('transfers', 'SDM vol. 2, JMP', 'A far jump to 16-bit code goes on in 16 bits', () => {
    system.set(FREE, descriptor(RIGHTS.code16, CODE, 0xffff))
    // mov eax, 0x..: five bytes in 32-bit code, three and two more in 16-bit code.
    guest.write(CODE + 0x100, [0xb8, 0x34, 0x12, 0x40, 0x40, ...VMCALL])
    expect(system.run(`jmp ${FREE}:0x100`)).toBe('end')
    expect(system.register('rax')).toBe(0x1236)
  })

  rule('transfers', 'SDM vol. 2, CALL', 'A far call pushes CS and EIP in the operand size', () => {
    expect(system.run(`call ${CODE0}:${TARGET}`)).toBe('end')
    expect([system.pushed(0), system.pushed(1)]).toEqual([CODE + 7, CODE0])
    enter('protected')
    guest.write(0x800, VMCALL)
    expect(system.run(`call word ${CODE0}:0x800`)).toBe('end')
    expect(system.pushed(0) >>> 0).toBe((((CODE + 6) & 0xffff) | (CODE0 << 16)) >>> 0)
  })

  rule('transfers', 'SDM vol. 2, CALL', 'A far call whose pushes fault changes neither CS nor ESP', () => {
    enter('protected', 3)
    const { registers } = guest.vcpu
    registers.setSegment('ss', { ...registers.segment('ss'), limit: STACK - 5 })
    expect(system.run(`call ${CODE3}:${TARGET}`)).toBe('#SS(0x0)')
    expect([system.pushed(1), system.pushed(2), system.pushed(4)]).toEqual([CODE, CODE3, STACK])
  })

  rule('transfers', 'SDM vol. 2, JMP', 'A far jump through memory takes the offset first, then the selector', () => {
    guest.write32(DATA, TARGET)
    guest.write32(DATA + 4, CODE0)
    expect(system.run(`jmp far dword [${DATA}]`)).toBe('end')
    expect(arrived()).toBe(true)
  })

  rule('transfers', 'SDM vol. 2, JMP', 'A far jump with a register operand is #UD', () => {
    expect(system.run('db 0xff, 0xe8')).toBe('#UD')
    enter('protected')
    expect(system.run('db 0xff, 0xd8')).toBe('#UD')
  })

  rule('transfers', 'SDM vol. 2, JMP', 'A far jump with an immediate pointer is #UD in 64-bit mode', () => {
    enter('long')
    expect(system.run('db 0xea, 0, 0, 0, 0, 0, 0')).toBe('#UD')
    enter('long')
    expect(system.run('db 0x9a, 0, 0, 0, 0, 0, 0')).toBe('#UD')
  })

  rule(
    'transfers',
    'SDM vol. 3, 5.2.1',
    'A far jump to code with both L and D is #GP with the selector in long mode',
    () => {
      enter('long')
      system.set(FREE, descriptor(0xe09a))
      guest.write32(DATA, TARGET)
      guest.write32(DATA + 4, FREE)
      expect(system.run(`jmp far dword [${DATA}]`)).toBe(`#GP(${hex(FREE)})`)
    },
  )

  rule(
    'transfers',
    'SDM vol. 3, 5.2.1',
    'A far jump in long mode goes to compatibility mode and back by the L bit',
    () => {
      enter('long')
      guest.write32(DATA, TARGET)
      guest.write32(DATA + 4, COMPATIBLE0)
      // inc eax in compatibility mode, a REX prefix in 64-bit mode; jmp far to 64-bit code.
      guest.write(TARGET, [0x40, 0xea, 0x00, 0x09, 0x01, 0x00, CODE0, 0x00])
      guest.write(CODE + 0x900, [0x48, 0xff, 0xc3, ...VMCALL])
      expect(system.run(`xor eax, eax\nxor ebx, ebx\ndec rbx\njmp far dword [${DATA}]`)).toBe('end')
      expect([system.register('rax'), system.register('rbx')]).toEqual([1, 0])
    },
  )

  rule('transfers', 'SDM vol. 2, CALL', 'Real mode takes any selector for a far call and pushes 16 bits', () => {
    system.enter('real')
    guest.write(0x12340 + 0x20, VMCALL)
    expect(system.run('call 0x1234:0x20')).toBe('end')
    expect([system.pushed(0), system.pushed(1)]).toEqual([5, CODE >> 4])
    expect(guest.vcpu.registers.segment('cs')).toMatchObject({ selector: 0x1234, base: 0x12340n })
  })
})

describe.skipIf(!hasNasm)(`call gates${nasmNote}`, () => {
  const setCallGate = (value: bigint): void => system.set(FREE, value)
  const CALL = `call ${FREE | 3}:0`

  rule(
    'transfers',
    'SDM vol. 3, 5.8.4',
    'A call gate to inner code takes the stack of the TSS and pushes SS, ESP, CS and EIP there',
    () => {
      enter('protected', 3)
      setCallGate(gate(GATE.call | dpl(3), CODE0, TARGET))
      expect(system.run(CALL)).toBe('end')
      expect([system.pushed(0), system.pushed(1), system.pushed(2), system.pushed(3)]).toEqual([
        CODE + 7,
        CODE3,
        STACK,
        DATA3,
      ])
      expect([arrived(), system.selector('cs'), system.selector('ss')]).toEqual([true, CODE0, DATA0])
      expect(system.register('rsp')).toBe(STACK0 - 16)
    },
  )

  rule('transfers', 'SDM vol. 3, 5.8.5', 'A call gate copies its parameters to the inner stack in order', () => {
    enter('protected', 3)
    setCallGate(gate(GATE.call | dpl(3), CODE0, TARGET, 3))
    expect(system.run(`${pushes(1, 2, 3)}${CALL}`)).toBe('end')
    expect([2, 3, 4, 5, 6].map(i => system.pushed(i))).toEqual([3, 2, 1, STACK - 12, DATA3])
  })

  rule('transfers', 'SDM vol. 3, 5.8.5', 'A call gate without a change of ring copies no parameters', () => {
    setCallGate(gate(GATE.call, CODE0, TARGET, 3))
    expect(system.run(`${pushes(1, 2, 3)}call ${FREE}:0`)).toBe('end')
    expect([system.pushed(1), system.pushed(2), system.register('rsp')]).toEqual([CODE0, 3, STACK0 - 20])
  })

  rule('transfers', 'SDM vol. 3, 5.8.3', 'A 16-bit call gate pushes words, and its offset has 16 bits', () => {
    enter('protected', 3)
    system.set(FREE + 8, descriptor(RIGHTS.code, CODE))
    setCallGate(gate(GATE.call16 | dpl(3), FREE + 8, 0xffff_0800))
    expect(system.run(CALL)).toBe('end')
    expect(system.register('rsp')).toBe(STACK0 - 8)
    expect(guest.read32(STACK0 - 8) >>> 0).toBe((((CODE + 7) & 0xffff) | (CODE3 << 16)) >>> 0)
  })

  rule('transfers', 'SDM vol. 3, 5.8.4', 'The offset of a transfer through a gate is ignored', () => {
    setCallGate(gate(GATE.call, CODE0, TARGET))
    expect(system.run(`jmp ${FREE}:0xdeadbeef`)).toBe('end')
    expect(arrived()).toBe(true)
  })

  rule('transfers', 'SDM vol. 3, 5.8.4', 'A call gate whose DPL is below CPL or RPL is #GP with its selector', () => {
    enter('protected', 3)
    setCallGate(gate(GATE.call, CODE0, TARGET))
    expect(system.run(CALL)).toBe(`#GP(${hex(FREE)})`)
    enter('protected')
    setCallGate(gate(GATE.call, CODE0, TARGET))
    expect(system.run(CALL)).toBe(`#GP(${hex(FREE)})`)
  })

  rule('transfers', 'SDM vol. 2, CALL', 'A call gate that is not present is #NP with its selector', () => {
    setCallGate(system.absent(gate(GATE.call, CODE0, TARGET)))
    expect(system.run(`call ${FREE}:0`)).toBe(`#NP(${hex(FREE)})`)
  })

  rule('transfers', 'SDM vol. 2, CALL', 'A call gate with a null selector is #GP(0)', () => {
    setCallGate(gate(GATE.call, 0, TARGET))
    expect(system.run(`call ${FREE}:0`)).toBe('#GP(0x0)')
  })

  rule(
    'transfers',
    'SDM vol. 2, CALL',
    'A call gate to data, or to code of an outer ring, is #GP with the selector of the segment',
    () => {
      for (const selector of [DATA0, CODE3]) {
        enter('protected')
        setCallGate(gate(GATE.call, selector, TARGET))
        expect(system.run(`call ${FREE}:0`)).toBe(`#GP(${hex(selector)})`)
      }
    },
  )

  rule(
    'transfers',
    'SDM vol. 2, CALL',
    'A call gate to code that is not present is #NP with the selector of the segment',
    () => {
      system.set(FREE + 8, system.absent(descriptor(RIGHTS.code)))
      setCallGate(gate(GATE.call, FREE + 8, TARGET))
      expect(system.run(`call ${FREE}:0`)).toBe(`#NP(${hex(FREE + 8)})`)
    },
  )

  rule(
    'transfers',
    'SDM vol. 3, 5.8.4',
    'A jump through a call gate to inner code that does not conform is #GP',
    () => {
      enter('protected', 3)
      setCallGate(gate(GATE.call | dpl(3), CODE0, TARGET))
      expect(system.run(`jmp ${FREE}:0`)).toBe(`#GP(${hex(CODE0)})`)
    },
  )

  rule('transfers', 'SDM vol. 3, 5.8.4', 'A call gate to conforming inner code keeps ring and stack', () => {
    enter('protected', 3)
    system.set(FREE + 8, descriptor(RIGHTS.conforming))
    setCallGate(gate(GATE.call | dpl(3), FREE + 8, TARGET))
    expect(system.run(CALL)).toBe('end')
    expect([system.selector('cs'), system.register('rsp')]).toEqual([(FREE + 8) | 3, STACK - 8])
  })

  rule('transfers', 'SDM vol. 2, CALL', 'An inner stack whose selector is null is #TS with error code 0', () => {
    enter('protected', 3)
    // The ring of the faulting program is 3, so the exception would need the same stack: its gate leads to conforming code.
    system.set(FREE + 8, descriptor(RIGHTS.conforming))
    for (const vector of [10, 12]) system.setGate(vector, GATE.interrupt, FREE + 8)
    setCallGate(gate(GATE.call | dpl(3), CODE0, TARGET))
    guest.write32(TSS + 8, 0)
    expect(system.run(CALL)).toBe('#TS(0x0)')
  })

  rule('transfers', 'SDM vol. 2, CALL', 'An inner stack of the wrong RPL, DPL or type is #TS with its selector', () => {
    for (const [selector, value] of [
      [DATA0 | 1, descriptor(RIGHTS.data)],
      [DATA3, descriptor(RIGHTS.data)],
      [FREE + 16, descriptor(RIGHTS.readOnly)],
      [FREE + 16, descriptor(RIGHTS.code)],
    ] as const) {
      enter('protected', 3)
      system.set(FREE + 8, descriptor(RIGHTS.conforming))
      for (const vector of [10, 12]) system.setGate(vector, GATE.interrupt, FREE + 8)
      system.set(FREE + 16, value)
      setCallGate(gate(GATE.call | dpl(3), CODE0, TARGET))
      guest.write32(TSS + 8, selector)
      expect(system.run(CALL)).toBe(`#TS(${hex(selector)})`)
    }
  })

  rule(
    'transfers',
    'SDM vol. 2, CALL',
    'An inner stack that is not present, or too small, is #SS with its selector',
    () => {
      for (const value of [system.absent(descriptor(RIGHTS.data)), descriptor(0x4092, STACK0 - 0x20, 14)]) {
        enter('protected', 3)
        system.set(FREE + 8, descriptor(RIGHTS.conforming))
        for (const vector of [10, 12]) system.setGate(vector, GATE.interrupt, FREE + 8)
        system.set(FREE + 16, value)
        setCallGate(gate(GATE.call | dpl(3), CODE0, TARGET))
        guest.write32(TSS + 8, FREE + 16)
        guest.write32(TSS + 4, 15)
        expect(system.run(CALL)).toBe(`#SS(${hex(FREE + 16)})`)
      }
    },
  )

  rule(
    'transfers',
    'SDM vol. 2, CALL',
    'An inner stack pointer beyond the limit of the TSS is #TS with the selector of the TSS',
    () => {
      enter('protected', 3)
      const { registers } = guest.vcpu
      registers.setSegment('tr', { ...registers.segment('tr'), limit: 8 })
      system.set(FREE + 8, descriptor(RIGHTS.conforming))
      system.setGate(10, GATE.interrupt, FREE + 8)
      setCallGate(gate(GATE.call | dpl(3), CODE0, TARGET))
      expect(system.run(CALL)).toBe('#TS(0x28)')
    },
  )

  rule(
    'transfers',
    'SDM vol. 3, 5.8.3.1',
    'A 64-bit call gate enters inner code with a null SS and pushes quadwords',
    () => {
      enter('long', 3)
      guest.write64(GDT + FREE, gate(GATE.call | dpl(3), CODE0, TARGET))
      guest.write32(DATA + 4, FREE | 3)
      expect(system.run(`call far dword [${DATA}]`)).toBe('end')
      expect([0, 1, 2, 3].map(i => system.pushed(i))).toEqual([CODE + 7, CODE3, STACK, DATA3])
      expect([system.selector('ss'), system.register('rsp'), arrived()]).toEqual([0, STACK0 - 32, true])
    },
  )

  rule(
    'transfers',
    'SDM vol. 3, 5.8.3.1',
    'A call gate of long mode to code that is not 64-bit is #GP with its selector',
    () => {
      enter('long')
      guest.write64(GDT + FREE, gate(GATE.call, COMPATIBLE0, TARGET))
      guest.write32(DATA + 4, FREE)
      expect(system.run(`call far dword [${DATA}]`)).toBe(`#GP(${hex(COMPATIBLE0)})`)
    },
  )

  rule(
    'transfers',
    'SDM vol. 3, 5.8.3.1',
    'A call gate of long mode whose upper type field is not zero is #GP with its selector',
    () => {
      enter('long')
      guest.write64(GDT + FREE, gate(GATE.call, CODE0, TARGET))
      guest.write64(GDT + FREE + 8, 0x0100_0000_0000n)
      guest.write32(DATA + 4, FREE)
      expect(system.run(`call far dword [${DATA}]`)).toBe(`#GP(${hex(FREE)})`)
    },
  )

  rule('transfers', 'SDM vol. 2, JMP', 'Task gates and TSS descriptors are #GP for far transfers of long mode', () => {
    for (const value of [
      gate(GATE.task, FREE + 8),
      descriptor(RIGHTS.tss, TSS, 0x67),
      gate(GATE.call16, CODE0, TARGET),
    ]) {
      enter('long')
      system.set(FREE, value)
      guest.write32(DATA + 4, FREE)
      expect(system.run(`jmp far dword [${DATA}]`)).toBe(`#GP(${hex(FREE)})`)
    }
  })
})

describe.skipIf(!hasNasm)(`far RET${nasmNote}`, () => {
  rule('transfers', 'SDM vol. 3, 5.8.6', 'A far return to an outer ring pops ESP and SS there', () => {
    expect(system.run(`${pushes(DATA3, STACK, CODE3, TARGET)}retf`)).toBe('end')
    expect([system.selector('cs'), system.selector('ss'), system.register('rsp'), arrived()]).toEqual([
      CODE3,
      DATA3,
      STACK,
      true,
    ])
  })

  rule('transfers', 'SDM vol. 2, RET', 'A far return that releases parameters does so on both stacks', () => {
    expect(system.run(`${pushes(DATA3, STACK - 64, 7, 7, CODE3, TARGET)}retf 8`)).toBe('end')
    expect(system.register('rsp')).toBe(STACK - 56)
  })

  rule('transfers', 'SDM vol. 3, 5.8.6', 'A far return to an inner ring is #GP with the selector', () => {
    enter('protected', 3)
    expect(system.run(`${pushes(CODE0, TARGET)}retf`)).toBe(`#GP(${hex(CODE0)})`)
  })

  rule('transfers', 'SDM vol. 2, RET', 'A return to a null CS is #GP(0)', () => {
    expect(system.run(`${pushes(0, TARGET)}retf`)).toBe('#GP(0x0)')
  })

  rule('transfers', 'SDM vol. 2, RET', 'A return to code whose DPL is not the RPL is #GP with the selector', () => {
    expect(system.run(`${pushes(DATA3, STACK, CODE0 | 3, TARGET)}retf`)).toBe(`#GP(${hex(CODE0)})`)
  })

  rule('transfers', 'SDM vol. 2, RET', 'A return to conforming code needs a DPL up to the RPL', () => {
    system.set(FREE, descriptor(RIGHTS.conforming))
    expect(system.run(`${pushes(DATA3, STACK, FREE | 3, TARGET)}retf`)).toBe('end')
    expect(system.selector('cs')).toBe(FREE | 3)
  })

  rule('transfers', 'SDM vol. 2, RET', 'A return to code that is not present is #NP with the selector', () => {
    system.set(FREE, system.absent(descriptor(RIGHTS.code)))
    expect(system.run(`${pushes(FREE, TARGET)}retf`)).toBe(`#NP(${hex(FREE)})`)
  })

  rule(
    'transfers',
    'SDM vol. 2, RET',
    'An outer SS that is null, of another RPL or DPL, or not writable is #GP with its selector',
    () => {
      system.set(FREE, descriptor(RIGHTS.readOnly | dpl(3)))
      for (const selector of [0, DATA0 | 3, DATA3 & ~3, FREE | 3]) {
        enter('protected')
        system.set(FREE, descriptor(RIGHTS.readOnly | dpl(3)))
        expect(system.run(`${pushes(selector, STACK, CODE3, TARGET)}retf`)).toBe(`#GP(${hex(selector)})`)
      }
    },
  )

  rule('transfers', 'SDM vol. 2, RET', 'An outer SS that is not present is #SS with its selector', () => {
    system.set(FREE, system.absent(descriptor(RIGHTS.data | dpl(3))))
    expect(system.run(`${pushes(FREE | 3, STACK, CODE3, TARGET)}retf`)).toBe(`#SS(${hex(FREE)})`)
  })

  rule(
    'transfers',
    'SDM vol. 3, 5.8.6',
    'A return to an outer ring makes null the data segments that it may not use',
    () => {
      expect(system.run(`mov ax, ${DATA3}\nmov fs, ax\n${pushes(DATA3, STACK, CODE3, TARGET)}retf`)).toBe('end')
      expect((['ds', 'es', 'fs', 'gs'] as const).map(name => system.selector(name))).toEqual([0, 0, DATA3, 0])
    },
  )

  rule('transfers', 'SDM vol. 3, 5.8.6', 'A return to an outer ring keeps conforming code in data segments', () => {
    system.set(FREE, descriptor(RIGHTS.conforming))
    expect(system.run(`mov ax, ${FREE}\nmov es, ax\n${pushes(DATA3, STACK, CODE3, TARGET)}retf`)).toBe('end')
    expect(system.selector('es')).toBe(FREE)
  })

  rule('transfers', 'SDM vol. 2, RET', 'A return whose stack faults changes nothing', () => {
    enter('protected', 3)
    const { registers } = guest.vcpu
    registers.setSegment('ss', { ...registers.segment('ss'), limit: STACK - 1 })
    expect(system.run('retf', { registers: { rsp: STACK - 4 } })).toBe('#SS(0x0)')
    expect(system.pushed(4)).toBe(STACK - 4)
  })

  rule(
    'transfers',
    'SDM vol. 2, RET',
    'A far return of long mode may pop a null SS for 64-bit code of rings 0 to 2',
    () => {
      enter('long')
      system.set(FREE, descriptor(RIGHTS.code64 | dpl(1)))
      expect(system.run(`${pushes64(1, STACK, FREE | 1, TARGET)}retfq`)).toBe('end')
      expect([system.selector('ss'), system.selector('cs')]).toEqual([1, FREE | 1])
      enter('long')
      expect(system.run(`${pushes64(3, STACK, CODE3, TARGET)}retfq`)).toBe('#GP(0x0)')
    },
  )
})

describe.skipIf(!hasNasm)(`IRET${nasmNote}`, () => {
  rule('transfers', 'SDM vol. 2, IRET', 'IRET within a ring pops EIP, CS and EFLAGS', () => {
    expect(system.run(`${pushes(2 | IF, CODE0, TARGET)}iretd`)).toBe('end')
    expect([arrived(), system.register('rsp'), system.register('rflags')]).toEqual([true, STACK0, 2 | IF])
  })

  rule('transfers', 'SDM vol. 2, IRET', 'IRET of ring 3 leaves IOPL, and IF when CPL exceeds IOPL', () => {
    enter('protected', 3)
    expect(system.run(`${pushes(2 | IF | IOPL3, CODE3, TARGET)}iretd`)).toBe('end')
    expect(system.register('rflags')).toBe(2)
    enter('protected', 3)
    expect(system.run(`${pushes(2 | IF, CODE3, TARGET)}iretd`, { registers: { rflags: 2 | IOPL3 } })).toBe('end')
    expect(system.register('rflags')).toBe(2 | IF | IOPL3)
  })

  rule('transfers', 'SDM vol. 2, IRET', 'IRET with a 16-bit operand leaves the upper half of EFLAGS', () => {
    system.set(FREE, descriptor(RIGHTS.code16, CODE, 0xffff))
    const source = `push word 2\npush word ${FREE}\npush word 0x800\no16 iret`
    expect(system.run(source, { registers: { rflags: 2 | (1 << 18) | (1 << 21) } })).toBe('end')
    expect(system.register('rflags')).toBe(2 | (1 << 18) | (1 << 21))
  })

  rule('transfers', 'SDM vol. 2, IRET', 'IRET to an outer ring loads the flags by the rights of the inner one', () => {
    expect(system.run(`${pushes(DATA3, STACK, 2 | IF | IOPL3, CODE3, TARGET)}iretd`)).toBe('end')
    expect([system.register('rflags'), system.selector('cs')]).toEqual([2 | IF | IOPL3, CODE3])
  })

  rule('transfers', 'SDM vol. 2, IRET', 'IRET to an inner ring is #GP with the selector', () => {
    enter('protected', 3)
    expect(system.run(`${pushes(2, CODE0, TARGET)}iretd`)).toBe(`#GP(${hex(CODE0)})`)
  })

  rule('transfers', 'SDM vol. 2, IRET', 'IRET that faults leaves ESP and the flags', () => {
    enter('protected', 3)
    expect(system.run(`${pushes(2 | (1 << 21), 0x3ff8, TARGET)}iretd`)).toBe('#GP(0x3ff8)')
    expect([system.pushed(3) & (1 << 21), system.pushed(4)]).toEqual([0, STACK - 12])
  })

  rule('transfers', 'SDM vol. 3, 6.14.3', 'IRET of 64-bit mode pops SS and RSP also within a ring', () => {
    enter('long')
    expect(system.run(`${pushes64(DATA0, STACK, 2, CODE0, TARGET)}iretq`)).toBe('end')
    expect([system.register('rsp'), system.selector('ss'), arrived()]).toEqual([STACK, DATA0, true])
  })

  rule('transfers', 'SDM vol. 2, IRET', 'IRET with NT is #GP(0) in long mode', () => {
    enter('long')
    expect(system.run(`${pushes64(DATA0, STACK, 2, CODE0, TARGET)}iretq`, { registers: { rflags: 2 | NT } })).toBe(
      '#GP(0x0)',
    )
  })

  rule('transfers', 'SDM vol. 2, IRET', 'IRET to a RIP that is not canonical is #GP(0)', () => {
    enter('long')
    const source = `${pushes64(DATA0, STACK, 2, CODE0)}mov rax, 0x800000000000\npush rax\niretq`
    expect(system.run(source)).toBe('#GP(0x0)')
  })

  rule(
    'transfers',
    'SDM vol. 3, 6.14.3',
    'IRET of 64-bit mode returns to compatibility mode with a 32-bit stack',
    () => {
      enter('long')
      guest.write(TARGET, [0x40, ...VMCALL])
      expect(system.run(`xor eax, eax\n${pushes64(DATA3, STACK, 2, COMPATIBLE3, TARGET)}iretq`)).toBe('end')
      expect([system.register('rax'), system.selector('cs'), system.register('rsp')]).toEqual([1, COMPATIBLE3, STACK])
    },
  )

  rule('transfers', 'SDM vol. 3, 3.4.4', 'IRET to ring 3 keeps the bases of a null FS and GS', () => {
    enter('long')
    const source = `xor eax, eax\nmov fs, ax\nmov gs, ax\nmov ecx, 0xc0000100\nmov eax, 0x1234\nxor edx, edx\nwrmsr
      inc ecx\nmov eax, 0x5678\nwrmsr\n${pushes64(DATA3, STACK, 2, CODE3, TARGET)}iretq`
    expect(system.run(source)).toBe('end')
    expect([system.register('fs_base'), system.register('gs_base'), arrived()]).toEqual([0x1234, 0x5678, true])
  })

  rule('transfers', 'SDM vol. 2, IRET', 'IRET of real mode pops three words, and no VM, VIF or VIP', () => {
    system.enter('real')
    guest.write(CODE + 0x800, VMCALL)
    expect(system.run(`push dword ${2 | (7 << 17)}\npush dword ${CODE >> 4}\npush dword 0x800\niretd`)).toBe('end')
    expect(system.register('rflags')).toBe(2 | (1 << 18))
  })

  rule('transfers', 'SDM vol. 3, 17.3.1.1', 'IRET loads RF, which the next instruction clears', () => {
    guest.write(TARGET, [0x90, ...VMCALL])
    system.load(`${pushes(2 | RF, CODE0, TARGET)}iretd`)
    guest.run(4)
    expect(system.register('rflags') & RF).toBe(RF)
    guest.run(1)
    expect(system.register('rflags') & RF).toBe(0)
  })
})

describe.skipIf(!hasNasm)(`fast system calls${nasmNote}`, () => {
  const STAR = (BigInt(COMPATIBLE3 & ~3) << 48n) | (BigInt(CODE0) << 32n) | BigInt(TARGET)
  const syscallRegisters = { efer: 0x501, msr_star: STAR, msr_lstar: TARGET, msr_cstar: TARGET, msr_fmask: 0x300 }

  rule('transfers', 'AMD64 APM vol. 3, SYSCALL', 'SYSCALL without EFER.SCE is #UD', () => {
    enter('long', 3)
    expect(system.run('syscall', { registers: { efer: 0x500 } })).toBe('#UD')
  })

  rule(
    'transfers',
    'AMD64 APM vol. 3, SYSCALL',
    'SYSCALL saves RIP in RCX and RFLAGS in R11, and clears the flags of FMASK',
    () => {
      enter('long', 3)
      const registers = { ...syscallRegisters, rflags: 2 | IF | 1 }
      expect(system.run('syscall', { registers })).toBe('end')
      expect([system.register('rcx'), system.register('r11'), system.register('rflags')]).toEqual([CODE + 2, 3 | IF, 3])
      expect([system.selector('cs'), system.selector('ss'), arrived()]).toEqual([CODE0, CODE0 + 8, true])
    },
  )

  rule(
    'transfers',
    'AMD64 APM vol. 3, SYSCALL',
    'SYSCALL makes flat segments without reading their descriptors',
    () => {
      enter('long', 3)
      system.set(CODE0, 0n)
      expect(system.run('syscall', { registers: syscallRegisters })).toBe('end')
      expect(guest.vcpu.registers.segment('cs')).toMatchObject({ base: 0n, limit: 0xffff_ffff })
    },
  )

  rule('transfers', 'AMD64 APM vol. 3, SYSRET', 'SYSRET is #GP(0) outside ring 0', () => {
    enter('long', 3)
    expect(system.run('o64 sysret', { registers: syscallRegisters })).toBe('#GP(0x0)')
  })

  rule(
    'transfers',
    'AMD64 APM vol. 3, SYSRET',
    'SYSRET returns to 64-bit code at STAR[63:48] + 16 and restores RFLAGS from R11 without RF',
    () => {
      enter('long')
      const registers = { ...syscallRegisters, rcx: TARGET, r11: 2 | IF | RF | 1 }
      expect(system.run('o64 sysret', { registers })).toBe('end')
      expect([system.selector('cs'), system.register('rflags')]).toEqual([((COMPATIBLE3 & ~3) + 16) | 3, 3 | IF])
    },
  )

  rule(
    'transfers',
    'AMD64 APM vol. 3, SYSRET',
    'SYSRET with a 32-bit operand returns to compatibility mode at ECX',
    () => {
      enter('long')
      guest.write(TARGET, [0x40, ...VMCALL])
      const registers = { ...syscallRegisters, rax: 0, rcx: 0xff_0000_0000n + BigInt(TARGET), r11: 2 }
      expect(system.run('sysret', { registers })).toBe('end')
      expect([system.register('rax'), system.selector('cs')]).toEqual([1, COMPATIBLE3])
    },
  )

  rule('transfers', 'AMD64 APM vol. 3, SYSCALL', 'SYSCALL of legacy mode enters STAR[31:0] and clears IF', () => {
    enter('protected', 3)
    expect(system.run('syscall', { registers: { efer: 1, msr_star: STAR, rflags: 2 | IF } })).toBe('end')
    expect([system.register('rcx'), arrived(), system.register('rflags')]).toEqual([CODE + 2, true, 2])
  })

  rule('transfers', 'SDM vol. 2, SYSENTER', 'SYSENTER and SYSEXIT with a null IA32_SYSENTER_CS are #GP(0)', () => {
    expect(system.run('sysenter')).toBe('#GP(0x0)')
    enter('protected')
    expect(system.run('sysexit')).toBe('#GP(0x0)')
  })

  rule(
    'transfers',
    'SDM vol. 2, SYSENTER',
    'SYSENTER enters ring 0 with the ESP and EIP of its MSRs and clears IF',
    () => {
      enter('protected', 3)
      const registers = { msr_sysenter_cs: CODE0, msr_sysenter_esp: STACK0, msr_sysenter_eip: TARGET, rflags: 2 | IF }
      expect(system.run('sysenter', { registers })).toBe('end')
      expect([system.selector('cs'), system.selector('ss'), system.register('rsp')]).toEqual([CODE0, CODE0 + 8, STACK0])
      expect([system.register('rflags'), arrived()]).toEqual([2, true])
    },
  )

  rule('transfers', 'SDM vol. 2, SYSEXIT', 'SYSEXIT is #GP(0) outside ring 0', () => {
    enter('protected', 3)
    expect(system.run('sysexit', { registers: { msr_sysenter_cs: CODE0 } })).toBe('#GP(0x0)')
  })

  rule('transfers', 'SDM vol. 2, SYSEXIT', 'SYSEXIT goes to ring 3 at EDX with the stack of ECX', () => {
    const registers = { msr_sysenter_cs: CODE0, rdx: TARGET, rcx: STACK }
    expect(system.run('sysexit', { registers })).toBe('end')
    expect([system.selector('cs'), system.selector('ss'), system.register('rsp')]).toEqual([
      (CODE0 + 16) | 3,
      (CODE0 + 24) | 3,
      STACK,
    ])
  })

  rule('transfers', 'AMD64 APM vol. 3, SYSENTER', 'SYSENTER and SYSEXIT are #UD in long mode', () => {
    enter('long')
    expect(system.run('sysenter')).toBe('#UD')
    enter('long')
    expect(system.run('sysexit')).toBe('#UD')
  })

  rule('transfers', 'SDM vol. 2, SYSENTER', 'SYSENTER is #GP in real mode', () => {
    system.enter('real')
    expect(system.run('sysenter', { registers: { msr_sysenter_cs: CODE0 } })).toBe('#GP')
  })
})

/** Rules of the delivery of events: gates, stacks, frames, error codes, double and triple faults. */

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
  HANDLERS,
  IDT,
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

const [TF, IF, NT, AC] = [8, 9, 14, 18].map(bit => 1 << bit)
/** Stacks that the IST names. */
const [IST1, IST2] = [0x38008, 0x39000]
const INT40 = 'int 0x40'

const hex = (value: number): string => `0x${value.toString(16)}`
const frame = (elements: number): number[] => Array.from({ length: elements }, (_, i) => system.pushed(i))
/** Injects an external interrupt at the start of a program. */
function external(vector: number): string {
  system.load('nop', { registers: { rflags: 2 | IF } })
  guest.vcpu.injectInterrupt(vector)
  return system.resume()
}

beforeEach(() => system.enter('protected'))

describe.skipIf(!hasNasm)(`delivery in protected mode${nasmNote}`, () => {
  rule(
    'exceptions',
    'SDM vol. 3, 6.12.1',
    'An event within a ring pushes EFLAGS, CS and EIP on the stack in place',
    () => {
      expect(system.run(INT40)).toBe('INT 64')
      expect(frame(3)).toEqual([CODE + 2, CODE0, 2])
      expect(system.register('rsp')).toBe(STACK0 - 12)
    },
  )

  rule(
    'exceptions',
    'SDM vol. 3, 6.12.1',
    'An event from an outer ring takes the stack of the TSS and pushes SS and ESP first',
    () => {
      system.enter('protected', 3)
      expect(system.run(INT40)).toBe('INT 64')
      expect(frame(5)).toEqual([CODE + 2, CODE3, 2, STACK, DATA3])
      expect([system.selector('cs'), system.selector('ss')]).toEqual([CODE0, DATA0])
    },
  )

  rule(
    'exceptions',
    'SDM vol. 3, 6.12.1',
    'An event through conforming code stays in its ring and on its stack',
    () => {
      system.enter('protected', 3)
      system.set(FREE, descriptor(RIGHTS.conforming))
      system.setGate(0x40, GATE.interrupt | dpl(3), FREE)
      expect(system.run(INT40)).toBe('INT 64')
      expect([system.selector('cs'), system.register('rsp')]).toEqual([FREE | 3, STACK - 12])
    },
  )

  rule('exceptions', 'SDM vol. 3, 6.13', 'An error code lies on top of the frame', () => {
    expect(system.run('mov ax, 0x80\nmov ds, ax')).toBe('#GP(0x80)')
    expect(frame(3)).toEqual([0x80, CODE + 4, CODE0])
  })

  rule('exceptions', 'SDM vol. 3, 6.13', 'INT n of a vector with an error code pushes none', () => {
    system.load('int 13')
    system.resume()
    expect([system.pushed(0), system.register('rsp')]).toEqual([CODE + 2, STACK0 - 12])
  })

  rule('exceptions', 'SDM vol. 3, 6.12.1.2', 'An interrupt gate clears IF, a trap gate leaves it', () => {
    expect(system.run(INT40, { registers: { rflags: 2 | IF } })).toBe('INT 64')
    expect(system.register('rflags') & IF).toBe(0)
    system.enter('protected')
    system.setGate(0x40, GATE.trap, CODE0)
    expect(system.run(INT40, { registers: { rflags: 2 | IF } })).toBe('INT 64')
    expect(system.register('rflags') & IF).toBe(IF)
  })

  rule('exceptions', 'SDM vol. 3, 6.12.1', 'An event clears TF and NT and leaves AC and the status flags', () => {
    expect(system.run(`std\nstc\n${INT40}`, { registers: { rflags: 2 | NT | AC } })).toBe('INT 64')
    expect(system.register('rflags')).toBe(2 | AC | (1 << 10) | 1)
    expect(system.pushed(2)).toBe(2 | NT | AC | (1 << 10) | 1)
  })

  rule('exceptions', 'SDM vol. 3, 6.11', 'A 16-bit gate pushes words, and its offset has 16 bits', () => {
    system.setGate(0x40, GATE.interrupt16, CODE0, 0xf_0000 + HANDLERS + 0x400)
    system.run(INT40)
    expect(system.register('rsp')).toBe(STACK0 - 6)
    expect(guest.read32(STACK0 - 6) >>> 0).toBe((((CODE + 2) & 0xffff) | (CODE0 << 16)) >>> 0)
    expect(system.register('rip')).toBe(HANDLERS + 0x403)
  })

  rule(
    'exceptions',
    'SDM vol. 3, 6.12.1.1',
    'INT n through a gate whose DPL is below CPL is #GP with the vector and IDT',
    () => {
      system.enter('protected', 3)
      system.setGate(0x40, GATE.interrupt, CODE0)
      expect(system.run(INT40)).toBe('#GP(0x202)')
      expect(system.pushed(1)).toBe(CODE)
    },
  )

  rule('exceptions', 'SDM vol. 3, 6.12.1.1', 'INT3 and INTO ask for the DPL of their gates', () => {
    for (const [source, code] of [
      ['int3', 0x1a],
      ['mov al, 0x7f\ninc al\ninto', 0x22],
    ] as const) {
      system.enter('protected', 3)
      for (const vector of [3, 4]) system.setGate(vector, GATE.interrupt, CODE0)
      expect(system.run(source)).toBe(`#GP(${hex(code)})`)
    }
  })

  rule(
    'exceptions',
    'SDM vol. 3, 6.12.1.1',
    'Exceptions and external interrupts do not ask for the DPL of their gates',
    () => {
      system.enter('protected', 3)
      for (const vector of [6, 0x40]) system.setGate(vector, GATE.interrupt, CODE0)
      expect(system.run('ud2')).toBe('#UD')
      system.enter('protected', 3)
      system.setGate(0x40, GATE.interrupt, CODE0)
      expect(external(0x40)).toBe('INT 64')
    },
  )

  rule('exceptions', 'SDM vol. 3, 6.13', 'A vector beyond the limit of the IDT is #GP with the vector and IDT', () => {
    guest.vcpu.registers.setTable('idtr', { base: BigInt(IDT), limit: 0x40 * 8 + 6 })
    expect(system.run(INT40)).toBe('#GP(0x202)')
  })

  rule('exceptions', 'SDM vol. 3, 6.13', 'A gate that is not present is #NP with the vector and IDT', () => {
    system.setGate(0x40, GATE.interrupt & 0x7f, CODE0)
    expect(system.run(INT40)).toBe('#NP(0x202)')
  })

  rule(
    'exceptions',
    'SDM vol. 2, INT n',
    'A descriptor in the IDT that is no interrupt, trap or task gate is #GP with the vector and IDT',
    () => {
      for (const kind of [GATE.call, GATE.call16, 0x80, 0x82, 0x89, 0x9a, 0x8d]) {
        system.enter('protected')
        system.setGate(0x40, kind, CODE0)
        expect(system.run(INT40), hex(kind)).toBe('#GP(0x202)')
      }
    },
  )

  rule(
    'exceptions',
    'SDM vol. 3, 6.13',
    'EXT is set in the error code when an external interrupt or an exception is being delivered',
    () => {
      system.setGate(0x40, 0, CODE0)
      expect(external(0x40)).toBe('#GP(0x203)')
      system.enter('protected')
      system.setGate(6, 0, CODE0)
      expect(system.run('ud2')).toBe('#GP(0x33)')
    },
  )

  rule('exceptions', 'SDM vol. 2, INT n', 'A gate with a null selector is #GP(0), with EXT as it is', () => {
    system.setGate(0x40, GATE.interrupt, 0)
    expect(system.run(INT40)).toBe('#GP(0x0)')
    system.enter('protected')
    system.setGate(0x40, GATE.interrupt, 0)
    expect(external(0x40)).toBe('#GP(0x1)')
  })

  rule(
    'exceptions',
    'SDM vol. 2, INT n',
    'A gate to data, to code of an outer ring, or beyond the GDT is #GP with the selector',
    () => {
      for (const selector of [DATA0, CODE3 & ~3, 0x3f8, 0x400]) {
        system.enter('protected')
        system.setGate(0x40, GATE.interrupt, selector)
        expect(system.run(INT40)).toBe(`#GP(${hex(selector)})`)
      }
    },
  )

  rule('exceptions', 'SDM vol. 2, INT n', 'A gate to code that is not present is #NP with the selector', () => {
    system.set(FREE, system.absent(descriptor(RIGHTS.code)))
    system.setGate(0x40, GATE.interrupt, FREE)
    expect(system.run(INT40)).toBe(`#NP(${hex(FREE)})`)
  })

  rule('exceptions', 'SDM vol. 2, INT n', 'A gate whose offset is beyond the limit of its code is #GP(0)', () => {
    system.set(FREE, descriptor(0x409a, 0, 0xfff))
    system.setGate(0x40, GATE.interrupt, FREE, 0x1000)
    expect(system.run(INT40)).toBe('#GP(0x0)')
    expect(system.pushed(1)).toBe(CODE)
  })

  rule(
    'exceptions',
    'SDM vol. 2, INT n',
    'A frame that does not fit on the stack in place is #SS(0), and nothing is pushed',
    () => {
      system.enter('protected', 3)
      system.set(FREE, descriptor(RIGHTS.conforming))
      system.setGate(0x40, GATE.interrupt | dpl(3), FREE)
      const { registers } = guest.vcpu
      registers.setSegment('ss', { ...registers.segment('ss'), limit: STACK - 5 })
      guest.write32(STACK - 12, 0x1234)
      expect(system.run(INT40)).toBe('#SS(0x0)')
      expect([guest.read32(STACK - 12), system.pushed(4)]).toEqual([0x1234, STACK])
    },
  )

  rule(
    'exceptions',
    'SDM vol. 2, INT n',
    'An inner stack that is bad is #TS with its selector, and EXT as it is',
    () => {
      for (const [source, code] of [
        [INT40, FREE],
        ['ud2', FREE | 1],
      ] as const) {
        system.enter('protected', 3)
        system.set(FREE, descriptor(RIGHTS.readOnly))
        guest.write32(TSS + 8, FREE)
        system.set(FREE + 8, descriptor(RIGHTS.conforming))
        system.setGate(10, GATE.interrupt, FREE + 8)
        expect(system.run(source)).toBe(`#TS(${hex(code)})`)
      }
    },
  )

  rule('exceptions', 'SDM vol. 3, 6.14.4', 'The new stack is written with the rights of the supervisor', () => {
    system.enter('long', 3)
    guest.write64(system.pageEntry(STACK0 - 8), BigInt(STACK0 - 0x1000) | 3n)
    expect(system.run(INT40)).toBe('INT 64')
  })
})

describe.skipIf(!hasNasm)(`delivery in real mode${nasmNote}`, () => {
  beforeEach(() => system.enter('real'))

  rule(
    'exceptions',
    'SDM vol. 3, 20.1.4',
    'An event of real mode pushes FLAGS, CS and IP in words and takes CS:IP from the vector table',
    () => {
      expect(system.run(INT40, { registers: { rflags: 2 | IF | 1 } })).toBe('INT 64')
      expect(frame(3)).toEqual([2, CODE >> 4, 3 | IF])
      expect(system.register('rsp')).toBe(0xfff0 - 6)
    },
  )

  rule('exceptions', 'SDM vol. 2, INT n', 'An event of real mode clears IF, TF and AC', () => {
    expect(system.run(INT40, { registers: { rflags: 2 | IF | AC } })).toBe('INT 64')
    expect(system.register('rflags') & (IF | TF | AC)).toBe(0)
  })

  rule('exceptions', 'SDM vol. 3, 20.1.4', 'Exceptions of real mode push no error code', () => {
    expect(system.run('mov bx, 0xffff\nmov ax, [bx]')).toBe('#GP')
    expect(frame(2)).toEqual([3, CODE >> 4])
  })

  rule('exceptions', 'SDM vol. 3, 20.1.4', 'The vector table lies where IDTR says', () => {
    guest.write32(DATA + 0x40 * 4, HANDLERS + 0x410)
    guest.vcpu.registers.setTable('idtr', { base: BigInt(DATA), limit: 0x3ff })
    system.run(INT40)
    expect(system.register('rip')).toBe(HANDLERS + 0x413)
  })

  rule('exceptions', 'SDM vol. 3, 20.1.4', 'A vector beyond the limit of IDTR is #GP in real mode', () => {
    guest.vcpu.registers.setTable('idtr', { base: 0n, limit: 0x40 * 4 + 2 })
    expect(system.run(INT40)).toBe('#GP')
  })

  rule(
    'exceptions',
    'SDM vol. 3, 20.1.4',
    'A stack of real mode without room for the frame ends in a triple fault',
    () => {
      expect(system.run(INT40, { registers: { rsp: 1 } })).toBe('triple-fault')
    },
  )
})

describe.skipIf(!hasNasm)(`delivery in long mode${nasmNote}`, () => {
  beforeEach(() => system.enter('long'))

  rule(
    'exceptions',
    'SDM vol. 3, 6.14.2',
    'An event of 64-bit mode pushes SS and RSP also within a ring, on a stack aligned to 16 bytes',
    () => {
      expect(system.run(INT40, { registers: { rsp: STACK0 - 3 } })).toBe('INT 64')
      expect(frame(5)).toEqual([CODE + 2, CODE0, 2, STACK0 - 3, DATA0])
      expect(system.register('rsp')).toBe(STACK0 - 16 - 40)
    },
  )

  rule(
    'exceptions',
    'SDM vol. 3, 6.14.4',
    'An event from an outer ring of long mode takes RSP from the TSS and leaves a null SS',
    () => {
      system.enter('long', 3)
      expect(system.run(INT40)).toBe('INT 64')
      expect(frame(5)).toEqual([CODE + 2, CODE3, 2, STACK, DATA3])
      expect([system.selector('ss'), system.register('rsp')]).toEqual([0, STACK0 - 40])
    },
  )

  rule(
    'exceptions',
    'SDM vol. 3, 6.14.2',
    'Code of compatibility mode is interrupted into 64-bit mode with a frame of quadwords',
    () => {
      const { registers } = guest.vcpu
      registers.setSegment('cs', { selector: COMPATIBLE0, base: 0n, limit: 0xffff_ffff, rights: RIGHTS.code | 1 })
      expect(system.run(INT40, { bits: 32 })).toBe('INT 64')
      expect(frame(5)).toEqual([CODE + 2, COMPATIBLE0, 2, STACK0, DATA0])
      expect(system.selector('cs')).toBe(CODE0)
    },
  )

  rule('exceptions', 'SDM vol. 3, 6.14.5', 'A gate with an IST index takes that stack, in any ring', () => {
    guest.write64(TSS + 36, BigInt(IST1))
    guest.write64(TSS + 44, BigInt(IST2))
    system.setGate(0x40, GATE.interrupt, CODE0, HANDLERS + 0x400, 1)
    expect(system.run(INT40)).toBe('INT 64')
    expect(system.register('rsp')).toBe(IST1 - 8 - 40)
    system.enter('long', 3)
    guest.write64(TSS + 44, BigInt(IST2))
    system.setGate(0x40, GATE.interrupt | dpl(3), CODE0, HANDLERS + 0x400, 2)
    expect(system.run(INT40)).toBe('INT 64')
    expect(system.register('rsp')).toBe(IST2 - 40)
  })

  rule(
    'exceptions',
    'SDM vol. 3, 6.14.5',
    'An IST entry beyond the limit of the TSS is #TS with the selector of the TSS',
    () => {
      const { registers } = guest.vcpu
      registers.setSegment('tr', { ...registers.segment('tr'), limit: 42 })
      system.setGate(0x40, GATE.interrupt, CODE0, HANDLERS + 0x400, 1)
      expect(system.run(INT40)).toBe('#TS(0x28)')
    },
  )

  rule('exceptions', 'SDM vol. 3, 6.14.4', 'A stack pointer in the TSS that is not canonical is #SS(0)', () => {
    guest.write64(TSS + 36, 0x8000_0000_0000n)
    system.setGate(0x40, GATE.interrupt, CODE0, HANDLERS + 0x400, 1)
    expect(system.run(INT40)).toBe('#SS(0x0)')
  })

  rule(
    'exceptions',
    'SDM vol. 3, 6.14.1',
    '16-bit gates, task gates and call gates are #GP with the vector and IDT in long mode',
    () => {
      for (const kind of [GATE.interrupt16, GATE.trap16, GATE.task, GATE.call]) {
        system.enter('long')
        system.setGate(0x40, kind, CODE0)
        expect(system.run(INT40), hex(kind)).toBe('#GP(0x202)')
      }
    },
  )

  rule(
    'exceptions',
    'SDM vol. 3, 6.14.1',
    'A gate of long mode to code that is not 64-bit is #GP with the selector',
    () => {
      system.setGate(0x40, GATE.interrupt, COMPATIBLE0)
      expect(system.run(INT40)).toBe(`#GP(${hex(COMPATIBLE0)})`)
    },
  )

  rule('exceptions', 'SDM vol. 3, 6.14.1', 'A gate whose offset is not canonical is #GP(0)', () => {
    guest.write64(IDT + 0x40 * 16 + 8, 0x0000_8000n)
    expect(system.run(INT40)).toBe('#GP(0x0)')
  })

  rule(
    'exceptions',
    'SDM vol. 3, 6.14.1',
    'Gates of long mode have 16 bytes: the limit of the IDT counts them so',
    () => {
      guest.vcpu.registers.setTable('idtr', { base: BigInt(IDT), limit: 0x40 * 16 + 14 })
      expect(system.run(INT40)).toBe('#GP(0x202)')
    },
  )

  rule(
    'exceptions',
    'SDM vol. 3, 6.14.2',
    'An interrupt of ring 3 in compatibility mode returns there with IRETQ',
    () => {
      system.enter('long', 3)
      const { registers } = guest.vcpu
      registers.setSegment('cs', {
        selector: COMPATIBLE3,
        base: 0n,
        limit: 0xffff_ffff,
        rights: RIGHTS.code | 1 | dpl(3),
      })
      guest.write(HANDLERS + 0x400, [0x48, 0xcf])
      // inc eax is a REX prefix in 64-bit mode.
      expect(system.run(`xor eax, eax\n${INT40}\ninc eax`, { bits: 32 })).toBe('end')
      expect([system.register('rax'), system.selector('cs'), system.register('rsp')]).toEqual([1, COMPATIBLE3, STACK])
    },
  )
})

describe.skipIf(!hasNasm)(`double and triple faults${nasmNote}`, () => {
  /** Outcome in ring 0 of long mode, where the gates of some vectors are not present and a page is missing. */
  function broken(source: string, ...gates: number[]): string {
    system.enter('long')
    for (const vector of gates) system.setGate(vector, 0, CODE0)
    guest.write64(system.pageEntry(0x50000), 0n)
    return system.run(source)
  }
  const DIVIDE = 'xor ecx, ecx\ndiv ecx'
  const PAGE = 'mov al, [0x50000]'
  /** #PF by a gate to a handler of which the IDT's page is missing is a page fault in its delivery. */
  function unmappedIdt(source: string): string {
    system.enter('long')
    guest.write(0x52000, guest.read(IDT, 0x1000))
    // The gate of #PF (vector 14) and those before it cross into a page that is not there.
    guest.write(0x50000 - 9 * 16, guest.read(IDT, 9 * 16))
    guest.vcpu.registers.setTable('idtr', { base: BigInt(0x50000 - 9 * 16), limit: 0xfff })
    guest.write64(system.pageEntry(0x50000), 0n)
    return system.run(source)
  }

  rule('exceptions', 'SDM vol. 3, table 6-5', 'A contributory exception in the delivery of another is #DF', () => {
    expect(broken(DIVIDE, 0)).toBe('#DF(0x0)')
    expect(broken('mov ax, 0x80\nmov ds, ax', 13)).toBe('#DF(0x0)')
  })

  rule(
    'exceptions',
    'SDM vol. 3, table 6-5',
    'A contributory exception in the delivery of a benign one is delivered by itself',
    () => {
      expect(broken('ud2', 6)).toBe('#GP(0x33)')
    },
  )

  rule('exceptions', 'SDM vol. 3, table 6-5', 'A contributory exception in the delivery of a page fault is #DF', () => {
    expect(broken(PAGE, 14)).toBe('#DF(0x0)')
  })

  rule('exceptions', 'SDM vol. 3, table 6-5', 'A page fault in the delivery of a page fault is #DF', () => {
    expect(unmappedIdt(`mov al, [0x50123]`)).toBe('#DF(0x0)')
    expect(system.register('cr2')).toBe(0x50000 + 5 * 16)
  })

  rule(
    'exceptions',
    'SDM vol. 3, table 6-5',
    'A page fault in the delivery of a contributory exception is delivered by itself',
    () => {
      system.enter('long')
      guest.write64(TSS + 36, 0x51000n)
      guest.write64(system.pageEntry(0x50000), 0n)
      system.setGate(13, GATE.interrupt, CODE0, HANDLERS + 13 * 16, 1)
      expect(system.run('mov ax, 0x80\nmov ds, ax')).toBe('#PF(0x2)')
      expect(system.register('cr2')).toBe(0x50ff8)
    },
  )

  rule(
    'exceptions',
    'SDM vol. 3, table 6-5',
    'A contributory exception in the delivery of an interrupt is delivered by itself',
    () => {
      expect(broken(INT40, 0x40)).toBe('#GP(0x202)')
    },
  )

  rule(
    'exceptions',
    'SDM vol. 3, 6.15, interrupt 8',
    '#DF has error code 0 and the instruction pointer of the first exception',
    () => {
      expect(broken(DIVIDE, 0)).toBe('#DF(0x0)')
      expect(frame(2)).toEqual([0, CODE + 2])
    },
  )

  rule(
    'exceptions',
    'SDM vol. 3, 6.15, interrupt 8',
    'A fault in the delivery of #DF is a triple fault: the processor shuts down',
    () => {
      expect(broken(DIVIDE, 0, 8)).toBe('triple-fault')
      expect(guest.vcpu.activity).toBe('shutdown')
    },
  )

  rule('exceptions', 'SDM vol. 3, 6.15, interrupt 8', 'A page fault in the delivery of #DF is a triple fault', () => {
    system.enter('long')
    guest.write64(TSS + 36, 0x51000n)
    guest.write64(system.pageEntry(0x50000), 0n)
    system.setGate(8, GATE.interrupt, CODE0, HANDLERS + 8 * 16, 1)
    system.setGate(0, 0, CODE0)
    expect(system.run(DIVIDE)).toBe('triple-fault')
  })

  rule('exceptions', 'SDM vol. 3, 6.15, interrupt 8', 'An IDT with limit 0 makes any exception a triple fault', () => {
    guest.vcpu.registers.setTable('idtr', { base: BigInt(IDT), limit: 0 })
    expect(system.run('ud2')).toBe('triple-fault')
  })

  rule(
    'exceptions',
    'SDM vol. 3, 6.15, interrupt 14',
    'A page fault loads CR2 before its delivery, also when that ends in #DF',
    () => {
      expect(broken(PAGE, 14)).toBe('#DF(0x0)')
      expect(system.register('cr2')).toBe(0x50000)
    },
  )
})

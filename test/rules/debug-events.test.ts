/** Rules of what debug exceptions report, push and wait for: DR6, RF, I/O breakpoints, general detection, INT1. */

import { afterAll, beforeEach, describe, expect } from 'vitest'
import { hasNasm, nasmNote } from '../engine/guest/assemble.ts'
import { Host } from '../engine/guest/guest.ts'
import { CODE, CODE0, DATA, DATA0, GATE, HANDLERS, STACK0, SystemGuest } from '../engine/guest/system-guest.ts'
import { rule } from './rule.ts'

const system = new SystemGuest(new Host())
const { guest } = system
afterAll(() => system.release())

const [TF, IF, RF] = [1 << 8, 1 << 9, 1 << 16]
const [BD, BS] = [1 << 13, 1 << 14]
const DE = 8
/** DR7 with breakpoint 0 on execution, writes, ports, or reads and writes, of one byte or four. */
const [ON_FETCH, ON_WRITE, ON_PORT, ON_PORT4] = [0x401, 0x1_0401, 0x2_0401, 0xe_0401]

const status = (): number => system.register('dr6') & 0xe00f
/** EIP and EFLAGS that the event pushed; in protected mode, where #DB has no error code. */
const pushedEip = (): number => system.pushed(0) - CODE
const pushedFlags = (index = 2): number => system.pushed(index)

beforeEach(() => system.enter('protected'))

describe.skipIf(!hasNasm)(`RF${nasmNote}`, () => {
  rule('debug', 'SDM vol. 3, 17.3.1.1', 'A fault pushes EFLAGS with RF set', () => {
    expect(system.run('ud2')).toBe('#UD')
    expect(pushedFlags() & RF).toBe(RF)
    system.enter('protected')
    expect(system.run('mov ax, 0x80\nmov ds, ax')).toBe('#GP(0x80)')
    expect(pushedFlags(3) & RF).toBe(RF)
  })

  rule('debug', 'SDM vol. 3, 17.3.1.1', 'A software interrupt pushes EFLAGS with RF clear', () => {
    expect(system.run('int3')).toBe('#BP')
    expect(pushedFlags() & RF).toBe(0)
    system.enter('protected')
    expect(system.run('int 0x40')).toBe('INT 64')
    expect(pushedFlags() & RF).toBe(0)
  })

  rule('debug', 'SDM vol. 3, 17.3.1.1', 'A single-step trap pushes EFLAGS with RF clear', () => {
    expect(system.run('nop', { registers: { rflags: 2 | TF } })).toBe('#DB')
    expect(pushedFlags()).toBe(2 | TF)
  })

  rule('debug', 'SDM vol. 3, 17.3.1.1', 'A code breakpoint pushes EFLAGS with RF clear', () => {
    expect(system.run('nop', { registers: { dr0: CODE, dr7: ON_FETCH } })).toBe('#DB')
    expect([pushedFlags() & RF, pushedEip(), status()]).toEqual([0, 0, 1])
  })

  rule(
    'debug',
    'SDM vol. 3, 17.3.1.1',
    'A trap between two iterations of a repeated instruction pushes RF set, behind the last one clear',
    () => {
      const source = `mov edi, ${DATA}\nmov ecx, 2\nrep stosb`
      system.load(source)
      guest.run(2)
      guest.setRegisters({ rflags: 2 | TF })
      expect(system.resume()).toBe('#DB')
      expect([pushedFlags() & RF, pushedEip()]).toEqual([RF, 10])
      guest.setRegisters({ rip: CODE + 10, rsp: STACK0, rflags: 2 | TF })
      expect(system.resume()).toBe('#DB')
      expect([pushedFlags() & RF, pushedEip()]).toEqual([0, 12])
    },
  )

  rule(
    'debug',
    'SDM vol. 3, 17.3.1.1',
    'An interrupt between two iterations of a repeated instruction pushes RF set',
    () => {
      system.load(`mov edi, ${DATA}\nmov ecx, 9\nsti\nrep stosb`)
      guest.run(5)
      guest.vcpu.injectInterrupt(0x40)
      expect(system.resume()).toBe('INT 64')
      expect([pushedFlags() & RF, pushedEip()]).toEqual([RF, 11])
    },
  )

  rule('debug', 'SDM vol. 3, 17.3.1.1', 'An interrupt between two instructions pushes RF clear', () => {
    system.load('sti\nnop\nnop\nnop')
    guest.run(2)
    guest.vcpu.injectInterrupt(0x40)
    expect(system.resume()).toBe('INT 64')
    expect(pushedFlags()).toBe(2 | IF)
  })

  rule(
    'debug',
    'SDM vol. 3, 17.3.1.1',
    'RF holds off the code breakpoint of the instruction that IRET returns to, and no other',
    () => {
      const frame = `push dword ${2 | RF}\npush dword ${CODE0}\npush dword ${CODE + 0x20}\niretd\ntimes ${0x20 - 13} nop\nnop\nnop`
      system.load(frame)
      const length = guest.read(CODE, 0x40).indexOf(0xcf) + 1
      system.load(`${frame.replace(`${0x20 - 13}`, `${0x20 - length}`)}`, {
        registers: { dr0: CODE + 0x20, dr1: CODE + 0x21, dr7: 0x405 },
      })
      expect(system.resume()).toBe('#DB')
      expect([pushedEip(), status()]).toEqual([0x21, 2])
    },
  )

  rule('debug', 'SDM vol. 2, POPF', 'POPF and PUSHF neither set nor show RF', () => {
    expect(system.run(`push dword ${2 | RF}\npopfd\npushfd\npop eax`)).toBe('end')
    expect(system.register('rax')).toBe(2)
  })
})

describe.skipIf(!hasNasm)(`single-stepping${nasmNote}`, () => {
  rule(
    'debug',
    'SDM vol. 3, 17.3.1.4',
    'INT n is not followed by a single-step trap: its handler begins with TF clear',
    () => {
      expect(system.run('int 0x40', { registers: { rflags: 2 | TF } })).toBe('INT 64')
      expect([pushedFlags(), system.register('rflags') & TF, status()]).toEqual([2 | TF, 0, 0])
    },
  )

  rule(
    'debug',
    'AMD64 APM vol. 3, SYSCALL',
    'SYSCALL that masks TF is not followed by a single-step trap, one that does not is',
    () => {
      const star = BigInt(CODE0) << 32n
      for (const [mask, outcome] of [
        [TF, 'end'],
        [0, '#DB'],
      ] as const) {
        system.enter('long', 3)
        guest.write(CODE + 0x800, [0x0f, 0x01, 0xc1])
        const registers = { efer: 0x501, msr_star: star, msr_lstar: CODE + 0x800, msr_fmask: mask, rflags: 2 | TF }
        expect(system.run('syscall', { registers })).toBe(outcome)
      }
    },
  )

  rule('debug', 'SDM vol. 3, 17.3.1.4', 'HLT with TF set is ended by its single-step trap', () => {
    expect(system.run('hlt', { registers: { rflags: 2 | TF } })).toBe('#DB')
    expect([pushedEip(), status()]).toEqual([1, BS])
  })

  rule(
    'debug',
    'SDM vol. 3, table 6-2',
    'The single-step trap of an instruction comes before an interrupt that waits',
    () => {
      system.load('nop\nnop', { registers: { rflags: 2 | TF | IF } })
      guest.run(1)
      expect(guest.vcpu.interruptible).toBe(false)
      guest.vcpu.requestInterruptWindow(true)
      expect(system.resume()).toBe('#DB')
      guest.vcpu.requestInterruptWindow(false)
      expect(system.register('rip')).toBe(HANDLERS + 16 + 3)
    },
  )

  rule(
    'debug',
    'SDM vol. 3, 17.2.3',
    'The processor sets bits of DR6 and clears none of the earlier BS, BD and BT',
    () => {
      expect(system.run('nop', { registers: { rflags: 2 | TF, dr6: 0xffff_2ff0 } })).toBe('#DB')
      expect(status()).toBe(BD | BS)
    },
  )
})

describe.skipIf(!hasNasm)(`debug exceptions and MOV SS${nasmNote}`, () => {
  rule('debug', 'SDM vol. 3, 6.8.3', 'The code breakpoint of the instruction behind MOV SS is not met', () => {
    const source = 'mov eax, ss\nmov ss, eax\nnop'
    expect(system.run(source, { registers: { dr0: CODE + 2, dr7: ON_FETCH } })).toBe('#DB')
    system.enter('protected')
    expect(system.run(source, { registers: { dr0: CODE + 4, dr7: ON_FETCH } })).toBe('end')
  })

  rule('debug', 'SDM vol. 3, 6.8.3', 'POP SS holds a single-step trap off as MOV SS does, LSS does not', () => {
    const registers = { rflags: 2 | TF }
    system.load('push ss\npop ss\nnop')
    guest.run(1)
    guest.setRegisters(registers)
    expect(system.resume()).toBe('#DB')
    expect(pushedEip()).toBe(3)
    system.enter('protected')
    guest.write32(DATA, STACK0)
    guest.write32(DATA + 4, DATA0)
    expect(system.run(`lss esp, [${DATA}]\nnop`, { registers })).toBe('#DB')
    expect(pushedEip()).toBe(7)
  })

  rule(
    'debug',
    'SDM vol. 3, 6.8.3',
    'A data breakpoint that MOV SS meets before INT n is reported at the first instruction of the handler',
    () => {
      guest.write32(DATA, DATA0)
      system.load(`mov ss, [${DATA}]\nint 0x40`, { registers: { dr0: DATA, dr7: 0x3_0401 } })
      expect(system.resume()).toBe('#DB')
      expect([system.pushed(0), status()]).toEqual([HANDLERS + 0x40 * 16, 1])
    },
  )
})

describe.skipIf(!hasNasm)(`I/O breakpoints${nasmNote}`, () => {
  /** Runs past port exits; IN reads zero. */
  function throughPorts(source: string, registers: Readonly<Record<string, number>>): string {
    let outcome = system.run(source, { registers })
    for (let i = 0; outcome === 'io' && i < 20; i++) {
      guest.vcpu.completeIn(0)
      outcome = system.resume()
    }
    return outcome
  }
  /** OUT needs no answer. */
  function afterOut(source: string, registers: Readonly<Record<string, number>>): string {
    let outcome = system.run(source, { registers })
    for (let i = 0; outcome === 'io' && i < 20; i++) outcome = system.resume()
    return outcome
  }

  rule('debug', 'SDM vol. 3, 17.2.4', 'R/W 10 with CR4.DE breaks on OUT to the port, as a trap', () => {
    expect(afterOut('out 0x60, al\nnop', { cr4: DE, dr0: 0x60, dr7: ON_PORT })).toBe('#DB')
    expect([pushedEip(), status()]).toEqual([2, 1])
  })

  rule('debug', 'SDM vol. 3, 17.2.4', 'R/W 10 with CR4.DE breaks on IN from the port, with the register loaded', () => {
    expect(throughPorts('mov eax, -1\nin al, 0x60\nnop', { cr4: DE, dr0: 0x60, dr7: ON_PORT })).toBe('#DB')
    expect([pushedEip(), system.register('rax') >>> 0]).toEqual([7, 0xffff_ff00])
  })

  rule(
    'debug',
    'SDM vol. 3, 17.3.1.3',
    'An I/O breakpoint of four bytes is met by each of its ports, and by a wider access that overlaps it',
    () => {
      for (const [source, met] of [
        ['out 0x63, al', true],
        ['out 0x64, al', false],
        ['out 0x5e, eax', true],
        ['out 0x5c, eax', false],
      ] as const) {
        system.enter('protected')
        expect(afterOut(source, { cr4: DE, dr0: 0x60, dr7: ON_PORT4 }), source).toBe(met ? '#DB' : 'end')
      }
    },
  )

  rule('debug', 'SDM vol. 3, 17.2.4', 'R/W 10 without CR4.DE breaks on nothing', () => {
    expect(afterOut(`out 0x60, al\nmov [${DATA}], al`, { dr0: 0x60, dr7: ON_PORT })).toBe('end')
  })

  rule('debug', 'SDM vol. 3, 17.3.1.3', 'REP OUTS meets an I/O breakpoint after its first iteration', () => {
    const source = `mov esi, ${DATA}\nmov ecx, 3\nmov edx, 0x60\nrep outsb`
    expect(afterOut(source, { cr4: DE, dr0: 0x60, dr7: ON_PORT })).toBe('#DB')
    expect([system.register('rcx'), pushedEip(), pushedFlags() & RF]).toEqual([2, 15, RF])
  })

  rule('debug', 'SDM vol. 3, 17.2.4', 'A data breakpoint at the number of a port is not met by it', () => {
    expect(afterOut('out 0x60, al', { cr4: DE, dr0: 0x60, dr7: ON_WRITE })).toBe('end')
  })
})

describe.skipIf(!hasNasm)(`access to debug registers${nasmNote}`, () => {
  rule(
    'debug',
    'SDM vol. 3, 17.2.4',
    'MOV of a debug register with DR7.GD is #DB with BD before it is done, and enters the handler with GD clear',
    () => {
      expect(system.run('mov eax, dr0', { registers: { rax: 5, dr7: 0x2400 } })).toBe('#DB')
      expect([pushedEip(), status(), system.register('rax'), system.register('dr7')]).toEqual([0, BD, 5, 0x400])
    },
  )

  rule('debug', 'SDM vol. 3, 17.3.1.1', 'General detection is a fault: EFLAGS are pushed with RF set', () => {
    expect(system.run('mov dr7, eax', { registers: { dr7: 0x2400 } })).toBe('#DB')
    expect(pushedFlags() & RF).toBe(RF)
  })

  rule('debug', 'SDM vol. 3, 17.2.2', 'DR4 and DR5 are DR6 and DR7 without CR4.DE', () => {
    expect(
      system.run('mov eax, 0x401\ndb 0x0f, 0x23, 0xe8\ndb 0x0f, 0x21, 0xe3', { registers: { dr6: 0xffff_4ff0 } }),
    ).toBe('end')
    expect([system.register('dr7'), system.register('rbx') >>> 0]).toEqual([0x401, 0xffff_4ff0])
  })

  rule('debug', 'SDM vol. 3, 17.2.2', 'DR4 and DR5 with CR4.DE are #UD', () => {
    for (const register of ['db 0x0f, 0x23, 0xe8', 'db 0x0f, 0x21, 0xe3']) {
      system.enter('protected')
      expect(system.run(register, { registers: { cr4: DE } })).toBe('#UD')
    }
  })

  rule('debug', 'SDM vol. 2, MOV', 'MOV of a debug register outside ring 0 is #GP(0)', () => {
    system.enter('protected', 3)
    expect(system.run('mov eax, dr0')).toBe('#GP(0x0)')
    system.enter('virtual-8086')
    expect(system.run('mov dr7, eax')).toBe('#GP(0x0)')
  })

  rule('debug', 'SDM vol. 2, MOV', 'MOV to DR6 or DR7 with a bit above 31 set is #GP(0)', () => {
    for (const register of ['dr6', 'dr7']) {
      system.enter('long')
      expect(system.run(`mov rax, 0x100000000\nmov ${register}, rax`)).toBe('#GP(0x0)')
    }
  })

  rule('debug', 'SDM vol. 3, 17.2.3', 'Reserved bits of DR6 and DR7 keep their fixed values', () => {
    expect(system.run('xor eax, eax\nmov dr6, eax\nmov dr7, eax\nmov ebx, dr6\nmov ecx, dr7')).toBe('end')
    expect([system.register('rbx') >>> 0, system.register('rcx')]).toEqual([0xffff_0ff0, 0x400])
  })

  rule(
    'debug',
    'SDM vol. 3, 17.2',
    'MOV of a debug register ignores the mod field, and has a 64-bit operand in 64-bit mode',
    () => {
      system.enter('long')
      // mov rbx, dr0 with mod 00
      expect(system.run('mov rax, 0x1234567890\nmov dr0, rax\ndb 0x0f, 0x21, 0x03')).toBe('end')
      expect(system.register('rbx')).toBe(0x12_3456_7890)
    },
  )
})

describe.skipIf(!hasNasm)(`INT1${nasmNote}`, () => {
  rule('debug', 'SDM vol. 2, INT1', 'INT1 is #DB that returns behind it and leaves DR6', () => {
    expect(system.run('db 0xf1')).toBe('#DB')
    expect([pushedEip(), status()]).toEqual([1, 0])
  })

  rule('debug', 'SDM vol. 2, INT1', 'INT1 asks for no DPL of its gate, INT 1 does', () => {
    system.enter('protected', 3)
    system.setGate(1, GATE.interrupt, CODE0)
    expect(system.run('db 0xf1')).toBe('#DB')
    system.enter('protected', 3)
    system.setGate(1, GATE.interrupt, CODE0)
    expect(system.run('int 1')).toBe('#GP(0xa)')
  })

  rule('debug', 'SDM vol. 3, 6.13', 'An error code that the delivery of INT1 causes has EXT set', () => {
    system.setGate(1, 0, CODE0)
    expect(system.run('db 0xf1')).toBe('#GP(0xb)')
  })
})

describe.skipIf(!hasNasm)(`priorities of breakpoints${nasmNote}`, () => {
  rule('debug', 'SDM vol. 3, table 6-2', 'A code breakpoint comes before the page fault of the fetch', () => {
    system.enter('long')
    guest.write64(system.pageEntry(0x50000), 0n)
    expect(system.run('mov eax, 0x50000\njmp rax', { registers: { dr0: 0x50000, dr7: ON_FETCH } })).toBe('#DB')
    system.enter('long')
    guest.write64(system.pageEntry(0x50000), 0n)
    expect(system.run('mov eax, 0x50000\njmp rax')).toBe('#PF(0x0)')
  })

  rule('debug', 'SDM vol. 3, table 6-2', 'A code breakpoint comes before the #UD of its instruction', () => {
    expect(system.run('ud2', { registers: { dr0: CODE, dr7: ON_FETCH } })).toBe('#DB')
  })

  rule(
    'debug',
    'SDM vol. 3, table 6-2',
    'The trap of an instruction comes before the code breakpoint of the next',
    () => {
      expect(system.run('nop\nnop', { registers: { rflags: 2 | TF, dr0: CODE + 1, dr7: ON_FETCH } })).toBe('#DB')
      expect([pushedEip(), status()]).toEqual([1, BS])
    },
  )
})

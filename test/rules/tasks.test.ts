/** Rules of hardware task switches (SDM vol. 3, chapter 8) and of the I/O permission bitmap in the TSS. */

import { afterAll, beforeEach, describe, expect } from 'vitest'
import { hasNasm, nasmNote } from '../engine/guest/assemble.ts'
import { Host } from '../engine/guest/guest.ts'
import {
  CODE,
  CODE0,
  CODE3,
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
  STACK0,
  SystemGuest,
  TASKS,
  TR,
  TSS,
} from '../engine/guest/system-guest.ts'
import { rule } from './rule.ts'

const system = new SystemGuest(new Host())
const { guest } = system
afterAll(() => system.release())

const VMCALL = [0x0f, 0x01, 0xc1]
/** Where the new task begins, and its stack. */
const TASK_CODE = CODE + 0x800
const TASK_STACK = STACK0 - 0x800
/** Selectors of the new task's TSS and of a task gate to it. */
const NEW = FREE
const TASK_GATE = FREE + 8
const [NT, IF, VM] = [1 << 14, 1 << 9, 1 << 17]
const [BUSY, AVAILABLE] = [0x8b, 0x89]
const CR0_TS = 8
const NAMES = ['es', 'cs', 'ss', 'ds', 'fs', 'gs'] as const

const hex = (value: number): string => `0x${(value & ~3).toString(16)}`

interface Task {
  readonly eip?: number
  readonly flags?: number
  /** ES, CS, SS, DS, FS, GS. */
  readonly segments?: readonly number[]
  readonly ldt?: number
  readonly cr3?: number
  readonly trap?: boolean
  readonly link?: number
}

/** Writes a 32-bit TSS at TASKS and its descriptor at NEW, and a task gate to it. */
function defineTask(task: Task = {}, rights: number = RIGHTS.tss, limit = 0x67): void {
  const segments = task.segments ?? [DATA0, CODE0, DATA0, DATA0, 0, 0]
  guest.write(TASKS, new Uint8Array(0x68))
  guest.write32(TASKS, task.link ?? 0)
  guest.write32(TASKS + 28, task.cr3 ?? 0)
  guest.write32(TASKS + 32, task.eip ?? TASK_CODE)
  guest.write32(TASKS + 36, task.flags ?? 2)
  for (let i = 0; i < 8; i++) guest.write32(TASKS + 40 + i * 4, i === 4 ? TASK_STACK : 0x100 + i)
  segments.forEach((selector, i) => {
    guest.write32(TASKS + 72 + i * 4, selector)
  })
  guest.write32(TASKS + 96, task.ldt ?? 0)
  guest.write32(TASKS + 100, task.trap ? 1 : 0)
  system.set(NEW, descriptor(rights, TASKS, limit))
  system.set(TASK_GATE, gate(GATE.task, NEW))
}

/** Selectors that the TSS at an address holds. */
const savedSegments = (tss: number): number[] => NAMES.map((_, i) => guest.read32(tss + 72 + i * 4) & 0xffff)

function enter(ring: 0 | 3 = 0): void {
  system.enter('protected', ring)
  guest.write(TASK_CODE, VMCALL)
}
beforeEach(() => enter())

describe.skipIf(!hasNasm)(`a task switch${nasmNote}`, () => {
  rule('tasks', 'SDM vol. 3, 8.3', 'A jump to a TSS loads every register of the new task', () => {
    defineTask({ flags: 2 | IF | 1 })
    expect(system.run(`jmp ${NEW}:0`)).toBe('end')
    expect(['rax', 'rcx', 'rdx', 'rbx', 'rbp', 'rsi', 'rdi'].map(name => system.register(name))).toEqual([
      ...[0x100, 0x101, 0x102, 0x103, 0x105, 0x106, 0x107],
    ])
    expect([system.register('rsp'), system.register('rip')]).toEqual([TASK_STACK, TASK_CODE + 3])
    expect(system.register('rflags')).toBe(3 | IF)
    expect(NAMES.map(name => system.selector(name))).toEqual([DATA0, CODE0, DATA0, DATA0, 0, 0])
  })

  rule('tasks', 'SDM vol. 3, 8.3', 'A jump to a TSS saves the state of the old task, with EIP behind the jump', () => {
    defineTask()
    const registers = { rax: 1, rcx: 2, rdx: 3, rbx: 4, rbp: 5, rsi: 6, rdi: 7, rflags: 0x203 }
    expect(system.run(`jmp ${NEW}:0`, { registers })).toBe('end')
    expect([guest.read32(TSS + 32), guest.read32(TSS + 36)]).toEqual([CODE + 7, 0x203])
    expect(Array.from({ length: 8 }, (_, i) => guest.read32(TSS + 40 + i * 4))).toEqual([1, 2, 3, 4, STACK0, 5, 6, 7])
    expect(savedSegments(TSS)).toEqual([DATA0, CODE0, DATA0, DATA0, DATA0, DATA0])
  })

  rule('tasks', 'SDM vol. 3, table 8-2', 'A jump makes the old TSS available and the new one busy', () => {
    defineTask()
    expect(system.run(`jmp ${NEW}:0`)).toBe('end')
    expect([system.rightsOf(TR), system.rightsOf(NEW)]).toEqual([AVAILABLE, BUSY])
    expect(guest.vcpu.registers.segment('tr')).toMatchObject({ selector: NEW, base: BigInt(TASKS), limit: 0x67 })
  })

  rule('tasks', 'SDM vol. 3, table 8-2', 'A call leaves the old TSS busy, links the new one to it and sets NT', () => {
    defineTask({ link: 0x1234 })
    expect(system.run(`call ${NEW}:0`)).toBe('end')
    expect([system.rightsOf(TR), system.rightsOf(NEW), guest.read32(TASKS) & 0xffff]).toEqual([BUSY, BUSY, TR])
    expect(system.register('rflags')).toBe(2 | NT)
  })

  rule('tasks', 'SDM vol. 3, table 8-2', 'A jump neither links the new TSS nor sets NT', () => {
    defineTask({ link: 0x1234 })
    expect(system.run(`jmp ${NEW}:0`)).toBe('end')
    expect([guest.read32(TASKS), system.register('rflags') & NT]).toEqual([0x1234, 0])
  })

  rule(
    'tasks',
    'SDM vol. 3, 8.4',
    'IRET with NT goes back over the link, makes the TSS it leaves available and clears its NT',
    () => {
      defineTask()
      guest.write(TASK_CODE, [0xcf])
      expect(system.run(`call ${NEW}:0`)).toBe('end')
      expect(system.register('rip')).toBe(CODE + 7 + 3)
      expect([system.rightsOf(TR), system.rightsOf(NEW)]).toEqual([BUSY, AVAILABLE])
      expect([guest.read32(TASKS + 36) & NT, guest.read32(TASKS + 32)]).toEqual([0, TASK_CODE + 1])
      expect(system.register('rflags') & NT).toBe(0)
    },
  )

  rule('tasks', 'SDM vol. 3, 8.4', 'IRET with NT whose link is not a busy TSS is #TS with the link', () => {
    defineTask()
    for (const link of [NEW, DATA0, 0, 0x3ff8]) {
      enter()
      defineTask()
      guest.write32(TSS, link)
      expect(system.run('iretd', { registers: { rflags: 2 | NT } })).toBe(`#TS(${hex(link)})`)
    }
  })

  rule('tasks', 'SDM vol. 3, 8.3', 'A task switch sets CR0.TS', () => {
    defineTask()
    expect(system.run(`jmp ${NEW}:0`)).toBe('end')
    expect(system.register('cr0') & CR0_TS).toBe(CR0_TS)
  })

  rule(
    'tasks',
    'SDM vol. 3, 17.2.4',
    'A task switch clears the local breakpoints of DR7 and keeps the global ones',
    () => {
      defineTask()
      expect(
        system.run(`jmp ${NEW}:0`, { registers: { dr7: 0x7ff, dr0: 0x500, dr1: 0x500, dr2: 0x500, dr3: 0x500 } }),
      ).toBe('end')
      expect(system.register('dr7')).toBe(0x6aa)
    },
  )

  rule('tasks', 'SDM vol. 3, 8.3', 'A task switch loads CR3 where paging is on, and leaves it where it is not', () => {
    defineTask({ cr3: 0x5000 })
    expect(system.run(`jmp ${NEW}:0`)).toBe('end')
    expect(system.register('cr3')).toBe(0)
    for (const at of [0x70000, 0x71000]) {
      guest.write32(at, 0x83)
      // The same linear page leads to another frame in the new task.
      guest.write32(at + 4, 0x83)
    }
    enter()
    defineTask({ cr3: 0x71000 })
    expect(system.run(`jmp ${NEW}:0`, { registers: { cr4: 0x10, cr3: 0x70000, cr0: 0x8000_0031 } })).toBe('end')
    expect(system.register('cr3')).toBe(0x71000)
  })

  rule('tasks', 'SDM vol. 3, 8.3', 'A task gate leads to its TSS whatever the DPL of that', () => {
    enter(3)
    defineTask()
    system.set(TASK_GATE, gate(GATE.task | dpl(3), NEW))
    expect(system.run(`call ${TASK_GATE | 3}:0`)).toBe('end')
    expect([system.selector('cs'), system.selector('tr')]).toEqual([CODE0, NEW])
  })

  rule(
    'tasks',
    'SDM vol. 3, 8.3',
    'A TSS or task gate whose DPL is below CPL or RPL is #GP with the selector used',
    () => {
      for (const selector of [NEW, TASK_GATE]) {
        enter(3)
        defineTask()
        expect(system.run(`call ${selector | 3}:0`)).toBe(`#GP(${hex(selector)})`)
        enter()
        defineTask()
        expect(system.run(`call ${selector | 3}:0`)).toBe(`#GP(${hex(selector)})`)
      }
    },
  )

  rule('tasks', 'SDM vol. 3, 8.3', 'A busy TSS is #GP with its selector, also behind a task gate', () => {
    for (const selector of [NEW, TASK_GATE]) {
      enter()
      defineTask({}, RIGHTS.tss | RIGHTS.busy)
      expect(system.run(`jmp ${selector}:0`)).toBe(`#GP(${hex(NEW)})`)
    }
  })

  rule('tasks', 'SDM vol. 3, 8.3', 'A TSS or task gate that is not present is #NP with its selector', () => {
    defineTask()
    system.set(NEW, system.absent(descriptor(RIGHTS.tss, TASKS, 0x67)))
    expect(system.run(`jmp ${NEW}:0`)).toBe(`#NP(${hex(NEW)})`)
    enter()
    defineTask()
    system.set(TASK_GATE, system.absent(gate(GATE.task, NEW)))
    expect(system.run(`jmp ${TASK_GATE}:0`)).toBe(`#NP(${hex(TASK_GATE)})`)
  })

  rule('tasks', 'SDM vol. 3, 8.3', 'A task gate to a selector of the LDT is #GP with that selector', () => {
    defineTask()
    system.set(LOCAL, descriptor(RIGHTS.tss, TASKS, 0x67))
    system.set(TASK_GATE, gate(GATE.task, LOCAL))
    expect(system.run(`jmp ${TASK_GATE}:0`)).toBe(`#GP(${hex(LOCAL)})`)
  })

  rule(
    'tasks',
    'SDM vol. 3, 8.3',
    'A TSS with a limit below 67H is #TS with its selector, before anything changes',
    () => {
      defineTask({}, RIGHTS.tss, 0x66)
      expect(system.run(`jmp ${NEW}:0`)).toBe(`#TS(${hex(NEW)})`)
      expect([system.selector('tr'), system.rightsOf(NEW), system.pushed(1)]).toEqual([TR, AVAILABLE, CODE])
    },
  )

  rule('tasks', 'SDM vol. 3, 8.3', 'A 16-bit TSS needs a limit of 2BH', () => {
    defineTask({}, RIGHTS.tss16, 0x2a)
    expect(system.run(`jmp ${NEW}:0`)).toBe(`#TS(${hex(NEW)})`)
  })

  rule(
    'tasks',
    'SDM vol. 3, 8.3',
    'A data segment that the new task may not have is #TS with its selector, in the new task',
    () => {
      for (const selector of [CODE0 | 4, TR, 0x3ff8]) {
        enter()
        defineTask({ segments: [DATA0, CODE0, DATA0, DATA0, selector, 0] })
        expect(system.run(`jmp ${NEW}:0`)).toBe(`#TS(${hex(selector)})`)
        expect([system.selector('tr'), system.pushed(1)]).toEqual([NEW, TASK_CODE])
      }
    },
  )

  rule(
    'tasks',
    'SDM vol. 3, 8.3',
    'A segment of the new task that is not present is #NP, its stack #SS, with the selector',
    () => {
      const absent = system.absent(descriptor(RIGHTS.data))
      defineTask({ segments: [FREE + 16, CODE0, DATA0, DATA0, 0, 0] })
      system.set(FREE + 16, absent)
      expect(system.run(`jmp ${NEW}:0`)).toBe(`#NP(${hex(FREE + 16)})`)
      enter()
      defineTask({ segments: [DATA0, CODE0, FREE + 16, DATA0, 0, 0] })
      system.set(FREE + 16, absent)
      // The task has no stack to push on: its handler is a task of its own.
      system.set(FREE + 24, descriptor(RIGHTS.tss, TASKS + 0x200, 0x67))
      guest.write(TASKS + 0x200, guest.read(TASKS, 0x68))
      guest.write32(TASKS + 0x200 + 80, DATA0)
      guest.write32(TASKS + 0x200 + 32, TASK_CODE + 0x10)
      guest.write(TASK_CODE + 0x10, VMCALL)
      system.setGate(12, GATE.task, FREE + 24)
      expect(system.run(`jmp ${NEW}:0`)).toBe('end')
      expect([system.pushed(0), system.selector('tr')]).toEqual([FREE + 16, FREE + 24])
    },
  )

  rule('tasks', 'SDM vol. 3, 8.3', 'A bad LDT of the new task is #TS with its selector', () => {
    for (const ldt of [DATA0, LOCAL, 0x3ff8]) {
      enter()
      defineTask({ ldt })
      // The handler must not be reached through the segments that were not loaded: it is a task.
      system.set(FREE + 24, descriptor(RIGHTS.tss, TASKS + 0x200, 0x67))
      guest.write(TASKS + 0x200, guest.read(TASKS, 0x68))
      guest.write32(TASKS + 0x200 + 96, 0)
      system.setGate(10, GATE.task, FREE + 24)
      expect(system.run(`jmp ${NEW}:0`)).toBe('end')
      expect(system.pushed(0)).toBe(ldt & ~3)
    }
  })

  rule('tasks', 'SDM vol. 3, 8.3', 'A task switch loads LDTR, and the segments of the new task from that LDT', () => {
    defineTask({ ldt: LDTR, segments: [LOCAL, CODE0, DATA0, DATA0, 0, 0] })
    system.set(LOCAL, descriptor(RIGHTS.data, 0x5000))
    guest.vcpu.registers.setSegment('ldtr', { selector: 0, base: 0n, limit: 0, rights: 0x1_0000 })
    expect(system.run(`jmp ${NEW}:0`)).toBe('end')
    expect([system.selector('ldtr'), guest.vcpu.registers.segment('es').base]).toEqual([LDTR, 0x5000n])
  })

  rule('tasks', 'SDM vol. 3, 8.3', 'The RPL of the new CS is the new CPL', () => {
    defineTask({ segments: [DATA3, CODE3, DATA3, DATA3, 0, 0] })
    guest.write32(TASKS + 4, STACK0)
    guest.write32(TASKS + 8, DATA0)
    guest.write(TASK_CODE, [0xf4])
    expect(system.run(`jmp ${NEW}:0`)).toBe('#GP(0x0)')
    expect([system.pushed(1), system.pushed(2)]).toEqual([TASK_CODE, CODE3])
  })

  rule('tasks', 'SDM vol. 3, 8.3', 'An instruction pointer beyond the new CS is #GP(0) in the new task', () => {
    system.set(FREE + 16, descriptor(0x409a, 0, 0xfff))
    defineTask({ segments: [DATA0, FREE + 16, DATA0, DATA0, 0, 0] })
    expect(system.run(`jmp ${NEW}:0`)).toBe('#GP(0x0)')
    expect([system.pushed(1), system.pushed(2), system.selector('tr')]).toEqual([TASK_CODE, FREE + 16, NEW])
  })

  rule(
    'tasks',
    'SDM vol. 3, 8.2.1',
    'The T flag of a TSS raises #DB with BT before the first instruction of the task',
    () => {
      defineTask({ trap: true })
      expect(system.run(`jmp ${NEW}:0`)).toBe('#DB')
      expect([system.register('dr6') & 0xe00f, system.pushed(0)]).toEqual([1 << 15, TASK_CODE])
    },
  )

  rule('tasks', 'SDM vol. 3, 20.2.5', 'A task whose EFLAGS have VM begins in virtual-8086 mode', () => {
    defineTask({ flags: 2 | VM, segments: [0x1000, CODE >> 4, 0x3000, 0x2000, 0x4000, 0x5000], eip: 0x800 })
    expect(system.run(`jmp ${NEW}:0`)).toBe('end')
    expect(system.register('rflags')).toBe(2 | VM)
    expect(guest.vcpu.registers.segment('ds')).toMatchObject({ base: 0x20000n, limit: 0xffff })
  })

  rule('tasks', 'SDM vol. 3, 8.3', 'Reserved bits of EFLAGS in a TSS are not loaded', () => {
    defineTask({ flags: 0xffc0_802a })
    expect(system.run(`jmp ${NEW}:0`)).toBe('end')
    expect(system.register('rflags')).toBe(2)
  })

  rule('tasks', 'SDM vol. 3, 8.6', 'A 16-bit TSS saves and loads words, and only four segments', () => {
    const tss = new Uint8Array(0x2c)
    const view = new DataView(tss.buffer)
    const words = [0, 0, 0, 0, 0, 0, 0, 0x800, 2, 0x10, 0x11, 0x12, 0x13, 0xf00, 0x15, 0x16, 0x17]
    ;[...words, DATA0, FREE + 16, DATA0, DATA0, 0].forEach((value, i) => {
      view.setUint16(i * 2, value, true)
    })
    guest.write(TASKS, tss)
    system.set(FREE + 16, descriptor(RIGHTS.code16, CODE, 0xffff))
    system.set(NEW, descriptor(RIGHTS.tss16, TASKS, 0x2b))
    expect(system.run(`jmp ${NEW}:0`)).toBe('end')
    expect([system.register('rax') & 0xffff, system.register('rdi') & 0xffff]).toEqual([0x10, 0x17])
    expect([system.selector('cs'), system.register('rip')]).toEqual([FREE + 16, 0x803])
  })
})

describe.skipIf(!hasNasm)(`a task gate of the IDT${nasmNote}`, () => {
  rule(
    'tasks',
    'SDM vol. 3, 6.12.2',
    'An exception through a task gate pushes its error code on the stack of the task',
    () => {
      defineTask()
      system.set(TASK_GATE, 0n)
      system.setGate(13, GATE.task, NEW)
      expect(system.run('mov ax, 0x87\nmov ds, ax')).toBe('end')
      expect([system.pushed(0), system.register('rsp')]).toEqual([0x84, TASK_STACK - 4])
      expect([guest.read32(TASKS) & 0xffff, system.register('rflags') & NT]).toEqual([TR, NT])
      expect(guest.read32(TSS + 32)).toBe(CODE + 4)
    },
  )

  rule('tasks', 'SDM vol. 3, 17.3.1.1', 'A fault through a task gate saves EFLAGS with RF set in the old TSS', () => {
    defineTask()
    system.setGate(6, GATE.task, NEW)
    expect(system.run('ud2')).toBe('end')
    expect(guest.read32(TSS + 36) & (1 << 16)).toBe(1 << 16)
  })

  rule(
    'tasks',
    'SDM vol. 3, 6.12.2',
    'INT n through a task gate needs a DPL of the gate from CPL on, and saves EIP behind it',
    () => {
      enter(3)
      defineTask()
      system.setGate(0x40, GATE.task, NEW)
      expect(system.run('int 0x40')).toBe('#GP(0x202)')
      enter(3)
      defineTask()
      system.setGate(0x40, GATE.task | dpl(3), NEW)
      expect(system.run('int 0x40')).toBe('end')
      expect(guest.read32(TSS + 32)).toBe(CODE + 2)
    },
  )

  rule(
    'tasks',
    'SDM vol. 3, 6.13',
    'A busy TSS behind a task gate of the IDT is #GP with its selector, EXT set for an exception',
    () => {
      defineTask({}, RIGHTS.tss | RIGHTS.busy)
      system.setGate(6, GATE.task, NEW)
      expect(system.run('ud2')).toBe(`#GP(0x${(NEW | 1).toString(16)})`)
      enter()
      defineTask({}, RIGHTS.tss | RIGHTS.busy)
      system.setGate(0x40, GATE.task, NEW)
      expect(system.run('int 0x40')).toBe(`#GP(${hex(NEW)})`)
    },
  )
})

describe.skipIf(!hasNasm)(`the I/O permission bitmap${nasmNote}`, () => {
  /** Sets the bitmap's base and bytes. */
  function allow(base: number, ...bytes: number[]): void {
    guest.write(TSS + 102, [base & 0xff, base >> 8])
    guest.write(TSS + base, bytes)
  }
  const limit = (value: number): void => {
    const { registers } = guest.vcpu
    registers.setSegment('tr', { ...registers.segment('tr'), limit: value })
  }
  beforeEach(() => enter(3))

  rule('tasks', 'SDM vol. 1, 19.5.1', 'CPL up to IOPL accesses any port without the bitmap', () => {
    expect(system.run('in al, 0x80', { registers: { rflags: 2 | (3 << 12) } })).toBe('io')
  })

  rule(
    'tasks',
    'SDM vol. 1, 19.5.2',
    'A clear bit of the bitmap allows its port above IOPL, a set one is #GP(0)',
    () => {
      allow(0x68, 0xfd, 0xff)
      expect(system.run('in al, 1')).toBe('io')
      enter(3)
      allow(0x68, 0xfd, 0xff)
      expect(system.run('out 2, al')).toBe('#GP(0x0)')
    },
  )

  rule('tasks', 'SDM vol. 1, 19.5.2', 'Every byte of a wider port needs its bit clear', () => {
    allow(0x68, 0x80, 0x00, 0xff)
    expect(system.run('in al, 6')).toBe('io')
    enter(3)
    allow(0x68, 0x80, 0x00, 0xff)
    expect(system.run('in ax, 6')).toBe('#GP(0x0)')
    enter(3)
    allow(0x68, 0x00, 0xfe, 0xff)
    expect(system.run('in eax, 5')).toBe('io')
    enter(3)
    allow(0x68, 0x00, 0xfe, 0xff)
    expect(system.run('in eax, 6')).toBe('#GP(0x0)')
  })

  rule('tasks', 'SDM vol. 1, 19.5.2', 'A port whose bits lie beyond the limit of the TSS is #GP(0)', () => {
    allow(0x68, 0, 0, 0)
    limit(0x69)
    expect(system.run('in al, 7')).toBe('io')
    enter(3)
    allow(0x68, 0, 0, 0)
    limit(0x69)
    // Two bytes are read always, so the last byte of the TSS serves no port.
    expect(system.run('in al, 8')).toBe('#GP(0x0)')
  })

  rule('tasks', 'SDM vol. 1, 19.5.2', 'A 16-bit TSS has no bitmap: every port above IOPL is #GP(0)', () => {
    allow(0x68, 0, 0, 0)
    const { registers } = guest.vcpu
    registers.setSegment('tr', { ...registers.segment('tr'), rights: RIGHTS.tss16 | RIGHTS.busy })
    // SP0 and SS0 of the 16-bit format, for the handler.
    guest.write32(TSS, 0x6f00_0000)
    guest.write32(TSS + 4, DATA0)
    expect(system.run('in al, 1')).toBe('#GP(0x0)')
  })

  rule('tasks', 'SDM vol. 1, 19.5.2', 'INS and OUTS ask the bitmap, before they touch memory', () => {
    expect(system.run(`mov edi, 0x10000000\nmov dx, 5\ninsb`)).toBe('#GP(0x0)')
    enter(3)
    expect(system.run(`mov esi, ${DATA}\nmov dx, 5\noutsb`)).toBe('#GP(0x0)')
  })

  rule('tasks', 'SDM vol. 1, 19.5.2', 'The bitmap of a 64-bit TSS is asked in long mode', () => {
    system.enter('long', 3)
    allow(0x68, 0xfd, 0xff)
    expect(system.run('in al, 1')).toBe('io')
    system.enter('long', 3)
    allow(0x68, 0xfd, 0xff)
    expect(system.run('in al, 2')).toBe('#GP(0x0)')
  })
})

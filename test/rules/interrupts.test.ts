/** When interrupts are taken: IF and shadows, HLT, NMIs, priorities, repeated string instructions, the PIC. */

import { afterAll, expect } from 'vitest'
import type { Guest } from '../engine/guest/guest.ts'
import { logOf, releaseGuests, runApic } from './apic-guest.ts'
import { rule } from './rule.ts'

afterAll(releaseGuests)

const SELF = (vector: number): string => `apic_write 0x300, ${0x40000 | vector}\n`
/** The log tells how many of these had been executed when the interrupt came. */
const STEPS = 'inc ebx\n inc ebx\n inc ebx\n'
/** With 0x41 requested, IF clear and BL 0. */
const PENDING = `enable\n mov byte [r13 + LOG_BL], 1\n xor ebx, ebx\n ${SELF(0x41)}`
const SET_IF = 'pushf\n or qword [rsp], 0x200\n'
const NMI = { mode: 'nmi', vector: 0, destination: 0, logical: false, level: false } as const

// --- IF and shadows

rule('interrupts', 'SDM vol. 3, 6.8.1', 'an interrupt waits while IF is clear', () => {
  expect(logOf(`enable\n ${SELF(0x41)} nop\n note 1`)).toEqual([1])
})

rule('interrupts', 'SDM vol. 2, STI', 'STI lets interrupts in after the instruction that follows it', () => {
  expect(logOf(`${PENDING} sti\n ${STEPS}`)).toEqual([0x41, 1])
})

rule('interrupts', 'SDM vol. 2, STI', 'STI followed by CLI lets nothing in', () => {
  expect(logOf(`${PENDING} sti\n cli\n ${STEPS} sti\n cli\n ${STEPS}`)).toEqual([])
})

rule('interrupts', 'SDM vol. 2, STI', 'STI with IF set casts no shadow', () => {
  const main = `enable\n mov byte [r13 + LOG_BL], 1\n xor ebx, ebx\n sti\n mov eax, 5\n mov cr8, rax\n ${SELF(0x41)} xor eax, eax\n sti\n mov cr8, rax\n ${STEPS}`
  expect(logOf(main)).toEqual([0x41, 0])
})

rule(
  'interrupts',
  'SDM vol. 3, 6.8.3',
  'MOV to SS holds interrupts off until after the instruction that follows it',
  () => {
    expect(logOf(`${PENDING} mov eax, ss\n sti\n mov ss, eax\n ${STEPS}`)).toEqual([0x41, 1])
  },
)

rule('interrupts', 'SDM vol. 3, 6.8.3', 'MOV to SS holds NMIs off until after the instruction that follows it', () => {
  const { guest } = runApic({ main: 'mov eax, ss\n mov ss, eax\n inc ebx\n inc ebx' })
  // Back at MOV SS: it, two increments and VMCALL have nine bytes.
  const start = guest.register('rip') - 9n
  guest.setRegisters({ rip: start, rbx: 0 })
  guest.run(1)
  guest.vcpu.acceptInterrupt(NMI)
  // The increment, and two instructions of the handler.
  guest.run(3)
  const stack = Number(guest.register('rsp'))
  expect([guest.register('rbx'), guest.read64(stack + 8)]).toEqual([1n, start + 4n])
})

rule('interrupts', 'SDM vol. 2, LDS/LES/LFS/LGS/LSS', 'LSS casts no shadow', () => {
  const main = `${PENDING} mov [0x28000], esp\n mov [0x28004], ss\n sti\n lss esp, [0x28000]\n ${STEPS}`
  expect(logOf(main)).toEqual([0x41, 0])
})

rule('interrupts', 'SDM vol. 2, POPF', 'POPF that sets IF lets interrupts in before the next instruction', () => {
  expect(logOf(`${PENDING} ${SET_IF} popf\n ${STEPS}`)).toEqual([0x41, 0])
})

rule(
  'interrupts',
  'SDM vol. 2, IRET',
  'IRET that sets IF lets interrupts in before the instruction it returns to',
  () => {
    const main = `${PENDING} mov rax, rsp\n mov ecx, ss\n push rcx\n push rax\n ${SET_IF} mov ecx, cs\n push rcx\n lea rcx, [rel .next]\n push rcx\n iretq\n.next:\n ${STEPS}`
    expect(logOf(main)).toEqual([0x41, 0])
  },
)

rule(
  'interrupts',
  'SDM vol. 2, CLI',
  'after CLI no interrupt is taken, also one raised by the next instruction',
  () => {
    expect(logOf(`enable\n sti\n nop\n cli\n ${SELF(0x41)} nop\n note 1`)).toEqual([1])
  },
)

rule('interrupts', 'SDM vol. 2, POPF', 'POPF that clears IF holds interrupts off at once', () => {
  expect(logOf(`enable\n sti\n nop\n pushf\n and qword [rsp], ~0x200\n popf\n ${SELF(0x41)} nop\n note 1`)).toEqual([1])
})

// --- gates and returns

rule(
  'interrupts',
  'SDM vol. 3, 6.12.1.3',
  'an interrupt gate clears IF: a higher interrupt waits for the end of the handler',
  () => {
    const main = `enable\n sti\n set_handler 0x41, outer\n ${SELF(0x41)} jmp over\nouter:\n push rax\n ${SELF(0x91)} note 1\n apic_write 0xb0, 0\n pop rax\n iretq\nover:`
    expect(logOf(main)).toEqual([1, 0x91])
  },
)

rule(
  'interrupts',
  'SDM vol. 3, 6.12.1.3',
  'a trap gate leaves IF set: a higher interrupt comes within the handler',
  () => {
    const main = `enable\n sti\n trap_gate 0x41\n set_handler 0x41, outer\n ${SELF(0x41)} jmp over\nouter:\n push rax\n ${SELF(0x91)} note 1\n apic_write 0xb0, 0\n pop rax\n iretq\nover:`
    expect(logOf(main)).toEqual([0x91, 1])
  },
)

rule('interrupts', 'SDM vol. 3, 6.8.1', 'interrupts nest as deep as their classes rise', () => {
  const handlers = [0x41, 0x52, 0x63].map(
    vector =>
      `handler${vector}:\n push rax\n sti\n ${SELF(vector + 0x11)} note ${vector}\n apic_write 0xb0, 0\n pop rax\n iretq\n`,
  )
  const gates = [0x41, 0x52, 0x63].map(vector => `set_handler ${vector}, handler${vector}\n`)
  expect(logOf(`enable\n sti\n ${gates.join('')} ${SELF(0x41)} jmp over\n ${handlers.join('')}over:`)).toEqual([
    0x74, 0x63, 0x52, 0x41,
  ])
})

rule(
  'interrupts',
  'SDM vol. 3, 6.14.2',
  'an interrupt pushes SS, RSP, RFLAGS with IF set, CS and the RIP of the next instruction, and no error code',
  () => {
    const main = `enable\n sti\n set_handler 0x41, handler\n mov r8, rsp\n mov r9d, ss\n mov r10d, cs\n stc\n ${SELF(0x41)}next:\n jmp over
handler:
  pop rax
  cmp rax, next
  jne .wrong
  pop rax
  cmp rax, r10
  jne .wrong
  pop rax
  and eax, 0x201
  cmp eax, 0x201
  jne .wrong
  pop rax
  cmp rax, r8
  jne .wrong
  pop rcx
  cmp rcx, r9
  jne .wrong
  mov rsp, rax
  note 1
  jmp over
.wrong:
  mov rsp, r8
  note 2
over:`
    expect(logOf(main)).toEqual([1])
  },
)

rule(
  'interrupts',
  'SDM vol. 3, 6.14.2',
  'an interrupt in 64-bit mode aligns the stack to 16 bytes before it pushes',
  () => {
    const main = `enable\n sti\n set_handler 0x41, handler\n sub rsp, 5\n mov r8, rsp\n ${SELF(0x41)} jmp over\nhandler:\n mov rax, rsp\n mov rsp, r8\n and r8, -16\n sub r8, rax\n mov eax, r8d\n call log_byte\nover:`
    expect(logOf(main)).toEqual([40])
  },
)

rule('interrupts', 'SDM vol. 3, 6.12.1.3', 'the handler runs with TF and NT clear, and IRET restores them', () => {
  const main = `enable\n set_handler 0x41, handler\n pushf\n or qword [rsp], 0x4200\n popf\n ${SELF(0x41)} pushf\n pop rax\n shr eax, 8\n and eax, 0x43\n call log_byte\n jmp over\nhandler:\n push rax\n pushf\n pop rax\n shr eax, 8\n and eax, 0x43\n call log_byte\n pop rax\n apic_write 0xb0, 0\n iretq\nover:\n cli`
  // In 64-bit mode IRET faults with NT set in the current flags, not in the image: the image's NT comes back.
  expect(logOf(main)).toEqual([0, 0x42])
})

rule('interrupts', 'SDM vol. 2, INT n', 'INT n is taken with IF clear and whatever the task priority', () => {
  expect(logOf('enable\n apic_write 0x80, 0xff\n int 0x41\n note 1')).toEqual([0x41, 1])
})

rule('interrupts', 'SDM vol. 2, INT n', 'INT n leaves no trace in the local APIC', () => {
  const { register } = runApic({
    main: 'enable\n mov byte [r13 + EOI_MODE], 2\n int 0x41\n apic_read eax, 0x120\n or eax, [r15 + 0x220]',
  })
  expect(register('rax')).toBe(0)
})

// --- HLT

rule('interrupts', 'SDM vol. 2, HLT', 'an interrupt ends HLT, and its handler returns behind it', () => {
  expect(logOf(`${PENDING} sti\n hlt\n inc ebx\n cli\n mov al, bl\n call log_byte`)).toEqual([0x41, 0, 1])
})

rule('interrupts', 'SDM vol. 2, HLT', 'an interrupt does not end HLT while IF is clear', () => {
  const { exit, logs, guest } = runApic({ main: `enable\n ${SELF(0x41)} cli\n hlt\n note 1` })
  expect([exit, logs[0], guest.vcpu.activity]).toEqual([{ reason: 'hlt' }, [], 'hlt'])
})

rule('interrupts', 'SDM vol. 2, HLT', 'an interrupt that the task priority holds off does not end HLT', () => {
  const { exit, logs } = runApic({ main: `enable\n apic_write 0x80, 0x50\n ${SELF(0x41)} sti\n hlt\n note 1` })
  expect([exit, logs[0]]).toEqual([{ reason: 'hlt' }, []])
})

rule('interrupts', 'SDM vol. 2, HLT', 'an NMI ends HLT with IF clear', () => {
  const main =
    'enable\n start_others\n pause_here\n apic_write 0x310, 0x01000000\n apic_write 0x300, 0x400\n pause_here'
  const others = 'cli\n hlt\n mov eax, 1\n call log_byte\n ret'
  expect(runApic({ main, others, cpus: 3 }).logs[1]).toEqual([2, 1])
})

// --- NMIs

/** Processor 1 takes NMIs by the handler `first`; processor 0 sends one at each pause. */
const nmis = (handler: string, count: number): readonly number[] => {
  const send = 'apic_write 0x310, 0x01000000\n apic_write 0x300, 0x400\n'
  const main = `set_handler 2, first\n start_others\n pause_here\n ${`${send} pause_here\n`.repeat(count)}`
  return runApic({ main, others: `ret\nfirst:\n ${handler}`, cpus: 3 }).logs[1]
}

rule('interrupts', 'SDM vol. 3, 6.7.1', 'NMIs are blocked from the delivery of one to the next IRET', () => {
  const two =
    'push rax\n mov al, 1\n call log_byte\n apic_write 0x310, 0x01000000\n apic_write 0x300, 0x400\n mov al, 2\n call log_byte\n cmp dword [r13], 4\n jb .more\n mov word [0x5020], nmi - $$\n.more:\n pop rax\n iretq'
  expect(nmis(two, 1)).toEqual([1, 2, 1, 2, 2])
})

rule(
  'interrupts',
  'SDM vol. 3, 6.7.1',
  'while NMIs are blocked one more is remembered, and further ones with it',
  () => {
    const three =
      'push rax\n mov word [0x5020], nmi - $$\n apic_write 0x310, 0x01000000\n apic_write 0x300, 0x400\n apic_write 0x300, 0x400\n apic_write 0x300, 0x400\n mov al, 1\n call log_byte\n pop rax\n iretq'
    expect(nmis(three, 1)).toEqual([1, 2])
  },
)

rule(
  'interrupts',
  'SDM vol. 3, 6.7.1',
  'any IRET ends the blocking of NMIs, also that of an exception within the handler',
  () => {
    const nested =
      'push rax\n mov word [0x5020], nmi - $$\n apic_write 0x310, 0x01000000\n apic_write 0x300, 0x400\n mov al, 1\n call log_byte\n try ud2\n mov al, 3\n call log_byte\n pop rax\n iretq'
    expect(nmis(nested, 1)).toEqual([1, 6, 2, 3])
  },
)

rule('interrupts', 'SDM vol. 3, 6.7.1', 'a blocked NMI does not end HLT', () => {
  expect(nmis('mov al, 1\n call log_byte\n hlt\n mov al, 2\n call log_byte\n iretq', 2)).toEqual([1])
})

rule('interrupts', 'SDM vol. 3, 6.7.1', 'maskable interrupts come within an NMI handler that sets IF', () => {
  expect(nmis(`enable\n ${SELF(0x41)} sti\n nop\n mov al, 1\n call log_byte\n iretq`, 1)).toEqual([0x41, 1])
})

// --- priorities

rule('interrupts', 'SDM vol. 3, table 6-2', 'an NMI comes before a maskable interrupt', () => {
  const main = `enable\n ${SELF(0x41)} pause_here\n sti\n nop\n nop`
  // The NMI arrives in the shadow of STI, with the interrupt waiting.
  const { guest, logs } = runApic({ main, at: ({ vcpu }, pause) => pause === 0 && vcpu.acceptInterrupt(NMI) })
  expect([logs[0], guest.vcpu.activity]).toEqual([[2, 0x41], 'active'])
})

rule(
  'interrupts',
  'SDM vol. 3, table 6-2',
  'the trap of a single step comes before an interrupt that arrived with it',
  () => {
    expect(logOf(`enable\n pushf\n or qword [rsp], 0x300\n popf\n ${SELF(0x41)} nop\n cli`)).toEqual([1, 0x41])
  },
)

rule('interrupts', 'SDM vol. 3, table 6-2', 'an interrupt comes before the fault of the next instruction', () => {
  expect(logOf(`${PENDING} ${SET_IF} lea r14, [rel .next]\n popf\n ud2\n.next:`)).toEqual([0x41, 0, 6, 0])
})

rule(
  'interrupts',
  'SDM vol. 3, table 6-2',
  'in the shadow of STI the fault of the instruction comes first, the interrupt when its handler returns',
  () => {
    expect(logOf(`${PENDING} lea r14, [rel .next]\n sti\n ud2\n.next:\n ${STEPS}`)).toEqual([6, 0, 0x41, 0])
  },
)

rule(
  'interrupts',
  'SDM vol. 3, 6.9',
  'a fault in an instruction that raised an interrupt before is followed by that interrupt in its handler',
  () => {
    expect(logOf(`enable\n trap_gate 6\n sti\n ${SELF(0x41)} try ud2\n note 1`)).toEqual([0x41, 6, 1])
  },
)

// --- repeated string instructions

const TIMER = (ns: number): string =>
  `enable\n apic_write 0x320, 0x40\n apic_write 0x3e0, 0xb\n sti\n apic_write 0x380, ${ns}\n`

rule(
  'interrupts',
  'SDM vol. 2, REP',
  'an interrupt comes between the iterations of a REP, with RCX and RDI counted, and the rest follows',
  () => {
    const main = `set_handler 0x40, handler\n mov edi, 0x28000\n mov ecx, 2000\n mov eax, 0x55\n cld\n ${TIMER(1000)} rep stosb\n jmp over
handler:
  mov [0x27000], ecx
  mov [0x27004], edi
  apic_write 0xb0, 0
  iretq
over:
  cli`
    const { guest, register } = runApic({ main })
    const [left, at] = [guest.read32(0x27000), guest.read32(0x27004)]
    expect([left > 0 && left < 2000, at + left, register('rcx'), register('rdi')]).toEqual([
      true,
      0x28000 + 2000,
      0,
      0x28000 + 2000,
    ])
    expect(guest.read(0x28000, 2000).every(byte => byte === 0x55)).toBe(true)
  },
)

rule(
  'interrupts',
  'SDM vol. 2, REP',
  'an interrupt between the iterations of a REP returns to the instruction with its prefixes',
  () => {
    const main = `set_handler 0x40, handler\n mov edi, 0x28000\n mov esi, 0x29000\n mov ecx, 2000\n cld\n ${TIMER(1000)}string:\n rep movsb\n jmp over
handler:
  mov rax, [rsp]
  sub rax, string
  call log_byte
  apic_write 0xb0, 0
  iretq
over:
  cli`
    expect(logOf(main)).toEqual([0])
  },
)

rule('interrupts', 'SDM vol. 2, REP', 'a REPE CMPS that an interrupt stopped goes on with its own comparison', () => {
  const main = `set_handler 0x40, handler\n mov byte [0x28000 + 1500], 1\n mov edi, 0x28000\n mov esi, 0x29000\n mov ecx, 2000\n cld\n ${TIMER(1000)} repe cmpsb\n jmp over
handler:
  cmp eax, eax
  apic_write 0xb0, 0
  iretq
over:
  cli`
  expect(runApic({ main }).register('rcx')).toBe(2000 - 1501)
})

// --- INIT

rule(
  'interrupts',
  'SDM vol. 3, 11.4.7.3',
  'INIT ends the instruction under way: what a device answered it is not given to another',
  () => {
    // in al, 0x81; hlt
    const others = 'in al, 0x80\n ret'
    const main =
      'start_others\n pause_here\n apic_write 0x310, 0x01000000\n apic_write 0x300, 0x4500\n pause_here\n apic_write 0x300, 0x4619'
    const at = (guest: Guest, pause: number): void => {
      if (pause !== 0) return
      guest.write(0x19000, [0xe4, 0x81, 0xf4])
      guest.vcpus[1].completeIn(0x55)
    }
    const { guest } = runApic({ main, others, cpus: 3, at })
    expect(guest.run(10, guest.vcpus[1])).toMatchObject({ reason: 'io', port: 0x81 })
  },
)

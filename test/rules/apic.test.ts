/** The local APIC: its modes, registers, vector table, priorities and timer. */

import { afterAll, expect } from 'vitest'
import { logOf, releaseGuests, runApic } from './apic-guest.ts'
import { rule } from './rule.ts'

afterAll(releaseGuests)

const GP = 13

/** EAX after a program. */
const raxOf = (main: string, others?: string, cpus?: number): number =>
  runApic({ main, ...(others === undefined ? {} : { others }), ...(cpus === undefined ? {} : { cpus }) }).register(
    'rax',
  )

// --- the base register

rule(
  'apic',
  'SDM vol. 3, 11.4.4',
  'after a reset the APIC is enabled at 0xFEE00000 as an xAPIC, and BSP is set in the bootstrap processor',
  () => {
    expect(raxOf('msr_read 0x1b')).toBe(0xfee00900)
  },
)

rule('apic', 'SDM vol. 3, 11.4.4', 'BSP is clear in the base register of every other processor', () => {
  const others = 'msr_read 0x1b\n shr eax, 8\n call log_byte\n ret'
  expect(runApic({ main: 'start_others', others, cpus: 3 }).logs.slice(1)).toEqual([[8], [8]])
})

rule('apic', 'SDM vol. 3, 11.4.5', 'a write to the base register moves the register page', () => {
  expect(raxOf('msr_write 0x1b, 0xfee01900\n mov eax, [r15 + 0x1030]') & 0xff).toBe(0x14)
})

rule('apic', 'SDM vol. 3, 11.4.4', 'a write to the base register with a reserved bit set faults', () => {
  expect(logOf('try_write 0x1b, 0xfee00901\n try_write 0x1b, 0xfee00b00\n try_write 0x1b, 0xfee00980')).toEqual([
    GP,
    GP,
    GP,
  ])
})

rule('apic', 'SDM vol. 3, 11.4.4', 'an address above MAXPHYADDR in the base register faults', () => {
  expect(logOf('try_write 0x1b, 0xfee00900, 0x100')).toEqual([GP])
})

rule('apic', 'SDM vol. 3, 11.12.5', 'EXTD without EN faults', () => {
  expect(logOf('try_write 0x1b, 0xfee00500')).toEqual([GP])
})

rule('apic', 'SDM vol. 3, 11.12.5', 'from x2APIC mode a write that leads to xAPIC mode faults', () => {
  expect(logOf('x2apic\n try_write 0x1b, 0xfee00900')).toEqual([GP])
})

rule('apic', 'SDM vol. 3, 11.12.5', 'x2APIC mode is left by disabling the APIC', () => {
  const main = 'x2apic\n msr_write 0x1b, 0xfee00100\n msr_write 0x1b, 0xfee00900\n apic_read eax, 0x30'
  expect(raxOf(main) & 0xff).toBe(0x14)
})

rule('apic', 'SDM vol. 3, 11.12.5', 'from the disabled state a write that leads to x2APIC mode faults', () => {
  expect(logOf('msr_write 0x1b, 0xfee00100\n try_write 0x1b, 0xfee00d00')).toEqual([GP])
})

rule('apic', 'SDM vol. 3, 11.4.3', 'what was set up is lost when the APIC is disabled', () => {
  const main =
    'enable\n apic_write 0x80, 0x30\n msr_write 0x1b, 0xfee00100\n msr_write 0x1b, 0xfee00900\n apic_read eax, 0xf0\n apic_read ebx, 0x80'
  const { register } = runApic({ main })
  expect([register('rax'), register('rbx')]).toEqual([0xff, 0])
})

rule('apic', 'SDM vol. 3, 11.4.3', 'a disabled APIC has no register page', () => {
  const { exit } = runApic({ main: 'msr_write 0x1b, 0xfee00100\n apic_read eax, 0x30' })
  expect(exit).toMatchObject({ reason: 'ept-violation', gpa: 0xfee00030 })
})

rule('apic', 'SDM vol. 3, 11.12.2', 'there is no register page in x2APIC mode', () => {
  expect(runApic({ main: 'x2apic\n apic_read eax, 0x30' }).exit).toMatchObject({
    reason: 'ept-violation',
    gpa: 0xfee00030,
  })
})

rule('apic', 'SDM vol. 3, 11.12.5', 'registers keep their values when the xAPIC becomes an x2APIC', () => {
  expect(raxOf('enable\n apic_write 0x80, 0x35\n x2apic\n msr_read 0x808')).toBe(0x35)
})

// --- registers

rule(
  'apic',
  'SDM vol. 3, 11.4.7.1',
  'after a reset SVR is 0xFF, DFR all ones, and the entries of the vector table are masked',
  () => {
    const others = ['0xf0', '0xe0', '0x320', '0x350', '0x370']
      .map(offset => `apic_read eax, ${offset}\n call log_byte\n shr eax, 16\n call log_byte\n`)
      .join('')
    expect(runApic({ main: 'start_others', others: `${others} ret`, cpus: 3 }).logs[1]).toEqual([
      0xff, 0, 0xff, 0xff, 0, 1, 0, 1, 0, 1,
    ])
  },
)

rule(
  'apic',
  'SDM vol. 3, 11.4.8',
  'the version register tells of six entries in the vector table, and that EOI broadcasts can be suppressed',
  () => {
    expect(raxOf('apic_read eax, 0x30')).toBe(0x1050014)
  },
)

rule('apic', 'SDM vol. 3, 11.4.6', 'the id is in bits 24 to 31 of the xAPIC', () => {
  const others = 'apic_read eax, 0x20\n shr eax, 24\n call log_byte\n ret'
  expect(runApic({ main: 'start_others', others, cpus: 3 }).logs[2]).toEqual([2])
})

rule('apic', 'SDM vol. 3, 11.12.5.1', 'the id of the x2APIC is a number of 32 bits', () => {
  const others = 'x2apic\n msr_read 0x802\n call log_byte\n ret'
  expect(runApic({ main: 'start_others', others, cpus: 3 }).logs[2]).toEqual([2])
})

rule(
  'apic',
  'SDM vol. 3, 11.12.10.2',
  'the logical id of the x2APIC is derived: cluster from the upper bits of the id, one bit from the lower four',
  () => {
    const others = 'x2apic\n msr_read 0x80d\n call log_byte\n shr eax, 16\n call log_byte\n ret'
    expect(runApic({ main: 'start_others', others, cpus: 3 }).logs[2]).toEqual([4, 0])
  },
)

rule('apic', 'SDM vol. 3, 11.12.1.2', 'x2APIC registers fault in xAPIC mode', () => {
  expect(logOf('try_read 0x802\n try_write 0x808, 0\n try_read 0x830')).toEqual([GP, GP, GP])
})

for (const [name, access] of [
  ['the id', 'try_write 0x802, 0'],
  ['the version', 'try_write 0x803, 0'],
  ['the processor priority', 'try_write 0x80a, 0'],
  ['the logical id', 'try_write 0x80d, 0'],
  ['the in-service register', 'try_write 0x810, 0'],
  ['the request register', 'try_write 0x820, 0'],
  ['the current count', 'try_write 0x839, 0'],
] as const)
  rule('apic', 'SDM vol. 3, table 11-6', `a write to ${name} of an x2APIC faults`, () => {
    expect(logOf(`x2apic\n ${access}`)).toEqual([GP])
  })

for (const [name, msr] of [
  ['the destination format register', 0x80e],
  ['the upper half of the ICR', 0x831],
  ['the arbitration priority', 0x809],
  ['the remote read register', 0x80c],
] as const)
  rule('apic', 'SDM vol. 3, table 11-6', `an x2APIC does not have ${name}: reading and writing it fault`, () => {
    expect(logOf(`x2apic\n try_read ${msr}\n try_write ${msr}, 0`)).toEqual([GP, GP])
  })

rule('apic', 'SDM vol. 3, table 11-6', 'an MSR of the x2APIC range where no register is faults', () => {
  expect(logOf('x2apic\n try_read 0x800\n try_read 0x804\n try_read 0x8ff\n try_write 0x8ff, 0')).toEqual([
    GP,
    GP,
    GP,
    GP,
  ])
})

rule('apic', 'SDM vol. 3, table 11-6', 'EOI and SELF IPI of an x2APIC can only be written', () => {
  expect(logOf('x2apic\n try_read 0x80b\n try_read 0x83f\n try_write 0x80b, 0')).toEqual([GP, GP])
})

for (const [name, msr, low, high] of [
  ['the task priority above bit 7', 0x808, 0x100, 0],
  ['EOI', 0x80b, 1, 0],
  ['ESR', 0x828, 1, 0],
  ['SVR', 0x80f, 0x400, 0],
  ['the timer entry', 0x832, 0x100, 0],
  ['the LINT0 entry', 0x835, 0x800, 0],
  ['the error entry', 0x837, 0x400, 0],
  ['the divide configuration', 0x83e, 4, 0],
  ['SELF IPI', 0x83f, 0x141, 0],
  ['the upper half of a 32-bit register', 0x808, 0, 1],
] as const)
  rule('apic', 'SDM vol. 3, 11.12.1.3', `a reserved bit in a write to an x2APIC faults: ${name}`, () => {
    expect(logOf(`x2apic\n try_write ${msr}, ${low}, ${high}`)).toEqual([GP])
  })

rule(
  'apic',
  'SDM vol. 3, 11.12.9',
  'the ICR of an x2APIC has no delivery status, and bits 12, 13, 16, 17 and 20 are reserved',
  () => {
    const writes = [12, 13, 16, 17, 20].map(bit => `try_write 0x830, ${0x40 | (1 << bit)}, 7`)
    expect(logOf(`x2apic\n ${writes.join('\n')}`)).toEqual([GP, GP, GP, GP, GP])
  },
)

rule('apic', 'SDM vol. 3, 11.12.9', 'the ICR of an x2APIC is read as the 64 bits that were written', () => {
  const { register } = runApic({ main: 'x2apic\n msr_write 0x830, 0x4841, 0x12345678\n msr_read 0x830' })
  expect([register('rax'), register('rdx')]).toEqual([0x4841, 0x12345678])
})

rule('apic', 'SDM vol. 3, 11.6.1', 'the delivery status of the ICR reads as idle after a send', () => {
  expect(raxOf('enable\n apic_write 0x310, 0x07000000\n apic_write 0x300, 0x41\n apic_read eax, 0x300')).toBe(0x41)
})

rule('apic', 'SDM vol. 3, 11.4.1', 'read-only registers of the xAPIC ignore writes', () => {
  expect(raxOf('apic_write 0x30, 0\n apic_write 0x100, -1\n apic_read eax, 0x30\n or eax, [r15 + 0x100]')).toBe(
    0x1050014,
  )
})

// --- errors

rule('apic', 'SDM vol. 3, 11.5.3', 'an access where the xAPIC has no register is logged, and does not fault', () => {
  expect(raxOf('apic_read eax, 0x40\n apic_write 0x280, 0\n apic_read eax, 0x280')).toBe(0x80)
})

rule('apic', 'SDM vol. 3, 11.5.3', 'a write where the xAPIC has no register is logged', () => {
  expect(raxOf('apic_write 0x3f0, 0x41\n apic_write 0x280, 0\n apic_read eax, 0x280')).toBe(0x80)
})

rule('apic', 'SDM vol. 3, 11.5.3', 'ESR shows errors only after a write to it', () => {
  expect(raxOf('apic_read eax, 0x40\n apic_read eax, 0x280')).toBe(0)
})

rule('apic', 'SDM vol. 3, 11.5.3', 'the write that shows errors also forgets them', () => {
  expect(raxOf('apic_read eax, 0x40\n apic_write 0x280, 0\n apic_write 0x280, 0\n apic_read eax, 0x280')).toBe(0)
})

rule('apic', 'SDM vol. 3, 11.5.3', 'sending a vector below 16 logs a send error, and nothing is sent', () => {
  const { logs, register } = runApic({
    main: 'enable\n start_others\n pause_here\n apic_write 0x300, 0xc000f\n pause_here\n apic_write 0x280, 0\n apic_read eax, 0x280',
    cpus: 3,
  })
  expect([register('rax'), logs[1], logs[2]]).toEqual([0x20, [], []])
})

rule('apic', 'SDM vol. 3, 11.12.11', 'SELF IPI with a vector below 16 logs a send error', () => {
  expect(raxOf('x2apic\n msr_write 0x83f, 15\n msr_write 0x828, 0\n msr_read 0x828')).toBe(0x20)
})

rule('apic', 'SDM vol. 3, 11.5.3', 'an interrupt that arrives with a vector below 16 logs a receive error', () => {
  expect(
    raxOf(
      'enable\n apic_write 0x320, 0x0e\n apic_write 0x380, 1\n spend 100\n apic_write 0x280, 0\n apic_read eax, 0x280',
    ),
  ).toBe(0x40)
})

rule('apic', 'SDM vol. 3, 11.5.3', 'an error raises the interrupt of the error entry', () => {
  expect(logOf('enable\n sti\n apic_write 0x370, 0x99\n apic_read eax, 0x40\n nop')).toEqual([0x99])
})

rule('apic', 'SDM vol. 3, 11.5.3', 'a second error raises no interrupt until a write to ESR arms it again', () => {
  const main =
    'enable\n sti\n apic_write 0x370, 0x99\n apic_read eax, 0x40\n apic_read eax, 0x40\n note 1\n apic_write 0x280, 0\n apic_read eax, 0x40\n nop'
  expect(logOf(main)).toEqual([0x99, 1, 0x99])
})

// --- software disabling

const TIMER_SOON = 'apic_write 0x3e0, 0xb\n apic_write 0x380, 50\n spend 200'

rule('apic', 'SDM vol. 3, 11.4.7.2', 'clearing SVR bit 8 masks every entry of the vector table', () => {
  const main =
    'enable\n apic_write 0x320, 0x40\n apic_write 0x360, 0x400\n apic_write 0xf0, 0xff\n apic_read eax, 0x320\n apic_read ebx, 0x360'
  const { register } = runApic({ main })
  expect([register('rax'), register('rbx')]).toEqual([0x10040, 0x10400])
})

rule(
  'apic',
  'SDM vol. 3, 11.4.7.2',
  'the mask of an entry cannot be cleared while the APIC is disabled by software',
  () => {
    expect(raxOf('apic_write 0x320, 0x40\n apic_read eax, 0x320')).toBe(0x10040)
  },
)

rule('apic', 'SDM vol. 3, 11.4.7.2', 'enabling by software does not unmask entries', () => {
  expect(raxOf('enable\n apic_write 0x320, 0x40\n apic_write 0xf0, 0xff\n enable\n apic_read eax, 0x320')).toBe(0x10040)
})

rule('apic', 'SDM vol. 3, 11.4.7.2', 'an APIC that is disabled by software takes no fixed interrupt, but NMIs', () => {
  const main =
    'enable\n start_others\n pause_here\n apic_write 0x300, 0xc0041\n pause_here\n apic_write 0x300, 0xc0400\n pause_here'
  expect(runApic({ main, others: 'sti\n ret', cpus: 3 }).logs[1]).toEqual([2])
})

rule('apic', 'SDM vol. 3, 11.4.7.2', 'an APIC that is disabled by software can still send interrupts', () => {
  expect(
    runApic({ main: 'start_others\n pause_here\n apic_write 0x300, 0xc0041\n pause_here', cpus: 3 }).logs[1],
  ).toEqual([0x41])
})

rule(
  'apic',
  'SDM vol. 3, 11.4.7.2',
  'requests from before the APIC was disabled by software are still delivered',
  () => {
    expect(logOf('enable\n apic_write 0x300, 0x40041\n apic_write 0xf0, 0xff\n sti\n nop')).toEqual([0x41])
  },
)

// --- the vector table

rule('apic', 'SDM vol. 3, 11.5.1', 'delivery status and remote IRR of an entry cannot be written', () => {
  expect(raxOf('enable\n apic_write 0x350, -1\n apic_read eax, 0x350')).toBe(0x1a7ff)
})

rule('apic', 'SDM vol. 3, 11.5.1', 'the timer entry keeps vector, mask and timer mode only', () => {
  expect(raxOf('enable\n apic_write 0x320, -1\n apic_read eax, 0x320')).toBe(0x700ff)
})

rule(
  'apic',
  'SDM vol. 3, 11.5.1',
  'an NMI entry for LINT1 delivers an NMI whatever IF and the task priority say',
  () => {
    const program = { main: 'enable\n apic_write 0x80, 0xff\n apic_write 0x360, 0x400\n pause_here\n nop' }
    expect(runApic({ ...program, at: ({ vcpu }, pause) => pause === 0 && vcpu.raisePin(1) }).logs[0]).toEqual([2])
  },
)

rule('apic', 'SDM vol. 3, 11.5.1', 'a fixed entry for LINT0 delivers its own vector', () => {
  const main = 'enable\n sti\n apic_write 0x350, 0x77\n pause_here\n nop'
  expect(runApic({ main, at: ({ vcpu }, pause) => pause === 0 && vcpu.raisePin(0) }).logs[0]).toEqual([0x77])
})

rule('apic', 'SDM vol. 3, 11.5.1', 'a masked entry delivers nothing', () => {
  const main = 'enable\n sti\n apic_write 0x350, 0x10077\n pause_here\n nop'
  expect(runApic({ main, at: ({ vcpu }, pause) => pause === 0 && vcpu.raisePin(0) }).logs[0]).toEqual([])
})

// --- priorities

const SELF = (vector: number): string => `apic_write 0x300, ${0x40000 | vector}\n`
/** Handlers do not end their interrupts. */
const NO_EOI = 'mov byte [r13 + EOI_MODE], 2\n'
const EOI = 'apic_write 0xb0, 0\n'

rule('apic', 'SDM vol. 3, 11.8.4', 'of several requests the one with the highest vector is delivered first', () => {
  expect(logOf(`enable\n ${SELF(0x31)} ${SELF(0x92)} ${SELF(0x55)} sti\n nop`)).toEqual([0x92, 0x55, 0x31])
})

rule('apic', 'SDM vol. 3, 11.8.3', 'an interrupt in service holds off others of its class', () => {
  expect(logOf(`enable\n sti\n ${NO_EOI} ${SELF(0x51)} ${SELF(0x5f)} nop\n note 1\n ${EOI} nop`)).toEqual([
    0x51, 1, 0x5f,
  ])
})

rule('apic', 'SDM vol. 3, 11.8.3', 'an interrupt of a higher class interrupts one in service', () => {
  expect(logOf(`enable\n sti\n ${NO_EOI} ${SELF(0x51)} ${SELF(0x60)} nop\n note 1`)).toEqual([0x51, 0x60, 1])
})

rule('apic', 'SDM vol. 3, 11.8.5', 'EOI ends the highest interrupt in service', () => {
  const main = `enable\n sti\n ${NO_EOI} ${SELF(0x51)} ${SELF(0x62)} nop\n ${EOI} apic_read eax, 0x120\n apic_read ebx, 0x130`
  const { register } = runApic({ main })
  expect([register('rax'), register('rbx')]).toEqual([1 << 17, 0])
})

rule('apic', 'SDM vol. 3, 11.8.5', 'EOI with nothing in service changes nothing', () => {
  expect(logOf(`enable\n ${EOI} ${EOI} ${SELF(0x41)} sti\n nop`)).toEqual([0x41])
})

rule('apic', 'SDM vol. 3, 11.8.4', 'a vector can be in service and requested again, but its requests are one', () => {
  expect(
    logOf(`enable\n sti\n ${NO_EOI} ${SELF(0x41)} nop\n ${SELF(0x41)} ${SELF(0x41)} ${EOI} nop\n ${EOI} nop\n note 1`),
  ).toEqual([0x41, 0x41, 1])
})

rule(
  'apic',
  'SDM vol. 3, 11.8.4',
  'a request sets the bit of its vector in IRR, which moves to ISR on delivery',
  () => {
    const main = `enable\n ${NO_EOI} ${SELF(0x65)} apic_read eax, 0x230\n sti\n nop\n apic_read ebx, 0x230\n apic_read edx, 0x130`
    const { register } = runApic({ main })
    expect([register('rax'), register('rbx'), register('rdx')]).toEqual([1 << 5, 0, 1 << 5])
  },
)

rule('apic', 'SDM vol. 3, 11.8.3.1', 'the task priority holds off interrupts of its class and below', () => {
  expect(logOf(`enable\n sti\n apic_write 0x80, 0x50\n ${SELF(0x5f)} ${SELF(0x60)} nop\n note 1`)).toEqual([0x60, 1])
})

rule('apic', 'SDM vol. 3, 11.8.3.1', 'a task priority of class 15 holds off every fixed interrupt', () => {
  expect(logOf(`enable\n sti\n apic_write 0x80, 0xf0\n ${SELF(0xff)} nop\n note 1`)).toEqual([1])
})

rule(
  'apic',
  'SDM vol. 3, 11.8.3.1',
  'an interrupt that the task priority held off is delivered before the instruction behind the one that lowers it',
  () => {
    expect(
      logOf(
        `enable\n sti\n apic_write 0x80, 0x50\n ${SELF(0x5f)} note 1\n mov eax, 2\n apic_write 0x80, 0x40\n call log_byte`,
      ),
    ).toEqual([1, 0x5f, 2])
  },
)

rule('apic', 'SDM vol. 3, 11.8.6', 'CR8 is bits 4 to 7 of the task priority register', () => {
  const { register } = runApic({
    main: 'mov ebx, 9\n mov cr8, rbx\n apic_read eax, 0x80\n apic_write 0x80, 0x37\n mov rdx, cr8',
  })
  expect([register('rax'), register('rdx')]).toEqual([0x90, 3])
})

rule('apic', 'SDM vol. 3, 11.8.6', 'MOV to CR8 delivers what the task priority held off', () => {
  expect(
    logOf(
      `enable\n sti\n mov eax, 5\n mov cr8, rax\n ${SELF(0x5f)} note 1\n xor ebx, ebx\n mov eax, 2\n mov cr8, rbx\n call log_byte`,
    ),
  ).toEqual([1, 0x5f, 2])
})

rule('apic', 'SDM vol. 3, 11.8.6', 'MOV to CR8 with a bit above the lower four set faults', () => {
  expect(logOf('mov eax, 16\n try mov cr8, rax')).toEqual([GP])
})

rule(
  'apic',
  'SDM vol. 3, 11.8.3.1',
  'the processor priority is the task priority while that is of the higher class',
  () => {
    expect(raxOf(`enable\n sti\n ${NO_EOI} ${SELF(0x41)} nop\n apic_write 0x80, 0x57\n apic_read eax, 0xa0`)).toBe(0x57)
  },
)

rule(
  'apic',
  'SDM vol. 3, 11.8.3.1',
  'the processor priority is the class in service, with lower bits zero, while that is higher',
  () => {
    expect(raxOf(`enable\n sti\n ${NO_EOI} ${SELF(0x67)} nop\n apic_write 0x80, 0x57\n apic_read eax, 0xa0`)).toBe(0x60)
  },
)

// --- level-triggered interrupts

const LEVEL = { mode: 'fixed', vector: 0x61, destination: 0, logical: false, level: true } as const

rule(
  'apic',
  'SDM vol. 3, 11.8.5',
  'the end of a level-triggered interrupt is told to the I/O APIC, that of an edge is not',
  () => {
    const { ended } = runApic({
      main: `enable\n sti\n ${SELF(0x41)} pause_here\n nop`,
      at: ({ fabric }, pause) => pause === 0 && fabric.deliver(LEVEL),
    })
    expect(ended).toEqual([0x61])
  },
)

rule(
  'apic',
  'SDM vol. 3, 11.8.5',
  'SVR bit 12 suppresses the broadcast of the end of level-triggered interrupts',
  () => {
    const main = 'apic_write 0xf0, 0x11ff\n sti\n pause_here\n nop'
    const { ended, logs } = runApic({ main, at: ({ fabric }, pause) => pause === 0 && fabric.deliver(LEVEL) })
    expect([ended, logs[0]]).toEqual([[], [0x61]])
  },
)

rule(
  'apic',
  'SDM vol. 3, 11.8.4',
  'TMR has the bit of a vector set by a level-triggered request, and cleared by an edge',
  () => {
    const main = `enable\n pause_here\n apic_read ebx, 0x1b0\n ${SELF(0x61)} apic_read eax, 0x1b0`
    const { register } = runApic({ main, at: ({ fabric }, pause) => pause === 0 && fabric.deliver(LEVEL) })
    expect([register('rbx'), register('rax')]).toEqual([2, 0])
  },
)

// --- the timer

rule('apic', 'SDM vol. 3, 11.5.4', 'in one-shot mode the timer raises one interrupt', () => {
  expect(logOf(`enable\n sti\n apic_write 0x320, 0x40\n ${TIMER_SOON}\n spend 500`)).toEqual([0x40])
})

rule(
  'apic',
  'SDM vol. 3, 11.5.4',
  'in periodic mode the timer raises an interrupt each time the count runs down',
  () => {
    expect(
      logOf('enable\n sti\n apic_write 0x320, 0x20040\n apic_write 0x3e0, 0xb\n apic_write 0x380, 1000\n halt_until 3'),
    ).toEqual([0x40, 0x40, 0x40])
  },
)

rule('apic', 'SDM vol. 3, 11.5.4', 'a masked timer counts on', () => {
  const { logs, register } = runApic({
    main: `enable\n sti\n apic_write 0x320, 0x10040\n ${TIMER_SOON}\n apic_read eax, 0x390`,
  })
  expect([logs[0], register('rax')]).toEqual([[], 0])
})

rule('apic', 'SDM vol. 3, 11.5.4', 'an initial count of zero stops the timer', () => {
  expect(
    logOf('enable\n sti\n apic_write 0x320, 0x40\n apic_write 0x380, 100\n apic_write 0x380, 0\n spend 1000'),
  ).toEqual([])
})

rule('apic', 'SDM vol. 3, 11.5.4', 'a write of the initial count starts the count anew', () => {
  const count =
    'apic_write 0x3e0, 0xb\n apic_write 0x380, 0x10000\n spend 1000\n apic_write 0x380, 0x10000\n apic_read eax, 0x390'
  expect(raxOf(`enable\n ${count}`)).toBeGreaterThan(0xfff0)
})

rule('apic', 'SDM vol. 3, 11.5.4', 'the divide configuration register slows the count down', () => {
  const passed = (divide: number) =>
    0x100000 - raxOf(`apic_write 0x3e0, ${divide}\n apic_write 0x380, 0x100000\n spend 8000\n apic_read eax, 0x390`)
  const [by1, by2, by16, by128] = [passed(0xb), passed(0), passed(3), passed(0xa)]
  expect([by2, by16, by128]).toEqual([Math.floor(by1 / 2), Math.floor(by1 / 16), Math.floor(by1 / 128)])
})

const DEADLINE = 'enable\n sti\n apic_write 0x320, 0x40040\n'
const IN_1000 = 'rdtsc\n add eax, 1000\n adc edx, 0\n mov ecx, 0x6e0\n wrmsr\n'

rule(
  'apic',
  'SDM vol. 3, 11.5.4.1',
  'in TSC-deadline mode the interrupt comes when the counter reaches the deadline, which then reads as zero',
  () => {
    const { logs, register } = runApic({ main: `${DEADLINE} ${IN_1000} halt_until 1\n msr_read 0x6e0` })
    expect([logs[0], register('rax'), register('rdx')]).toEqual([[0x40], 0, 0])
  },
)

rule('apic', 'SDM vol. 3, 11.5.4.1', 'a deadline that has passed raises the interrupt at once', () => {
  expect(logOf(`${DEADLINE} msr_write 0x6e0, 1\n nop\n note 1`)).toEqual([0x40, 1])
})

rule('apic', 'SDM vol. 3, 11.5.4.1', 'a deadline of zero disarms the timer', () => {
  expect(logOf(`${DEADLINE} ${IN_1000} msr_write 0x6e0, 0\n spend 2000`)).toEqual([])
})

rule(
  'apic',
  'SDM vol. 3, 11.5.4.1',
  'the initial count is ignored in TSC-deadline mode, and the current count reads as zero',
  () => {
    expect(logOf(`${DEADLINE} apic_write 0x380, 100\n apic_read eax, 0x390\n call log_byte\n spend 1000`)).toEqual([0])
  },
)

rule('apic', 'SDM vol. 3, 11.5.4.1', 'a write to the deadline register is ignored in the other modes', () => {
  expect(raxOf(`enable\n apic_write 0x320, 0x40\n ${IN_1000} msr_read 0x6e0`)).toBe(0)
})

rule('apic', 'SDM vol. 3, 11.5.4.1', 'a change to TSC-deadline mode disarms the count', () => {
  expect(
    logOf('enable\n sti\n apic_write 0x320, 0x40\n apic_write 0x380, 100\n apic_write 0x320, 0x40040\n spend 1000'),
  ).toEqual([])
})

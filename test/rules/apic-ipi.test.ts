/** Interprocessor interrupts, and processors that start others. */

import { afterAll, expect } from 'vitest'
import { registersOf } from '../engine/guest/guest.ts'
import { type ApicProgram, logOf, type Outcome, releaseGuests, runApic } from './apic-guest.ts'
import { rule } from './rule.ts'

afterAll(releaseGuests)

const NONE: readonly number[] = []
const icr = (low: number, destination = 0): string =>
  `apic_write 0x310, ${destination}\n apic_write 0x300, ${low}\n pause_here\n`
/** Destinations of the xAPIC are the upper eight bits. */
const to = (destination: number): number => (destination << 24) >>> 0

const LOGICAL = 0x800
const LOWEST_PRIORITY = 0x100
const SMI = 0x200
const NMI = 0x400
const INIT = 0x4500
const SIPI = 0x4618
const ALL = 0x80000
const OTHERS = 0xc0000

/** Three processors with their APICs enabled; the first then runs a program. */
function three(main: string, others = 'enable\n sti\n ret'): Outcome {
  return runApic({ main: `enable\n sti\n start_others\n pause_here\n ${main}`, others, cpus: 3 })
}

/** The same in x2APIC mode. */
const threeX2 = (main: string): Outcome => three(`x2apic\n ${main}`, 'x2apic\n sti\n ret')
const x2icr = (low: number, destination: number): string => `msr_write 0x830, ${low}, ${destination}\n pause_here\n`

// --- destinations

rule('apic', 'SDM vol. 3, 11.6.2.1', 'a physical destination is the id of one processor', () => {
  expect(three(icr(0x41, to(2))).logs).toEqual([NONE, NONE, [0x41]])
})

rule('apic', 'SDM vol. 3, 11.6.2.1', 'the physical destination 0xFF of an xAPIC is every processor', () => {
  expect(three(icr(0x41, to(0xff))).logs).toEqual([[0x41], [0x41], [0x41]])
})

rule('apic', 'SDM vol. 3, 11.6.2.1', 'an interrupt to an id that no processor has is lost', () => {
  expect(three(icr(0x41, to(7))).logs).toEqual([NONE, NONE, NONE])
})

const FLAT = `enable
  mov eax, [r15 + 0x20]
  shr eax, 24
  mov ecx, eax
  mov eax, 0x10000000
  shl eax, cl
  mov [r15 + 0xd0], eax
  sti
  ret`

rule(
  'apic',
  'SDM vol. 3, 11.6.2.2',
  'in the flat model a logical destination names the processors that share a bit of LDR with it',
  () => {
    expect(three(icr(LOGICAL | 0x41, to(0x60)), FLAT).logs).toEqual([NONE, [0x41], [0x41]])
  },
)

rule('apic', 'SDM vol. 3, 11.6.2.2', 'in the flat model a logical destination with bits of no LDR names nobody', () => {
  expect(three(icr(LOGICAL | 0x41, to(0x80)), FLAT).logs).toEqual([NONE, NONE, NONE])
})

/** Processor 1 is 1:0001, processor 2 is 2:0001. */
const CLUSTERS = `enable
  mov dword [r15 + 0xe0], 0x0fffffff
  mov eax, [r15 + 0x20]
  shl eax, 4
  or eax, 0x01000000
  mov [r15 + 0xd0], eax
  sti
  ret`

rule(
  'apic',
  'SDM vol. 3, 11.6.2.2',
  'in the cluster model the upper four bits name the cluster, the lower four its processors',
  () => {
    expect(three(icr(LOGICAL | 0x41, to(0x21)), CLUSTERS).logs).toEqual([NONE, NONE, [0x41]])
  },
)

rule(
  'apic',
  'SDM vol. 3, 11.6.2.2',
  'in the cluster model a processor of the cluster whose bit is clear is not named',
  () => {
    expect(three(icr(LOGICAL | 0x41, to(0x12)), CLUSTERS).logs).toEqual([NONE, NONE, NONE])
  },
)

rule('apic', 'SDM vol. 3, 11.6.2.2', 'the logical destination 0xFF is every processor in either model', () => {
  expect(three(icr(LOGICAL | 0x41, to(0xff)), CLUSTERS).logs).toEqual([[0x41], [0x41], [0x41]])
})

rule('apic', 'SDM vol. 3, 11.12.9', 'the physical destination of an x2APIC has 32 bits: 0xFF is no broadcast', () => {
  expect(threeX2(`${x2icr(0x41, 0xff)} ${x2icr(0x42, 2)}`).logs).toEqual([NONE, NONE, [0x42]])
})

rule('apic', 'SDM vol. 3, 11.12.9', 'the destination 0xFFFFFFFF of an x2APIC is every processor', () => {
  expect(threeX2(x2icr(0x41, 0xffffffff)).logs).toEqual([[0x41], [0x41], [0x41]])
})

rule(
  'apic',
  'SDM vol. 3, 11.12.10.1',
  'the logical destination of an x2APIC names a cluster in its upper half and processors in the lower',
  () => {
    expect(threeX2(`${x2icr(LOGICAL | 0x41, 6)} ${x2icr(LOGICAL | 0x42, 0x10006)}`).logs).toEqual([
      NONE,
      [0x41],
      [0x41],
    ])
  },
)

// --- shorthands

rule('apic', 'SDM vol. 3, 11.6.1', 'the shorthand self sends a fixed interrupt to the sender', () => {
  expect(three('apic_write 0x300, 0x40041\n pause_here').logs).toEqual([[0x41], NONE, NONE])
})

rule('apic', 'SDM vol. 3, 11.6.1', 'the shorthand all including self names every processor', () => {
  expect(three(icr(ALL | 0x41)).logs).toEqual([[0x41], [0x41], [0x41]])
})

rule('apic', 'SDM vol. 3, 11.6.1', 'the shorthand all excluding self names every other processor', () => {
  expect(three(icr(OTHERS | 0x41)).logs).toEqual([NONE, [0x41], [0x41]])
})

rule('apic', 'SDM vol. 3, 11.6.1', 'a shorthand overrides the destination', () => {
  expect(three(icr(OTHERS | 0x41, to(0))).logs).toEqual([NONE, [0x41], [0x41]])
})

rule('apic', 'SDM vol. 3, 11.12.11', 'SELF IPI sends a fixed edge-triggered interrupt to the sender', () => {
  expect(threeX2('msr_write 0x83f, 0x41\n pause_here').logs).toEqual([[0x41], NONE, NONE])
})

rule('apic', 'SDM vol. 3, 11.6.1', 'an interrupt to oneself is taken before the next instruction', () => {
  expect(logOf('enable\n sti\n mov eax, 1\n apic_write 0x300, 0x40041\n call log_byte')).toEqual([0x41, 1])
})

rule('apic', 'SDM vol. 3, 11.12.11', 'an interrupt by SELF IPI is taken before the next instruction', () => {
  expect(logOf('x2apic\n sti\n msr_write 0x83f, 0x41\n mov eax, 1\n call log_byte')).toEqual([0x41, 1])
})

// --- delivery modes

rule('apic', 'SDM vol. 3, 11.6.2.4', 'lowest priority chooses the processor with the lowest processor priority', () => {
  const others = `enable
    mov eax, [r15 + 0x20]
    shr eax, 24
    cmp eax, 2
    je .ready
    apic_write 0x80, 0x30
  .ready:
    sti
    ret`
  expect(three(`apic_write 0x80, 0x30\n ${icr(ALL | LOWEST_PRIORITY | 0x41)}`, others).logs).toEqual([
    NONE,
    NONE,
    [0x41],
  ])
})

rule('apic', 'SDM vol. 3, 11.6.2.4', 'lowest priority delivers to exactly one of equal processors', () => {
  const { logs } = three(icr(OTHERS | LOWEST_PRIORITY | 0x41))
  expect(logs.flat()).toEqual([0x41])
})

rule(
  'apic',
  'SDM vol. 3, 11.6.2.4',
  'a processor whose APIC is disabled by software takes no part in the choice by lowest priority',
  () => {
    const others = `mov eax, [r15 + 0x20]
    shr eax, 24
    cmp eax, 1
    je .ready
    enable
  .ready:
    sti
    ret`
    expect(three(icr(OTHERS | LOWEST_PRIORITY | 0x41), others).logs).toEqual([NONE, NONE, [0x41]])
  },
)

rule('apic', 'SDM vol. 3, 11.6.1', 'an NMI by ICR ignores vector, task priority and IF', () => {
  expect(three(icr(NMI | 0x41, to(1)), 'enable\n apic_write 0x80, 0xff\n ret').logs).toEqual([NONE, [2], NONE])
})

rule('apic', 'SDM vol. 3, 11.6.1', 'an SMI changes nothing on a processor without system management mode', () => {
  expect(three(`${icr(SMI, to(1))} ${icr(0x41, to(1))}`).logs).toEqual([NONE, [0x41], NONE])
})

rule('apic', 'SDM vol. 3, 11.6.1', 'an ICR with a reserved delivery mode sends nothing', () => {
  expect(three(`${icr(0x341, to(1))} ${icr(0x741, to(1))}`).logs).toEqual([NONE, NONE, NONE])
})

rule('apic', 'SDM vol. 3, 11.6.1', 'an INIT level de-assert resets nobody', () => {
  expect(three(`${icr(OTHERS | 0x8500)} ${icr(OTHERS | 0x41)}`).logs).toEqual([NONE, [0x41], [0x41]])
})

rule('apic', 'SDM vol. 3, 11.6.1', 'an interrupt from another processor ends HLT', () => {
  const others = 'enable\n sti\n hlt\n mov eax, 1\n call log_byte\n ret'
  expect(three(icr(0x41, to(1)), others).logs[1]).toEqual([0x41, 1])
})

// --- INIT and SIPI

rule('apic', 'SDM vol. 3, 9.4.4.1', 'a processor that waits for a SIPI takes no interrupt and executes nothing', () => {
  const { guest, logs } = runApic({ main: `${icr(OTHERS | 0x41)} ${icr(OTHERS | NMI)}`, cpus: 3 })
  expect([guest.vcpus[1].activity, logs[1]]).toEqual(['wait-for-sipi', NONE])
})

/**
 * Real-mode code that a SIPI with vector 0x19 starts, and where it leaves CS, CR0 and the mode bits of the APIC base:
 * mov ax, cs; mov [0x500], ax; mov eax, cr0; mov [0x502], al; mov ecx, 0x1b; rdmsr; shr eax, 8; mov [0x503], al; hlt
 */
const REAL_MODE_PAGE = 0x19000
const REAL_MODE_CODE = [
  ...[0x8c, 0xc8, 0xa3, 0x00, 0x05, 0x0f, 0x20, 0xc0, 0xa2, 0x02, 0x05],
  ...[0x66, 0xb9, 0x1b, 0, 0, 0, 0x0f, 0x32, 0x66, 0xc1, 0xe8, 0x08, 0xa2, 0x03, 0x05, 0xf4],
]
/** The same after INIT and that SIPI to processor 1, as a number. */
function startInRealMode(others?: string): number {
  const main = `start_others\n pause_here\n pause_here\n ${icr(INIT, to(1))} ${icr(0x4619, to(1))}`
  const at: ApicProgram['at'] = (guest, pause) => pause === 0 && guest.write(REAL_MODE_PAGE, REAL_MODE_CODE)
  return runApic({ main, cpus: 3, at, ...(others === undefined ? {} : { others }) }).guest.read32(0x500)
}

rule('apic', 'SDM vol. 3, 9.4.4.1', 'a SIPI starts a processor in real mode at the page that is its vector', () => {
  expect(startInRealMode() & 0x1ffffff).toBe(0x0101900)
})

rule('apic', 'SDM vol. 3, 9.4.4.1', 'a SIPI to a processor that runs is ignored', () => {
  const others = 'mov eax, 7\n call log_byte\n enable\n sti\n ret'
  expect(three(`${icr(OTHERS | SIPI)} ${icr(OTHERS | 0x41)}`, others).logs[1]).toEqual([7, 0x41])
})

rule(
  'apic',
  'SDM vol. 3, 9.4.4.1',
  'INIT puts a processor that runs back to wait for a SIPI, which starts it anew',
  () => {
    const others = 'mov eax, 7\n call log_byte\n enable\n sti\n ret'
    const { logs, guest } = three(
      `${icr(INIT, to(1))} ${icr(0x41, to(1))} ${icr(INIT, to(2))} ${icr(SIPI, to(2))}`,
      others,
    )
    // The log's address starts anew as well, its contents don't.
    expect([guest.vcpus[1].activity, logs[1], logs[2]]).toEqual(['wait-for-sipi', [7], [7, 7]])
  },
)

const INITIALIZED = icr(INIT, to(1))

rule(
  'apic',
  'SDM vol. 3, table 10-1',
  'INIT gives general registers, RIP, RFLAGS and CS their values of a reset',
  () => {
    const registers = registersOf(
      three(INITIALIZED, 'mov rax, -1\n mov rbx, rax\n mov rsi, rax\n enable\n std\n ret').guest.vcpus[1],
    )
    expect(registers).toMatchObject({
      ...{ rax: '0x0', rbx: '0x0', rsi: '0x0', rsp: '0x0', r15: '0x0' },
      ...{ rip: '0xfff0', rflags: '0x2', cs: '0xf000' },
    })
  },
)

rule(
  'apic',
  'SDM vol. 3, table 10-1',
  'INIT clears CR2, CR3, CR4 and EFER, and leaves of CR0 only ET and the cache bits',
  () => {
    const others = 'mov rax, cr0\n and eax, ~0x60000000\n mov cr0, rax\n mov eax, 0x1234\n mov cr2, rax\n ret'
    const { cr0, cr2, cr3, cr4, efer } = registersOf(three(INITIALIZED, others).guest.vcpus[1])
    expect([cr0, cr2, cr3, cr4, efer]).toEqual(['0x10', '0x0', '0x0', '0x0', '0x0'])
  },
)

rule('apic', 'SDM vol. 3, table 10-1', 'INIT keeps the cache bits of CR0', () => {
  const others = 'mov rax, cr0\n or eax, 0x40000000\n mov cr0, rax\n ret'
  expect(registersOf(three(INITIALIZED, others).guest.vcpus[1]).cr0).toBe('0x40000010')
})

rule('apic', 'SDM vol. 3, table 10-1', 'INIT keeps SSE registers and MXCSR', () => {
  const others = 'mov eax, 0x55\n movd xmm3, eax\n push 0x1f00\n ldmxcsr [rsp]\n add rsp, 8\n ret'
  const { xmm3, mxcsr } = registersOf(three(INITIALIZED, others).guest.vcpus[1])
  expect([xmm3, mxcsr]).toEqual(['0x55', '0x1f00'])
})

rule('apic', 'SDM vol. 3, table 10-1', 'INIT keeps model-specific registers', () => {
  const others = 'msr_read 0xc0000102\n add eax, 5\n wrmsr\n msr_read 0xc0000102\n call log_byte\n ret'
  expect(three(`${INITIALIZED} ${icr(SIPI, to(1))}`, others).logs[1]).toEqual([5, 10])
})

rule('apic', 'SDM vol. 3, table 10-1', 'INIT sets DR6 and DR7 as a reset does', () => {
  const { dr6, dr7 } = registersOf(
    three(INITIALIZED, 'mov eax, 0x455\n mov dr7, rax\n mov dr6, rax\n ret').guest.vcpus[1],
  )
  expect([dr6, dr7]).toEqual(['0xffff0ff0', '0x400'])
})

rule('apic', 'SDM vol. 3, 11.4.7.3', 'INIT resets the registers of the APIC, but not its id', () => {
  const others =
    'apic_read eax, 0x80\n call log_byte\n apic_read eax, 0x20\n shr eax, 24\n call log_byte\n apic_write 0x80, 0x30\n ret'
  expect(three(`${INITIALIZED} ${icr(SIPI, to(1))}`, others).logs[1]).toEqual([0, 1, 0, 1])
})

rule('apic', 'SDM vol. 3, 11.12.5', 'INIT leaves an x2APIC in x2APIC mode', () => {
  expect([startInRealMode(), startInRealMode('x2apic\n ret')].map(left => left >>> 24)).toEqual([0x08, 0x0c])
})

rule('apic', 'SDM vol. 3, 11.4.7.3', 'INIT forgets requests that were not delivered', () => {
  const others = 'enable\n apic_read eax, 0x220\n call log_byte\n ret'
  expect(three(`${icr(0x41, to(1))} ${INITIALIZED} ${icr(SIPI, to(1))}`, others).logs[1]).toEqual([0, 0])
})

rule('apic', 'SDM vol. 3, 11.4.7.3', 'INIT starts the bootstrap processor at the reset vector', () => {
  const others = 'enable\n sti\n apic_write 0x310, 0\n apic_write 0x300, 0x4500\n ret'
  const { guest, exit } = three('nop\n nop', others)
  expect(exit).toMatchObject({ reason: 'ept-violation', gpa: 0xfffffff0 })
  expect(guest.register('cs')).toBe(0xf000n)
})

import { describe, expect, it } from 'vitest'
import {
  EPT_QUALIFICATION_EXECUTABLE,
  EPT_QUALIFICATION_FETCH,
  EPT_QUALIFICATION_READ,
  EPT_QUALIFICATION_READABLE,
  EPT_QUALIFICATION_TRANSLATED,
  EPT_QUALIFICATION_WRITE,
  type Exit,
} from '../../src/engine/processor.ts'
import { EPT_EXECUTE, EPT_READ, EPT_RIGHTS } from '../../src/vmm/ept.ts'
import { DEVICE_GPA, makeVm } from './support/scripted-vm.ts'

/** Runs one instruction that ends in `exit`. */
function serve(exit: Exit, machine = makeVm()) {
  machine.vcpus[0].script = [{ instructions: 1, exit }]
  const stop = machine.vm.run({ instructions: 1 })
  return { ...machine, stop, events: machine.vcpus[0].events }
}

const violation = (gpa: number, qualification: number) =>
  ({ reason: 'ept-violation', gpa, linear: 0n, qualification: qualification | EPT_QUALIFICATION_TRANSLATED }) as const

describe('exits', () => {
  it('of port I/O reach the bus, and an IN gets its value', () => {
    const input = serve({ reason: 'io', port: 0x60, size: 1, write: false, value: 0 })
    expect(input.accesses).toEqual(['in 60/1'])
    expect(input.events).toEqual(['in 42'])
    const output = serve({ reason: 'io', port: 0xcf8, size: 4, write: true, value: 0x8000_0000 })
    expect(output.accesses).toEqual(['out cf8/4 = 80000000'])
  })

  it('for unknown MSRs end in #GP', () => {
    expect(serve({ reason: 'rdmsr', msr: 0x1234 }).events).toEqual(['rdmsr #GP'])
    expect(serve({ reason: 'wrmsr', msr: 0x1234, value: 1n }).events).toEqual(['wrmsr #GP'])
  })

  it('for CPUID are answered', () => {
    expect(serve({ reason: 'cpuid', leaf: 0, subleaf: 0 }).events[0]).toMatch(/^cpuid \d+$/)
  })

  it('that the control block asked for go to the caller', () => {
    const exit: Exit = { reason: 'exception', vector: 14, errorCode: 2, address: 0x1000n }
    expect(serve(exit).stop).toEqual({ kind: 'exit', vcpu: 0, exit })
  })

  it('are recorded', () => {
    const { vm } = serve({ reason: 'rdmsr', msr: 0x1234 })
    expect(vm.exits.last(1)).toEqual([{ count: 1, vcpu: 0, reason: 'rdmsr', qualification: 0x1234, rip: 0n, gpa: 0 }])
  })
})

describe('EPT violations', () => {
  it('allocate and map a frame at the first touch of RAM', () => {
    const { vm } = serve(violation(0x12_3456, EPT_QUALIFICATION_WRITE))
    expect(vm.memory.ept.rights(0x12_3000)).toBe(EPT_RIGHTS)
    expect(vm.memory.ept.translate(0x12_3456)).toBe(vm.memory.hostAddress(0x12_3456))
  })

  it('reach a device, in one access of up to 8 bytes', () => {
    const read = { ...violation(DEVICE_GPA + 16, EPT_QUALIFICATION_READ), access: { write: false, size: 4, value: 0n } }
    const { accesses, events } = serve(read)
    expect(accesses).toEqual(['read fec00010/4'])
    expect(events).toEqual(['access 1234'])
    const write = {
      ...violation(DEVICE_GPA, EPT_QUALIFICATION_WRITE),
      access: { write: true, size: 8, value: 0x5678n },
    }
    const written = serve(write)
    expect(written.accesses).toEqual(['write fec00000/8 = 5678'])
    expect(written.events).toEqual(['access 0'])
  })

  it('in a hole read all ones and ignore writes', () => {
    const hole = violation(0xd_0000, EPT_QUALIFICATION_READ)
    const read = serve({ ...hole, access: { write: false, size: 2, value: 0n } })
    expect(read.events).toEqual(['access ffff'])
    const write = serve({ ...hole, access: { write: true, size: 2, value: 7n } })
    expect(write.events).toHaveLength(1)
    expect([...read.accesses, ...write.accesses]).toEqual([])
  })

  it('of a fetch from a hole give the processor ones to decode', () => {
    const { vm, processor, stop } = serve(violation(0xd_0000, EPT_QUALIFICATION_FETCH))
    expect(stop).toEqual({ kind: 'slice' })
    expect(vm.memory.ept.rights(0xd_0000)).toBe(EPT_EXECUTE)
    expect(processor.memory.u8[vm.memory.ept.translate(0xd_0000) ?? 0]).toBe(0xff)
  })

  it('of the page walk in a hole give it ones to read', () => {
    const walk: Exit = { reason: 'ept-violation', gpa: 0xd_0008, linear: 0n, qualification: EPT_QUALIFICATION_READ }
    const { vm, stop } = serve(walk)
    expect(stop).toEqual({ kind: 'slice' })
    expect(vm.memory.ept.rights(0xd_0000)).toBe(EPT_READ)
  })

  it('of the page walk in device registers end the run, for nothing can serve them', () => {
    const walk: Exit = { reason: 'ept-violation', gpa: DEVICE_GPA, linear: 0n, qualification: EPT_QUALIFICATION_READ }
    expect(serve(walk).stop).toEqual({ kind: 'unbacked-page-table', vcpu: 0, gpa: DEVICE_GPA })
  })

  it('of a write to a trapped page call the trap once, and then the write goes on', () => {
    const machine = makeVm()
    const trapped: number[] = []
    machine.vm.trapWrite(0x5000, (_, exit) => {
      trapped.push(exit.gpa)
      return undefined
    })
    expect(machine.vm.memory.ept.rights(0x5000)).toBe(EPT_READ | EPT_EXECUTE)
    expect(machine.processor.invalidated).toHaveLength(1)
    const qualification = EPT_QUALIFICATION_WRITE | EPT_QUALIFICATION_READABLE | EPT_QUALIFICATION_EXECUTABLE
    serve(violation(0x5008, qualification), machine)
    expect(trapped).toEqual([0x5008])
    expect(machine.vm.memory.ept.rights(0x5000)).toBe(EPT_RIGHTS)
  })
})

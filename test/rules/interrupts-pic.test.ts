/** Interrupts of an 8259 pair: by LINT0 as ExtINT, by an ExtINT message of the I/O APIC, or around a disabled APIC. */

import { afterAll, expect } from 'vitest'
import { Vm } from '../../src/vmm/vm.ts'
import { Host } from '../engine/guest/guest.ts'
import { loadApicProgram } from './apic-guest.ts'
import { rule } from './rule.ts'

const MEMORY = 2 ** 20
const host = new Host()
const vms: Vm[] = []
afterAll(() => {
  for (const vm of vms) vm.dispose()
})

/** Writing a vector to this port makes the controllers ask for it; 0 to the other makes the I/O APIC send ExtINT. */
const REQUEST = 'out 0x80, al\n'
const MESSAGE = 'out 0x81, al\n'
const ASK = (vector: number): string => `mov al, ${vector}\n ${REQUEST}`

/** The log of a program with a PIC that asks when told to, and ASK and SEND ports. */
function run(main: string): { log: readonly number[]; acknowledged: number } {
  const vm = new Vm({ processor: host.processor, pool: host.pool, memory: MEMORY, cpus: 1 })
  vms.push(vm)
  let [vector, acknowledged]: [number | undefined, number] = [undefined, 0]
  vm.attach({
    bus: {
      readPort: () => 0xff,
      writePort: (port, _size, value) => {
        if (port === 0x80) {
          vector = value
          vm.raiseLint0()
        } else vm.deliver({ mode: 'extint', vector: 0, destination: 0, logical: false, level: false })
      },
      readMmio: () => 0n,
      writeMmio: () => undefined,
      claims: () => false,
    },
    ioApic: { endOfInterrupt: () => undefined },
    showByte: () => undefined,
    externalInterrupts: {
      get pending() {
        return vector !== undefined
      },
      acknowledge: () => {
        const taken = vector ?? 0xff
        vector = undefined
        acknowledged++
        return taken
      },
    },
  })
  const program = {
    vcpu: vm.vcpus[0],
    write: (gpa: number, bytes: ArrayLike<number>) => vm.memory.write(gpa, Uint8Array.from(bytes)),
    write64: (gpa: number, value: bigint) =>
      vm.memory.write(gpa, new Uint8Array(BigUint64Array.of(BigInt.asUintN(64, value)).buffer)),
  }
  loadApicProgram(program, `${main}\n cli\n hlt`, 'ret')
  expect(vm.run({ instructions: 100_000 })).toEqual({ kind: 'halted-forever' })
  const log = vm.memory.read(0x20000, 0x100)
  return { log: Array.from(log.subarray(4, 4 + log[0])), acknowledged }
}

const EXTINT = 'enable\n apic_write 0x350, 0x700\n'

rule('interrupts', 'SDM vol. 3, 11.5.1', 'an ExtINT entry for LINT0 delivers the vector of the PIC', () => {
  expect(run(`${EXTINT} sti\n ${ASK(0x41)} nop\n note 1`)).toEqual({ log: [0x41, 1], acknowledged: 1 })
})

rule('interrupts', 'SDM vol. 3, 11.8.4', 'an interrupt of the PIC is not in service in the APIC', () => {
  const main = `${EXTINT} mov byte [r13 + EOI_MODE], 2\n sti\n ${ASK(0x41)} nop\n apic_read eax, 0x120\n shr eax, 1\n call log_byte`
  expect(run(main).log).toEqual([0x41, 0])
})

rule('interrupts', 'SDM vol. 3, 11.8.3.1', 'the task priority does not hold off interrupts of the PIC', () => {
  expect(run(`${EXTINT} apic_write 0x80, 0xff\n sti\n ${ASK(0x41)} nop\n note 1`).log).toEqual([0x41, 1])
})

rule(
  'interrupts',
  'SDM vol. 3, 6.8.1',
  'an interrupt of the PIC waits while IF is clear, and is not acknowledged before',
  () => {
    expect(run(`${EXTINT} ${ASK(0x41)} nop\n note 1`)).toEqual({ log: [1], acknowledged: 0 })
    expect(run(`${EXTINT} ${ASK(0x41)} note 1\n sti\n nop\n note 2`).log).toEqual([1, 0x41, 2])
  },
)

rule('interrupts', 'SDM vol. 3, 11.5.1', 'a masked ExtINT entry keeps the PIC out', () => {
  expect(run(`enable\n apic_write 0x350, 0x10700\n sti\n ${ASK(0x41)} nop\n note 1`)).toEqual({
    log: [1],
    acknowledged: 0,
  })
})

rule('interrupts', 'SDM vol. 3, 11.4.7.2', 'disabling the APIC by software masks LINT0, and keeps the PIC out', () => {
  expect(run(`${EXTINT} apic_write 0xf0, 0xff\n sti\n ${ASK(0x41)} nop\n note 1`).log).toEqual([1])
})

rule(
  'interrupts',
  'SDM vol. 3, 11.4.3',
  'interrupts of the PIC reach a processor whose APIC is disabled by its base register',
  () => {
    const main = `msr_write 0x1b, 0xfee00100\n mov byte [r13 + EOI_MODE], 2\n sti\n ${ASK(0x41)} nop\n note 1`
    expect(run(main).log).toEqual([0x41, 1])
  },
)

rule(
  'interrupts',
  'SDM vol. 3, 11.5.1',
  'a fixed entry for LINT0 delivers its own vector when the PIC asks, and does not acknowledge',
  () => {
    expect(run(`enable\n apic_write 0x350, 0x77\n sti\n ${ASK(0x41)} nop\n note 1`)).toEqual({
      log: [0x77, 1],
      acknowledged: 0,
    })
  },
)

rule('interrupts', 'SDM vol. 3, 11.6.1', 'an ExtINT message of the I/O APIC fetches one vector from the PIC', () => {
  const main = `enable\n apic_write 0x350, 0x10700\n sti\n ${ASK(0x41)} note 1\n ${MESSAGE} nop\n ${ASK(0x42)} note 2`
  expect(run(main)).toEqual({ log: [1, 0x41, 2], acknowledged: 1 })
})

rule('interrupts', 'SDM vol. 2, HLT', 'an interrupt of the PIC ends HLT', () => {
  expect(run(`${EXTINT} ${ASK(0x41)} sti\n hlt\n note 1`).log).toEqual([0x41, 1])
})

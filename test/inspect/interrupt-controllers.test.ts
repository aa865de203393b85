import { expect, test } from 'vitest'
import { interruptControllers } from '../../src/inspect/interrupt-controllers.ts'
import { FakeMachine } from '../support/fake-machine.ts'

test('interrupt controllers: vectors of the local APIC as numbers, its vector table in words, devices as they are', () => {
  const machine = new FakeMachine()
  machine.vcpu.set({ msr_apic_base: 0xfee0_0d00n })
  machine.vcpu.apicRegisters = [
    { name: 'SVR', value: 0x1ff, width: 32 },
    { name: 'LVT_TIMER', value: 0x300ec, width: 32 },
    { name: 'LVT_LINT0', value: 0x8700, width: 32 },
    { name: 'IRR1', value: 1 << 4, width: 32 },
    { name: 'ISR7', value: 1 << 12, width: 32 },
    { name: 'TMR0', value: 0, width: 32 },
  ]
  const registers = [{ name: 'IOAPICID', value: 1, width: 32 }]
  machine.devices = [
    { name: 'uart0', registers: () => [] },
    { name: 'ioapic', registers: () => registers },
  ]
  expect(interruptControllers(machine)).toEqual({
    localApics: [
      {
        ...{ vcpu: 0, mode: 'x2APIC', enabled: true, requested: [36], inService: [236], levelTriggered: [] },
        registers: [
          { name: 'SVR', value: 0x1ff, width: 32, meaning: 'vector 255, enabled' },
          { name: 'LVT_TIMER', value: 0x300ec, width: 32, meaning: 'periodic, vector 236, masked' },
          { name: 'LVT_LINT0', value: 0x8700, width: 32, meaning: 'ExtINT, vector 0, level' },
        ],
      },
    ],
    controllers: [{ name: 'ioapic', registers }],
  })
})

import { describe, expect, test } from 'vitest'
import { taskState } from '../../src/inspect/task-state.ts'
import { FakeMachine } from '../support/fake-machine.ts'

const TSS_RIGHTS = 0x8b

function machineWithTask(limit: number, write: (view: DataView) => void): FakeMachine {
  const machine = new FakeMachine()
  machine.vcpu.protectedMode().segments.set('tr', { selector: 0x40, base: 0x2000n, limit, rights: TSS_RIGHTS })
  const bytes = new Uint8Array(limit + 1)
  write(new DataView(bytes.buffer))
  machine.write(0x2000, bytes)
  return machine
}

describe('a task-state segment', () => {
  test('of long mode has stacks by privilege and by IST', () => {
    const machine = machineWithTask(0x67, view => {
      view.setBigUint64(4, 0xffff_8000_0000_1000n, true)
      view.setBigUint64(0x24, 0x7000n, true)
      view.setUint16(0x66, 0x68, true)
    })
    machine.vcpu.set({ efer: 0x500n })
    const tss = taskState(machine, machine.vcpu)
    expect(tss).toMatchObject({ kind: '64-bit', selector: 0x40, base: 0x2000n })
    expect(tss?.fields.map(({ name }) => name)).toEqual([
      ...['RSP0', 'RSP1', 'RSP2', 'IST1', 'IST2', 'IST3', 'IST4', 'IST5', 'IST6', 'IST7'],
      'I/O map base',
    ])
    expect(tss?.fields[0].value).toBe(0xffff_8000_0000_1000n)
    expect(tss?.fields[3].value).toBe(0x7000n)
    expect(tss?.ports).toBeUndefined()
  })

  test('allows the ports whose bits are clear, up to the byte before the limit', () => {
    const machine = machineWithTask(0x68 + 2, view => {
      view.setUint16(0x66, 0x68, true)
      view.setUint8(0x68, 0b1110_0011)
      view.setUint8(0x69, 0xfe)
      view.setUint8(0x6a, 0xff)
    })
    const tss = taskState(machine, machine.vcpu)
    expect(tss?.kind).toBe('32-bit')
    expect(tss?.ports).toEqual([
      { first: 2, last: 4 },
      { first: 8, last: 8 },
    ])
  })

  test('of 16 bits is the old one', () => {
    const machine = machineWithTask(0x2b, view => view.setUint16(2, 0x1234, true))
    machine.vcpu.segments.set('tr', { selector: 8, base: 0x2000n, limit: 0x2b, rights: 0x83 })
    const tss = taskState(machine, machine.vcpu)
    expect(tss?.fields.slice(0, 2)).toEqual([
      { name: 'link', value: 0n },
      { name: 'SP0', value: 0x1234n },
    ])
    expect(tss?.fields.at(-1)?.name).toBe('LDT')
  })

  test('is none while TR names none', () => {
    const machine = new FakeMachine()
    machine.vcpu.protectedMode().segments.set('tr', { selector: 0, base: 0n, limit: 0xffff, rights: TSS_RIGHTS })
    expect(taskState(machine, machine.vcpu)).toBeUndefined()
  })
})

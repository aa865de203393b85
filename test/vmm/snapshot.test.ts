import { describe, expect, it } from 'vitest'
import { readSnapshotHeader, restoreVm, SNAPSHOT_VERSION, SnapshotError, saveSnapshot } from '../../src/vmm/snapshot.ts'
import { makeVm } from './support/scripted-vm.ts'

const configuration = { memory: 4 * 2 ** 20, cpus: 2, image: 'abc' }

function savedMachine() {
  const machine = makeVm(2)
  const { vm } = machine
  vm.memory.write(
    0x1ff0,
    Uint8Array.from({ length: 100 }, (_, i) => i),
  )
  vm.memory.frame(0x9000)
  for (let page = 0; page < 600; page++) vm.memory.write(0x10_0000 + page * 4096, Uint8Array.of(page & 0xff, page >> 8))
  machine.vcpus[0].script = [{ instructions: 10, exit: { reason: 'rdmsr', msr: 0x99 } }]
  vm.clock.timer('tick', () => {}).arm(1e9)
  vm.run({ instructions: 25_000 })
  const bytes = new Uint8Array(Buffer.concat(saveSnapshot(vm, configuration, { uart0: { ier: 5 } })))
  return { ...machine, bytes }
}

describe('snapshots', () => {
  it('bring back RAM, clock, turn, exits and devices in a new VM', () => {
    const { vm, bytes } = savedMachine()
    const fresh = makeVm(2)
    fresh.vm.clock.timer('tick', () => {})
    const header = readSnapshotHeader('a.snapshot', bytes, configuration)
    restoreVm(fresh.vm, bytes, header)
    expect(header.devices).toEqual({ uart0: { ier: 5 } })
    expect([...fresh.vm.memory.touchedPages()]).toEqual([...vm.memory.touchedPages()])
    for (const page of vm.memory.touchedPages())
      expect(fresh.vm.memory.read(page, 4096)).toEqual(vm.memory.read(page, 4096))
    expect(fresh.vm.save()).toEqual(vm.save())
    expect(fresh.vm.clock.deadline).toBe(1e9)
    expect(fresh.vm.exits.byReason()).toEqual({ rdmsr: 1 })
  })

  it('replace what was in memory before', () => {
    const { bytes } = savedMachine()
    const used = makeVm(2)
    used.vm.clock.timer('tick', () => {})
    used.vm.memory.write(0x7000, Uint8Array.of(1))
    restoreVm(used.vm, bytes, readSnapshotHeader('a', bytes, configuration))
    expect(used.vm.memory.read(0x7000, 1)).toEqual(Uint8Array.of(0))
  })

  it('refuse another configuration, and name the difference', () => {
    const { bytes } = savedMachine()
    expect(() => readSnapshotHeader('a.snapshot', bytes, { ...configuration, cpus: 1 })).toThrow(
      'snapshot "a.snapshot": made of another machine (its cpus is 2, here 1): start the same one',
    )
  })

  it('refuse damage, truncation, other versions and other files', () => {
    const { bytes } = savedMachine()
    const changed = (at: number) => bytes.with(at, bytes[at] ^ 1)
    const read = (snapshot: Uint8Array) => () => readSnapshotHeader('a', snapshot, configuration)
    expect(read(changed(bytes.length - 5))).toThrow('damaged or cut short')
    expect(read(changed(44))).toThrow('damaged or cut short')
    expect(read(bytes.subarray(0, 1000))).toThrow('damaged or cut short')
    expect(read(changed(8))).toThrow(`version ${SNAPSHOT_VERSION ^ 1}`)
    expect(read(changed(0))).toThrow('not a Ringside snapshot')
    expect(read(new Uint8Array(3))).toThrow(SnapshotError)
  })
})

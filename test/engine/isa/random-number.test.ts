import { afterAll, describe, expect, it } from 'vitest'
import { parseCpuModel } from '../../../src/engine/cpu-model.ts'
import { Guest, Host, TIERS } from '../guest/guest.ts'
import { CODE, enterLongMode, VMCALL } from '../guest/long-mode.ts'

// rdrand rax; vmcall
const PROGRAM = [0x48, 0x0f, 0xc7, 0xf0, ...VMCALL]

describe.each(TIERS)('random numbers, $tier', ({ hotEntries }) => {
  const host = new Host({ hotEntries, model: parseCpuModel('max') })
  const guest = new Guest(host, { cpus: 2 })
  afterAll(() => guest.release())

  function numbers(count: number): bigint[] {
    return Array.from({ length: count }, () => {
      guest.setRegisters({ rip: CODE })
      expect(guest.run(10).reason).toBe('vmcall')
      return guest.register('rax')
    })
  }

  it('are those of SplitMix64 with the seed that a hypervisor may give', () => {
    enterLongMode(guest)
    guest.write(CODE, PROGRAM)
    guest.setRegisters({ random: 1234567 })
    // The generator's published test vector.
    const expected = [6457827717110365317n, 3203168211198807973n, 9817491932198370423n, 4593380528125082431n]
    expect(numbers(4)).toEqual(expected)
  })

  it('go on through a reset', () => {
    const seen = new Set<bigint>()
    for (let i = 0; i < 2; i++) {
      enterLongMode(guest)
      guest.write(CODE, PROGRAM)
      for (const number of numbers(5)) seen.add(number)
    }
    expect(seen.size).toBe(10)
  })

  it('begin elsewhere in each processor', () => {
    const [first, second] = guest.vcpus.map(vcpu => vcpu.registers.get('random'))
    expect(second).not.toBe(first)
  })
})

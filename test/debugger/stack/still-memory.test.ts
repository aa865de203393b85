import { describe, expect, it } from 'vitest'
import { StillMemory } from '../../../src/debugger/stack/still-memory.ts'
import { FakeMachine } from '../../support/fake-machine.ts'

const PRESENT = 1n
const MAPPED = 0xffff_8000_0000_0000n

/** Two linear pages in frames that are not neighbours, 0x6000 and 0x5000, and nothing behind them. */
function machine(): FakeMachine {
  const made = new FakeMachine()
  made.vcpu.longMode(0x1000n)
  made.writeEntry(0x1000 + 256 * 8, 0x2000n | PRESENT)
  made.writeEntry(0x2000, 0x3000n | PRESENT)
  made.writeEntry(0x3000, 0x4000n | PRESENT)
  made.writeEntry(0x4000, 0x6000n | PRESENT)
  made.writeEntry(0x4008, 0x5000n | PRESENT)
  made.write(0x6ffc, [1, 2, 3, 0x84])
  made.write(0x5000, [5, 6, 7, 0x88])
  return made
}

describe('memory of a stack', () => {
  it('has words inside a page and across two', () => {
    const guest = machine()
    const memory = new StillMemory(guest, guest.vcpu)
    expect(memory.word(MAPPED + 0xffcn, 4)).toBe(0x8403_0201n)
    expect(memory.word(MAPPED + 0xffcn, 8)).toBe(0x8807_0605_8403_0201n)
    expect(memory.word(MAPPED + 0x1000n, 4)).toBe(0x8807_0605n)
    expect([...(memory.read(MAPPED + 0xffen, 4) ?? [])]).toEqual([3, 0x84, 5, 6])
  })

  it('has nothing where a byte can not be read', () => {
    const guest = machine()
    const memory = new StillMemory(guest, guest.vcpu)
    expect(memory.word(MAPPED + 0x1ff8n, 8)).toBe(0n)
    expect(memory.word(MAPPED + 0x1ffcn, 8)).toBeUndefined()
    expect(memory.read(MAPPED + 0x2000n, 1)).toBeUndefined()
    expect(memory.word(0x8000_0000_0000n, 8)).toBeUndefined()
    expect(memory.word(0xffff_ffff_ffff_fffcn, 8)).toBeUndefined()
  })

  it('answers alike, however many pages have been looked at', () => {
    const guest = machine()
    const memory = new StillMemory(guest, guest.vcpu)
    for (let page = 0n; page < 1000n; page++) memory.word(MAPPED + page * 0x1000n, 8)
    expect(memory.word(MAPPED + 0x1000n, 4)).toBe(0x8807_0605n)
  })
})

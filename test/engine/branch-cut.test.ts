/** A branch with a 16-bit operand cuts RIP to 16 bits: the same code leads elsewhere above 64 KiB. */

import { afterAll, describe, expect, it } from 'vitest'
import { Guest, Host, TIERS } from './guest/guest.ts'
import { enablePaging, P, PageTables, RW } from './guest/page-tables.ts'

const VMCALL = [0x0f, 0x01, 0xc1]
const [SHARED, BELOW] = [0x30000, 0x31000]
/** Linear addresses: the shared frame below and above 64 KiB, and where its branch leads from above. */
const [LOW, HIGH, CUT] = [0x5000, 0x13000, 0x3000]

describe.each(TIERS)('16-bit code that is $tier', ({ hotEntries }) => {
  const host = new Host({ hotEntries })
  const guest = new Guest(host)
  afterAll(() => guest.release())

  it('branches within its page below 64 KiB, and out of it above, wherever it has been before', () => {
    const tables = new PageTables(guest, '32-bit', 0x80000)
    for (const [linear, frame] of [
      [LOW, SHARED],
      [HIGH, SHARED],
      [CUT, BELOW],
    ])
      tables.map(BigInt(linear), BigInt(frame), P | RW)
    guest.write(SHARED + 0x10, [0xeb, 0x0e]) // jmp short to offset 0x20
    guest.write(SHARED + 0x20, [0x43, ...VMCALL]) // inc bx
    guest.write(BELOW + 0x20, [0x42, ...VMCALL]) // inc dx
    enablePaging(guest.vcpu, tables)
    const { registers } = guest.vcpu
    registers.setSegment('cs', { ...registers.segment('cs'), rights: 0x809b })
    const runAt = (rip: number) => {
      guest.setRegisters({ rip, rbx: 0, rdx: 0 })
      expect(guest.run(10)).toEqual({ reason: 'vmcall' })
      return [registers.get('rbx'), registers.get('rdx'), registers.get('rip')]
    }
    for (let times = 0; times < 6; times++) expect(runAt(LOW + 0x10)).toEqual([1n, 0n, BigInt(LOW + 0x24)])
    for (let times = 0; times < 6; times++) expect(runAt(HIGH + 0x10)).toEqual([0n, 1n, BigInt(CUT + 0x24)])
    expect(runAt(LOW + 0x10)).toEqual([1n, 0n, BigInt(LOW + 0x24)])
  })
})

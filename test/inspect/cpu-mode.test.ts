import { describe, expect, test } from 'vitest'
import { cpuMode, instructionPointer, stackPointer } from '../../src/inspect/cpu-mode.ts'
import { FakeVcpu } from '../support/fake-machine.ts'

describe('the mode of a processor in one line', () => {
  test('after reset it is real mode', () => {
    const vcpu = new FakeVcpu().setCode(16, 0xffff0000n).set({ cr0: 0x60000010n, rip: 0xfff0n, rflags: 2n })
    expect(cpuMode(vcpu).summary).toBe('16-bit real, CPL 0, no paging, IF=0')
    expect(cpuMode(vcpu).codeBits).toBe(16)
    expect(instructionPointer(vcpu)).toBe(0xfffffff0n)
  })

  test('64-bit mode tells ring, paging, PCID and interrupt flag', () => {
    const vcpu = new FakeVcpu().longMode(0x1234003n).set({ cr4: 0x206b0n })
    expect(cpuMode(vcpu).summary).toBe('64-bit, CPL 0, 4-level paging, PCID 3, IF=1')
    vcpu.cpl = 3
    vcpu.set({ cr4: 0x16b0n })
    expect(cpuMode(vcpu).summary).toBe('64-bit, CPL 3, 5-level paging, IF=1')
  })

  test('32-bit code under long mode is compatibility mode', () => {
    const vcpu = new FakeVcpu().longMode().setCode(32, 0x1000n).set({ rip: 0x10n })
    vcpu.cpl = 3
    expect(cpuMode(vcpu).summary).toBe('32-bit compatibility, CPL 3, 4-level paging, IF=1')
    expect(instructionPointer(vcpu)).toBe(0x1010n)
    expect(cpuMode(vcpu.setCode(16)).summary).toContain('16-bit compatibility')
  })

  test.each([
    [16, 0x11n, 0n, '16-bit protected, CPL 0, no paging, IF=0'],
    [32, 0x80000011n, 0n, '32-bit protected, CPL 0, 32-bit paging, IF=0'],
    [32, 0x80000011n, 0x20n, '32-bit protected, CPL 0, PAE paging, IF=0'],
  ] as const)('protected mode with %i-bit code, CR0 %x and CR4 %x', (bits, cr0, cr4, summary) => {
    expect(cpuMode(new FakeVcpu().setCode(bits).set({ cr0, cr4 })).summary).toBe(summary)
  })

  test('RFLAGS.VM makes it virtual-8086 mode, where segments are 64 KiB windows', () => {
    const vcpu = new FakeVcpu().setCode(16, 0x12340n).set({ cr0: 0x11n, rflags: 0x20202n, rip: 5n, rsp: 0xffff_fffen })
    vcpu.segments.set('ss', { selector: 0x2000, base: 0x20000n, limit: 0xffff, rights: 0xf3 })
    expect(cpuMode(vcpu).mode).toBe('virtual-8086')
    expect(instructionPointer(vcpu)).toBe(0x12345n)
    expect(stackPointer(vcpu)).toBe(0x2fffen)
  })
})

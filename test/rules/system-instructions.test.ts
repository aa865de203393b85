/** Rules of instructions for system software: who may execute them, what they refuse, what they change. */

import { afterAll, beforeEach, describe, expect } from 'vitest'
import { parseCpuModel } from '../../src/engine/cpu-model.ts'
import { hasNasm, nasmNote } from '../engine/guest/assemble.ts'
import { Host } from '../engine/guest/guest.ts'
import { DATA, DATA0, SystemGuest, type SystemMode } from '../engine/guest/system-guest.ts'
import { rule } from './rule.ts'

const system = new SystemGuest(new Host({ model: parseCpuModel('max') }))
const { guest } = system
afterAll(() => system.release())

const GP0 = '#GP(0x0)'
const [TSD, PAE, PCE, OSFXSR, UMIP, FSGSBASE] = [2, 5, 8, 9, 11, 16].map(bit => 1 << bit)
const LONG_CR4 = PAE | OSFXSR

/** Runs a program in a mode and ring with bits of CR4 set. */
function run(mode: SystemMode, ring: 0 | 3, source: string, cr4 = 0): string {
  system.enter(mode, ring)
  guest.setRegisters({ cr4: (mode === 'long' ? LONG_CR4 : 0) | cr4 })
  return system.run(source)
}

const privileged = (source: string): void => {
  expect(run('protected', 3, source)).toBe(GP0)
  expect(run('long', 3, source)).toBe(GP0)
}

beforeEach(() => system.enter('protected'))

describe.skipIf(!hasNasm)(`descriptor-table registers and the machine status word${nasmNote}`, () => {
  rule('system instructions', 'SDM vol. 2, SGDT', 'SGDT stores a limit and, in 64-bit mode, 64 bits of base', () => {
    expect(run('long', 0, 'mov rax, -1\nmov [0x20008], rax\nsgdt [0x20000]')).toBe('end')
    expect(guest.read64(DATA)).toBe(0x1000_03ffn)
    expect(guest.read64(DATA + 8)).toBe(0xffff_ffff_ffff_0000n)
  })

  rule('system instructions', 'SDM vol. 2, SGDT', 'SGDT stores 32 bits of base whatever the operand size', () => {
    guest.vcpu.registers.setTable('gdtr', { base: 0x12345678n, limit: 0x3ff })
    expect(system.run('o16 sgdt [0x20000]')).toBe('end')
    expect(guest.read64(DATA)).toBe(0x1234_5678_03ffn)
  })

  rule(
    'system instructions',
    'SDM vol. 2, SGDT',
    'SGDT, SIDT and SMSW are for every privilege level without CR4.UMIP',
    () => {
      for (const source of ['sgdt [0x20000]', 'sidt [0x20000]', 'smsw ax']) expect(run('long', 3, source)).toBe('end')
    },
  )

  rule('system instructions', 'SDM vol. 2, SGDT', 'SGDT and SIDT outside ring 0 are #GP(0) with CR4.UMIP', () => {
    for (const name of ['sgdt', 'sidt']) expect(run('long', 3, `${name} [0x20000]`, UMIP)).toBe(GP0)
  })

  rule('system instructions', 'SDM vol. 2, SLDT', 'SLDT and STR outside ring 0 are #GP(0) with CR4.UMIP', () => {
    for (const name of ['sldt', 'str']) {
      expect(run('protected', 3, `${name} ax`)).toBe('end')
      expect(run('protected', 3, `${name} ax`, UMIP)).toBe(GP0)
    }
  })

  rule('system instructions', 'SDM vol. 2, SMSW', 'SMSW outside ring 0 is #GP(0) with CR4.UMIP', () => {
    expect(run('protected', 3, 'smsw eax', UMIP)).toBe(GP0)
  })

  rule('system instructions', 'SDM vol. 3, 2.5', 'CR4.UMIP changes nothing in ring 0', () => {
    for (const source of ['sgdt [0x20000]', 'sldt ax', 'str ax', 'smsw ax'])
      expect(run('long', 0, source, UMIP)).toBe('end')
  })

  rule('system instructions', 'SDM vol. 2, SIDT', 'SIDT in virtual-8086 mode is #GP(0) with CR4.UMIP', () => {
    expect(run('virtual-8086', 3, 'sidt [0]')).toBe('end')
    expect(run('virtual-8086', 3, 'sidt [0]', UMIP)).toBe(GP0)
  })

  rule('system instructions', 'SDM vol. 2, SLDT', 'SLDT and STR are #UD in real and virtual-8086 mode', () => {
    for (const mode of ['real', 'virtual-8086'] as const)
      for (const name of ['sldt', 'str']) expect(run(mode, 0, `${name} ax`)).toBe('#UD')
  })

  rule('system instructions', 'SDM vol. 2, LIDT', 'LIDT with a 16-bit operand loads 24 bits of base', () => {
    system.enter('real')
    guest.write64(DATA, 0x1234_5678_03ffn)
    expect(system.run('lidt [0]')).toBe('end')
    expect(guest.vcpu.registers.table('idtr')).toEqual({ base: 0x34_5678n, limit: 0x3ff })
  })

  rule('system instructions', 'SDM vol. 2, LMSW', 'LMSW loads MP, EM and TS and no other bit of CR0', () => {
    expect(system.run('mov eax, 0xffffffff\nlmsw ax')).toBe('end')
    expect(system.register('cr0')).toBe(0x3f)
    expect(system.run('mov eax, 1\nlmsw ax\nmov eax, 1', { registers: { cr0: 0x3f, rip: 0x10000 } })).toBe('end')
    expect(system.register('cr0')).toBe(0x31)
  })

  rule('system instructions', 'SDM vol. 2, CLTS', 'CLTS clears CR0.TS, and outside ring 0 is #GP(0)', () => {
    expect(system.run('clts', { registers: { cr0: 0x39 } })).toBe('end')
    expect(system.register('cr0')).toBe(0x31)
    privileged('clts')
  })
})

describe.skipIf(!hasNasm)(`privileged instructions${nasmNote}`, () => {
  rule('system instructions', 'SDM vol. 2, HLT', 'HLT in virtual-8086 mode is #GP(0)', () => {
    expect(run('virtual-8086', 3, 'hlt')).toBe(GP0)
  })

  rule('system instructions', 'SDM vol. 2, STAC', 'STAC and CLAC outside ring 0 are #UD', () => {
    for (const name of ['stac', 'clac']) expect(run('long', 3, name)).toBe('#UD')
  })

  rule('system instructions', 'SDM vol. 2, CLI', 'CLI and STI with a privilege level above IOPL are #GP(0)', () => {
    for (const name of ['cli', 'sti']) {
      expect(run('protected', 3, name)).toBe(GP0)
      system.enter('protected', 3)
      expect(system.run(name, { registers: { rflags: 0x3002 } })).toBe('end')
    }
  })

  rule('system instructions', 'SDM vol. 2, PUSHF', 'The image that PUSHF stores has RF and VM clear', () => {
    expect(run('long', 3, 'pushfq', 0)).toBe('end')
    system.enter('long', 3)
    expect(system.run('pushfq\npop rbx', { registers: { rflags: 0x1_0ad7 } })).toBe('end')
    expect(system.register('rbx')).toBe(0xad7)
  })

  rule(
    'system instructions',
    'SDM vol. 2, PUSH',
    'PUSH of a segment register moves the stack by the operand size',
    () => {
      expect(system.run('mov ebx, esp\npush ds\nsub ebx, esp\npop ecx\nmov edx, esp\no16 push ds\nsub edx, esp')).toBe(
        'end',
      )
      expect([system.register('rbx'), system.register('rcx'), system.register('rdx')]).toEqual([4, DATA0, 2])
    },
  )

  rule(
    'system instructions',
    'SDM vol. 2, MOV',
    'A segment register is zero-extended into a register, and 16 bits in memory',
    () => {
      expect(run('long', 0, 'mov rbx, -1\nmov ebx, ds\nmov dword [0x20000], -1\nmov [0x20000], ds')).toBe('end')
      expect([system.register('rbx'), guest.read32(DATA)]).toEqual([DATA0, 0xffff_0000 + DATA0])
    },
  )
})

describe.skipIf(!hasNasm)(`model-specific registers${nasmNote}`, () => {
  const write = (msr: number, value: bigint): string =>
    run('long', 0, `mov ecx, ${msr}\nmov eax, ${value & 0xffff_ffffn}\nmov edx, ${value >> 32n}\nwrmsr`)

  rule('system instructions', 'SDM vol. 3, 12.12.2', 'A memory type that there is not in the PAT is #GP(0)', () => {
    for (const type of [2n, 3n, 8n]) expect(write(0x277, type << 24n)).toBe(GP0)
    expect(write(0x277, 0x0007_0406_0105_0406n)).toBe('end')
  })

  rule('system instructions', 'SDM vol. 2, RDMSR', 'RDMSR clears the upper halves of RAX and RDX', () => {
    expect(run('long', 0, 'mov rax, -1\nmov rdx, -1\nmov ecx, 0x277\nrdmsr')).toBe('end')
    expect([guest.register('rax'), guest.register('rdx')]).toEqual([0x0007_0406n, 0x0007_0406n])
  })
})

describe.skipIf(!hasNasm)(`time stamps, processor numbers, random numbers${nasmNote}`, () => {
  rule('system instructions', 'SDM vol. 2, RDTSCP', 'RDTSCP outside ring 0 is #GP(0) with CR4.TSD', () => {
    expect(run('protected', 3, 'rdtscp')).toBe('end')
    expect(run('protected', 3, 'rdtscp', TSD)).toBe(GP0)
    expect(run('protected', 0, 'rdtscp', TSD)).toBe('end')
  })

  rule('system instructions', 'SDM vol. 2, RDTSC', 'RDTSC clears the upper halves of RAX and RDX', () => {
    expect(run('long', 3, 'mov rax, -1\nmov rdx, -1\nrdtsc')).toBe('end')
    expect([guest.register('rax') >> 32n, guest.register('rdx')]).toEqual([0n, 0n])
  })

  rule(
    'system instructions',
    'SDM vol. 3, 18.17.3',
    'A write of the time-stamp counter moves TSC_ADJUST by as much',
    () => {
      const source = `
      mov ecx, 0x10
      rdmsr
      mov ebx, eax
      mov edx, 9
      wrmsr
      mov ecx, 0x3b
      rdmsr`
      expect(run('long', 0, source)).toBe('end')
      // Four instructions later than the counter was read, it would have been that much more.
      const adjust = (guest.register('rdx') << 32n) | guest.register('rax')
      expect((9n << 32n) - adjust).toBeGreaterThan(0n)
      expect((9n << 32n) - adjust).toBeLessThan(10n)
    },
  )

  rule('system instructions', 'SDM vol. 2, RDTSCP', 'RDTSCP gives TSC_AUX in ECX', () => {
    system.enter('long', 3)
    expect(system.run('rdtscp', { registers: { msr_tsc_aux: 0x1234, rcx: -1n } })).toBe('end')
    expect(system.register('rcx')).toBe(0x1234)
  })

  rule(
    'system instructions',
    'SDM vol. 2, RDPID',
    'RDPID gives TSC_AUX at any privilege level, also with CR4.TSD',
    () => {
      system.enter('long', 3)
      const registers = { msr_tsc_aux: 0x1234, rbx: -1n, cr4: LONG_CR4 | TSD }
      expect(system.run('rdpid rbx', { registers })).toBe('end')
      expect(system.register('rbx')).toBe(0x1234)
    },
  )

  rule('system instructions', 'SDM vol. 2, RDPMC', 'RDPMC outside ring 0 is #GP(0) without CR4.PCE', () => {
    expect(run('protected', 3, 'xor ecx, ecx\nrdpmc')).toBe(GP0)
  })

  rule(
    'system instructions',
    'SDM vol. 2, RDPMC',
    'RDPMC of a counter that there is not is #GP(0), also in ring 0',
    () => {
      expect(run('protected', 0, 'mov ecx, 0x20\nrdpmc', PCE)).toBe(GP0)
    },
  )

  rule(
    'system instructions',
    'SDM vol. 2, CPUID',
    'CPUID is for every privilege level and clears the upper halves',
    () => {
      system.enter('long', 3)
      expect(system.run('cpuid', { registers: { rax: 0x8000_0000n | (7n << 32n), rcx: 3n } })).toBe('cpuid')
      guest.vcpu.completeCpuid({ eax: 1, ebx: 2, ecx: 3, edx: 0xffff_ffff })
      guest.setRegisters({ rbx: -1n, rdx: -1n })
      expect(system.resume()).toBe('end')
      expect(['rax', 'rbx', 'rcx', 'rdx'].map(name => guest.register(name))).toEqual([1n, 2n, 3n, 0xffff_ffffn])
    },
  )

  rule('system instructions', 'SDM vol. 2, RDRAND', 'RDRAND sets CF and clears the other status flags', () => {
    for (const name of ['rdrand', 'rdseed']) {
      system.enter('long', 3)
      expect(system.run(`${name} rax`, { registers: { rflags: 0x8d6 } })).toBe('end')
      expect(system.register('rflags')).toBe(3)
    }
  })

  rule(
    'system instructions',
    'SDM vol. 2, RDRAND',
    'RDRAND of 16 bits keeps the rest of the register, of 32 clears it',
    () => {
      expect(run('long', 0, 'mov rax, -1\nrdrand ax\nmov rbx, -1\nrdrand ebx')).toBe('end')
      expect([guest.register('rax') >> 16n, guest.register('rbx') >> 32n]).toEqual([0xffff_ffff_ffffn, 0n])
    },
  )

  rule(
    'system instructions',
    'SDM vol. 1, 7.3.17',
    'RDRAND and RDSEED give other numbers each time, and a restored state the same again',
    () => {
      system.enter('long')
      system.load('rdrand rax\nrdrand rbx\nrdseed rcx\nrdseed rdx')
      const saved = guest.save()
      const numbers = () => ['rax', 'rbx', 'rcx', 'rdx'].map(name => guest.register(name))
      expect(system.resume()).toBe('end')
      const first = numbers()
      expect(new Set(first).size).toBe(4)
      guest.restore(saved)
      expect(system.resume()).toBe('end')
      expect(numbers()).toEqual(first)
    },
  )
})

describe.skipIf(!hasNasm)(`bases of FS and GS${nasmNote}`, () => {
  rule('system instructions', 'SDM vol. 2, SWAPGS', 'SWAPGS exchanges GS.base with KERNEL_GS_BASE', () => {
    system.enter('long')
    const registers = { gs_base: 0x7f00_0000_1000n, msr_kernel_gs_base: 0xffff_8880_1234_5000n }
    expect(system.run('swapgs', { registers })).toBe('end')
    expect(guest.register('gs_base')).toBe(registers.msr_kernel_gs_base)
    expect(guest.register('msr_kernel_gs_base')).toBe(registers.gs_base)
  })

  rule('system instructions', 'SDM vol. 2, SWAPGS', 'SWAPGS outside ring 0 is #GP(0), outside 64-bit mode #UD', () => {
    expect(run('long', 3, 'swapgs')).toBe(GP0)
    expect(run('protected', 0, 'db 0x0f, 0x01, 0xf8')).toBe('#UD')
  })

  rule('system instructions', 'SDM vol. 2, RDFSBASE', 'RDFSBASE and its like are #UD without CR4.FSGSBASE', () => {
    for (const name of ['rdfsbase', 'rdgsbase', 'wrfsbase', 'wrgsbase'])
      expect(run('long', 0, `${name} rax`)).toBe('#UD')
  })

  rule('system instructions', 'SDM vol. 2, RDFSBASE', 'RDFSBASE and its like are #UD outside 64-bit mode', () => {
    expect(run('protected', 0, 'db 0xf3, 0x0f, 0xae, 0xc0', FSGSBASE)).toBe('#UD')
  })

  rule(
    'system instructions',
    'SDM vol. 2, WRFSBASE',
    'WRFSBASE and WRGSBASE move a base at any privilege level',
    () => {
      const source =
        'mov eax, 0x20000\nwrfsbase rax\nadd eax, 8\nwrgsbase rax\nrdgsbase rbx\nmov ecx, [fs:0]\nmov edx, [gs:0]'
      system.enter('long', 3)
      guest.write64(DATA, 5n)
      guest.write64(DATA + 8, 6n)
      expect(system.run(source, { registers: { cr4: LONG_CR4 | FSGSBASE } })).toBe('end')
      expect(['rbx', 'rcx', 'rdx'].map(name => system.register(name))).toEqual([DATA + 8, 5, 6])
    },
  )

  rule('system instructions', 'SDM vol. 2, WRFSBASE', 'WRGSBASE of an address that is not canonical is #GP(0)', () => {
    expect(run('long', 3, 'mov rax, 1 << 60\nwrgsbase rax', FSGSBASE)).toBe(GP0)
  })

  rule('system instructions', 'SDM vol. 2, WRFSBASE', 'WRFSBASE and RDFSBASE of 32 bits extend with zeros', () => {
    system.enter('long')
    const registers = { fs_base: 0x1_0000_0005n, rax: -1n, rbx: -2n, cr4: LONG_CR4 | FSGSBASE }
    expect(system.run('rdfsbase eax\nwrfsbase ebx', { registers })).toBe('end')
    expect([guest.register('rax'), guest.register('fs_base')]).toEqual([5n, 0xffff_fffen])
  })
})

describe.skipIf(!hasNasm)(`monitored lines and caches${nasmNote}`, () => {
  rule('system instructions', 'SDM vol. 2, MONITOR', 'MONITOR and MWAIT outside ring 0 are #UD', () => {
    for (const name of ['monitor', 'mwait']) expect(run('long', 3, `xor ecx, ecx\n${name}`)).toBe('#UD')
  })

  rule(
    'system instructions',
    'SDM vol. 2, MONITOR',
    'MONITOR with an extension that there is not in ECX is #GP(0)',
    () => {
      expect(run('long', 0, 'mov eax, 0x20000\nmov ecx, 1\nmonitor')).toBe(GP0)
    },
  )

  rule('system instructions', 'SDM vol. 2, MONITOR', 'MONITOR loads a byte: of an absent page it is #PF', () => {
    system.enter('long')
    guest.write64(system.pageEntry(DATA), 0n)
    expect(system.run('mov eax, 0x20000\nxor ecx, ecx\nmonitor')).toBe('#PF(0x0)')
  })

  rule('system instructions', 'SDM vol. 2, MONITOR', 'MONITOR takes its address from the segment of a prefix', () => {
    const registers = { fs_base: 0x1000 }
    system.enter('long')
    guest.write64(system.pageEntry(DATA), 0n)
    expect(system.run('mov eax, 0x20000\nxor ecx, ecx\nfs monitor', { registers })).toBe('end')
    system.enter('long')
    guest.write64(system.pageEntry(DATA), 0n)
    expect(system.run('mov eax, 0x1f000\nxor ecx, ecx\nfs monitor', { registers })).toBe('#PF(0x0)')
  })

  rule('system instructions', 'SDM vol. 2, MWAIT', 'MWAIT with an extension that there is not in ECX is #GP(0)', () => {
    expect(run('long', 0, 'mov ecx, 2\nmwait')).toBe(GP0)
  })

  rule('system instructions', 'SDM vol. 2, MWAIT', 'MWAIT ends without an interrupt or a store: it is a hint', () => {
    expect(run('long', 0, 'mov eax, 0x20000\nxor ecx, ecx\nmonitor\nxor eax, eax\ninc ecx\nmwait')).toBe('end')
  })

  rule(
    'system instructions',
    'SDM vol. 2, CLFLUSH',
    'CLFLUSH and CLFLUSHOPT of an absent page are #PF, as loads',
    () => {
      for (const name of ['clflush', 'clflushopt']) {
        system.enter('long', 3)
        guest.write64(system.pageEntry(DATA), 0n)
        expect(system.run(`${name} [0x20000]`)).toBe('#PF(0x4)')
      }
    },
  )

  rule('system instructions', 'SDM vol. 2, PREFETCHW', 'A prefetch of an absent page does nothing', () => {
    for (const name of ['prefetchw', 'prefetcht0', 'prefetchnta']) {
      system.enter('long', 3)
      guest.write64(system.pageEntry(DATA), 0n)
      expect(system.run(`${name} [0x20000]`)).toBe('end')
    }
  })

  rule(
    'system instructions',
    'SDM vol. 2, SERIALIZE',
    'SERIALIZE is for every privilege level and changes nothing',
    () => {
      expect(run('long', 3, 'db 0x0f, 0x01, 0xe8')).toBe('end')
    },
  )
})

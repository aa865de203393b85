/** Rules of modes: reset, switches between them, and what each makes of operands, addresses and stacks. */

import { afterAll, beforeEach, describe, expect } from 'vitest'
import { hasNasm, nasmNote } from '../engine/guest/assemble.ts'
import { Host } from '../engine/guest/guest.ts'
import {
  CODE,
  CODE0,
  COMPATIBLE0,
  COMPATIBLE3,
  code,
  DATA,
  DATA0,
  descriptor,
  FREE,
  GDT,
  RIGHTS,
  STACK,
  SystemGuest,
} from '../engine/guest/system-guest.ts'
import { rule } from './rule.ts'

const system = new SystemGuest(new Host())
const { guest } = system
afterAll(() => system.release())

const VMCALL = [0x0f, 0x01, 0xc1]
const EFER = 0xc000_0080
const FAR = CODE + 0x400

/** Puts a vCPU in real mode with descriptors to go to: flat code and data of 16, 32 and 64 bits. */
function realMode(): void {
  system.enter('real')
  system.set(CODE0, descriptor(RIGHTS.code))
  system.set(DATA0, descriptor(RIGHTS.data))
  system.set(FREE, descriptor(RIGHTS.code16, CODE, 0xffff))
  system.set(FREE + 8, descriptor(RIGHTS.data16, DATA, 0xffff))
  system.set(FREE + 16, descriptor(RIGHTS.code64))
  guest.vcpu.registers.setTable('gdtr', { base: BigInt(GDT), limit: 0x3ff })
}
/** Sets PE, with the flow going on in the code of real mode. */
const PROTECT = 'mov eax, cr0\nor al, 1\nmov cr0, eax'
const UNPROTECT = 'mov eax, cr0\nand al, 0xfe\nmov cr0, eax'

describe.skipIf(!hasNasm)(`reset and switches${nasmNote}`, () => {
  beforeEach(realMode)

  rule('modes', 'SDM vol. 3, table 10-1', 'Reset begins in real mode at FFFFFFF0H with CS F000H and flags 2', () => {
    guest.vcpu.reset()
    expect([system.register('rip'), system.selector('cs'), system.register('rflags')]).toEqual([0xfff0, 0xf000, 2])
    expect(system.linearRip).toBe(0xffff_fff0n)
    expect([system.register('cr0') >>> 0, system.register('cr4'), system.register('efer')]).toEqual([0x6000_0010, 0, 0])
    expect(guest.vcpu.registers.segment('ds')).toMatchObject({ selector: 0, base: 0n, limit: 0xffff })
  })

  rule(
    'modes',
    'SDM vol. 3, 10.9.1',
    'MOV to CR0 that sets PE keeps the segment registers as they are until they are loaded',
    () => {
      expect(system.run(`${PROTECT}\nmov bx, [0]\nmov cx, cs`)).toBe('end')
      expect(system.register('rcx') & 0xffff).toBe(CODE >> 4)
      expect(guest.vcpu.registers.segment('ds').base).toBe(BigInt(DATA))
    },
  )

  rule('modes', 'SDM vol. 3, 10.9.1', 'Code of real mode runs on as 16-bit code of ring 0 behind MOV to CR0', () => {
    expect(system.run(`${PROTECT}\nmov eax, 0x12345678\nhlt`)).toBe('hlt')
    expect(system.register('rax')).toBe(0x1234_5678)
  })

  rule('modes', 'SDM vol. 3, 10.9.1', 'A far jump behind MOV to CR0 enters the code of its descriptor', () => {
    guest.write(FAR, code(32, `mov ax, ${DATA0}\nmov ds, ax\nmov ebx, [${DATA}]\ndb 0x0f, 0x01, 0xc1`, FAR))
    guest.write32(DATA, 0x1122_3344)
    expect(system.run(`${PROTECT}\njmp dword ${CODE0}:${FAR}`)).toBe('end')
    expect(system.register('rbx')).toBe(0x1122_3344)
  })

  rule(
    'modes',
    'SDM vol. 3, 10.9.2',
    'Real mode keeps the limits that protected mode has loaded: accesses beyond 64 KiB work',
    () => {
      guest.write32(DATA + 0x1_2345, 0x99)
      const source = `push ds\n${PROTECT}\nmov bx, ${DATA0}\nmov ds, bx\n${UNPROTECT}\npop ds\nmov ecx, 0x12345\nmov dl, [ecx]`
      expect(system.run(source)).toBe('end')
      expect(system.register('rdx') & 0xff).toBe(0x99)
      expect(guest.vcpu.registers.segment('ds')).toMatchObject({ base: BigInt(DATA), limit: 0xffff_ffff })
    },
  )

  rule('modes', 'SDM vol. 3, 20.1.1', 'Without such a limit a 32-bit address beyond 64 KiB is #GP in real mode', () => {
    expect(system.run('mov ecx, 0x10000\nmov dl, [ecx]')).toBe('#GP')
  })

  rule(
    'modes',
    'SDM vol. 3, 20.1.1',
    'A load of a segment register in real mode reads no descriptor and makes its base of the selector',
    () => {
      guest.vcpu.registers.setTable('gdtr', { base: 0n, limit: 0 })
      expect(system.run('mov ax, 0x4321\nmov es, ax')).toBe('end')
      expect(guest.vcpu.registers.segment('es')).toMatchObject({ selector: 0x4321, base: 0x43210n, limit: 0xffff })
    },
  )

  rule('modes', 'SDM vol. 3, 10.9.2', 'Clearing PE goes back to real mode: the far jump loads a paragraph', () => {
    guest.write(CODE + 0x200, code(16, `${UNPROTECT}\njmp ${CODE >> 4}:0x300`, 0x200))
    guest.write(CODE + 0x300, VMCALL)
    expect(system.run(`${PROTECT}\njmp ${FREE}:0x200`)).toBe('end')
    expect([system.selector('cs'), system.register('rip'), system.register('cr0') & 1]).toEqual([CODE >> 4, 0x303, 0])
  })

  rule(
    'modes',
    'SDM vol. 3, 10.8.5',
    'Paging with EFER.LME and CR4.PAE sets LMA, in compatibility mode until CS has L',
    () => {
      system.enter('long')
      // From 64-bit mode to the legacy one and back again, with the tables in place.
      const { registers } = guest.vcpu
      registers.setSegment('cs', { selector: COMPATIBLE0, base: 0n, limit: 0xffff_ffff, rights: RIGHTS.code | 1 })
      const source = `mov eax, cr0\nbtr eax, 31\nmov cr0, eax\nmov ecx, ${EFER}\nrdmsr\nmov esi, eax\nmov eax, cr0\nbts eax, 31
      mov cr0, eax\nrdmsr\nmov edi, eax\ninc edx`
      expect(system.run(source, { bits: 32, registers: { rdx: 0 } })).toBe('end')
      expect([system.register('rsi') & 0x500, system.register('rdi') & 0x500]).toEqual([0x100, 0x500])
    },
  )

  rule(
    'modes',
    'SDM vol. 3, 10.8.5.4',
    'Clearing PG in 64-bit mode is #GP(0), in compatibility mode it clears LMA',
    () => {
      system.enter('long')
      expect(system.run('mov rax, cr0\nbtr rax, 31\nmov cr0, rax')).toBe('#GP(0x0)')
      system.enter('long')
      const { registers } = guest.vcpu
      registers.setSegment('cs', { selector: COMPATIBLE0, base: 0n, limit: 0xffff_ffff, rights: RIGHTS.code | 1 })
      expect(system.run('mov eax, cr0\nbtr eax, 31\nmov cr0, eax', { bits: 32 })).toBe('end')
      expect(system.register('efer') & 0x500).toBe(0x100)
    },
  )

  rule('modes', 'SDM vol. 3, 10.8.5', 'Activating long mode while CS has L is #GP(0)', () => {
    system.enter('protected')
    const { registers } = guest.vcpu
    registers.setSegment('cs', { ...registers.segment('cs'), rights: RIGHTS.code64 | 1 })
    const source = 'mov eax, cr0\nbts eax, 31\nmov cr0, eax'
    // Outside long mode such a segment is 16-bit code.
    expect(system.run(source, { bits: 16, registers: { cr4: 0x20, efer: 0x100 } })).toBe('#GP(0x0)')
  })
})

describe.skipIf(!hasNasm)(`operand and address sizes${nasmNote}`, () => {
  rule(
    'modes',
    'SDM vol. 1, 3.6',
    'The D bit of CS chooses between 16-bit and 32-bit operands, a prefix the other',
    () => {
      system.enter('protected')
      expect(system.run('mov eax, -1\ndb 0x66, 0x31, 0xc0')).toBe('end')
      expect(system.register('rax') >>> 0).toBe(0xffff_0000)
      system.enter('real')
      expect(system.run('mov eax, -1\ndb 0x31, 0xc0')).toBe('end')
      expect(system.register('rax') >>> 0).toBe(0xffff_0000)
      system.enter('real')
      expect(system.run('mov eax, -1\ndb 0x66, 0x31, 0xc0')).toBe('end')
      expect(system.register('rax')).toBe(0)
    },
  )

  rule('modes', 'SDM vol. 1, 3.6', 'A prefix of the address size chooses 32-bit addresses in 16-bit code', () => {
    system.enter('real')
    guest.write(DATA + 0x1234, [0x42])
    expect(system.run('mov ecx, 0x1200\nmov al, [ecx + 0x34]')).toBe('end')
    expect(system.register('rax') & 0xff).toBe(0x42)
  })

  rule('modes', 'SDM vol. 2, JMP', 'A near jump with a 16-bit operand cuts EIP to 16 bits', () => {
    system.enter('protected')
    guest.write(0x500, VMCALL)
    // jmp with operand size 16 to 10500h: a target of 0500h.
    expect(system.run(`db 0x66, 0xe9\ndw 0x500 - 4`)).toBe('end')
    expect(system.register('rip')).toBe(0x503)
  })

  rule(
    'modes',
    'SDM vol. 1, 3.4.1.1',
    'In 64-bit mode a write of 32 bits clears the upper half, of 8 or 16 keeps the rest',
    () => {
      system.enter('long')
      expect(system.run('mov rax, -1\nmov rbx, -1\nmov rcx, -1\nmov eax, 1\nmov bx, 1\nmov cl, 1')).toBe('end')
      expect(['rax', 'rbx', 'rcx'].map(name => guest.register(name))).toEqual([
        ...[1n, 0xffff_ffff_ffff_0001n, 0xffff_ffff_ffff_ff01n],
      ])
    },
  )

  rule('modes', 'SDM vol. 1, 3.7.2.1', 'REX chooses SPL to DIL for byte operands, and takes AH to BH away', () => {
    system.enter('long')
    // mov ah, 5; mov spl-form: REX mov dil, 6
    expect(system.run('xor eax, eax\nxor edi, edi\nmov ah, 5\ndb 0x40, 0xb7, 6')).toBe('end')
    expect([system.register('rax'), system.register('rdi')]).toEqual([0x500, 6])
  })

  rule('modes', 'SDM vol. 1, 3.3.7', 'A 32-bit address of 64-bit mode is cut to 32 bits and zero-extended', () => {
    system.enter('long')
    guest.write(DATA, [0x33])
    expect(system.run(`mov rbx, 0x700000000 + ${DATA}\nmov al, [ebx]`)).toBe('end')
    expect(system.register('rax') & 0xff).toBe(0x33)
  })

  rule(
    'modes',
    'SDM vol. 2, 2.2.1.6',
    'An address without registers is relative to RIP in 64-bit mode, and absolute elsewhere',
    () => {
      for (const [mode, bits, at] of [
        ['long', 64, CODE + 0x100 + 6],
        ['protected', 32, DATA],
      ] as const) {
        system.enter(mode)
        guest.write(at, [0x77])
        const displacement = bits === 64 ? 0x100 : DATA
        expect(system.run(`db 0x8a, 0x05\ndd ${displacement}`, { bits })).toBe('end')
        expect(system.register('rax') & 0xff).toBe(0x77)
      }
    },
  )

  rule(
    'modes',
    'SDM vol. 1, 6.2.5',
    'PUSH, POP, CALL and RET of 64-bit mode move RSP by 8, with a 16-bit operand by 2',
    () => {
      system.enter('long')
      const top = system.register('rsp')
      expect(system.run('push rax\nmov rbx, rsp\npush ax\nmov rcx, rsp\npush 1\nmov rdx, rsp')).toBe('end')
      expect(['rbx', 'rcx', 'rdx'].map(name => top - system.register(name))).toEqual([8, 10, 18])
    },
  )

  rule(
    'modes',
    'SDM vol. 1, 3.2.1',
    'R8 to R15 and the upper halves survive a stay in compatibility mode unless written',
    () => {
      system.enter('long')
      guest.write32(DATA, FAR)
      guest.write32(DATA + 4, COMPATIBLE0)
      guest.write(FAR, code(32, `inc eax\njmp ${CODE0}:${FAR + 0x100}`, FAR))
      guest.write(FAR + 0x100, VMCALL)
      const source = `mov rbx, -1\nmov r9, -2\nxor eax, eax\njmp far dword [${DATA}]`
      expect(system.run(source)).toBe('end')
      expect([guest.register('rax'), guest.register('rbx'), guest.register('r9')]).toEqual([
        ...[1n, 0xffff_ffff_ffff_ffffn, 0xffff_ffff_ffff_fffen],
      ])
    },
  )

  rule(
    'modes',
    'SDM vol. 3, 4.5',
    'Linear addresses of compatibility mode have 32 bits: offset and base wrap there',
    () => {
      system.enter('long')
      const { registers } = guest.vcpu
      registers.setSegment('cs', { selector: COMPATIBLE0, base: 0n, limit: 0xffff_ffff, rights: RIGHTS.code | 1 })
      registers.setSegment('fs', { selector: DATA0, base: 0xffff_0000n, limit: 0xffff_ffff, rights: RIGHTS.data | 1 })
      guest.write(DATA, [0x55])
      expect(system.run(`mov ebx, ${DATA + 0x1_0000}\nmov al, [fs:ebx]`, { bits: 32 })).toBe('end')
      expect(system.register('rax') & 0xff).toBe(0x55)
    },
  )

  rule('modes', 'SDM vol. 3, 5.3', 'Compatibility mode checks the limits of segments as protected mode does', () => {
    system.enter('long')
    const { registers } = guest.vcpu
    registers.setSegment('cs', { selector: COMPATIBLE0, base: 0n, limit: 0xffff_ffff, rights: RIGHTS.code | 1 })
    registers.setSegment('ds', { selector: DATA0, base: 0n, limit: 0xff, rights: 0x4093 })
    expect(system.run(`mov al, [${DATA}]`, { bits: 32 })).toBe('#GP(0x0)')
  })
})

describe.skipIf(!hasNasm)(`stacks${nasmNote}`, () => {
  rule(
    'modes',
    'SDM vol. 1, 6.2.3',
    'With B of SS clear the stack pointer is SP: it wraps, and the upper half of ESP stays',
    () => {
      system.enter('protected')
      system.set(FREE, descriptor(RIGHTS.data16, 0x20000, 0xffff))
      const source = `mov ax, ${FREE}\nmov ss, ax\nmov esp, 0x12340000\npush ebx`
      expect(system.run(source, { registers: { rbx: 0x5566_7788 } })).toBe('end')
      expect([system.register('rsp'), guest.read32(0x2fffc)]).toEqual([0x1234_fffc, 0x5566_7788])
    },
  )

  rule(
    'modes',
    'SDM vol. 1, 6.2.3',
    'The B bit of SS, not the D bit of CS, chooses the width of the stack pointer',
    () => {
      system.enter('protected')
      const { registers } = guest.vcpu
      registers.setSegment('cs', {
        ...registers.segment('cs'),
        base: BigInt(CODE),
        limit: 0xffff,
        rights: RIGHTS.code16 | 1,
      })
      expect(system.run('push ax', { bits: 16, registers: { rip: 0, rsp: STACK } })).toBe('end')
      expect(system.register('rsp')).toBe(STACK - 2)
    },
  )

  rule('modes', 'SDM vol. 2, RET', 'A far return from a 32-bit to a 16-bit stack loads SP alone', () => {
    system.enter('protected')
    system.set(FREE, descriptor(RIGHTS.data16 | 0x60, 0x20000, 0xffff))
    guest.write(FAR, VMCALL)
    const source = `push dword ${FREE | 3}\npush dword 0x8000\npush dword ${(COMPATIBLE3 & ~3) | 3}\npush dword ${FAR}\nretf`
    const before = system.register('rsp')
    expect(system.run(source)).toBe('end')
    // SP, below the upper half of what ESP was.
    expect(system.register('rsp')).toBe(((before - 16) & 0xffff_0000) | 0x8000)
  })

  rule('modes', 'SDM vol. 2, LEAVE', 'LEAVE and ENTER use the width of the stack for SP and BP', () => {
    system.enter('real')
    expect(system.run('mov ebp, 0x11110000\nmov esp, 0x2222fff0\nenter 8, 0\nmov ecx, ebp\nmov edx, esp\nleave')).toBe(
      'end',
    )
    expect([system.register('rcx'), system.register('rdx')]).toEqual([0x1111_ffee, 0x2222_ffe6])
    expect([system.register('rbp'), system.register('rsp')]).toEqual([0x1111_0000, 0x2222_fff0])
  })
})

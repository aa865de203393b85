/** Rules of alignment checks (#AC), in either tier: when they are on, and what each access asks for. */

import { afterAll, beforeEach, describe, expect } from 'vitest'
import { hasNasm, nasmNote } from '../engine/guest/assemble.ts'
import { Host, TIERS } from '../engine/guest/guest.ts'
import { CODE, CODE3, DATA, DATA3, GATE, STACK, SystemGuest, type SystemMode } from '../engine/guest/system-guest.ts'
import { rule } from './rule.ts'

const [AC, VM] = [1 << 18, 1 << 17]
const AM = 1 << 18
const CR0 = 0x31
const ON = { cr0: CR0 | AM, rflags: 2 | AC }

describe.skipIf(!hasNasm)(`alignment checks${nasmNote}`, () => {
  const system = new SystemGuest(new Host())
  const { guest } = system
  afterAll(() => system.release())

  /** Outcome of an instruction in ring 3 with checks on. */
  function checked(source: string, registers: Readonly<Record<string, bigint | number>> = {}): string {
    system.enter('protected', 3)
    return system.run(source, { registers: { ...ON, cr4: 0x600, rdi: DATA, rsi: DATA, ...registers } })
  }
  /** Multiples that an access at EDI asks for: the offsets below 16 that don't fault. */
  const alignment = (source: string): number =>
    [1, 2, 4, 8].find(offset => checked(source, { rdi: DATA + 16 + offset }) === 'end') ?? 16

  beforeEach(() => system.enter('protected', 3))

  rule(
    'exceptions',
    'SDM vol. 3, 6.15, interrupt 17',
    'A misaligned access in ring 3 with CR0.AM and RFLAGS.AC is #AC with error code 0',
    () => {
      expect(system.run(`mov eax, [${DATA + 1}]`, { registers: ON })).toBe('#AC(0x0)')
      expect(system.pushed(1)).toBe(CODE)
    },
  )

  rule('exceptions', 'SDM vol. 3, 2.5', 'Without CR0.AM, or without RFLAGS.AC, nothing is checked', () => {
    expect(system.run(`mov eax, [${DATA + 1}]`, { registers: { ...ON, cr0: CR0 } })).toBe('end')
    system.enter('protected', 3)
    expect(system.run(`mov eax, [${DATA + 1}]`, { registers: { ...ON, rflags: 2 } })).toBe('end')
  })

  rule('exceptions', 'SDM vol. 3, 2.5', 'Alignment is not checked in rings 0 to 2', () => {
    system.enter('protected')
    expect(system.run(`mov eax, [${DATA + 1}]`, { registers: ON })).toBe('end')
  })

  rule('exceptions', 'SDM vol. 3, 2.5', 'Alignment is checked in virtual-8086 mode', () => {
    system.enter('virtual-8086')
    expect(system.run('mov ax, [1]', { registers: { ...ON, rflags: 2 | VM | AC } })).toBe('#AC(0x0)')
  })

  rule(
    'exceptions',
    'SDM vol. 3, table 6-7',
    'Words, doublewords and quadwords are aligned to their size; bytes anywhere',
    () => {
      const alignments = ['mov al, [edi]', 'mov ax, [edi]', 'mov eax, [edi]', 'movq mm0, [edi]'].map(alignment)
      expect(alignments).toEqual([1, 2, 4, 8])
    },
  )

  rule(
    'exceptions',
    'SDM vol. 3, table 6-7',
    'Writes and read-modify-writes are checked as reads are, before anything is written',
    () => {
      expect(
        ['mov [edi], ax', 'mov [edi], eax', 'inc dword [edi]', 'lock inc word [edi]', 'xchg [edi], eax'].map(alignment),
      ).toEqual([...[2, 4, 4, 2, 4]])
      expect(checked(`mov dword [${DATA + 2}], -1`)).toBe('#AC(0x0)')
      expect(guest.read32(DATA)).toBe(0)
    },
  )

  rule('exceptions', 'SDM vol. 3, table 6-7', 'Unaligned SSE moves of 16 bytes are checked for 16', () => {
    expect(
      ['movups xmm0, [edi]', 'movdqu [edi], xmm0', 'movsd xmm0, [edi]', 'movss xmm0, [edi]'].map(alignment),
    ).toEqual([...[16, 16, 8, 4]])
  })

  rule('exceptions', 'SDM vol. 2, MOVAPS', 'Aligned SSE operands that are not aligned are #GP(0), not #AC', () => {
    expect(checked('movaps xmm0, [edi + 4]')).toBe('#GP(0x0)')
    expect(checked('addps xmm0, [edi + 4]')).toBe('#GP(0x0)')
  })

  rule(
    'exceptions',
    'SDM vol. 3, table 6-7',
    'x87 operands of 80 bits are aligned to 8 bytes, the others to their size',
    () => {
      const sources = [
        'fld tword [edi]',
        'fld qword [edi]',
        'fld dword [edi]',
        'fild word [edi]',
        'fbld [edi]',
        'fnstcw [edi]',
      ]
      expect(sources.map(source => alignment(`fninit\n${source}`))).toEqual([8, 8, 4, 2, 8, 2])
    },
  )

  rule(
    'exceptions',
    'SDM vol. 3, table 6-7',
    'The x87 environment and state are aligned to 4 bytes, or 2 with a 16-bit operand',
    () => {
      const sources = ['fnstenv [edi]', 'o16 fnstenv [edi]', 'fnsave [edi]', 'fldenv [edi]']
      expect(sources.map(source => alignment(`fninit\n${source}`))).toEqual([4, 2, 4, 4])
    },
  )

  rule('exceptions', 'SDM vol. 3, 6.15, interrupt 17', 'PUSH, POP, CALL and RET are checked', () => {
    for (const source of ['push eax', 'pop eax', 'call $ + 5', 'ret', 'pushad', 'leave', 'pushfd', 'retf'])
      expect(checked(source, { rsp: STACK - 0x102, rbp: STACK - 0x102 }), source).toBe('#AC(0x0)')
    expect(checked('push eax\npop eax', { rsp: STACK - 0x100 })).toBe('end')
    expect(checked('push ax\npop ax', { rsp: STACK - 0x102 })).toBe('end')
  })

  rule('exceptions', 'SDM vol. 3, 6.15, interrupt 17', 'A misaligned push leaves the stack pointer', () => {
    expect(checked('push eax', { rsp: STACK - 2 })).toBe('#AC(0x0)')
    expect(system.pushed(4)).toBe(STACK - 2)
  })

  rule(
    'exceptions',
    'SDM vol. 3, 6.15, interrupt 17',
    'Both operands of string instructions are checked, and a repeated one stops where it is misaligned',
    () => {
      expect(checked('movsd', { rsi: DATA + 2 })).toBe('#AC(0x0)')
      expect(checked('movsd', { rdi: DATA + 2 })).toBe('#AC(0x0)')
      expect(checked('mov ecx, 5\nrep movsb', { rsi: DATA + 1, rdi: DATA + 0x83 })).toBe('end')
      expect(checked('mov ecx, 5\nrep stosd', { rdi: DATA + 2 })).toBe('#AC(0x0)')
      expect(system.register('rcx')).toBe(5)
    },
  )

  rule(
    'exceptions',
    'SDM vol. 3, table 6-7',
    'A far pointer of 48 bits is aligned to 4 bytes, a bit string to its operand',
    () => {
      expect(['lds eax, [edi]', 'o16 lds ax, [edi]'].map(alignment)).toEqual([4, 2])
      expect(alignment('xor eax, eax\nbt [edi], eax')).toBe(4)
      expect(alignment('xor eax, eax\nbt [edi], ax')).toBe(2)
    },
  )

  rule(
    'exceptions',
    'CVE-2015-5307',
    'An #AC whose delivery in ring 3 is misaligned itself raises #AC for ever; this processor shuts down, and others hang',
    () => {
      system.setGate(17, GATE.interrupt, CODE3)
      expect(system.run(`mov eax, [${DATA + 1}]`, { registers: { ...ON, rsp: STACK - 2 } })).toBe('triple-fault')
    },
  )

  rule('exceptions', 'SDM vol. 3, 6.15, interrupt 17', 'CMPXCHG8B is checked for 8 bytes', () => {
    expect(alignment('cmpxchg8b [edi]')).toBe(8)
  })

  rule(
    'exceptions',
    'SDM vol. 3, 6.15, interrupt 17',
    'Accesses to descriptor tables and to the inner stack are not checked',
    () => {
      const { registers } = guest.vcpu
      registers.setTable('gdtr', { base: 0x5001n, limit: 0x3ff })
      guest.write(0x5001, guest.read(0x1000, 0x400))
      guest.write32(0x3000 + 4, 0x3f000 - 3)
      expect(system.run(`mov ax, ${DATA3}\nmov ds, ax\nint 0x40`, { registers: ON })).toBe('INT 64')
    },
  )

  rule(
    'exceptions',
    'AMD64 APM vol. 2, 8.2.18',
    'On this processor #AC comes before the page fault of the same access',
    () => {
      system.enter('long', 3)
      guest.write64(system.pageEntry(0x50000), 0n)
      expect(system.run('mov eax, [0x50001]', { registers: { ...ON, cr0: 0x8004_0031 } })).toBe('#AC(0x0)')
    },
  )

  rule(
    'exceptions',
    'SDM vol. 3, 6.15, interrupt 17',
    'An event clears no AC, and IRET to ring 3 turns checks on again',
    () => {
      const frame = [DATA3, STACK, 2 | AC, CODE3, CODE + 0x100]
      system.enter('protected')
      // mov eax, [DATA + 1]
      guest.write(CODE + 0x100, [0xa1, (DATA + 1) & 0xff, ((DATA + 1) >> 8) & 0xff, (DATA + 1) >> 16, 0])
      const source = `mov ax, ${DATA3}\nmov ds, ax\n${frame.map(value => `push dword ${value}`).join('\n')}\niretd`
      expect(system.run(source, { registers: { cr0: CR0 | AM } })).toBe('#AC(0x0)')
      expect(system.register('rflags') & AC).toBe(AC)
    },
  )
})

for (const { tier, hotEntries } of TIERS)
  describe.skipIf(!hasNasm)(`alignment checks, ${tier}${nasmNote}`, () => {
    const system = new SystemGuest(new Host({ hotEntries }))
    afterAll(() => system.release())

    /** A loop that comes to a misaligned access in its 50th round, after a translation of the page is known. */
    const source = `mov ecx, 50\nmov edi, ${DATA}\nagain: mov eax, [edi]\nadd [edi + 64], eax\ndec ecx\ncmp ecx, 1\nsete al\nmovzx eax, al\nadd edi, eax\ntest ecx, ecx\njnz again`
    const registersOf = (mode: SystemMode) => ({ ...ON, cr0: mode === 'long' ? 0x8004_0031 : CR0 | AM })

    for (const mode of ['protected', 'long'] as const)
      rule(
        'exceptions',
        'SDM vol. 3, 6.15, interrupt 17',
        `Code of ${mode === 'long' ? '64-bit' : 'protected'} mode that has run without faults is #AC at its first misaligned access, ${tier}`,
        () => {
          system.enter(mode, 3)
          expect(system.run(source, { registers: registersOf(mode) })).toBe('#AC(0x0)')
          expect([system.register('rcx'), system.register('rdi')]).toEqual([1, DATA + 1])
        },
      )

    rule(
      'exceptions',
      'SDM vol. 3, 6.15, interrupt 17',
      `POPF turns checks on and off for the instructions behind it, whatever translations are known, ${tier}`,
      () => {
        system.enter('protected', 3)
        const access = `mov eax, [${DATA + 1}]`
        const loop = `mov ecx, 20\nagain: ${access}\nloop again`
        const outcome = system.run(`${loop}\npush dword ${2 | AC}\npopfd\nnop\n${access}`, {
          registers: { ...ON, rflags: 2 },
        })
        expect(outcome).toBe('#AC(0x0)')
        system.enter('protected', 3)
        expect(system.run(`push dword 2\npopfd\n${loop}`, { registers: ON })).toBe('end')
      },
    )
  })

/** Rules of what raises exceptions 0 to 19: conditions, order, and where the instruction pointer is. */

import { afterAll, beforeEach, describe, expect } from 'vitest'
import { hasNasm, nasmNote } from '../engine/guest/assemble.ts'
import { Host } from '../engine/guest/guest.ts'
import { CODE, DATA, descriptor, FREE, RIGHTS, STACK0, SystemGuest, TSS } from '../engine/guest/system-guest.ts'
import { rule } from './rule.ts'

const system = new SystemGuest(new Host())
const { guest } = system
afterAll(() => system.release())

/** CR0: PE, ET, NE and others. */
const [MP, EM, TS, CR0] = [2, 4, 8, 0x31]
const [OSFXSR, OSXMMEXCPT] = [0x200, 0x400]

const bytes = (values: readonly number[]): string => `db ${values.join(', ')}`
/** Outcome of a program in 64-bit mode, ring 0. */
function long(source: string, registers: Readonly<Record<string, bigint | number>> = {}): string {
  system.enter('long')
  return system.run(source, { registers })
}
function protectedMode(source: string, registers: Readonly<Record<string, bigint | number>> = {}): string {
  system.enter('protected')
  return system.run(source, { registers })
}

beforeEach(() => system.enter('protected'))

describe.skipIf(!hasNasm)(`#DE, #BP, #OF, #BR${nasmNote}`, () => {
  rule('exceptions', 'SDM vol. 3, 6.15, interrupt 0', 'DIV by zero is #DE at the instruction', () => {
    expect(system.run('nop\nxor ecx, ecx\ndiv ecx')).toBe('#DE')
    expect(system.pushed(0)).toBe(CODE + 3)
  })

  rule(
    'exceptions',
    'SDM vol. 3, 6.15, interrupt 0',
    'A quotient that does not fit is #DE, and leaves both registers',
    () => {
      expect(system.run('mov edx, 5\nmov eax, 7\nmov ecx, 5\ndiv ecx')).toBe('#DE')
      expect([system.register('rax'), system.register('rdx')]).toEqual([7, 5])
      expect(protectedMode('mov edx, -1\nmov eax, 0x80000000\nmov ecx, -1\nidiv ecx')).toBe('#DE')
    },
  )

  rule('exceptions', 'SDM vol. 2, AAM', 'AAM 0 is #DE', () => {
    expect(system.run('aam 0')).toBe('#DE')
  })

  rule('exceptions', 'SDM vol. 3, 6.15, interrupt 3', 'INT3 returns behind itself', () => {
    expect(system.run('nop\nint3')).toBe('#BP')
    expect(system.pushed(0)).toBe(CODE + 2)
  })

  rule(
    'exceptions',
    'SDM vol. 3, 6.15, interrupt 4',
    'INTO is #OF behind itself with OF set, and nothing without',
    () => {
      expect(system.run('mov al, 0x7f\ninc al\ninto')).toBe('#OF')
      expect(system.pushed(0)).toBe(CODE + 5)
      expect(protectedMode('xor eax, eax\ninto')).toBe('end')
    },
  )

  rule(
    'exceptions',
    'SDM vol. 3, 6.15, interrupt 5',
    'BOUND is #BR at the instruction outside the bounds, signed, and nothing at them',
    () => {
      const bound = (index: number): string => {
        system.enter('protected')
        guest.write32(DATA, -5)
        guest.write32(DATA + 4, 10)
        return system.run(`mov eax, ${index}\nbound eax, [${DATA}]`)
      }
      expect([-6, -5, 10, 11].map(bound)).toEqual(['#BR', 'end', 'end', '#BR'])
      expect(system.pushed(0)).toBe(CODE + 5)
    },
  )

  rule('exceptions', 'SDM vol. 2, BOUND', 'BOUND with a register operand is #UD', () => {
    // mod 3 of opcode 62 is EVEX where that exists.
    expect(system.run('db 0x62, 0xc0')).toBe('#UD')
  })
})

describe.skipIf(!hasNasm)(`#UD${nasmNote}`, () => {
  rule(
    'exceptions',
    'SDM vol. 2, UD',
    'UD0, UD1 and UD2 are #UD at the instruction, their operands are not accessed',
    () => {
      for (const source of ['ud2', 'db 0x0f, 0xb9, 0x05, 0, 0, 0, 0xf0', 'db 0x0f, 0xff, 0x05, 0, 0, 0, 0xf0']) {
        expect(protectedMode(source), source).toBe('#UD')
        expect(system.pushed(0)).toBe(CODE)
      }
    },
  )

  rule('exceptions', 'SDM vol. 2, appendix A', 'Opcodes that are not defined are #UD', () => {
    const undefined32 = [
      [0x0f, 0x04],
      [0x0f, 0x0a],
      [0x0f, 0x0c],
      [0x0f, 0x24, 0xc0],
      [0x0f, 0x26, 0xc0],
      [0x0f, 0x39],
      [0x0f, 0xa6, 0xc0],
      [0xc6, 0xc8, 0],
      [0xfe, 0xd0],
      [0xff, 0xf8],
      [0x8f, 0xc8],
      [0x0f, 0x00, 0xf0],
      [0x0f, 0xba, 0xc0, 0],
      [0xd9, 0xd1],
    ]
    for (const values of undefined32) expect(protectedMode(bytes(values)), values.join()).toBe('#UD')
  })

  rule('exceptions', 'SDM vol. 2, LOCK', 'LOCK before an instruction that does not take it is #UD', () => {
    const sources = ['nop', `mov [${DATA}], eax`, `cmp [${DATA}], eax`, `test [${DATA}], eax`, `bt [${DATA}], eax`]
    const others = [`shl dword [${DATA}], 1`, `push dword [${DATA}]`, `movsb`, `jmp $`, `imul eax, [${DATA}]`, 'cli']
    for (const source of [...sources, ...others]) expect(protectedMode(`db 0xf0\n${source}`), source).toBe('#UD')
  })

  rule(
    'exceptions',
    'SDM vol. 2, LOCK',
    'LOCK with a register for destination is #UD, for every instruction that takes it',
    () => {
      const sources = ['add eax, ebx', 'or eax, ebx', 'adc eax, ebx', 'sbb eax, ebx', 'and eax, ebx', 'sub eax, ebx']
      const others = ['xor eax, ebx', 'inc eax', 'dec eax', 'neg eax', 'not eax', 'xadd eax, ebx', 'xchg eax, ebx']
      const bits = ['cmpxchg eax, ebx', 'btc eax, ebx', 'btr eax, ebx', 'bts eax, ebx', 'add eax, 5', 'bts eax, 5']
      for (const source of [...sources, ...others, ...bits])
        expect(protectedMode(`db 0xf0\n${source}`), source).toBe('#UD')
    },
  )

  rule('exceptions', 'SDM vol. 2, LOCK', 'LOCK with memory for source is #UD', () => {
    for (const source of ['add', 'or', 'adc', 'sbb', 'and', 'sub', 'xor'])
      expect(protectedMode(`db 0xf0\n${source} eax, [${DATA}]`), source).toBe('#UD')
  })

  rule(
    'exceptions',
    'SDM vol. 2, LOCK',
    'LOCK is taken by the read-modify-write instructions with a memory destination',
    () => {
      const sources = ['add [%], eax', 'or [%], eax', 'adc [%], eax', 'sbb [%], eax', 'and [%], eax', 'sub [%], eax']
      const others = [
        'xor [%], eax',
        'inc dword [%]',
        'dec dword [%]',
        'neg dword [%]',
        'not dword [%]',
        'xadd [%], eax',
      ]
      const bits = [
        'xchg [%], eax',
        'cmpxchg [%], eax',
        'cmpxchg8b [%]',
        'btc [%], eax',
        'btr [%], eax',
        'bts [%], eax',
      ]
      for (const source of [...sources, ...others, ...bits])
        expect(protectedMode(`xor eax, eax\nlock ${source.replace('%', `${DATA}`)}`), source).toBe('end')
    },
  )

  rule(
    'exceptions',
    'SDM vol. 2, appendix B, table A-2',
    'Instructions that 64-bit mode does not have are #UD there',
    () => {
      const gone = [0x06, 0x07, 0x0e, 0x16, 0x17, 0x1e, 0x1f, 0x27, 0x2f, 0x37, 0x3f, 0x60, 0x61, 0xce, 0xd6]
      for (const opcode of gone) expect(long(bytes([opcode])), opcode.toString(16)).toBe('#UD')
      for (const values of [
        [0x82, 0xc0, 0],
        [0xd4, 10],
        [0xd5, 10],
        [0x62, 0x00],
      ])
        expect(long(bytes(values)), values.join()).toBe('#UD')
    },
  )

  rule('exceptions', 'SDM vol. 2, CMPXCHG8B', 'CMPXCHG8B with a register is #UD', () => {
    expect(system.run('db 0x0f, 0xc7, 0xc8')).toBe('#UD')
  })

  rule('exceptions', 'SDM vol. 2, RSM', 'RSM outside system-management mode is #UD', () => {
    expect(system.run('rsm')).toBe('#UD')
  })

  rule('exceptions', 'SDM vol. 2, MOV', 'MOV of control registers 1, 5, 6 and 7 is #UD, in any ring', () => {
    for (const ring of [0, 3] as const)
      for (const register of [1, 5, 6, 7]) {
        system.enter('protected', ring)
        expect(system.run(bytes([0x0f, 0x20, 0xc0 | (register << 3)]))).toBe('#UD')
      }
  })

  rule('exceptions', 'SDM vol. 3, table 6-2', 'An undefined opcode is #UD whatever the privilege level', () => {
    system.enter('protected', 3)
    expect(system.run('db 0x0f, 0x0a')).toBe('#UD')
  })
})

describe.skipIf(!hasNasm)(`lengths and prefixes${nasmNote}`, () => {
  rule('exceptions', 'SDM vol. 2, 2.3.11', 'An instruction of 15 bytes runs, one of 16 is #GP(0)', () => {
    expect(system.run(`times 14 db 0x66\nnop`)).toBe('end')
    expect(protectedMode(`times 15 db 0x66\nnop`)).toBe('#GP(0x0)')
  })

  rule(
    'exceptions',
    'SDM vol. 2, 2.3.11',
    'An instruction that is too long is #GP(0) also where it would be undefined',
    () => {
      expect(system.run(`times 15 db 0x66\ndb 0x0f, 0x0b`)).toBe('#GP(0x0)')
    },
  )

  rule(
    'exceptions',
    'SDM vol. 3, table 6-2',
    'The page fault of the bytes that an instruction needs comes before the #GP of its length',
    () => {
      system.enter('long')
      guest.write64(system.pageEntry(0x51000), 0n)
      guest.write(0x50000 + 4096 - 5, [0x66, 0x66, 0x66, 0x66, 0x66])
      expect(system.run('mov eax, 0x50ffb\njmp rax')).toBe('#PF(0x0)')
      expect(system.register('cr2')).toBe(0x51000)
    },
  )

  rule('exceptions', 'SDM vol. 2, 2.2.1', 'A REX prefix that does not stand right before the opcode is ignored', () => {
    // REX.W, operand size, inc ax
    expect(long('db 0x48, 0x66, 0xff, 0xc0', { rax: 0x1_ffffn })).toBe('end')
    expect(system.register('rax')).toBe(0x1_0000)
  })

  rule('exceptions', 'SDM vol. 2, 2.2.1', 'Of two REX prefixes the last one counts', () => {
    // REX.W, REX.B: inc r8d
    expect(long('db 0x48, 0x41, 0xff, 0xc0', { r8: 0x1_ffff_ffffn })).toBe('end')
    expect(system.register('r8')).toBe(0)
  })

  rule('exceptions', 'SDM vol. 2, 2.3.2', 'A VEX prefix behind 66, F2, F3, LOCK or REX is #UD', () => {
    for (const prefix of [0x66, 0xf2, 0xf3, 0xf0, 0x48])
      expect(long(bytes([prefix, 0xc5, 0xf8, 0x77]), { cr4: 0x4_0620 }), prefix.toString(16)).toBe('#UD')
  })

  rule('exceptions', 'SDM vol. 2, 2.1.1', 'Of two segment prefixes the last one counts', () => {
    system.set(FREE, descriptor(RIGHTS.data, 0x1000))
    guest.write(DATA + 0x1000, [7])
    expect(system.run(`mov ax, ${FREE}\nmov fs, ax\ndb 0x65, 0x64, 0xa0\ndd ${DATA}`)).toBe('end')
    expect(system.register('rax') & 0xff).toBe(7)
  })

  rule(
    'exceptions',
    'SDM vol. 1, 3.4.2.1',
    'Prefixes of ES, CS, SS and DS are ignored in 64-bit mode, FS and GS before them too',
    () => {
      guest.write(DATA, [9])
      system.enter('long')
      guest.write(DATA, [9])
      expect(system.run(`mov ebx, ${DATA}\ndb 0x2e, 0x36, 0x26, 0x3e, 0x8a, 0x03`)).toBe('end')
      expect(system.register('rax') & 0xff).toBe(9)
    },
  )
})

describe.skipIf(!hasNasm)(`#NM, #MF and #XM${nasmNote}`, () => {
  rule('exceptions', 'SDM vol. 3, 2.5', 'x87 instructions are #NM with CR0.EM or CR0.TS set', () => {
    for (const bit of [EM, TS]) expect(protectedMode('fld1', { cr0: CR0 | bit })).toBe('#NM')
    expect(protectedMode('fninit\nfld1', { cr0: CR0 })).toBe('end')
  })

  rule('exceptions', 'SDM vol. 3, 2.5', 'WAIT is #NM only with both CR0.MP and CR0.TS set', () => {
    const outcomes = [0, MP, TS, EM, MP | TS].map(bits => protectedMode('wait', { cr0: CR0 | bits }))
    expect(outcomes).toEqual(['end', 'end', 'end', 'end', '#NM'])
  })

  rule('exceptions', 'SDM vol. 3, table 13-1', 'MMX instructions are #UD with CR0.EM, #NM with CR0.TS', () => {
    expect(protectedMode('paddb mm0, mm1', { cr0: CR0 | EM | TS })).toBe('#UD')
    expect(protectedMode('paddb mm0, mm1', { cr0: CR0 | TS })).toBe('#NM')
  })

  rule(
    'exceptions',
    'SDM vol. 3, table 13-1',
    'SSE instructions are #UD with CR0.EM or without CR4.OSFXSR, else #NM with CR0.TS',
    () => {
      expect(protectedMode('addps xmm0, xmm1', { cr0: CR0 | TS })).toBe('#UD')
      expect(protectedMode('addps xmm0, xmm1', { cr0: CR0 | EM | TS, cr4: OSFXSR })).toBe('#UD')
      expect(protectedMode('addps xmm0, xmm1', { cr0: CR0 | TS, cr4: OSFXSR })).toBe('#NM')
      expect(protectedMode('addps xmm0, xmm1', { cr4: OSFXSR })).toBe('end')
    },
  )

  rule('exceptions', 'SDM vol. 2, FXSAVE', 'FXSAVE is #NM with CR0.TS or CR0.EM', () => {
    for (const bit of [EM, TS]) expect(protectedMode(`fxsave [${DATA}]`, { cr0: CR0 | bit, cr4: OSFXSR })).toBe('#NM')
  })

  rule('exceptions', 'SDM vol. 3, table 6-2', '#NM comes before the faults of the memory operand', () => {
    expect(protectedMode('xor eax, eax\nmov ds, ax\nfld dword [0]', { cr0: CR0 | TS })).toBe('#NM')
    expect(protectedMode('xor eax, eax\nmov ds, ax\nmovups xmm0, [0]', { cr0: CR0 | TS, cr4: OSFXSR })).toBe('#NM')
  })

  /** An x87 division by zero with its exception unmasked. */
  const DIVIDE = `fninit\npush dword 0x37b\nfldcw [esp]\nfld1\nfldz\nfdivp`

  rule(
    'exceptions',
    'SDM vol. 1, 8.7',
    'An unmasked x87 exception is #MF at the next waiting x87 instruction, with CR0.NE',
    () => {
      expect(system.run(`${DIVIDE}\nnop\nfld1`)).toBe('#MF')
      const at = guest.read(system.pushed(0), 2)
      expect([...at]).toEqual([0xd9, 0xe8])
    },
  )

  rule('exceptions', 'SDM vol. 1, 8.7', 'WAIT raises a pending #MF', () => {
    expect(system.run(`${DIVIDE}\nwait`)).toBe('#MF')
  })

  rule(
    'exceptions',
    'SDM vol. 1, 8.6',
    'FNINIT, FNCLEX, FNSTSW, FNSTCW, FNSTENV and FNSAVE do not raise a pending #MF',
    () => {
      const sources = ['fninit', 'fnclex', 'fnstsw ax', `fnstcw [${DATA}]`, `fnstenv [${DATA}]`, `fnsave [${DATA}]`]
      for (const source of sources) expect(protectedMode(`${DIVIDE}\n${source}`), source).toBe('end')
    },
  )

  rule('exceptions', 'SDM vol. 2, EMMS', 'MMX instructions raise a pending #MF', () => {
    expect(system.run(`${DIVIDE}\npaddb mm0, mm1`)).toBe('#MF')
  })

  rule('exceptions', 'SDM vol. 3, table 6-2', '#NM comes before a pending #MF', () => {
    expect(system.run(`${DIVIDE}\nmov eax, ${CR0 | TS}\nmov cr0, eax\nfld1`)).toBe('#NM')
  })

  /** 1 / 0 in SSE with its exception unmasked. */
  const SSE_DIVIDE = `push dword 0x1d80\nldmxcsr [esp]\nmov eax, 0x3f800000\nmovd xmm0, eax\nxorps xmm1, xmm1\ndivss xmm0, xmm1`

  rule(
    'exceptions',
    'SDM vol. 3, 6.15, interrupt 19',
    'An unmasked SSE exception is #XM at the instruction, which leaves its destination',
    () => {
      expect(system.run(SSE_DIVIDE, { registers: { cr4: OSFXSR | OSXMMEXCPT } })).toBe('#XM')
      expect([...guest.read(system.pushed(0), 4)]).toEqual([0xf3, 0x0f, 0x5e, 0xc1])
      expect(guest.register('xmm0')).toBe(0x3f80_0000n)
      expect(system.register('mxcsr') & 4).toBe(4)
    },
  )

  rule('exceptions', 'SDM vol. 3, 2.5', 'An unmasked SSE exception without CR4.OSXMMEXCPT is #UD', () => {
    expect(system.run(SSE_DIVIDE, { registers: { cr4: OSFXSR } })).toBe('#UD')
  })
})

describe.skipIf(!hasNasm)(`privileged instructions${nasmNote}`, () => {
  const privileged = [
    ...['hlt', 'clts', 'invd', 'wbinvd', 'rdmsr', 'wrmsr', 'lmsw ax', `lgdt [${DATA}]`, `lidt [${DATA}]`, 'lldt ax'],
    ...['ltr ax', `invlpg [${DATA}]`, 'mov eax, cr0', 'mov cr3, eax', 'mov eax, cr4', 'mov eax, dr7', 'mov dr0, eax'],
  ]

  rule('exceptions', 'SDM vol. 3, 5.9', 'Privileged instructions are #GP(0) in ring 3 of protected mode', () => {
    for (const source of privileged) {
      system.enter('protected', 3)
      expect(system.run(source), source).toBe('#GP(0x0)')
      expect(system.pushed(1), source).toBe(CODE)
    }
  })

  rule('exceptions', 'SDM vol. 3, 5.9', 'Privileged instructions are #GP(0) in ring 3 of 64-bit mode', () => {
    for (const source of [...privileged.filter(each => !/^mov/.test(each)), 'mov rax, cr0', 'mov cr8, rax', 'swapgs']) {
      system.enter('long', 3)
      expect(system.run(source), source).toBe('#GP(0x0)')
    }
  })

  rule('exceptions', 'SDM vol. 3, 5.9', 'Ring 1 and ring 2 are no more than ring 3 to privileged instructions', () => {
    for (const ring of [1, 2]) {
      system.enter('protected')
      const { registers } = guest.vcpu
      const rights = (ring << 5) | 1
      registers.setSegment('cs', { ...registers.segment('cs'), selector: FREE | ring, rights: RIGHTS.code | rights })
      registers.setSegment('ss', { ...registers.segment('ss'), selector: FREE | ring, rights: RIGHTS.data | rights })
      expect(system.run('hlt')).toBe('#GP(0x0)')
      expect(guest.read32(STACK0 - 16)).toBe(FREE | ring)
    }
  })

  rule('exceptions', 'SDM vol. 1, 19.5.1', 'CLI, STI, IN and OUT are #GP(0) where CPL exceeds IOPL', () => {
    guest.write(TSS + 102, [0xff, 0xff])
    for (const iopl of [0, 1, 2, 3])
      for (const [source, allowed] of [
        ['cli', 'end'],
        ['sti', 'end'],
        ['in al, 0x80', 'io'],
        ['out 0x80, al', 'io'],
      ] as const) {
        system.enter('protected', 3)
        const outcome = system.run(source, { registers: { rflags: 2 | (iopl << 12) } })
        expect(outcome, `${source} at IOPL ${iopl}`).toBe(iopl === 3 ? allowed : '#GP(0x0)')
      }
  })

  rule('exceptions', 'SDM vol. 2, RDTSC', 'RDTSC is #GP(0) in ring 3 with CR4.TSD, and runs without', () => {
    system.enter('protected', 3)
    expect(system.run('rdtsc', { registers: { cr4: 4 } })).toBe('#GP(0x0)')
    system.enter('protected', 3)
    expect(system.run('rdtsc')).toBe('end')
  })
})

describe.skipIf(!hasNasm)(`the order of faults${nasmNote}`, () => {
  rule('exceptions', 'SDM vol. 3, table 6-2', 'A segment fault of an access comes before its page fault', () => {
    system.enter('long')
    // FS beyond the canonical range, and the page of the low address is not mapped.
    expect(system.run('mov rax, 0x800000000000\nmov bl, [rax]')).toBe('#GP(0x0)')
    expect(system.register('cr2')).toBe(0)
  })

  rule(
    'exceptions',
    'SDM vol. 3, table 6-2',
    'The page fault of an operand comes before the #DE of the division',
    () => {
      system.enter('long')
      guest.write64(system.pageEntry(0x50000), 0n)
      expect(system.run('xor edx, edx\ndiv dword [0x50000]')).toBe('#PF(0x0)')
    },
  )

  rule(
    'exceptions',
    'SDM vol. 3, table 6-2',
    'A stack access that is not canonical is #SS(0), any other #GP(0)',
    () => {
      expect(long('mov rbp, 0x800000000000\nmov rax, [rbp]')).toBe('#SS(0x0)')
      expect(long('mov rbx, 0x800000000000\nmov rax, [rbx]')).toBe('#GP(0x0)')
      system.enter('long', 3)
      expect(system.run('mov rsp, 0x800000000010\npush rax')).toBe('#SS(0x0)')
    },
  )

  rule('exceptions', 'SDM vol. 3, 6.5', 'An instruction that faults leaves registers, flags and memory', () => {
    system.enter('long')
    guest.write64(system.pageEntry(0x50000), 0n)
    expect(system.run('stc\nxchg [0x50000], eax', { registers: { rax: 5, rflags: 0x8d7 } })).toBe('#PF(0x2)')
    expect([system.register('rax'), system.pushed(3) & 0xfff]).toEqual([5, 0x8d7])
    system.enter('long')
    guest.write64(system.pageEntry(0x50000), 0n)
    expect(system.run('movsd', { registers: { rsi: DATA, rdi: 0x4fffe, rcx: 3 } })).toBe('#PF(0x2)')
    expect([system.register('rsi'), system.register('rdi'), guest.read32(0x4fffc)]).toEqual([DATA, 0x4fffe, 0])
  })
})

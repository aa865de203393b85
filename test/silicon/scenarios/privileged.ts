/** What ring 3 may not do, what nobody may, and how long an instruction may be. */

import { in32, in64, inBoth, type Scenario } from '../scenario.ts'

/** SYSCALL, SYSENTER and INT 0x80 enter Linux; SGDT, SIDT, SLDT, STR and SMSW it answers itself (UMIP). */
const PRIVILEGED = [
  ...['hlt', 'cli', 'sti', 'clts', 'invd', 'wbinvd', 'rdmsr', 'wrmsr', 'lmsw ax', 'ltr ax', 'lldt ax', 'invlpg [eax]'],
  ...[
    'in al, 0x80',
    'in ax, 0x80',
    'in eax, dx',
    'out 0x80, al',
    'out dx, eax',
    'insb',
    'outsb',
    'rep insd',
    'rep outsw',
  ],
  ...['xsetbv', 'lgdt [eax]', 'lidt [eax]', 'rdpmc', 'db 0x0f, 0x0b', 'db 0x0f, 0xff, 0xc0', 'db 0x0f, 0xb9, 0xc0'],
  ...[
    'db 0xf1',
    'db 0x0f, 0xaa',
    'lock nop',
    'lock add eax, ecx',
    'lock mov [0x20100000], eax',
    'lock inc dword [0x20100000]',
  ],
  ...[
    'lock cmp dword [0x20100000], 1',
    'lock bt dword [0x20100000], 1',
    'lock bts dword [0x20100000], 1',
    'lock xchg eax, ecx',
  ],
  ...['db 0x0f, 0xc7, 0xc8', 'db 0x0f, 0x20, 0xe8', 'db 0x0f, 0x20, 0xc8', 'db 0x0f, 0x20, 0xf8'],
  ...['db 0x8d, 0xc0', 'db 0x0f, 0x00, 0xf0', 'db 0xfe, 0xd0', 'db 0xff, 0xf8', 'db 0xc6, 0xc8, 0'],
  ...[
    'db 0x8f, 0xc8',
    'db 0x0f, 0xba, 0xc0, 1',
    'db 0x0f, 0x0a',
    'db 0x0f, 0x04',
    'db 0x0f, 0x24, 0xc0',
    'db 0x0f, 0x36',
  ],
  ...[
    'db 0x0f, 0xae, 0x38',
    'db 0x66, 0x0f, 0x0b',
    'db 0xf3, 0x0f, 0x0b',
    'db 0x0f, 0x19, 0xc0',
    'db 0x0f, 0x1f, 0xc0',
  ],
  ...[
    'db 0xd6',
    'db 0x82, 0xc0, 1',
    'db 0xf6, 0xc8, 1',
    'db 0xf7, 0xc8, 1, 0, 0, 0',
    'db 0xc0, 0xf0, 1\ncmp eax, eax',
    'db 0xd0, 0xf0\ncmp eax, eax',
  ],
] as const
const ONLY_32 = [
  'push es\npop es',
  'aaa',
  'das',
  'aam 0',
  'into',
  'db 0x63, 0xc8',
  'salc',
  'les eax, [0x20100000]',
  'bound eax, [0x20100000]',
]
const ONLY_64 = [
  'swapgs',
  'mov cr0, rax',
  'mov rax, cr8',
  'mov dr7, rax',
  'mov rax, dr0',
  'mov rax, cr3',
  'sysret',
  'o64 sysret',
]
/** Bytes that are instructions only outside 64-bit mode. */
const NOT_64 = [
  0x06, 0x07, 0x0e, 0x16, 0x17, 0x1e, 0x1f, 0x27, 0x2f, 0x37, 0x3f, 0x60, 0x61, 0x62, 0x82, 0x9a, 0xc4, 0xc5, 0xce,
  0xd4, 0xd5, 0xea,
]

export function privileged(): Scenario[] {
  const flat = (code: string) => code.replaceAll('\n', '; ')
  return [
    ...PRIVILEGED.flatMap(code => inBoth(flat(code), `mov eax, 0x20100000\nxor ecx, ecx\nxor edx, edx\n${code}`)),
    ...ONLY_32.map(code => in32(flat(code), code)),
    ...ONLY_64.map(code => in64(flat(code), code)),
    ...NOT_64.map(byte =>
      in64(`the opcode 0x${byte.toString(16)}`, `db 0x${byte.toString(16)}, 0xc0, 0, 0, 0, 0, 0, 0`),
    ),
    ...Array.from({ length: 256 }, (_, vector) => vector)
      .filter(vector => vector !== 0x80)
      .flatMap(vector =>
        vector < 34 || vector % 31 === 0 ? inBoth(`INT 0x${vector.toString(16)}`, `db 0xcd, ${vector}`) : [],
      ),
    ...inBoth('INT3', 'int3'),
    ...[13, 14, 15].flatMap(prefixes => inBoth(`NOP with ${prefixes} prefixes`, `times ${prefixes} db 0x66\nnop`)),
    ...[8, 9, 10].flatMap(prefixes =>
      inBoth(`a move of 4 bytes with ${prefixes} prefixes`, `times ${prefixes} db 0x3e\nmov eax, 0x12345678`),
    ),
    ...inBoth('prefixes that repeat and follow one another', 'db 0x26, 0x64, 0x65, 0x3e, 0x66, 0x67, 0x90'),
    in64('a REX prefix that is not the last', 'db 0x48, 0x66, 0x90\nnop'),
    in64('REX.W in front of a legacy prefix is void', 'db 0x48, 0x66, 0xb8, 0x34, 0x12\nnop'),
    ...inBoth('PUSHF shows IF', 'pushf\nmov eax, [esp]'),
    ...inBoth('CPUID is free', 'xor eax, eax\ncpuid\nxor eax, eax\nxor ebx, ebx\nxor ecx, ecx\nxor edx, edx'),
  ]
}

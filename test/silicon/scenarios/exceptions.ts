/** Exceptions of arithmetic, x87, SSE and their priorities. */

import { in32, inBoth, type Scenario } from '../scenario.ts'

const X87 = (code: string): string => `fninit\npush ebx\nmov word [0x20100000], 0x300\nfldcw [0x20100000]\n${code}`
/** Unmasks an SSE exception by clearing its mask bit. */
const SSE = (mask: number, code: string): string =>
  `mov dword [0x20100000], ${0x1f80 & ~mask}\nldmxcsr [0x20100000]\n${code}`

const DIVISIONS = [
  'xor ecx, ecx\ndiv ecx',
  'xor ecx, ecx\nidiv cl',
  'mov edx, 5\nmov ecx, 5\ndiv ecx',
  'mov edx, 4\nmov eax, -1\nmov ecx, 5\ndiv ecx\ncmp eax, eax',
  'mov edx, -1\nmov eax, 0x80000000\nmov ecx, -1\nidiv ecx',
  'mov eax, 0x8000\nmov cl, -1\nidiv cl',
  'mov eax, 0xff80\nmov cl, -1\nidiv cl',
  'mov eax, 0x0100\nmov cl, 1\ndiv cl',
  'xor edx, edx\nmov edi, 0x20140000\ndiv dword [edi]',
]

export function exceptions(): Scenario[] {
  const flat = (code: string) => code.replaceAll('\n', '; ')
  const absolute = (code: string) => inBoth(flat(code), code)
  return [
    ...DIVISIONS.flatMap(absolute),
    in32('AAM 0', 'aam 0'),
    in32('INTO with OF', 'mov eax, 0x7fffffff\ninc eax\ninto'),
    in32('INTO without OF', 'xor eax, eax\ninto'),
    ...[-1, 0, 5, 9, 10].map(index =>
      in32(
        `BOUND of ${index} in 0 to 9`,
        `mov dword [0x20100000], 0\nmov dword [0x20100004], 9\nmov eax, ${index}\nbound eax, [0x20100000]`,
      ),
    ),
    in32('BOUND reads a page without rights', 'mov eax, 1\nbound eax, [0x20140000]'),
    ...[
      ['a division by zero', 'fld1\nfldz\nfdivp\nnop\nfwait'],
      ['an invalid operation', 'fldz\nfldz\nfdivp\nnop\nfwait'],
      ['a stack underflow', 'fadd st0, st1\nnop\nfwait'],
      ['a stack overflow', 'fld1\nfld1\nfld1\nfld1\nfld1\nfld1\nfld1\nfld1\nfld1\nfwait'],
      ['an inexact result', 'fld1\nfldpi\nfdivp\nfwait'],
      ['a pending exception and a waiting instruction', 'fld1\nfldz\nfdivp\nmov eax, 1\nfld1'],
      ['a pending exception and one that does not wait', 'fld1\nfldz\nfdivp\nfnstsw ax\nfnclex\nfwait'],
      ['a pending exception and MMX', 'fld1\nfldz\nfdivp\nemms'],
      ['a pending exception and a page fault', 'fld1\nfldz\nfdivp\nmov edi, 0x20140000\nfld dword [edi]'],
    ].flatMap(([name, code]) => inBoth(`x87: ${name}`, X87(code).replace('push ebx\n', ''))),
    ...[
      ['a division by zero', 0x200, 'pxor xmm1, xmm1\nmov eax, 1\ncvtsi2ss xmm0, eax\ndivss xmm0, xmm1'],
      ['an invalid operation', 0x80, 'pxor xmm1, xmm1\npxor xmm0, xmm0\ndivps xmm0, xmm1'],
      ['an inexact result', 0x1000, 'mov eax, 3\ncvtsi2sd xmm1, eax\nmov eax, 1\ncvtsi2sd xmm0, eax\ndivsd xmm0, xmm1'],
      ['an overflow', 0x400, 'mov eax, 0x7f000000\nmovd xmm0, eax\nmulss xmm0, xmm0'],
      ['a masked division by zero', 0, 'pxor xmm1, xmm1\nmov eax, 1\ncvtsi2ss xmm0, eax\ndivss xmm0, xmm1'],
      ['a conversion out of range', 0x80, 'mov eax, 0x7f000000\nmovd xmm0, eax\ncvttss2si eax, xmm0'],
      ['an unordered comparison', 0x80, 'mov eax, 0x7fc00000\nmovd xmm0, eax\ncomiss xmm0, xmm0'],
      ['a quiet unordered comparison', 0x80, 'mov eax, 0x7fc00000\nmovd xmm0, eax\nucomiss xmm0, xmm0\nlahf'],
    ].flatMap(([name, mask, code]) => inBoth(`SSE: ${name}`, SSE(Number(mask), String(code)))),
    ...inBoth('SSE: LDMXCSR of a reserved bit', 'mov dword [0x20100000], 0x10000\nldmxcsr [0x20100000]'),
    ...inBoth(
      'SSE: FXRSTOR of a reserved MXCSR bit',
      'mov edi, 0x20100000\nxor eax, eax\nmov ecx, 128\nrep stosd\nmov dword [0x20100018], 0x10000\nfxrstor [0x20100000]',
    ),
    ...inBoth('#UD before the page fault of its operand', 'mov edi, 0x20140000\ndb 0xfe, 0x17'),
    ...inBoth('LOCK before the page fault of its operand', 'mov edi, 0x20140000\nlock mov [edi], eax'),
    ...inBoth('a misaligned MOVAPS before its page fault', 'mov edi, 0x20140001\nmovaps xmm0, [edi]'),
    ...inBoth('LLDT in ring 3 before the page fault of its operand', 'mov edi, 0x20140000\nlldt [edi]'),
    ...inBoth('a privileged INS before its page fault', 'mov edi, 0x20140000\ninsb'),
    ...inBoth('CMPXCHG16B or 8B across a hole', 'mov edi, 0x20101ffc\nlock cmpxchg8b [edi]'),
  ]
}

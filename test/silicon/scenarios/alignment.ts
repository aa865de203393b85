/** Alignment checks: with AC set they are on, for CR0.AM is and this is ring 3. */

import { in64, inBoth, type Scenario } from '../scenario.ts'

const ACCESSES = [
  ...['mov al, [edi]', 'mov ax, [edi]', 'mov eax, [edi]', 'mov [edi], ax', 'mov [edi], eax', 'add dword [edi], 1'],
  ...['xchg [edi], eax', 'movq xmm0, [edi]', 'movups xmm0, [edi]', 'movaps xmm0, [edi]', 'movdqu [edi], xmm0'],
  ...[
    'addps xmm0, [edi]',
    'movss xmm0, [edi]',
    'movsd xmm0, [edi]',
    'fninit\nfld dword [edi]',
    'fninit\nfld qword [edi]',
  ],
  ...[
    'fninit\nfld tword [edi]',
    'fninit\nfnstenv [edi]',
    'fninit\nfnsave [edi]\nmov edi, 0x20100000\nmov ecx, 128\nrep stosd',
    'fnstcw [edi]',
    'fxsave [edi]\nmov edi, 0x20100000\nmov ecx, 256\nrep stosd',
    'stmxcsr [edi]',
  ],
  ...['lea eax, [edi]', 'clflush [edi]', 'prefetchnta [edi]', 'mov esi, edi\nlodsd', 'stosw', 'mov ecx, 3\nrep stosd'],
  ...[
    'lock cmpxchg8b [edi]',
    'bt dword [edi], 40',
    'mov ecx, 40\nbts [edi], ecx',
    'lfs eax, [edi]',
    'crc32 eax, dword [edi]',
    'lddqu xmm0, [edi]',
  ],
] as const

export function alignment(): Scenario[] {
  const checked = (code: string) => (bits: 32 | 64) =>
    bits === 64 ? `pushfq\nor dword [rsp], 0x40000\npopfq\n${code}` : `pushfd\nor dword [esp], 0x40000\npopfd\n${code}`
  const both = (name: string, code: string): Scenario[] =>
    inBoth(name, code).map(scenario => ({ ...scenario, code: checked(code)(scenario.bits) }))
  return [
    ...[0, 1, 2, 4, 8].flatMap(offset =>
      ACCESSES.flatMap(code =>
        both(`AC: ${code.replaceAll('\n', '; ')} at offset ${offset}`, `mov edi, ${0x20100100 + offset}\n${code}`),
      ),
    ),
    ...['mov eax, [edi]', 'movaps xmm0, [edi]', 'mov dword [edi], 1'].flatMap(code => [
      ...both(`AC: ${code} misaligned in a page without rights`, `mov edi, 0x20140001\n${code}`),
      ...both(`AC: ${code} misaligned into a hole`, `mov edi, 0x20101fff\n${code}`),
      ...inBoth(`without AC: ${code} misaligned`, `mov edi, 0x20100001\n${code}`),
    ]),
    in64('AC: a push to a misaligned stack', checked('sub rsp, 1\npush rax')(64)),
    in64('AC: a call with a misaligned stack', checked('sub rsp, 1\ncall $ + 5')(64)),
    in64('AC: a misaligned instruction fetch is no access', checked('jmp $ + 3\nnop\nnop\nnop')(64)),
    in64('AC: 8 bytes at offset 4', checked('mov edi, 0x20100104\nmov rax, [rdi]')(64)),
    in64('AC: CMPXCHG16B at offset 8', checked('mov edi, 0x20100108\nlock cmpxchg16b [rdi]')(64)),
    in64('CMPXCHG16B at offset 8', 'mov edi, 0x20100108\nlock cmpxchg16b [rdi]'),
    in64('CMPXCHG16B at offset 0', 'mov edi, 0x20100100\nlock cmpxchg16b [rdi]'),
    in64('AC: a jump through a misaligned pointer', checked('mov edi, 0x20100101\njmp [rdi]')(64)),
    in64('AC: ENTER with a misaligned frame', checked('sub rsp, 4\nenter 8, 0')(64)),
    in64('AC: IRETQ from a misaligned stack', checked('mov rcx, rsp\nsub rsp, 4\npush 0x2b\nnop')(64)),
  ]
}

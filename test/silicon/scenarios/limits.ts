/** Accesses within and beyond the limits and rights of segments. */

import { DATA, type SegmentName, STACK, selector } from '../layout.ts'
import { hex, in32, in64, inBoth, type Scenario } from '../scenario.ts'

const ACCESSES = [
  ['read', 'byte', 'mov al, [es:edi]'],
  ['read', 'dword', 'mov eax, [es:edi]'],
  ['read', 'qword', 'movq xmm0, [es:edi]'],
  ['write', 'byte', 'mov [es:edi], al'],
  ['write', 'dword', 'mov [es:edi], eax'],
  ['write', '16 bytes', 'movups [es:edi], xmm0'],
  ['change', 'word', 'inc word [es:edi]'],
] as const

const OFFSETS: readonly (readonly [SegmentName, readonly number[]])[] = [
  ['data', [DATA, 0xffff_fffe]],
  ['readOnly', [DATA]],
  ['bytes', [0, 0x7fb, 0x7fc, 0x7fe, 0x7ff, 0x800, 0xffff_ffff]],
  ['onePage', [0, 0xffc, 0xffd, 0xfff, 0x1000]],
  ['down32', [0, 0xffe, 0xfff, 0x1000, 0x1ffd, 0xffff_fffd]],
  ['down16', [0, 0xfff, 0x1000, 0x1ffc, 0xfffd, 0xffff, 0x1_0000]],
  ['downPages', [0xfff, 0x1000]],
  ['downReadOnly', [0xfff, 0x1000]],
  ['code', [DATA]],
  ['executeOnly', [DATA]],
]

export function limits(): Scenario[] {
  const accesses = OFFSETS.flatMap(([name, offsets]) =>
    offsets.flatMap(offset =>
      ACCESSES.map(([what, size, instruction]) =>
        in32(
          `${what} a ${size} at ${hex(offset)} of ${name}`,
          `mov ecx, ${hex(selector(name))}\nmov es, ecx\nmov edi, ${hex(offset)}\nmov eax, 0x55667788\n${instruction}`,
        ),
      ),
    ),
  )
  const onStack = (segment: SegmentName, pointer: number, code: string) =>
    in32(
      `${code.replaceAll('\n', '; ')} at ${hex(pointer)} of ${segment}`,
      `mov eax, ${hex(selector(segment))}\nmov ss, eax\nmov esp, ${hex(pointer)}\n${code}`,
    )
  const stacks = (['stack16', 'stack32'] as const).flatMap(segment =>
    [
      'push eax',
      'pop eax',
      'push ax',
      'call $ + 5',
      'pusha',
      'enter 16, 2',
      'leave',
      'mov eax, [esp]',
      'pushf',
      'ret',
    ].flatMap(code => [0, 2, 8, 0xffe, 0x1000, 0x1_0800].map(pointer => onStack(segment, pointer, code))),
  )
  return [
    ...accesses,
    ...stacks,
    ...[2, 4, 8, 16].map(bytes =>
      in32(
        `a read of ${bytes} bytes wraps around 4 GB`,
        `mov edi, -1\n${bytes === 2 ? 'mov ax, [edi]' : bytes === 4 ? 'mov eax, [edi]' : bytes === 8 ? 'movq xmm0, [edi]' : 'movups xmm0, [edi]'}`,
      ),
    ),
    in32('a null ES is used', 'xor eax, eax\nmov es, eax\nmov eax, [es:0x20100000]'),
    in32('a null ES is written through', 'xor eax, eax\nmov es, eax\nmov [es:0x20100000], eax'),
    in64('a null ES is used', 'xor eax, eax\nmov es, eax\nmov edi, 0x20100000\nmov eax, [es:rdi]'),
    in64(
      'a limited ES is used beyond its limit',
      `mov eax, ${hex(selector('bytes'))}\nmov es, eax\nmov edi, 0x20100000\nmov eax, [es:rdi]`,
    ),
    ...(['fs', 'gs'] as const).flatMap(register =>
      inBoth(
        `${register.toUpperCase()} has the base of its segment`,
        `mov eax, ${hex(selector('bytes'))}\nmov ${register}, eax\nxor edi, edi\nmov eax, [${register}:edi]`,
      ),
    ),
    ...[
      0x0000_7fff_ffff_fff8n,
      0x0000_7fff_ffff_fffdn,
      0x0000_8000_0000_0000n,
      0x8000_0000_0000_0000n,
      0xffff_7fff_ffff_ffffn,
    ].flatMap(address =>
      [
        'mov rax, [rdi]',
        'mov [rdi], rax',
        'mov rax, [rbp]',
        'mov rax, [rsp]',
        'push qword [rdi]',
        'jmp rdi',
        'call rdi',
        'jmp [rdi]',
        'lea rax, [rdi]',
        'prefetcht0 [rdi]',
      ].map(code =>
        in64(
          `${code} with 0x${address.toString(16)}`,
          `mov rdi, 0x${address.toString(16)}\nmov rbp, rdi\n${code.includes('rsp') ? 'mov rsp, rdi\n' : ''}${code}`,
        ),
      ),
    ),
    in64('a push to a stack that is not canonical', 'mov rsp, 0x800000000004\npush rax'),
    in64('a call with a stack that is not canonical', 'mov rsp, 0x800000000004\ncall $ + 5'),
    in64('a return to an address that is not canonical', 'mov rax, 0x800000000000\npush rax\nret'),
    in64('REP STOSB up to the canonical hole', `mov rdi, ${hex(DATA)}\nadd rdi, 0x1ffe\nmov ecx, 8\nrep stosb`),
    in32(
      'REP MOVSB into the hole behind the stack',
      `mov esi, ${hex(DATA)}\nmov edi, ${hex(STACK + 0xffd)}\nmov ecx, 9\nrep movsb`,
    ),
  ]
}

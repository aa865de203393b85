/** Single steps: where the trap comes, and what holds it off. */

import { in64, inBoth, type Scenario } from '../scenario.ts'

const STEPPED = [
  ...['nop\nnop', 'mov eax, 1\nmov ecx, 2', 'mov eax, ss\nmov ss, eax\nnop\nnop', 'jmp .over\nnop\n.over: nop'],
  ...[
    'mov ecx, 3\nmov edi, 0x20100000\nrep stosb\nnop',
    'mov ecx, 1\nmov edi, 0x20100000\nrep stosb\nnop',
    'xor ecx, ecx\nrep stosb\nnop',
  ],
  ...[
    'ud2',
    'xor ecx, ecx\ndiv ecx',
    'mov edi, 0x20140000\nmov eax, [edi]',
    'int3',
    'cli',
    'lock nop',
    'pause\nnop',
    'fwait\nnop',
  ],
  ...['cmp eax, eax\njne .over\n.over: nop', 'cpuid\nnop', 'std\nnop', 'prefetcht0 [eax]\nnop', 'int 0x21', 'db 0xf1'],
] as const

/** The trap comes after the first instruction behind POPF: the later ones of a scenario run behind a first step that is not theirs. */
export function stepping(): Scenario[] {
  const stepped = (code: string, bits: 32 | 64): string =>
    bits === 64 ? `pushfq\nor dword [rsp], 0x100\npopfq\n${code}` : `pushfd\nor dword [esp], 0x100\npopfd\n${code}`
  const both = (name: string, code: string): Scenario[] =>
    inBoth(name, code).map(scenario => ({ ...scenario, code: stepped(code, scenario.bits) }))
  const iret = (code: string): string =>
    `mov rcx, rsp\npush 0x2b\npush rcx\npush 0x302\npush 0x33\npush .there\niretq\n.there:\n${code}`
  return [
    ...STEPPED.flatMap(code => both(`a step from POPF: ${code.replaceAll('\n', '; ')}`, code)),
    ...STEPPED.map(code => in64(`a step from IRET: ${code.replaceAll('\n', '; ')}`, iret(code))),
    // The stepped instruction is the one after what sets TF.
    ...[
      'mov ss, ecx\nnop\nnop',
      'mov ecx, 0x2b\nnop',
      'popfq\nnop',
      'pushfq\nnop',
      'call .over\nnop\n.over: nop',
      'ret\nnop',
      'iretq',
      'rep movsb\nnop',
      'syscall_free: nop',
    ].map(code =>
      in64(
        `a step over ${code.split('\n')[0].replace('syscall_free: ', '')}`,
        `mov ecx, 0x2b\n${stepped(code.replace('syscall_free: ', ''), 64)}`,
      ),
    ),
    in64('POPF that clears TF is stepped itself', 'pushfq\npushfq\nor dword [rsp], 0x100\npopfq\npopfq\nnop'),
    in64('a step into a page fault of the fetch', stepped('mov edi, 0x20140000\njmp rdi', 64)),
    in64(
      'RF of an IRET image',
      'mov rcx, rsp\npush 0x2b\npush rcx\npush 0x10202\npush 0x33\npush .there\niretq\n.there:\nud2',
    ),
    in64(
      'RF with TF of an IRET image',
      'mov rcx, rsp\npush 0x2b\npush rcx\npush 0x10302\npush 0x33\npush .there\niretq\n.there:\nnop\nnop',
    ),
    in64(
      'PUSHF does not show RF',
      'mov rcx, rsp\npush 0x2b\npush rcx\npush 0x10202\npush 0x33\npush .there\niretq\n.there:\npushfq\npop rax',
    ),
  ]
}

/** Page faults of ring 3: rights, fetches, accesses that cross pages, what has happened before the fault. */

import { DATA, DATA_BYTES, FORBIDDEN, IMAGE, NOPS, READ_ONLY, STACK } from '../layout.ts'
import { hex, in64, inBoth, type Scenario } from '../scenario.ts'

const HOLE = DATA + DATA_BYTES
const PLACES: readonly (readonly [string, number])[] = [
  ['a writable page', DATA + 0x10],
  ['a read-only page', READ_ONLY + 0x10],
  ['a page without rights', FORBIDDEN + 0x10],
  ['a hole', HOLE + 0x10],
  ['code', IMAGE],
  ['a writable page of code', NOPS + 0x10],
  ['the end of a page before a hole', HOLE - 3],
  ['address 0x10', 0x10],
]
const ACCESSES = [
  ['read', 'mov eax, [edi]'],
  ['write', 'mov [edi], ah'],
  ['write 4 bytes', 'mov dword [edi], 0x01020304'],
  ['write 16 bytes', 'movups [edi], xmm0'],
  ['read and write', 'add dword [edi], 1'],
  ['exchange', 'xchg [edi], eax'],
  ['compare and fail to exchange', 'mov eax, 0x1234\nlock cmpxchg [edi], ebx'],
  ['test a bit', 'bt dword [edi], 3'],
  ['set a bit', 'bts dword [edi], 3'],
  ['store by string', 'mov ecx, 20\nrep stosb'],
  ['load by string', 'mov esi, edi\nmov ecx, 20\nrep lodsb'],
  ['move by string', 'mov esi, edi\nmov edi, 0x20100100\nmov ecx, 20\nrep movsb'],
  ['compare by string', 'mov esi, 0x20100100\nmov ecx, 20\nrepe cmpsb'],
  ['scan by string backwards', 'mov ecx, 20\nstd\nmov al, 0xa5\nrepe scasb'],
  ['push', 'lea esp, [edi + 4]\npush eax'],
  ['pop', 'mov esp, edi\npop eax'],
  ['pop to memory', 'pop dword [edi]'],
  ['push from memory', 'push dword [edi]'],
  ['jump', 'jmp edi'],
  ['call', 'call edi'],
  ['jump through', 'jmp [edi]'],
  ['call with a stack there', 'lea esp, [edi + 4]\ncall $ + 5'],
  ['return', 'push edi\nret'],
  ['prefetch', 'prefetcht0 [edi]'],
  ['flush a line', 'clflush [edi]'],
  [
    'save the x87 state',
    'fninit\ntimes 8 fldz\nfninit\nfnsave [edi]\nmov dword [edi + 8], 0\nmov dword [edi + 12], 0\nmov dword [edi + 16], 0\nmov dword [edi + 20], 0\nmov dword [edi + 24], 0',
  ],
  ['save the x87 environment', 'fninit\nfnstenv [edi]'],
  ['a store of 80 bits', 'fninit\nfld1\nfstp tword [edi]'],
  ['a shift by 0', 'mov cl, 0\nshl dword [edi], cl'],
  ['a conditional move that does not move', 'cmp eax, eax\ncmovne eax, [edi]'],
  ['a masked store of nothing', 'pxor xmm0, xmm0\nmaskmovdqu xmm1, xmm0'],
  ['compare and exchange 8 bytes', 'lock cmpxchg8b [edi]'],
  ['enter with a stack there', 'lea esp, [edi + 4]\nenter 8, 1'],
  ['leave to it', 'mov ebp, edi\nleave'],
] as const

/** The same instruction with the address size and stack of the mode. */
const wide = (code: string): string =>
  code
    .replaceAll(/\b(lea|mov) esp, /g, '$1 rsp, ')
    .replaceAll('mov rsp, edi', 'mov rsp, rdi')
    .replaceAll('push edi', 'push rdi')
    .replaceAll('push eax', 'push rax')
    .replaceAll('pop eax', 'pop rax')
    .replaceAll('pop dword', 'pop qword')
    .replaceAll('push dword', 'push qword')
    .replaceAll(/(jmp|call) edi/g, '$1 rdi')
    .replaceAll(/(jmp|call) \[edi\]/g, '$1 [rdi]')
    .replaceAll('mov ebp, edi', 'mov rbp, rdi')

/** Runs `code`, then jumps to an address. */
const jumpTo = (name: string, address: number, code: string): Scenario[] =>
  inBoth(name, `${code}\nmov edi, ${hex(address)}\njmp edi`).map(scenario =>
    scenario.bits === 64 ? { ...scenario, code: wide(scenario.code) } : scenario,
  )

export function pages(): Scenario[] {
  return [
    ...PLACES.flatMap(([place, address]) =>
      ACCESSES.flatMap(([name, code]) => {
        const [narrow, in64bit] = inBoth(`${name}: ${place}`, `mov edi, ${hex(address)}\n${code}`)
        return [narrow, { ...in64bit, code: wide(in64bit.code) }]
      }),
    ),
    ...jumpTo(
      'an instruction that reaches from its page into a hole',
      NOPS + 0xffe,
      `mov byte [${hex(NOPS + 0xfff)}], 0xb8`,
    ),
    ...jumpTo('execution runs from a page into a hole', NOPS + 0xff0, 'nop'),
    ...jumpTo(
      'an instruction is changed by the ones before it',
      NOPS,
      `mov edi, ${hex(NOPS)}\nmov dword [edi], 0x900442c6\nmov edx, edi\nmov dword [edi], 0xf40442c6`,
    ),
    in64('a read of the kernel half', 'mov rdi, 0xffff800000000000\nmov rax, [rdi]'),
    in64('a fetch from the kernel half', 'mov rdi, 0xffff800000000000\njmp rdi'),
    in64('REP MOVSB forwards into a hole', `mov esi, ${hex(DATA)}\nmov edi, ${hex(HOLE - 5)}\nmov ecx, 9\nrep movsb`),
    in64(
      'REP MOVSD backwards into a hole',
      `mov esi, ${hex(DATA + 0x100)}\nmov edi, ${hex(STACK + 8)}\nmov ecx, 9\nstd\nrep movsd`,
    ),
    in64(
      'REP with RCX 0 touches nothing',
      'xor ecx, ecx\nxor edi, edi\nxor esi, esi\nrep movsb\nrep stosq\nrepe cmpsb',
    ),
  ]
}

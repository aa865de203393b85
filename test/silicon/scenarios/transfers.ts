/** Far jumps, calls and returns, and IRET, within ring 3. */

import {
  KERNEL_CODE,
  LDT_ENTRIES,
  LOCAL_TABLE,
  NOPS,
  SEGMENT_NAMES,
  type SegmentName,
  selector,
  TASK,
  USER_CODE,
  USER_CODE_32,
  USER_DATA,
} from '../layout.ts'
import { hex, in32, in64, inBoth, type Scenario } from '../scenario.ts'

const TARGETS: readonly (readonly [string, number])[] = [
  ...SEGMENT_NAMES.map((name): [string, number] => [name, selector(name)]),
  ...[0, 1, 2].map((rpl): [string, number] => [`code with RPL ${rpl}`, selector('code', rpl)]),
  ['null', 0],
  ['null with RPL 3', 3],
  ['an LDT entry behind the limit', LDT_ENTRIES * 8 + 7],
  ['a GDT entry behind the limit', 0x83],
  ['the kernel code', KERNEL_CODE],
  ['the kernel code with RPL 3', KERNEL_CODE | 3],
  ['the 32-bit user code', USER_CODE_32],
  ['the 64-bit user code', USER_CODE],
  ['the user data', USER_DATA],
  ['the TSS', TASK | 3],
  ['the LDT', LOCAL_TABLE | 3],
]

/** Code that means the same in 16, 32 and 64 bits: NOP, then HLT. */
const ARRIVAL = 'align 16, db 0xf4\n.there: nop\nhlt'
/** Segments with other bases arrive at an offset in them. */
const offsetIn = (name: string): string =>
  name === 'shortCode' ? '0x10' : name === 'code16' ? '(.there - image)' : '.there'

const farPointer = (name: string, value: number): string =>
  `mov edi, 0x20100000\nmov dword [edi], ${offsetIn(name)}\nmov word [edi + 4], ${hex(value)}\n`
const farPointer64 = (name: string, value: number): string =>
  `mov edi, 0x20100000\nmov qword [rdi], ${offsetIn(name)}\nmov word [rdi + 8], ${hex(value)}\n`

export function transfers(): Scenario[] {
  const both = (name: string, code: (bits: 32 | 64) => string): Scenario[] => [
    in32(name, code(32)),
    in64(name, code(64)),
  ]
  const pushAll = (bits: 32 | 64, ...values: readonly string[]): string =>
    values.map(value => `mov eax, ${value}\npush ${bits === 64 ? 'rax' : 'eax'}\n`).join('')
  const pushStack = (bits: 32 | 64, stackSelector = USER_DATA): string =>
    bits === 64 ? `mov rcx, rsp\nmov eax, ${hex(stackSelector)}\npush rax\npush rcx\n` : ''
  const iret = (bits: 32 | 64): string => (bits === 64 ? 'iretq' : 'iretd')
  const retf = (bits: 32 | 64): string => (bits === 64 ? 'o64 retf' : 'retf')
  const toName = ([name, value]: readonly [string, number]): Scenario[] => [
    ...inBoth(`far JMP to ${name}`, `${farPointer(name, value)}jmp far dword [edi]\n${ARRIVAL}`),
    ...inBoth(`far CALL to ${name}`, `${farPointer(name, value)}call far dword [edi]\n${ARRIVAL}`),
    in64(`far JMP with a 64-bit offset to ${name}`, `${farPointer64(name, value)}o64 jmp far [rdi]\n${ARRIVAL}`),
    in64(`far CALL with a 64-bit offset to ${name}`, `${farPointer64(name, value)}o64 call far [rdi]\n${ARRIVAL}`),
    in32(`far JMP by immediate to ${name}`, `jmp dword ${hex(value)}:${offsetIn(name)}\n${ARRIVAL}`),
    ...both(`RETF to ${name}`, bits => `${pushAll(bits, hex(value), offsetIn(name))}${retf(bits)}\n${ARRIVAL}`),
    ...both(
      `IRET to ${name}`,
      bits => `${pushStack(bits)}${pushAll(bits, '0x202', hex(value), offsetIn(name))}${iret(bits)}\n${ARRIVAL}`,
    ),
  ]
  const iretFlags = [
    0x2, 0x102, 0x602, 0x3202, 0x4202, 0x1_0202, 0x2_0202, 0x4_0202, 0x8_0202, 0x18_0202, 0x20_0202, 0x8d5, 0xffff_ffff,
  ]
  const current = (bits: 32 | 64): string => hex(bits === 64 ? USER_CODE : USER_CODE_32)
  return [
    ...TARGETS.flatMap(toName),
    ...iretFlags.flatMap(flags =>
      both(
        `IRET with flags ${hex(flags)}`,
        bits =>
          `${pushStack(bits)}${pushAll(bits, hex(flags), current(bits), '.there')}${iret(bits)}\nalign 16, db 0xf4\n.there: nop\nnop\nhlt`,
      ),
    ),
    ...iretFlags.flatMap(flags =>
      both(`POPF of ${hex(flags)}`, bits => `${pushAll(bits, hex(flags))}${bits === 64 ? 'popfq' : 'popfd'}\nnop\nnop`),
    ),
    ...SEGMENT_NAMES.map((name: SegmentName) =>
      in64(
        `IRET with SS ${name}`,
        `${pushStack(64, selector(name))}${pushAll(64, '0x202', hex(USER_CODE), '.there')}iretq\n${ARRIVAL}`,
      ),
    ),
    ...[0, 3, USER_DATA & ~3, 0x83, USER_CODE].map(value =>
      in64(
        `IRET with SS ${hex(value)}`,
        `${pushStack(64, value)}${pushAll(64, '0x202', hex(USER_CODE), '.there')}iretq\n${ARRIVAL}`,
      ),
    ),
    ...both(
      'IRET with NT set',
      bits =>
        `pushf\nor dword [${bits === 64 ? 'rsp' : 'esp'}], 0x4000\npopf\n${pushStack(bits)}${pushAll(bits, '0x202', current(bits), '.there')}${iret(bits)}\n${ARRIVAL}`,
    ),
    in64(
      'IRETD in 64-bit mode',
      `mov rcx, rsp\nsub rsp, 20\nmov dword [rsp], .there\nmov dword [rsp + 4], ${hex(USER_CODE)}\nmov dword [rsp + 8], 0x202\nmov [rsp + 12], ecx\nmov dword [rsp + 16], ${hex(USER_DATA)}\niretd\n${ARRIVAL}`,
    ),
    in64(
      'RETF with 32-bit operands',
      `sub rsp, 8\nmov dword [rsp], .there\nmov dword [rsp + 4], ${hex(USER_CODE_32)}\nretf\n${ARRIVAL}`,
    ),
    in32(
      'RETF 8',
      `push dword 1\npush dword 2\npush dword ${hex(USER_CODE_32)}\npush dword .there\nretf 8\n${ARRIVAL}`,
    ),
    in64('RETF 16', `push 1\npush 2\npush ${hex(USER_CODE)}\npush .there\no64 retf 16\n${ARRIVAL}`),
    in64(
      'IRET to an address that is not canonical',
      `${pushStack(64)}push 0x202\npush ${hex(USER_CODE)}\nmov rax, 0x800000000000\npush rax\niretq`,
    ),
    in64(
      'RETF to an address that is not canonical',
      `push ${hex(USER_CODE)}\nmov rax, 0x800000000000\npush rax\no64 retf`,
    ),
    in64(
      'far JMP to an address that is not canonical',
      `mov edi, 0x20100000\nmov rax, 0x800000000000\nmov [rdi], rax\nmov word [rdi + 8], ${hex(USER_CODE)}\no64 jmp far [rdi]`,
    ),
    in32('a far JMP beyond the limit of shortCode', `jmp dword ${hex(selector('shortCode'))}:0x80`),
    in32('a far CALL beyond the limit of shortCode', `call dword ${hex(selector('shortCode'))}:0x80`),
    in32('a RETF beyond the limit of shortCode', `push dword ${hex(selector('shortCode'))}\npush dword 0x80\nretf`),
    in32(
      'an IRET beyond the limit of shortCode',
      `push dword 0x202\npush dword ${hex(selector('shortCode'))}\npush dword 0x80\niretd`,
    ),
    ...(['eb 7e', 'e9 00 10 00 00', 'e8 00 10 00 00', 'c3', '75 7e', 'ff e0', 'ff d0'] as const).map(bytes =>
      in32(
        `the near transfer ${bytes} in shortCode leaves its limit`,
        `push dword 0x1000\nmov edi, ${hex(NOPS)}\nmov eax, 0x1000\n${bytes
          .split(' ')
          .map((byte, i) => `mov byte [edi + ${i}], 0x${byte}\n`)
          .join('')}test esp, esp\njmp dword ${hex(selector('shortCode'))}:0`,
      ),
    ),
    ...inBoth('a far JMP to a register', 'db 0xff, 0xe8'),
    ...inBoth('a far CALL to a register', 'db 0xff, 0xd8'),
    in64('far JMP by immediate', 'db 0xea, 0, 0, 0, 0, 0, 0'),
    in64('far CALL by immediate', 'db 0x9a, 0, 0, 0, 0, 0, 0'),
    in64('SYSENTER selectors are not used by LAR', 'mov ecx, 0x10\nlar eax, ecx'),
  ]
}

/** Loads of segment registers, and the instructions that ask about selectors. */

import {
  KERNEL_CODE,
  KERNEL_CODE_32,
  KERNEL_DATA,
  LDT_ENTRIES,
  LOCAL_TABLE,
  SEGMENT_NAMES,
  selector,
  TASK,
  USER_CODE,
  USER_CODE_32,
  USER_DATA,
} from '../layout.ts'
import { hex, in32, inBoth, type Scenario } from '../scenario.ts'

/** Every segment of the LDT with RPL 3, some with others, those of the GDT, null selectors, and what is behind the limits. */
const SELECTORS: readonly (readonly [string, number])[] = [
  ...SEGMENT_NAMES.map((name): [string, number] => [name, selector(name)]),
  ...([0, 1, 2] as const).flatMap((rpl): [string, number][] => [
    [`data with RPL ${rpl}`, selector('data', rpl)],
    [`code with RPL ${rpl}`, selector('code', rpl)],
    [`absentData with RPL ${rpl}`, selector('absentData', rpl)],
  ]),
  ...[0, 1, 2, 3].map((rpl): [string, number] => [`null with RPL ${rpl}`, rpl]),
  ['the empty LDT entry 0', 7],
  ['an LDT entry behind the limit', LDT_ENTRIES * 8 + 7],
  ['the last LDT entry there could be', 0xffff],
  ['a GDT entry behind the limit', 0x83],
  ['the last GDT entry there could be', 0xfffb],
  ['the 32-bit kernel code', KERNEL_CODE_32],
  ['the kernel code', KERNEL_CODE],
  ['the kernel code with RPL 3', KERNEL_CODE | 3],
  ['the kernel data', KERNEL_DATA],
  ['the kernel data with RPL 3', KERNEL_DATA | 3],
  ['the 32-bit user code', USER_CODE_32],
  ['the user data', USER_DATA],
  ['the user data with RPL 0', USER_DATA & ~3],
  ['the 64-bit user code', USER_CODE],
  ['the TSS', TASK],
  ['the upper half of the TSS descriptor', TASK + 8],
  ['the LDT', LOCAL_TABLE | 3],
  ['an empty GDT entry', 0x63],
]

export function selectors(): Scenario[] {
  const load = (register: string) =>
    SELECTORS.flatMap(([name, value]) =>
      inBoth(`load ${register} with ${name}`, `mov eax, ${hex(value)}\nmov ${register}, eax`),
    )
  const query = (instruction: string) =>
    SELECTORS.flatMap(([name, value]) =>
      inBoth(`${instruction} of ${name}`, `mov ecx, ${hex(value)}\n${instruction} eax, ecx`),
    )
  const verify = (instruction: string) =>
    SELECTORS.flatMap(([name, value]) =>
      inBoth(`${instruction} of ${name}`, `mov ecx, ${hex(value)}\n${instruction} cx`),
    )
  const farPointer = (instruction: string, name: string, value: number) =>
    inBoth(
      `${instruction.toUpperCase()} with ${name}`,
      `mov edi, 0x20100000\nmov dword [edi], 0x12345678\nmov word [edi + 4], ${hex(value)}\n${instruction} ebx, [edi]`,
    )
  return [
    ...['ds', 'es', 'fs', 'gs', 'ss'].flatMap(load),
    ...['lar', 'lsl'].flatMap(query),
    ...['verr', 'verw'].flatMap(verify),
    ...['lfs', 'lgs', 'lss'].flatMap(instruction =>
      SELECTORS.slice(0, 4).flatMap(([name, value]) => farPointer(instruction, name, value)),
    ),
    ...['ds', 'es', 'ss'].flatMap(register =>
      SELECTORS.slice(0, 8).map(([name, value]) =>
        in32(`POP ${register.toUpperCase()} with ${name}`, `push dword ${hex(value)}\npop ${register}`),
      ),
    ),
    ...['fs', 'gs'].flatMap(register =>
      SELECTORS.slice(0, 8).flatMap(([name, value]) =>
        inBoth(`POP ${register.toUpperCase()} with ${name}`, `push ${hex(value)}\npop ${register}`),
      ),
    ),
    ...inBoth('MOV from SS and a push of FS', 'mov eax, ss\npush fs\nmov ecx, [esp]'),
    ...inBoth('MOV to CS', 'db 0x8e, 0xc8'),
    ...inBoth('MOV to segment register 6', 'db 0x8e, 0xf0'),
    ...inBoth('MOV from segment register 7', 'db 0x8c, 0xf8'),
  ]
}

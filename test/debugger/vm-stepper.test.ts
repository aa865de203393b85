import { afterAll, beforeAll, expect, test } from 'vitest'
import { buildGuest, GuestUnderTest } from './support/c-guest.ts'

/** Each line has a symbol at its instruction; what is called returns, and what is repeated is repeated. */
const LINES = [
  'call near_function',
  '.byte 0x66, 0x90',
  'call *%rax',
  'call *%r11',
  '.byte 0x3e; call *%rax',
  'call *pointer',
  'call *%gs:pointer',
  'rep stosb',
  '.byte 0x66, 0xf3, 0xa5',
  'repne scasb',
  'lock incl scratch',
  'push pointer(%rip)',
  'pop %rdx',
]
const LOADS = 'lea near_function(%rip), %rax; mov %rax, %r11; lea scratch(%rip), %rdi; mov %rdi, %rsi; mov $9, %ecx'

const SOURCE = `
__asm__(".globl _start; _start: ${LOADS};"
${LINES.map((line, index) => `  "line${index}: ${line}; behind${index}: ${LOADS};"`).join('\n')}
  "end: jmp end; near_function: nop; nop; ret;"
  ".data; .balign 8; pointer: .quad near_function; scratch: .fill 256; .text");
`

let guest: GuestUnderTest
beforeAll(async () => {
  guest = await GuestUnderTest.start(buildGuest(SOURCE))
})
afterAll(() => guest.debugger.dispose())

test.each(LINES.map((line, index) => [line, index] as const))(
  'a step over "%s" ends behind it',
  async (_line, index) => {
    const { symbols, target } = guest.debugger
    const address = symbols.byName(`line${index}`)?.address ?? 0n
    await guest.runTo([address])
    guest.debugger.setAddressBreakpoints([])
    await guest.stopAfter(() => target.step({ vcpu: 0, kind: 'over' }))
    const rip = guest.machine.vcpus[0].register('rip')
    expect(rip).toBe(symbols.byName(`behind${index}`)?.address)
  },
)

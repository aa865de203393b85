/** Stacks of 32-bit code in flat segments, which compiled code uses without asking the segment, beside other stacks. */

import { afterAll, describe, expect, test } from 'vitest'
import { hasNasm, nasmNote } from './guest/assemble.ts'
import { Host, TIERS } from './guest/guest.ts'
import { CODE, COMPATIBLE0, DATA0, descriptor, dpl, FREE, STACK, STACK0, SystemGuest } from './guest/system-guest.ts'

/** Rounds of a loop: by then it is compiled. */
const ROUNDS = 50
const MOST_INSTRUCTIONS = 10_000
/** Flat, writable, with a 16-bit stack pointer; and one with a base. */
const NARROW = descriptor(0x8092)
const BASED = descriptor(0xc092, 0x1000)

for (const { tier, hotEntries } of TIERS)
  describe.skipIf(!hasNasm)(`32-bit stacks, ${tier}${nasmNote}`, () => {
    const system = new SystemGuest(new Host({ hotEntries }))
    afterAll(() => system.release())
    const hex = (name: string): string => `0x${system.register(name).toString(16)}`

    /** Runs a loop whose last round begins with `last`, and jumps to the code that has been compiled. */
    const rounds = (body: string, last: string): string =>
      system.run(`mov ecx, ${ROUNDS}\nmov esi, esp\nagain: dec ecx\njnz good\n${last}\njmp good\ngood: ${body}\nmov esp, esi
        test ecx, ecx\njnz again`)

    const SUM = `mov ecx, ${ROUNDS}\nxor edi, edi\nagain: push ecx\ncall add_it\npop edx\ndec ecx\njnz again\njmp out
      add_it: push ebp\nmov ebp, esp\npush word 5\npop ax\nmovzx eax, ax\nadd eax, [ebp + 8]\nadd edi, eax\nleave\nret\nout:`

    test('calls, pushes and pops of both sizes, LEAVE and RET lead where they should', () => {
      system.enter('protected', 3)
      expect(system.run(SUM, { budget: MOST_INSTRUCTIONS })).toBe('end')
      expect([system.register('rdi'), hex('rsp')]).toEqual([
        (ROUNDS * (ROUNDS + 1)) / 2 + 5 * ROUNDS,
        `0x${STACK.toString(16)}`,
      ])
    })

    test('the same in compatibility mode', () => {
      system.enter('long')
      const enter = `push ${COMPATIBLE0}\nlea rax, [rel narrow]\npush rax\nretfq\n[bits 32]\nnarrow: mov eax, ${DATA0}
        mov ss, eax\nmov ds, eax\nmov es, eax\nmov esp, ${STACK0}`
      expect(system.run(`${enter}\n${SUM}`, { budget: MOST_INSTRUCTIONS })).toBe('end')
      expect([system.register('rdi'), hex('rsp')]).toEqual([
        (ROUNDS * (ROUNDS + 1)) / 2 + 5 * ROUNDS,
        `0x${STACK0.toString(16)}`,
      ])
    })

    test.each([
      ['a push', 'push eax', 'mov esp, 2', '0x2'],
      ['a call', 'call $ + 5', 'mov esp, 1', '0x1'],
      ['a pop', 'pop eax', 'mov esp, -3', '0xfffffffd'],
      ['a pop of 16 bits', 'pop ax', 'mov esp, -1', '0xffffffff'],
    ])('%s that goes beyond 4 GiB is #SS(0), and leaves ESP', (_what, body, last, esp) => {
      system.enter('protected', 3)
      expect(rounds(body, last)).toBe('#SS(0x0)')
      // Error code, EIP, CS, EFLAGS, ESP.
      expect(`0x${(system.pushed(4) >>> 0).toString(16)}`).toBe(esp)
    })

    test('a LEAVE that goes beyond 4 GiB is #SS(0), and leaves ESP and EBP', () => {
      system.enter('protected', 3)
      const source = `mov ecx, ${ROUNDS}\nmov ebx, esp\nagain: mov ebp, ebx\ndec ecx\njnz good\nmov ebp, -2\njmp good\ngood: leave\nmov esp, ebx\njmp again`
      expect(system.run(source)).toBe('#SS(0x0)')
      expect([`0x${(system.pushed(4) >>> 0).toString(16)}`, hex('rbp')]).toEqual([
        `0x${STACK.toString(16)}`,
        '0xfffffffe',
      ])
    })

    test('the last operand below 4 GiB is none of them: it is read, where there is no memory', () => {
      system.enter('protected', 3)
      expect(rounds('pop eax', 'mov esp, -4')).toBe('ept-violation')
    })

    test('a stack pointer of 16 bits, and a stack with a base, come and go between uses of the flat one', () => {
      system.enter('protected')
      system.set(FREE, NARROW)
      system.set(FREE + 8, BASED)
      const source = `mov ecx, ${ROUNDS}\nmov esi, esp\nagain: mov ax, ${FREE}\nmov ss, ax\nmov esp, 0x56780004\ncall push_it
        mov edi, esp\nmov ax, ${FREE + 8}\nmov ss, ax\nmov esp, ${STACK0 - 0x800}\ncall push_it\nmov ebx, esp
        mov ax, ${DATA0}\nmov ss, ax\nmov esp, esi\ncall push_it\nloop again\njmp out\npush_it: push ecx\nmov edx, esp\npop ebp\nret\nout:`
      system.guest.write32(0, 0)
      expect(system.run(source, { budget: MOST_INSTRUCTIONS })).toBe('end')
      expect([hex('rdi'), hex('rbx'), hex('rsp'), hex('rbp')]).toEqual([
        '0x56780004',
        `0x${(STACK0 - 0x800).toString(16)}`,
        `0x${STACK0.toString(16)}`,
        '0x1',
      ])
      // SP wraps within 16 bits: return address at 0, the push below at FFFCH. The stack with a base lies 1000H higher.
      expect(system.guest.read32(0xfffc)).toBe(1)
      expect(system.guest.read32(STACK0 - 0x800 + 0x1000 - 8)).toBe(1)
      expect(system.guest.read32(0)).toBeGreaterThan(CODE)
    })

    test('rights of ring 3 count as ever: a flat stack of another ring is not reached by its selector', () => {
      system.enter('protected', 3)
      system.set(FREE, descriptor(0xc090 | dpl(3)))
      expect(rounds('push eax\npop eax', `mov ax, ${FREE | 3}\nmov ss, ax`)).toBe(`#GP(0x${FREE.toString(16)})`)
    })
  })

/** Arguments that a function has not kept, told by the call in its caller. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { displayText } from '../../../src/debugger/expression/display.ts'
import { evaluate } from '../../../src/debugger/expression/evaluate.ts'
import { buildGuest, GuestUnderTest } from '../support/c-guest.ts'

const SOURCE = `
typedef long word;
volatile word sink;
#define FORGET __asm__ volatile("" ::: "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "r8", "r9", "r10", "r11", \\
                                "r12", "r13", "r14", "r15")
__attribute__((noipa)) word leaf(word a, word b) {
  sink = a + b;
  FORGET;
  return sink; // #leaf
}
__attribute__((noipa)) word middle(word count) {
  word result = leaf(count * 2 + 1, 30);
  FORGET;
  return result + 1;
}
__attribute__((noipa)) word jumper(word a) {
  sink = a;
  return leaf(a + 1, a + 2);
}
void _start(void) {
  sink = middle(20);
  sink = jumper(5);
  for (;;) ;
}
`

describe.each([
  ['DWARF 5', ['-gdwarf-5']],
  ['DWARF 4 with the extension of GNU', ['-gdwarf-4']],
])('%s', (_name, flags) => {
  let guest: GuestUnderTest
  beforeAll(async () => {
    guest = await GuestUnderTest.start(buildGuest(SOURCE, ['-O2', ...flags]))
  })
  afterAll(() => guest.debugger.dispose())

  const shown = (expression: string, level: number): string => {
    const { stack } = guest
    const frame = stack.frames(0, level + 1)[level]
    const value = evaluate(expression, stack.scope(frame), stack.subject(frame))
    return displayText(value, { subject: stack.subject(frame), describe: () => undefined })
  }

  test('arguments that are overwritten have the values of the call, through callers that have lost theirs', async () => {
    await guest.runToMarker('leaf')
    expect(guest.stack.frames(0, 3).map(({ name }) => name)).toEqual(['leaf', 'middle', '_start'])
    expect([shown('a', 0), shown('b', 0), shown('count', 1)]).toEqual(['41', '30', '20'])
  })

  test('a function that was jumped to does not get the arguments of the one that was called', async () => {
    await guest.runToMarker('leaf')
    expect(guest.stack.frames(0, 2).map(({ name }) => name)).toEqual(['leaf', '_start'])
    expect([shown('a', 0), shown('b', 0)]).toEqual(['<optimized out>', '<optimized out>'])
  })
})

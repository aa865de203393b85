import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { displayText } from '../../../src/debugger/expression/display.ts'
import { evaluate } from '../../../src/debugger/expression/evaluate.ts'
import { buildGuest, FRAME_POINTERS_ALONE, GuestUnderTest, withoutFrameTables } from '../support/c-guest.ts'

const SOURCE = `
typedef unsigned long u64;
volatile u64 sink;
static inline __attribute__((always_inline)) u64 twice(u64 value) {
  u64 doubled = value * 2;
  __asm__ volatile("nop" : "+r"(doubled)); // #inlined
  sink = doubled;
  return doubled;
}
__attribute__((noinline)) u64 leaf(u64 a, u64 b) {
  u64 sum = twice(a) + b;
  sink = sum; // #leaf
  return sum + 1;
}
__attribute__((noinline)) u64 recurse(u64 depth) {
  if (depth == 0) return leaf(20, 2);
  u64 inner = recurse(depth - 1);
  return inner + depth; // #after-recursion
}
void kernel_main(void) {
  u64 result = recurse(3);
  sink = result; // #end
  for (;;) ;
}
__asm__(".globl _start; _start: xor %ebp, %ebp; call kernel_main; hlt");
`

describe.each([
  ['64-bit, not optimised', ['-O0']],
  ['64-bit, optimised', ['-O2', '-fno-optimize-sibling-calls']],
  ['64-bit, with frame pointers alone', ['-O1', ...FRAME_POINTERS_ALONE]],
  ['32-bit', ['-m32', '-O1', '-fno-optimize-sibling-calls']],
])('the stack of %s code', (_name, flags) => {
  let guest: GuestUnderTest
  beforeAll(async () => {
    const built = buildGuest(SOURCE, flags)
    guest = await GuestUnderTest.start(flags.includes('-fno-omit-frame-pointer') ? withoutFrameTables(built) : built)
  })
  afterAll(() => guest.debugger.dispose())

  test('names callers, inlined functions and lines, and knows the locals of each frame', async () => {
    await guest.runToMarker('leaf')
    const { stack } = guest
    const names = stack.frames(0, 50).map(frame => frame.name)
    expect(names.slice(0, 6)).toEqual(['leaf', 'recurse', 'recurse', 'recurse', 'recurse', 'kernel_main'])
    expect(stack.total).toBeGreaterThanOrEqual(6)
    expect(stack.total).toBeLessThanOrEqual(7)
    const [leaf, inner, outer] = stack.frames(0, 3)
    expect(leaf.source?.line).toBe(guest.built.marker('leaf'))
    expect(leaf.source?.file).toBe(guest.built.source)
    const shown = (expression: string, frame = leaf) =>
      displayText(evaluate(expression, stack.scope(frame), stack.subject(frame)), {
        subject: stack.subject(frame),
        describe: () => undefined,
      })
    expect(shown('sum')).toBe('42')
    expect(shown('$pc == leaf')).toBe('0')
    expect(inner.pc).not.toBe(outer.pc === inner.pc ? 0n : outer.pc)
    expect(stack.canonicalAddress(leaf)).toBeLessThan(stack.canonicalAddress(inner) ?? 0n)
  })
})

describe('a frame of inlined code', () => {
  test('comes before the function it is part of', async () => {
    const guest = await GuestUnderTest.start(buildGuest(SOURCE, ['-O2', '-fno-optimize-sibling-calls']))
    await guest.runToMarker('inlined')
    const frames = guest.stack.frames(0, 3)
    expect(frames.map(({ name, kind }) => `${name} ${kind}`)).toEqual([
      'twice inlined',
      'leaf normal',
      'recurse normal',
    ])
    expect(frames[0].source?.line).toBe(guest.built.marker('inlined'))
    expect(frames[1].source?.line).toBe(guest.built.marker('leaf') - 1)
    guest.debugger.dispose()
  })
})

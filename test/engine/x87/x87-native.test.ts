import { describe, expect, it } from 'vitest'
import { nativeUnavailable, runNative } from '../float/native.ts'
import { RandomFloats } from '../float/random-floats.ts'
import {
  MEMORY_BYTES,
  nativeLine,
  parseNative,
  runOurs,
  show,
  singleInstructions,
  type X87Case,
  type X87Result,
} from './native-case.ts'

const transcendental = ['F2xm1', 'Fyl2x', 'Fyl2xp1', 'Fptan', 'Fpatan', 'Fsin', 'Fcos', 'Fsincos']
/** They show addresses, or wait for another test. */
const elsewhere = /^(Fx|F?nst?env|Fnstenv|Fldenv|Fnsave|Frstor|Wait|Emms)/

function operandBytes(random: RandomFloats, name: string): Uint8Array {
  const bytes = new Uint8Array(MEMORY_BYTES)
  const view = new DataView(bytes.buffer)
  if (name.endsWith('m32fp')) view.setUint32(0, Number(random.binary32()), true)
  else if (name.endsWith('m64fp')) view.setBigUint64(0, random.binary64(), true)
  else if (name.endsWith('m80fp')) {
    const { low, high } = random.extended()
    view.setBigUint64(0, low, true)
    view.setUint16(8, high, true)
  } else if (name.endsWith('m80bcd')) {
    for (let i = 0; i < 9; i++) bytes[i] = (random.below(10) << 4) | random.below(10)
    bytes[9] = random.below(2) << 7
  } else if (name === 'Fldcw_m2byte') view.setUint16(0, random.below(0x10000), true)
  else view.setBigUint64(0, random.below(2) ? random.bits() : random.fraction(64), true)
  return bytes
}

function randomCase(random: RandomFloats, name: string, masked: boolean): X87Case {
  const masks = masked ? 0x3f : random.below(64)
  const control = 0x40 | masks | (random.pick([0, 2, 3, 3]) << 8) | (random.below(4) << 10)
  const top = random.below(8)
  // Flags that are already set must survive; only masked ones, or the instruction would not even start.
  const sticky = random.below(4) ? 0 : random.below(128) & (masks | 0x40)
  const conditions = random.below(16)
  const status = sticky | ((conditions & 7) << 8) | (top << 11) | ((conditions >> 3) << 14)
  const stack = Array.from({ length: 8 }, () => random.extended())
  if (random.below(6) === 0) stack[1] = stack[0]
  // Mostly three or so registers in use, so that most instructions have operands and room.
  const used = random.pick([1, 2, 3, 3, 3, 3, 3, 3, 4, 7, 8])
  let tags = 0
  for (let i = 0; i < used; i++) tags |= 1 << ((top + i) & 7)
  if (random.below(12) === 0) tags = random.below(256)
  return {
    name,
    register: random.below(4),
    control,
    status,
    tags,
    rflags: 2 | (random.below(0x1000) & 0x8d5),
    stack,
    memory: operandBytes(random, name),
  }
}

const C1 = 1 << 9

/**
 * `ax` is only looked at where the instruction writes it. FCOMI and its like clear C1 (SDM vol. 2, FCOMI), which
 * processors of AMD leave alone.
 */
function comparable(c: X87Case, result: X87Result): string {
  const status = /^Fu?comi/.test(c.name) ? result.status & ~C1 : result.status
  return show({ ...result, status, ax: c.name.endsWith('_AX') ? result.ax : 0 })
}

function differences(cases: readonly X87Case[]): string[] {
  const native = runNative(new URL('native-x87.c', import.meta.url), cases.map(nativeLine))
  return cases.flatMap((c, i) => {
    const ours = comparable(c, runOurs(c))
    const theirs = comparable(c, parseNative(native[i]))
    const before = show({ ...c, ax: 0, memory: Buffer.from(c.memory).toString('hex') })
    return ours === theirs
      ? []
      : [`${c.name} i=${c.register}\n  before    ${before}\n  ours      ${ours}\n  processor ${theirs}`]
  })
}

describe(`x87 instructions${nativeUnavailable ? ` (skipped: ${nativeUnavailable})` : ''}`, () => {
  const names = singleInstructions.filter(name => !elsewhere.test(name) && !transcendental.includes(name))
  for (const masked of [true, false]) {
    it.skipIf(nativeUnavailable)(
      `agree with the processor with exceptions ${masked ? 'masked' : 'unmasked at random'}`,
      () => {
        const random = new RandomFloats(masked ? 11 : 12)
        const cases = names.flatMap(name => Array.from({ length: 200 }, () => randomCase(random, name, masked)))
        expect(differences(cases).slice(0, 20).join('\n')).toBe('')
      },
    )
  }
})
